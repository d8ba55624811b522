"""How long the beer takes to the display: `python -m tests.benchmarks.event_path`.

From the bytes of a meter_status in a board's pseudo terminal, through the board daemon and the core, which writes it into
its store with synchronous=full, to the FlowUpdate at a subscriber: 8 taps on 2 boards at 50 updates a second each. Then
the core's part of it alone, from a reading on kegnet: one tap, the same next to 200 clients that never read and three
that flood, and 8 taps. The disk's own time to keep 4 KiB (write and fdatasync) is printed before.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import tty
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from tests.apps.core.bar import reading
from tests.apps.core.hostile import SLEEPERS, delays_ms, nuisances
from tests.apps.core.programs import SCRIPTS, App, CoreProgram

from kegapps.kbsp.codec import encode
from kegapps.kbsp.messages import Hello, MeterStatus
from kegapps.kegnet.events import FlowUpdate

BOARDS: Final = 2
METERS: Final = 4
TARGET_P99_MS: Final = 50.0
Tell = Callable[[str, int], None]
"""Lets a tap stand at so many ticks."""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--per_second", type=int, default=50, help="updates of each tap")
    parser.add_argument("--readings", type=int, default=500, help="for the parts with one tap")
    parser.add_argument("--dir", help="a folder on the disk to be measured")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.dir) as folder:
        found = {"disk: 4 KiB kept": disk_ms(Path(folder))}
        with CoreProgram(Path(folder) / "kegbot.sqlite") as core:
            app = App(core.port)
            with boards(Path(folder), core.port) as tell:
                found["board to subscriber, 8 taps"] = _paced(app, tell, options)
            app.send(reading(0))
            found["core alone, 1 tap"] = delays_ms(app, 1, options.readings)
            with nuisances(core.port):
                crowded = f"core alone, {SLEEPERS} sleepers and 3 floods"
                found[crowded] = delays_ms(app, options.readings + 1, options.readings)
            found["core alone, 8 taps"] = _paced(
                app, lambda tap, ticks: app.send(reading(ticks, tap=tap)), options
            )
    report = {name: _figures(delays) for name, delays in found.items()}
    if options.json:
        print(json.dumps(report, indent=2))
    else:
        print(f"{'milliseconds':45} {'p50':>7} {'p99':>7} {'max':>7} {'number':>7}")
        for name, row in report.items():
            print(
                f"{name:45} {row['p50_ms']:7.2f} {row['p99_ms']:7.2f} {row['max_ms']:7.2f} {row['number']:7.0f}"
            )
    return 0 if report["board to subscriber, 8 taps"]["p99_ms"] < TARGET_P99_MS else 1


@contextlib.contextmanager
def boards(folder: Path, core_port: int) -> Iterator[Tell]:
    """Pseudo terminals with a board daemon at each, called board0 and so on; what is yielded is heard by the core."""
    masters: dict[str, int] = {}
    daemons: list[subprocess.Popen[bytes]] = []
    try:
        for number in range(BOARDS):
            name = f"board{number}"
            master, slave = os.openpty()
            tty.setraw(slave)
            masters[name] = master
            daemons.append(
                subprocess.Popen(
                    [
                        sys.executable, str(SCRIPTS / "kegboard_daemon.py"), f"--kegboard_device={os.ttyname(slave)}",
                        f"--kegboard_name={name}", f"--kb_core_addr=localhost:{core_port}",
                    ],
                    cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                )
            )  # fmt: skip
            os.read(master, 64)  # the daemon's first ping
            os.close(slave)
            hello = Hello(firmware_version=18, serial_number=name, uptime_ms=500, uptime_days=0)
            os.write(master, encode(hello))

        def tell(tap: str, ticks: int) -> None:
            board, _, meter = tap.partition(".")
            os.write(masters[board], encode(MeterStatus(meter_name=meter, reading_ticks=ticks)))

        yield tell
    finally:
        for daemon in daemons:
            daemon.kill()
            daemon.wait()
        for master in masters.values():
            os.close(master)


def disk_ms(folder: Path, times: int = 200) -> list[float]:
    """How long the disk takes to keep 4 KiB more of a file."""
    delays = []
    fd = os.open(folder / "fsync", os.O_WRONLY | os.O_CREAT)
    for _ in range(times):
        began_s = time.perf_counter()
        os.write(fd, bytes(4096))
        os.fdatasync(fd)
        delays.append(1000 * (time.perf_counter() - began_s))
    os.close(fd)
    return delays


def paced_delays_ms(
    app: App, tell: Tell, taps: Sequence[str], *, per_second: int, seconds: float, first: int = 1
) -> list[float]:
    """From `tell` to the FlowUpdate, for taps that are told of so many times a second each, all at once."""
    sent_s: dict[tuple[str, int], float] = {}
    delays: list[float] = []
    began_s, seen = time.perf_counter(), len(app.heard)
    turns = int(per_second * seconds)
    for turn in range(turns):
        for tap in taps:
            sent_s[tap, first + turn] = time.perf_counter()
            tell(tap, first + turn)
        patience_s = 5.0 if turn == turns - 1 else 0.0
        end_s = began_s + (turn + 1) / per_second + patience_s
        while (left_s := end_s - time.perf_counter()) > 0 and sent_s:
            app.sock.settimeout(left_s)
            try:
                app.listen_once()
            except TimeoutError:
                break
            now_s = time.perf_counter()
            for event in app.heard[seen:]:
                if isinstance(event, FlowUpdate) and (event.tap_name, event.ticks) in sent_s:
                    delays.append(1000 * (now_s - sent_s.pop((event.tap_name, event.ticks))))
            seen = len(app.heard)
    assert not sent_s, f"{len(sent_s)} updates never came"
    return delays


def _paced(app: App, tell: Tell, options: argparse.Namespace) -> list[float]:
    taps = [f"board{board}.flow{meter}" for board in range(BOARDS) for meter in range(METERS)]
    known = {event.tap_name: event.ticks for event in app.heard if isinstance(event, FlowUpdate)}
    first = known.get(taps[0], 0)
    if not first:  # the first reading of a meter counts nothing
        for tap in taps:
            tell(tap, 0)
    return paced_delays_ms(
        app, tell, taps, per_second=options.per_second, seconds=options.seconds, first=first + 1
    )


def _figures(delays: list[float]) -> dict[str, float]:
    return {
        "p50_ms": statistics.median(delays),
        "p99_ms": sorted(delays)[len(delays) * 99 // 100],
        "max_ms": max(delays),
        "number": len(delays),
    }


if __name__ == "__main__":
    sys.exit(main())
