"""That no tick is lost or doubled on the way from a board through MQTT: `python -m tests.apps.bridge.mqtt_proof`.

First on one machine: the broker is dead for a minute during a pour; each bridge and the core are killed during others.
Then on two hosts (two network namespaces and a cable between them, for which it wants to be root): the cable is cut
for a minute during a pour, and while a valve is open. Each time the ticks of all drinks in the store have to be those
that the board counted. It takes about six minutes; --outage_s=5 is quicker. The suite has short versions of it.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.apps.bridge.hosts import Hosts, hosts, may_make_namespaces
from tests.apps.bridge.mosquitto import until
from tests.apps.bridge.rig import Counts, Rig, rig
from tests.apps.core.bar import ALICE
from tests.apps.kegboard.programs import Simulator

TICKS_PER_S: Final = 100
BASE: Final = 10


def pour(counts: Counts, board: Simulator, ticks: int, fault: Callable[[], None]) -> None:
    """Let `ticks` flow and `fault` happen meanwhile; then all of them have to be in drinks."""
    counted_before, reading_before = counts.counted(), counts.reading() or 0
    poured = board.begin("pour", "flow0", str(ticks), f"--ticks_per_second={TICKS_PER_S}")
    until(lambda: counts.counted() > counted_before + TICKS_PER_S)
    fault()
    poured()
    end_s = time.monotonic()
    until(lambda: counts.reading() == reading_before + ticks, "for the last reading", within_s=90.0)
    caught_up_s = time.monotonic() - end_s
    counted = counts.counted() - counted_before
    until(lambda: sum(counts.drinks()) == counts.counted(), "for the last drink", within_s=90.0)
    print(
        f"    poured {ticks}, counted {counted}, not believed {counts.dropped()}; ticks of all drinks "
        f"{sum(counts.drinks())} of {counts.counted()}; caught up {caught_up_s:.1f} s after the pour",
        flush=True,
    )
    assert (counted, counts.dropped()) == (ticks, 0)


def say(text: str) -> None:
    print(text, flush=True)


def one_machine(folder: Path, outage_s: float) -> None:
    with rig(folder) as bar:
        bar.start_boards_bridge()
        board = bar.start_board()

        def broker_dies() -> None:
            bar.broker.kill()
            time.sleep(outage_s)
            bar.broker.start()

        def dies(which: str) -> Callable[[], None]:
            return lambda: kill_and_start(bar, which)

        say(f"one machine: the broker is killed and dead for {outage_s:g} s of a pour")
        pour(bar, board, int(TICKS_PER_S * (outage_s + 15)), broker_dies)
        for which in ("boards bridge", "core bridge", "core", "all three"):
            say(f"one machine: kill -9 of {which} during a pour")
            pour(bar, board, TICKS_PER_S * 10, dies(which))


def kill_and_start(bar: Rig, which: str) -> None:
    assert bar.boards_bridge is not None
    if which in ("boards bridge", "all three"):
        bar.kill(bar.boards_bridge)
    if which in ("core bridge", "all three"):
        bar.kill(bar.core_bridge)
    if which in ("core", "all three"):
        bar.core.end(signal.SIGKILL)
        bar.start_core()
    if which in ("core bridge", "all three"):
        bar.start_core_bridge()
    if which in ("boards bridge", "all three"):
        bar.start_boards_bridge()


def two_hosts(folder: Path, outage_s: float) -> None:
    with hosts(folder) as both:

        def cable_is_cut() -> None:
            both.cut()
            time.sleep(outage_s)
            both.mend()

        say(f"two hosts: the cable is cut for {outage_s:g} s of a pour")
        pour(both, both.board, int(TICKS_PER_S * (outage_s + 15)), cable_is_cut)
        say("two hosts: the cable is cut while a valve is open")
        print(f"    the valve was closed {valve_closes(both):.1f} s after the cut", flush=True)


def valve_closes(both: Hosts) -> float:
    """Seconds from the cut to the closed valve."""
    both.board.verb("token_add", "onewire", ALICE[1])
    until(lambda: both.board.state()["relays"]["relay0"], "for the valve to open")
    both.cut()
    cut_s = time.monotonic()
    until(lambda: not both.board.state()["relays"]["relay0"], "for the valve to close")
    closed_s = time.monotonic() - cut_s
    both.mend()
    both.board.verb("token_remove", "onewire", ALICE[1])
    return closed_s


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--outage_s", type=float, default=60.0, help="how long broker and cable are away")
    parser.add_argument(
        "--hosts", type=int, choices=(1, 2), help="only what is on one machine, or only the two hosts"
    )
    wanted = parser.parse_args()
    outage_s = wanted.outage_s
    if wanted.hosts != 2:
        with tempfile.TemporaryDirectory() as folder:
            one_machine(Path(folder), outage_s)
    if wanted.hosts == 1:
        pass
    elif may_make_namespaces():
        with tempfile.TemporaryDirectory() as folder:
            two_hosts(Path(folder), outage_s)
    else:
        print("two hosts: left out, no rights to make network namespaces")
    print("every tick is in a drink, once")
    return 0


if __name__ == "__main__":
    sys.exit(main())
