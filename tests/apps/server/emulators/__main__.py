"""An emulated server as a process: `python -m tests.apps.server.emulators --generation=today --state=FILE`.

Prints its URL and its API key, one a line, when it serves. What it recorded is in FILE before it is answered, so it
may be killed at any time and started again with the same --port and --state. Ends by SIGTERM or at the end of stdin.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from tests.apps.server.emulators import Emulator, Fault, Faults, Site, Tap
from tests.apps.server.emulators.faults import USUAL
from tests.apps.server.emulators.serving import GENERATIONS


def main() -> int:
    parser = argparse.ArgumentParser(description="An emulated Kegbot Server.")
    parser.add_argument("--generation", choices=GENERATIONS, default="today")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--state", type=Path, help="what it recorded, one JSON object a line")
    parser.add_argument("--faults", type=int, metavar="SEED", help="faults at random; none without")
    parser.add_argument("--fault_rate", type=float, default=0.5)
    parser.add_argument(
        "--fault_kinds", default="", help="names such as LOST,HANG; those of the issue without"
    )
    parser.add_argument("--only_posts", action="store_true", help="reading is never disturbed")
    parser.add_argument("--meter", action="append", default=[], help="a meter with a tap and keg; repeat")
    parser.add_argument("--ticks_per_ml", type=float, default=2.2)
    parser.add_argument("--user", action="append", default=[], help="a user the server knows; repeat")
    parser.add_argument(
        "--allow", action="append", default=[], metavar="DEVICE", help="pair this device at once"
    )
    parser.add_argument("--until_eof", action="store_true", help="end when stdin does")
    options = parser.parse_args()
    kinds = tuple(kind for kind in Fault if kind.name in options.fault_kinds.split(",")) or USUAL
    faults = Faults(seed=options.faults, rate=options.fault_rate, kinds=kinds, only_posts=options.only_posts)
    site = Site(users={"alice", "bob", *options.user})
    if options.meter:
        site.taps = [
            Tap(id=number, name=meter, meter_name=meter, ticks_per_ml=options.ticks_per_ml, keg_id=number)
            for number, meter in enumerate(options.meter, 1)
        ]
    emulator = Emulator(
        options.generation,
        port=options.port,
        site=site,
        faults=faults,
        state=options.state,
        allow_at_once=True,
    )
    for device in options.allow:
        if device not in emulator.memory.devices:
            emulator.events.allow(device)

    def end(_number: int, _frame: FrameType | None) -> None:
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    emulator.start()
    print(emulator.url, emulator.key, sep="\n", flush=True)
    if options.until_eof:
        sys.stdin.read()
    else:
        while True:
            signal.pause()
    emulator.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
