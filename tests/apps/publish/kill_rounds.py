"""kill -9 of the publisher at random instants: `python -m tests.apps.publish.kill_rounds --rounds=200`.

A real core, whose drinks come all the time, and which is killed, too, now and then; a network that takes its time,
fails, and is away. At the end each drink in the store was announced exactly once, in the order of pouring.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from kegapps.core.ledger import Ledger
from tests.apps import proving
from tests.apps.core.bar import reading, request
from tests.apps.core.programs import App, CoreProgram
from tests.apps.publish.programs import Publisher
from tests.apps.publish.sink import DEADLINE_S, Sink

_AWAY = 0.25  # of the rounds
_CORE_KILLED = 0.15


class Tap:
    """A core on its store, and somebody who pours at it."""

    def __init__(self, store: Path, stack: ExitStack, address: str = "localhost:0") -> None:
        self.store = store
        self.stack = stack
        self.core = stack.enter_context(CoreProgram(store, "--min_drink_ml=0", address=address))
        threading.Thread(target=_drain, args=(self.core,), daemon=True).start()
        self.app = App(self.core.port)
        stack.callback(self.app.close)

    def pour(self, ticks: int) -> None:
        self.app.send(reading(ticks), request("stop_flow"))

    def killed(self) -> Tap:
        """The same with another core, after kill -9 of this one."""
        self.core.process.kill()
        self.core.process.wait()
        return Tap(self.store, self.stack, f"localhost:{self.core.port}")

    def drinks(self, ticks: int) -> list[str]:
        """The numbers of all that are stored, once that are so many ticks; before, none."""
        ledger = Ledger(str(self.store))
        try:
            drinks = ledger.drinks(limit=10**6)
        finally:
            ledger.close()
        whole = sum(drink.ticks for drink in drinks) == ticks
        return [str(drink.id) for drink in reversed(drinks)] if whole else []


def run(rounds: int, seed: int, folder: Path) -> dict[str, int]:
    """Counts of what happened. Raises AssertionError when a drink is announced twice, never, or out of turn."""
    chance = random.Random(seed)
    poured = cores = 0
    with ExitStack() as stack:
        sink = Sink()
        stack.callback(sink.close)
        sink.hook = lambda: time.sleep(chance.random() * 0.05)
        tap = Tap(folder / "core.sqlite", stack)
        tap.app.send(reading(0))
        publisher = Publisher(folder, ("127.0.0.1", tap.core.port), sink.url())
        stack.callback(publisher.close)
        publisher.flags = (*publisher.flags, "--message_anonymous={drink}")
        publisher.start()
        publisher.says("announced from now on")
        for _ in range(rounds):
            sink.mode = "error" if chance.random() < _AWAY else "ok"
            for _ in range(chance.randrange(1, 4)):
                poured += 1
                tap.pour(poured * 100)
                time.sleep(chance.random() * 0.05)
            if chance.random() < _CORE_KILLED:
                cores += 1
                tap = tap.killed()
            time.sleep(chance.random() * 0.9)
            assert publisher.end(signal.SIGKILL) == -signal.SIGKILL
            publisher.start()
        sink.mode = "ok"
        ticks = (poured + 1) * 100
        tap.pour(ticks)
        end_s = time.monotonic() + DEADLINE_S
        while not (drinks := tap.drinks(ticks)) or sink.taken[-1:] != drinks[-1:] or publisher.listed():
            assert time.monotonic() < end_s, (sink.taken[-5:], drinks[-5:], publisher.output()[-3000:])
        assert sink.taken == drinks, publisher.output()[-3000:]
        assert publisher.end() == 0
        assert "Traceback" not in publisher.output()
    return {"rounds": rounds, "cores": cores, "requests": sink.requests, "announced": len(sink.taken)}


def _drain(core: CoreProgram) -> None:
    """Read what the core says: it would wait for that in the end."""
    assert core.process.stdout is not None
    with suppress(OSError, ValueError):
        while os.read(core.process.stdout.fileno(), 65536):
            pass


if __name__ == "__main__":
    proving.main(run, __doc__, proved="every drink announced once, and in turn", wanted=200)
