"""kill -9 of gateway and core at random instants while a board pours: `python -m tests.apps.gateway.kill_rounds`.

A board that keeps its sender's duties tells of its pours, live and late, and sends again what was not answered. In each
round the gateway, the core or both are killed. At the end: every tick is counted once, and in one drink at most.
"""

from __future__ import annotations

import collections
import contextlib
import random
import sqlite3
import threading
import time
from pathlib import Path

from kegapps.core.ledger import Ledger
from tests.apps import proving
from tests.apps.core.programs import CoreProgram
from tests.apps.gateway.programs import Board, GatewayProgram, counted, status, until, update
from tests.contract.test_every_program import free_port

FLAGS = ("--min_drink_ml=0",)
TAP = "kb-1.flow0"


class Bar:
    """The programs, which come back on the same ports after every kill."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.core_port, self.port = free_port(), free_port()
        self._stack = contextlib.ExitStack()
        self.start_core()
        self.start_gateway()

    def start_core(self) -> None:
        address = f"localhost:{self.core_port}"
        self.core = self._stack.enter_context(
            CoreProgram(self.folder / "core.sqlite", *FLAGS, address=address)
        )

    def start_gateway(self) -> None:
        self.gate = GatewayProgram(self.folder, core_port=self.core_port, port=self.port)
        self._stack.callback(self.gate.kill)

    def kill(self, what: str) -> None:
        if "gateway" in what:
            self.gate.program.process.kill()
        if "core" in what:
            self.core.process.kill()

    def revive(self, what: str, chance: random.Random) -> None:
        for name, start in chance.sample([("gateway", self.start_gateway), ("core", self.start_core)], 2):
            if name in what:
                start()

    def close(self) -> None:
        self._stack.close()


def run(rounds: int, seed: int, folder: Path) -> dict[str, int]:
    """Counts of what happened. Raises AssertionError when a tick is lost or doubled."""
    chance = random.Random(seed)
    counts = collections.Counter[str]()
    bar = Bar(folder)
    try:
        board = Board(bar.port, token=bar.gate.paired())
        board.add("status", status(1)["data"])
        board.flush()
        for _ in range(rounds):
            what = chance.choice(("gateway", "core", "gateway and core"))
            killer = threading.Timer(chance.uniform(0.0, 0.15), bar.kill, [what])
            killer.start()
            _pour_on(board, chance, counts, killer)
            killer.join()
            bar.revive(what, chance)
            counts[f"killed {what}"] += 1
        board.flush()
        assert board.batches_lost == 0
        ticks = counts["ticks"]
        until(lambda: counted(bar.core, TAP), lambda seen: seen >= ticks)
        until(lambda: _open_ticks(bar), lambda seen: not seen)
        _check(bar, ticks, counts)
    finally:
        bar.close()
    return dict(counts)


def _pour_on(
    board: Board, chance: random.Random, counts: collections.Counter[str], killer: threading.Timer
) -> None:
    """Pour until the kill has happened and a little longer."""
    end_s = None
    while end_s is None or time.monotonic() < end_s:
        if end_s is None and not killer.is_alive():
            end_s = time.monotonic() + 0.05
        ticks = chance.choice((30, 400, 3070))
        counts["ticks"] += ticks
        counts["pours"] += 1
        age_s = chance.choice((0.0, 0.0, 60.0, 7200.0))
        pour_id = f"{board.boot_id}-{counts['pours']}"
        if not age_s and chance.random() < 0.3 and board.send():
            board.add("pour_update", update(1, ticks // 2, pour_id)["data"])
            board.send()
        time.sleep(0.003)  # between two glasses
        board.pour(ticks, pour_id=pour_id, age_s=age_s, took_s=chance.choice((0.1, 7.0)))
        counts["answered"] += board.send()


def _open_ticks(bar: Bar) -> int:
    with contextlib.closing(sqlite3.connect(bar.core.store)) as db:
        return int(db.execute("select coalesce(sum(ticks), 0) from open_flows").fetchone()[0])


def _check(bar: Bar, ticks: int, counts: collections.Counter[str]) -> None:
    with contextlib.closing(Ledger(str(bar.core.store))) as ledger:
        rows = ledger.drinks(limit=1_000_000)
        tap = next(row for row in ledger.taps() if row.name == TAP)
    assert (tap.counted_ticks, tap.dropped_ticks) == (ticks, 0), tap
    assert sum(row.ticks for row in rows) == ticks
    assert len({row.uuid for row in rows}) == len(rows)
    counts["drinks"] = len(rows)


if __name__ == "__main__":
    proving.main(run, __doc__, proved="every tick counted once", wanted=100)
