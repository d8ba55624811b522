"""Meter program and core, killed again and again while a meter turns: every tick is in a drink, once.

`python -m tests.apps.gpio.kill_rounds --rounds=100` runs it at length; the suite runs a few rounds.
"""

from __future__ import annotations

import random
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

from kegapps.gpio.counts_file import CountsFile
from kegapps.kegnet.events import FlowRequest
from tests.apps import proving
from tests.apps.core.programs import App, CoreProgram
from tests.apps.gpio.programs import Header
from tests.apps.kegboard.programs import DEADLINE_S

FLOW0 = "gpio.flow0"
APART_S = 0.001
FLAGS = ("--idle_timeout_s=1", "--min_drink_ml=0")


def until(condition: Callable[[], object]) -> None:
    """The store's growth is told by nobody, so this looks again."""
    end_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end_s, "in vain"
        time.sleep(0.02)


class Cellar:
    """One header, one core, one store, all in `folder`."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self._stack = stack
        self.core = stack.enter_context(CoreProgram(folder / "kegbot.sqlite", *FLAGS))
        self.port = self.core.port
        self.header = self.new_header()
        self._stored = stack.enter_context(closing(sqlite3.connect(folder / "kegbot.sqlite")))

    def new_header(self) -> Header:
        header = Header(self.folder, f"--kb_core_addr=localhost:{self.port}")
        self._stack.callback(header.kill)
        header.line("ready: board gpio")
        return header

    def kill_header(self) -> None:
        self.header.process.send_signal(signal.SIGKILL)
        self.header.wait()
        self.header = self.new_header()

    def kill_core(self) -> None:
        self.core.end(signal.SIGKILL)
        store = self.folder / "kegbot.sqlite"
        self.core = self._stack.enter_context(CoreProgram(store, *FLAGS, address=f"localhost:{self.port}"))

    def pour(self, ticks: int, *, kill: Callable[[], None], after_s: float) -> None:
        """Let it tick, and `kill` `after_s` seconds into that."""
        self.header.begin_pulses(ticks, apart_s=APART_S)
        time.sleep(after_s)  # any instant is as good as another
        poured = self.header
        kill()
        if poured is self.header:
            self.header.line("pulsed")

    def meter(self) -> tuple[int, int]:
        """(what it showed last, all its ticks) as the core has it stored; it believed in every step."""
        query = "select last_reading, counted_ticks, dropped_ticks from meters where name = ?"
        reading, ticks, dropped = self._stored.execute(query, (FLOW0,)).fetchone() or (-1, 0, 0)
        assert dropped == 0
        return reading, ticks

    def drunk(self) -> int:
        """The ticks of all drinks."""
        ticks: int = self._stored.execute("select coalesce(sum(ticks), 0) from drinks").fetchone()[0]
        return ticks

    def close(self) -> int:
        """End in order; what the meter shows, which is to be in the store and in drinks."""
        assert self.header.end() == 0
        kept = CountsFile(str(self.folder / "counts"))
        shown = kept.counts[FLOW0]
        kept.close()
        # Readings that were in no core's hands are told by the next program.
        self.header = self.new_header()
        until(lambda: self.meter()[0] == shown)
        assert self.meter() == (shown, shown), "all it ever showed, from 0 on, is counted once"
        app = App(self.port)
        app.send(FlowRequest(tap_name=FLOW0, request="stop_flow"))
        until(lambda: self.drunk() == shown)
        app.close()
        assert self.header.end() == 0
        return shown


def run(rounds: int, seed: int, folder: Path) -> dict[str, int]:
    """Ticks that went through the meter, and those in drinks. Raises AssertionError when one is lost or doubled."""
    dice = random.Random(seed)
    with ExitStack() as stack:
        cellar = Cellar(folder, stack)
        kills = (cellar.kill_header, cellar.kill_core)
        headers = 0
        for _ in range(rounds):
            kill = dice.choice(kills)
            headers += kill == cellar.kill_header
            cellar.pour(300, kill=kill, after_s=dice.uniform(0.0, 0.3))
        shown, passed = cellar.close(), Header.passed(folder)
        assert passed - headers <= shown <= passed, "but for the one that was on its way when it was killed"
        return {"kills": rounds, "ticks passed": passed, "ticks in drinks": shown}


if __name__ == "__main__":
    proving.main(run, __doc__, proved="none of them twice", wanted=100)
