"""How long a reading takes until it is stored and announced: `python -m tests.benchmarks.core_delays`.

Once alone, once next to 200 clients that never read and three that flood; then many taps at once.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from tests.apps.core.bar import reading
from tests.apps.core.hostile import SLEEPERS, delays_ms, nuisances
from tests.apps.core.programs import App, CoreProgram

from kegapps.kegnet.events import FlowUpdate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--readings", type=int, default=500)
    parser.add_argument("--dir", help="a folder on the disk to be measured")
    options = parser.parse_args()
    count = options.readings
    with (
        tempfile.TemporaryDirectory(dir=options.dir) as folder,
        CoreProgram(Path(folder) / "kegbot.sqlite") as core,
    ):
        app = App(core.port)
        app.send(reading(0))
        print("delay of a reading until it is stored and announced, ms")
        _show("alone", delays_ms(app, 1, count))
        with nuisances(core.port):
            _show(f"with {SLEEPERS} sleepers and 3 floods", delays_ms(app, count + 1, count))
        _show("8 taps at 50 readings/s each", paced_delays_ms(app))


def paced_delays_ms(app: App, *, taps: int = 8, per_second: int = 50, seconds: float = 4.0) -> list[float]:
    """The same for `taps` meters that are read `per_second` times a second each, all at once."""
    names = [f"board{number}.flow0" for number in range(taps)]
    app.send(*(reading(0, tap=name) for name in names))
    sent_s: dict[tuple[str, int], float] = {}
    delays: list[float] = []
    began_s, seen = time.perf_counter(), len(app.heard)
    for ticks in range(1, int(per_second * seconds) + 1):
        for name in names:
            sent_s[name, ticks] = time.perf_counter()
            app.send(reading(ticks, tap=name))
        while (left_s := began_s + ticks / per_second - time.perf_counter()) > 0:
            app.sock.settimeout(left_s)
            try:
                app.listen_once()
            except TimeoutError:
                break
            for event in app.heard[seen:]:
                if isinstance(event, FlowUpdate) and (event.tap_name, event.ticks) in sent_s:
                    delays.append(1000 * (time.perf_counter() - sent_s[event.tap_name, event.ticks]))
            seen = len(app.heard)
    return delays


def _show(what: str, delays: list[float]) -> None:
    p50, p99 = statistics.median(delays), sorted(delays)[len(delays) * 99 // 100]
    print(f"{what:32} p50 {p50:6.1f}  p99 {p99:6.1f}  max {max(delays):6.1f}")


if __name__ == "__main__":
    main()
