"""kill -9 of the real core at random instants of pours: `python -m tests.apps.core.kill_rounds --rounds=200`.

Two meters run all the time, also while the core is dead, across 2^32, with users coming and flows being stopped.
After each kill: whatever was announced is in the store. At the end: every tick is in exactly one drink.
"""

from __future__ import annotations

import collections
import random
import signal
import sqlite3
import threading
from pathlib import Path

from kegapps.core.ledger import Ledger
from kegapps.kegnet.events import DrinkCreatedEvent, FlowUpdate
from tests.apps import proving
from tests.apps.core.bar import (
    ALICE,
    ALICE_RFID,
    BOB_RFID,
    FLOW0,
    FLOW1,
    added,
    reading,
    removed,
    request,
)
from tests.apps.core.programs import App, CoreProgram, furnish

FLAGS = (
    "--min_drink_ml=0",
    "--idle_timeout_s=0.4",
    "--rfid_idle_timeout_s=0.4",
    "--onewire_idle_timeout_s=0.4",
)


class Board:
    """Two meters that run on, whoever listens."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.base = {FLOW0: 2**32 - 700, FLOW1: 12_345}
        self.ticks = dict.fromkeys(self.base, 0)

    def pour(self) -> None:
        for tap in self.ticks:
            self.ticks[tap] += self.chance.choice((0, 0, 1, 7, 40))

    def tell(self, app: App) -> None:
        app.send(*(reading((self.base[tap] + ticks) % 2**32, tap=tap) for tap, ticks in self.ticks.items()))


def run(rounds: int, seed: int, folder: Path) -> dict[str, int]:
    """Counts of what happened. Raises AssertionError when a tick is lost or doubled."""
    chance = random.Random(seed)
    store = folder / "kegbot.sqlite"
    furnish(store)
    board = Board(chance)
    counts = collections.Counter[str]()
    with CoreProgram(store, *FLAGS) as core:
        app = App(core.port)
        board.tell(app)
        app.send(request("start_flow"))
        app.listen_until(lambda: app.heard)
        core.process.kill()
    for _ in range(rounds):
        with CoreProgram(store, *FLAGS) as core:
            app = App(core.port)
            _pour_until_killed(core, app, board, chance)
            app.close()
        counts["kills"] += 1
        counts["announced"] += len(app.heard)
        _check_announced(store, app)
        board.pour()  # nobody is there
    with CoreProgram(store, *FLAGS) as core:
        app = App(core.port)
        board.tell(app)
        app.send(request("start_flow"), request("stop_flow"), request("start_flow", tap=FLOW1))
        app.send(request("stop_flow", tap=FLOW1))
        app.listen_until(lambda: {u.tap_name for u in app.heard if isinstance(u, FlowUpdate) and u.state == "completed"} == {FLOW0, FLOW1})  # fmt: skip
        assert core.end(signal.SIGTERM) == 0
    ledger = Ledger(str(store))
    drinks = ledger.drinks(limit=1_000_000)
    taps = {tap.name: tap for tap in ledger.taps()}
    ledger.close()
    for tap, ticks in board.ticks.items():
        stored = sum(drink.ticks for drink in drinks if drink.tap_name == tap)
        assert stored == ticks == taps[tap].counted_ticks, f"{tap}: {ticks} ticks poured, {stored} in drinks"
    assert len({drink.uuid for drink in drinks}) == len(drinks)
    return {**counts, "drinks": len(drinks), "ticks": sum(board.ticks.values())}


def _pour_until_killed(core: CoreProgram, app: App, board: Board, chance: random.Random) -> None:
    killer = threading.Timer(chance.uniform(0.0, 0.12), core.process.kill)
    killer.start()
    try:
        while True:
            board.tell(app)
            what = chance.random()
            if what < 0.1:
                app.send(request("stop_flow"))
            elif what < 0.2:
                app.send(added(chance.choice((ALICE, ALICE_RFID, BOB_RFID))))
            elif what < 0.25:
                app.send(removed(ALICE))
            app.sock.settimeout(0.004)
            try:
                if not app.listen_once():
                    return
            except TimeoutError:
                pass
            board.pour()
    except ConnectionError:
        # What the core had said before it died is still in our kernel.
        app.sock.settimeout(5.0)
        while app.listen_once():
            pass
    finally:
        killer.join()


def _check_announced(store: Path, app: App) -> None:
    db = sqlite3.connect(store)
    stored = dict(
        db.execute("select flow_id, ticks from open_flows union all select flow_id, ticks from drinks")
    )
    drinks = dict(db.execute("select id, flow_id from drinks"))
    db.close()
    for event in app.heard:
        if isinstance(event, FlowUpdate) and event.ticks:
            assert stored.get(event.flow_id, -1) >= event.ticks, f"announced but not stored: {event}"
        elif isinstance(event, DrinkCreatedEvent):
            assert drinks.get(event.drink_id) == event.flow_id, f"announced but not stored: {event}"


if __name__ == "__main__":
    proving.main(run, __doc__, proved="every tick in exactly one drink", wanted=200)
