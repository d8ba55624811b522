"""The shell around the engine: one commit a turn, nothing announced that is not stored, and life without a disk."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kegapps.core.database import StoreError
from kegapps.core.ledger import Ledger
from kegapps.core.model import Tap
from kegapps.core.pending import Changes
from kegapps.core.rules import Rules
from kegapps.core.schema import SCHEMA_VERSION
from kegapps.core.shell import Core
from kegapps.core.store import Store
from kegapps.daemon.loop import Loop
from kegapps.kegnet.client import Client
from kegapps.kegnet.events import CoreStatus, DrinkCreatedEvent, Drinks, DrinksRequest, Event, StatusRequest
from kegapps.kegnet.hub import Hub
from kegapps.kegnet.taproom import Taproom, taproom
from tests.apps.core.bar import ALICE, FLOW0, TAPS, added, line, reading, request, temperature

DEADLINE_S = 20.0


class CountingStore(Store):
    """Counts commits, and fails when told to."""

    commits = 0
    failure: StoreError | None = None

    def commit(self, changes: Changes) -> dict[str, int]:
        if self.failure is not None:
            raise self.failure
        self.commits += 1
        return dict(super().commit(changes))

    def reopen(self) -> str:
        return super().reopen() if self.failure is None else ""


class Room:
    """A core and one app on one loop."""

    def __init__(self, tmp_path: Path) -> None:
        self.path = str(tmp_path / "kegbot.sqlite")
        self.loop = Loop()
        self.status: list[str] = []
        self.store = CountingStore(self.path, boot_id="")
        self.core = Core(self.loop, self.store, Rules(idle_timeout_s=0.3), on_trouble=self.status.append)
        self.heard: list[Event] = []
        hub = Hub(self.loop, ("127.0.0.1", 0), on_event=self.core.take)
        self.core.serve(hub)
        self.app = Client(self.loop, hub.address, on_event=self.heard.append)
        self.until(lambda: self.app.connected)

    def until(self, condition: Callable[[], object]) -> None:
        end_s = self.loop.now_s() + DEADLINE_S
        while not condition():
            assert self.loop.now_s() < end_s, f"heard {self.lines()}, status {self.status}"
            self.loop.run_once(0.01)

    def lines(self) -> list[str]:
        return [line(event) for event in self.heard]

    def send(self, *events: Event) -> None:
        for event in events:
            self.app.send(event)

    def close(self) -> None:
        self.app.close()
        self.core.close()
        self.loop.close()


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    room = Room(tmp_path)
    yield room
    room.close()


def rows(path: str, sql: str) -> list[tuple[object, ...]]:
    db = sqlite3.connect(path)
    try:
        return db.execute(sql).fetchall()
    finally:
        db.close()


def test_what_arrives_together_is_one_commit(room: Room) -> None:
    room.send(*(reading(ticks) for ticks in range(0, 1000, 10)))
    room.until(lambda: "FU active None 990" in room.lines())
    assert room.store.commits < 20  # a hundred readings
    assert len(room.heard) == 100  # the first only sets the base; `initial` comes on top


def test_an_announced_tick_is_on_the_disk_already(room: Room) -> None:
    room.send(reading(0), reading(500))
    room.until(lambda: "FU active None 500" in room.lines())
    assert rows(room.path, "select ticks, tap_name from open_flows") == [(500, FLOW0)]
    assert rows(room.path, "select last_reading from meters") == [(500,)]
    room.until(lambda: "drink guest" in room.lines())
    assert rows(room.path, "select ticks, username from drinks") == [(500, None)]
    assert rows(room.path, "select * from open_flows") == []


def test_an_edit_takes_effect_with_the_next_event(room: Room) -> None:
    room.send(reading(0))
    room.until(lambda: room.core.taps)
    ledger = Ledger(room.path)
    ledger.set_tap(FLOW0, ml_per_tick=2.0, relay_name="kegboard.relay0")
    ledger.add_user("alice", 1.0)
    ledger.add_token(*ALICE, "alice", 1.0)
    ledger.close()
    room.send(added(ALICE), reading(100))
    room.until(lambda: "FU active alice 100" in room.lines())
    assert room.lines()[:2] == ["FU initial alice 0", "relay0 enabled"]
    assert getattr(room.heard[2], "volume_ml", None) == 200.0


def test_nothing_is_announced_while_the_disk_is_full_and_everything_afterwards(room: Room) -> None:
    room.send(reading(0), reading(100))
    room.until(lambda: "FU active None 100" in room.lines())
    room.store.failure = StoreError("store x: no room left")
    room.send(reading(600))
    room.until(lambda: room.status)
    room.until(lambda: not room.core.open_flows)  # idle
    assert room.lines()[-1] == "FU active None 100"
    assert room.status[0] == "nothing can be stored: store x: no room left"
    assert room.app.connected, "kegnet is served all the time"
    room.store.failure = None
    room.until(lambda: "drink guest" in room.lines())
    assert room.lines()[2:] == [
        "FU active None 600",
        "FU idle None 600",
        "FU completed None 600",
        "drink guest",
    ]
    assert room.status[-1] == ""
    assert rows(room.path, "select ticks from drinks") == [(600,)]


def test_a_short_lock_is_waited_for_without_a_word(room: Room) -> None:
    room.send(reading(0), reading(100))
    room.until(lambda: "FU active None 100" in room.lines())
    other = sqlite3.connect(room.path, isolation_level=None)
    other.execute("begin immediate")
    room.send(reading(200))
    end_s = room.loop.now_s() + 0.2
    room.until(lambda: room.loop.now_s() > end_s)
    assert "FU active None 200" not in room.lines()
    other.execute("rollback")
    other.close()
    room.until(lambda: "FU active None 200" in room.lines())
    assert room.status == []


def test_a_valve_is_closed_at_once_even_if_the_disk_is_away_and_not_opened_by_an_old_order(
    room: Room,
) -> None:
    room.store.commit(Changes(taps={tap.name: tap for tap in TAPS}))
    ledger = Ledger(room.path)
    ledger.set_tap(FLOW0, relay_name="kegboard.relay0")
    ledger.add_user("alice", 1.0)
    ledger.add_token(*ALICE, "alice", 1.0)
    ledger.close()
    room.send(added(ALICE))
    room.until(lambda: "relay0 enabled" in room.lines())
    room.store.failure = StoreError("store x: no room left")
    room.send(reading(0))
    room.until(lambda: room.status)
    room.send(request("stop_flow"))
    room.until(lambda: "relay0 disabled" in room.lines())
    assert "FU completed alice 0" not in room.lines()
    room.store.failure = None
    room.until(lambda: "FU completed alice 0" in room.lines())
    assert room.lines()[-1] == "FU completed alice 0"
    assert [text for text in room.lines() if "relay" in text][-1] == "relay0 disabled"


def test_edits_made_while_the_disk_was_away_are_not_missed(room: Room) -> None:
    room.send(reading(0))
    room.until(lambda: room.core.taps)
    room.store.failure = StoreError("store x: no room left")
    room.send(reading(10), reading(0, tap="x.flow1"))
    room.until(lambda: room.status)
    ledger = Ledger(room.path)
    ledger.set_tap(FLOW0, ml_per_tick=3.0)
    ledger.close()
    room.store.failure = None
    room.until(lambda: len(room.status) == 2)
    room.until(lambda: not room.core.open_flows)
    room.send(reading(20))
    room.until(lambda: room.heard and getattr(room.heard[-1], "volume_ml", None) == 30.0)
    assert {tap.name: tap.ml_per_tick for tap in room.core.taps}[FLOW0] == 3.0
    assert "x.flow1" in {tap.name for tap in room.core.taps}


def test_ending_stores_what_came_last_and_closes_valves_but_keeps_the_flow(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.store.commit(Changes(taps={FLOW0: Tap(name=FLOW0, ml_per_tick=1.0)}))
    ledger = Ledger(room.path)
    ledger.set_tap(FLOW0, relay_name="kegboard.relay0")
    ledger.add_user("alice", 1.0)
    ledger.add_token(*ALICE, "alice", 1.0)
    ledger.close()
    room.send(reading(0), added(ALICE), reading(70))
    room.until(lambda: "FU active alice 70" in room.lines())
    room.core.close()
    room.until(lambda: "relay0 disabled" in room.lines())
    room.app.close()
    assert rows(room.path, "select username, ticks from open_flows") == [("alice", 70)]
    assert rows(room.path, "select * from drinks") == []


def test_an_idle_core_has_no_timer(room: Room) -> None:
    room.send(reading(0), reading(100))
    room.until(lambda: "drink guest" in room.lines())
    assert room.loop._wait_s() is None


def test_who_asks_how_the_core_is_gets_one_answer_and_nobody_else_does(room: Room) -> None:
    other: list[Event] = []
    second = Client(room.loop, room.app.address, on_event=other.append)
    room.until(lambda: second.connected)
    room.send(reading(100), StatusRequest(), StatusRequest())
    room.until(lambda: any(isinstance(event, CoreStatus) for event in room.heard))
    second.send(request("start_flow"))
    room.until(lambda: other)
    answers = [event.report for event in [*room.heard, *other] if isinstance(event, CoreStatus)]
    second.close()
    (answer,) = answers
    assert answer["taps"][0]["last_reading"] == 100
    assert answer["store"] == {
        "path": room.path,
        "trouble": "",
        "schema_version": SCHEMA_VERSION,
        "waiting_drinks": 0,
    }


def test_who_shows_the_tap_room_is_told_what_is_on_tap_how_warm_it_is_and_what_was_drunk(room: Room) -> None:
    room.send(reading(0), temperature(4.5))
    room.until(lambda: room.core.taps)
    ledger = Ledger(room.path)
    ledger.set_tap(FLOW0, ml_per_tick=0.5, description="left one")
    ledger.tap_keg(FLOW0, beverage="Alt", volume_ml=30_000.0, now_unix_s=1.0)
    ledger.close()
    room.send(temperature(4.75), reading(1000))
    room.until(lambda: "drink guest" in room.lines())
    room.send(reading(1100))
    room.until(lambda: "FU active None 100" in room.lines())
    room.send(StatusRequest())
    room.until(lambda: isinstance(room.heard[-1], CoreStatus))
    (told,) = [taproom(event.report) for event in room.heard if isinstance(event, CoreStatus)]
    (tap,) = told.taps
    assert (tap.title, tap.beverage, tap.keg_volume_ml, tap.keg_left_ml) == (
        "left one",
        "Alt",
        30_000,
        29_450,
    )
    assert (tap.sensor_name, tap.temperature_c) == ("kegboard.thermo-f800080012345610", 4.75)
    assert [(sensor.sensor_name, sensor.temperature_c) for sensor in told.sensors] == [
        (tap.sensor_name, 4.75)
    ]
    drink = told.last_drink
    assert drink is not None
    assert (drink.drink_id, drink.ticks, drink.volume_ml, drink.beverage) == (1, 1000, 500.0, "Alt")


def test_who_asks_for_drinks_gets_them_and_nobody_else_does_and_a_drink_that_was_announced_is_among_them(
    room: Room,
) -> None:
    other: list[Event] = []
    second = Client(room.loop, room.app.address, on_event=other.append)
    room.until(lambda: second.connected)
    room.send(reading(0), reading(500))
    room.until(lambda: "drink guest" in room.lines())
    room.send(DrinksRequest(after=0))
    room.until(lambda: isinstance(room.heard[-1], Drinks))
    answer = room.heard[-1]
    assert isinstance(answer, Drinks)
    announced = next(event for event in room.heard if isinstance(event, DrinkCreatedEvent))
    assert [(drink.drink_id, drink.ticks, drink.username) for drink in answer.drinks] == [
        (announced.drink_id, 500, None)
    ]
    assert answer.last_id == announced.drink_id
    second.close()
    assert not [event for event in other if isinstance(event, Drinks)]


def test_a_tap_room_is_shown_as_it_was_last_while_the_store_cannot_be_read(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        raise StoreError("store: away")

    def told() -> list[Taproom]:
        return [taproom(event.report) for event in room.heard if isinstance(event, CoreStatus)]

    room.send(reading(0))
    room.until(lambda: room.core.taps)
    ledger = Ledger(room.path)
    ledger.set_tap(FLOW0, description="left one")
    ledger.close()
    room.send(StatusRequest())
    room.until(lambda: len(told()) == 1)
    monkeypatch.setattr(room.core._tap_room, "on_taps", away)
    room.send(StatusRequest())
    room.until(lambda: len(told()) == 2)
    assert told()[1] == told()[0]
    assert told()[1].taps[0].description == "left one"


def test_the_core_answers_also_while_its_disk_takes_nothing_and_says_why(room: Room) -> None:
    room.store.failure = StoreError("store: no room left")
    room.send(reading(100), reading(200))
    room.until(lambda: room.status)
    room.send(StatusRequest())
    room.until(lambda: room.heard)
    (answer,) = [event.report for event in room.heard if isinstance(event, CoreStatus)]
    assert "no room left" in answer["store"]["trouble"]
    room.store.failure = None
