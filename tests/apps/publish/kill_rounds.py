"""kill -9 of the publisher at random instants: `python -m tests.apps.publish.kill_rounds --rounds=200`.

A real core, whose drinks come all the time; a network that takes its time, fails, and is away now and then. At the
end each drink was announced exactly once, in the order of pouring.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

from tests.apps.core.bar import reading, request
from tests.apps.core.programs import App, CoreProgram
from tests.apps.publish.programs import Publisher
from tests.apps.publish.sink import DEADLINE_S, Sink

_AWAY = 0.25  # of the rounds


def run(rounds: int, seed: int, folder: Path) -> dict[str, int]:
    """Counts of what happened. Raises AssertionError when a drink is announced twice, never, or out of turn."""
    chance = random.Random(seed)
    sink = Sink()
    sink.hook = lambda: time.sleep(chance.random() * 0.05)
    drinks = 0
    with CoreProgram(folder / "core.sqlite", "--min_drink_ml=0") as core:
        threading.Thread(target=_drain, args=(core,), daemon=True).start()
        app = App(core.port)
        app.send(reading(0))
        publisher = Publisher(folder, ("127.0.0.1", core.port), sink.url())
        publisher.flags = (*publisher.flags, "--message_anonymous={drink}")
        try:
            publisher.start()
            publisher.says("announced from now on")
            for _ in range(rounds):
                sink.mode = "error" if chance.random() < _AWAY else "ok"
                for _ in range(chance.randrange(1, 4)):
                    drinks += 1
                    app.send(reading(drinks * 100), request("stop_flow"))
                    time.sleep(chance.random() * 0.05)
                time.sleep(chance.random() * 0.9)
                assert publisher.end(signal.SIGKILL) == -signal.SIGKILL
                publisher.start()
            sink.mode = "ok"
            drinks += 1
            app.send(reading(drinks * 100), request("stop_flow"))
            sink.wait_for(lambda: str(drinks) in sink.taken, publisher.output()[-3000:])
            expected = [str(number) for number in range(1, drinks + 1)]
            assert sink.taken == expected, publisher.output()[-3000:]
            end_s = time.monotonic() + DEADLINE_S
            while publisher.listed():  # the helper writes it down a moment later
                assert time.monotonic() < end_s
            assert publisher.end() == 0
            assert "Traceback" not in publisher.output()
        finally:
            publisher.close()
            app.close()
            sink.close()
    return {"rounds": rounds, "drinks": drinks, "requests": sink.requests, "announced": len(sink.taken)}


def _drain(core: CoreProgram) -> None:
    """Read what the core says: it would wait for that in the end."""
    assert core.process.stdout is not None
    with suppress(OSError, ValueError):
        while os.read(core.process.stdout.fileno(), 65536):
            pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        print(run(given.rounds, given.seed, Path(folder)))


if __name__ == "__main__":
    main()
