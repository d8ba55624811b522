"""How fast a valve opens and closes, whatever ends: `python -m tests.apps.kegboard.relay_proof`.

A real core, a real daemon and an emulated board on a pseudo terminal. What is measured is the relay of the board, from
the moment a token, a signal or a kill -9 is sent. The suite asserts that it happens; the times are printed here.
"""

from __future__ import annotations

import contextlib
import itertools
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kegapps.kbsp.codec import encode
from kegapps.kbsp.messages import SetOutput
from tests.apps.core.bar import ALICE, FLOW0, added, reading, removed
from tests.apps.core.programs import App, CoreProgram, furnish
from tests.apps.kegboard.programs import DEADLINE_S, Bar, Program, Simulator, bar_in

COMMAND_BYTES: Final = len(encode(SetOutput(output_id=0, output_mode=1)))
LOOK_EVERY_S: Final = 0.002


@dataclass(slots=True, kw_only=True)
class Chain:
    """Everything between a token and a valve."""

    board: Simulator
    core: CoreProgram
    daemon: Program
    app: App

    def until_relay(self, *, on: bool) -> float:
        """Wait until relay 0 of the board is on, or off; the time it was, monotonic."""
        deadline_s = time.monotonic() + DEADLINE_S
        while self.board.state()["relays"]["relay0"] != on:
            assert time.monotonic() < deadline_s, (
                f"relay0 never {'on' if on else 'off'}: {self.board.state()}"
            )
            time.sleep(LOOK_EVERY_S)
        return time.monotonic()

    def open(self) -> float:
        """A token that may pour is put on; seconds until the valve is open."""
        sent_s = time.monotonic()
        self.app.send(added(ALICE))
        return self.until_relay(on=True) - sent_s

    def closes(self, act: Callable[[], object]) -> float:
        """Seconds from `act` to the valve being closed."""
        assert self.board.state()["relays"]["relay0"], "it was not open"
        begin_s = time.monotonic()
        act()
        return self.until_relay(on=False) - begin_s

    def feeds_s(self, feeds: int) -> list[float]:
        """Seconds between so many commands for the valve, one after the other."""
        times_s: list[float] = []
        seen = self.board.state()["received_bytes"]
        while len(times_s) < feeds + 1:
            now_seen = self.board.state()["received_bytes"]
            if now_seen - seen >= COMMAND_BYTES:
                seen = now_seen
                times_s.append(time.monotonic())
            time.sleep(LOOK_EVERY_S)
        return [later - earlier for earlier, later in itertools.pairwise(times_s)]


def start(bar: Bar, folder: Path) -> Chain:
    """A core that knows a tap with a valve and who may pour, a daemon and a board."""
    store = folder / "kegbot.sqlite"
    if not store.exists():
        furnish(store)
    core = bar.enter(CoreProgram(store))
    board = bar.simulator("--noreset_on_open", "--thermo=")
    daemon = bar.daemon(f"localhost:{core.port}")
    daemon.line("status: board kegboard: firmware 18")
    app = App(core.port)
    app.send(reading(0, tap=FLOW0))
    return Chain(board=board, core=core, daemon=daemon, app=app)


@contextlib.contextmanager
def chain() -> Iterator[Chain]:
    """A fresh one, in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        bars = bar_in(Path(folder))
        yield start(next(bars), Path(folder))
        for _ in bars:
            pass


def the_flow_ends() -> float:
    """Seconds from the token's removal to the closed valve."""
    with chain() as fresh:
        fresh.open()
        return fresh.closes(lambda: fresh.app.send(removed(ALICE)))


def the_core_ends(number: int) -> float:
    """Seconds from the signal to the closed valve."""
    with chain() as fresh:
        fresh.open()
        return fresh.closes(lambda: fresh.core.process.send_signal(number))


def the_daemon_ends(number: int) -> float:
    """Seconds from the signal to the closed valve."""
    with chain() as fresh:
        fresh.open()
        return fresh.closes(lambda: fresh.daemon.process.send_signal(number))


def the_daemon_and_the_core_are_killed() -> float:
    """Seconds from kill -9 of both to the valve that the board closed by itself."""
    with chain() as fresh:
        fresh.open()

        def kill() -> None:
            fresh.daemon.process.kill()
            fresh.core.process.kill()

        return fresh.closes(kill)


def main() -> None:
    """Print the times."""
    with chain() as fresh:
        _say("opens after a token was accepted", fresh.open(), "0.2 s")
        feeds_s = fresh.feeds_s(5)
        _say("longest time between two feeds of six", max(feeds_s), "1 s each")
    _say("closes after the flow ended", the_flow_ends(), "at once")
    _say("closes after SIGTERM of the core", the_core_ends(signal.SIGTERM), "at once")
    _say("closes after SIGTERM of the daemon", the_daemon_ends(signal.SIGTERM), "at once")
    _say("closes after kill -9 of the core, by the daemon", the_core_ends(signal.SIGKILL), "at once")
    _say("closes after kill -9 of the daemon, by the board", the_daemon_ends(signal.SIGKILL), "10.5 s")
    _say("closes after kill -9 of both, by the board", the_daemon_and_the_core_are_killed(), "10.5 s")


def _say(what: str, measured_s: float, wanted: str) -> None:
    print(f"{what:<52} {measured_s:8.3f} s   (wanted: {wanted})", flush=True)


if __name__ == "__main__":
    main()
