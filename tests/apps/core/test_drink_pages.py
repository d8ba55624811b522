"""Drinks for those who ask: pages of what is stored, never in the way of a pour."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kegapps.core.database import StoreError
from kegapps.core.drink_pages import PAUSE_S, RETRY_S, DrinkPages
from kegapps.core.ledger import Ledger
from kegapps.core.model import Drink, Tap
from kegapps.core.pending import Changes
from kegapps.core.store import Store
from kegapps.daemon.loop import Loop
from kegapps.kegnet.events import DrinkFacts, Drinks, DrinksRequest
from tests.apps.core.bar import FLOW0, START_UNIX_S

DRINK = Drink(
    uuid="d-1", flow_id=1, tap_name=FLOW0, username="alice", ticks=1000, ml_per_tick=0.5, volume_ml=500.0,
    start_unix_s=START_UNIX_S, end_unix_s=START_UNIX_S + 9,
)  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(str(tmp_path / "kegbot.sqlite"), boot_id="")
    yield store
    store.close()


def pour(store: Store, count: int) -> None:
    drinks = {f"d-{number}": replace(DRINK, uuid=f"d-{number}") for number in range(1, count + 1)}
    store.commit(Changes(ended=dict(drinks)))


def ids(answer: Drinks) -> list[int]:
    return [drink.drink_id for drink in answer.drinks]


@pytest.mark.parametrize(
    ("after", "limit", "expected"),
    [
        (0, 3, [1, 2, 3]),
        (3, 3, [4, 5, 6]),
        (8, 50, [9, 10]),
        (10, 50, []),
        (999, 50, []),
        (-1, 3, [8, 9, 10]),
        (-1, 50, list(range(1, 11))),
    ],
)
def test_a_page_begins_after_what_is_known_and_minus_one_asks_for_the_newest(
    after: int, limit: int, expected: list[int], store: Store
) -> None:
    pour(store, 10)
    answer = store.tap_room().drinks(DrinksRequest(after=after, limit=limit))
    assert ids(answer) == expected
    assert answer.last_id == 10


def test_a_store_without_drinks_says_so(store: Store) -> None:
    answer = store.tap_room().drinks(DrinksRequest(after=0))
    assert answer == Drinks(drinks=(), last_id=0, store_id=answer.store_id)
    assert store.tap_room().last_drink() is None


def test_a_drink_is_told_as_it_was_poured_and_with_what_was_in_the_keg(store: Store) -> None:
    store.commit(Changes(taps={FLOW0: Tap(name=FLOW0, ml_per_tick=0.5)}))
    ledger = Ledger(store.path)
    ledger.tap_keg(FLOW0, beverage="Alt", volume_ml=30_000.0, now_unix_s=1.0)
    tap = store.load_setup().taps[FLOW0]
    store.commit(
        Changes(ended={"d-1": replace(DRINK, keg_id=tap.keg_id, beverage=tap.beverage, username=None)})
    )
    assert store.tap_room().last_drink() == DrinkFacts(
        drink_id=1, uuid="d-1", flow_id=1, tap_name=FLOW0, username=None, ticks=1000, volume_ml=500.0,
        start_unix_s=START_UNIX_S, end_unix_s=START_UNIX_S + 9, beverage="Alt",
    )  # fmt: skip
    assert [row.beverage for row in ledger.drinks(limit=1)] == ["Alt"]
    ledger.close()


def test_whatever_somebody_wrote_into_the_file_by_hand_can_be_told(store: Store) -> None:
    pour(store, 1)
    db = sqlite3.connect(store.path)
    db.execute(
        "update drinks set uuid = '', tap_name = ?, username = ?, ticks = -5, volume_ml = 1e300, start_unix_s = 'x', "
        "beverage = ?",
        ("a\nb", "\x1b" * 300, "z" * 999),
    )
    db.commit()
    db.close()
    assert store.tap_room().last_drink() == DrinkFacts(
        drink_id=1, uuid="?", flow_id=1, tap_name="a?b", username="?" * 128, ticks=0, volume_ml=1e12,
        start_unix_s=0.0, end_unix_s=START_UNIX_S + 9, beverage="z" * 200,
    )  # fmt: skip


class Counter:
    """Pages of a store, by a clock that is moved by hand, and what was handed out over the counter."""

    def __init__(self, store: Store) -> None:
        self.now_s = 100.0
        self.loop = Loop(lambda: self.now_s)
        self.given: list[tuple[str, list[int]]] = []
        self.pages = DrinkPages(
            self.loop, store.tap_room(), send=lambda peer, answer: self.given.append((peer, ids(answer)))
        )

    def turn(self, seconds: float = 0.0) -> None:
        self.now_s += seconds
        self.loop.run_once(0.0)


@pytest.fixture
def counter(store: Store) -> Iterator[Counter]:
    pour(store, 3)
    counter = Counter(store)
    yield counter
    counter.pages.close()
    counter.loop.close()


def test_everybody_is_answered_in_turn_with_a_pause_after_each(counter: Counter) -> None:
    for peer in ("a", "b"):
        counter.pages.ask(peer, DrinksRequest(after=1))
    counter.turn()
    counter.turn()
    assert counter.given == [("a", [2, 3])]
    counter.turn(PAUSE_S * 1.01)
    assert counter.given == [("a", [2, 3]), ("b", [2, 3])]


def test_who_asks_again_and_again_gets_an_answer_to_the_last_and_no_more_often_than_others(
    counter: Counter,
) -> None:
    for after in (0, 1, 2):
        counter.pages.ask("greedy", DrinksRequest(after=after))
    counter.turn()
    assert counter.given == [("greedy", [3])]
    counter.pages.ask("modest", DrinksRequest(after=2))
    for _ in range(100):
        counter.pages.ask("greedy", DrinksRequest(after=2))
        counter.turn()
    assert len(counter.given) == 1
    counter.turn(PAUSE_S * 1.01)
    assert counter.given[1:] == [("modest", [3])]


def test_who_has_gone_is_forgotten_and_then_there_is_nothing_to_do(counter: Counter) -> None:
    counter.pages.ask("a", DrinksRequest(after=0))
    counter.pages.forget("a")
    counter.turn()
    counter.turn(PAUSE_S * 1.01)
    assert counter.given == []
    assert counter.loop._wait_s() is None


def test_a_question_waits_for_a_store_that_cannot_be_read(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> Drinks:
        raise StoreError("store: away")

    read: Callable[[DrinksRequest], Drinks] = counter.pages._store.drinks
    monkeypatch.setattr(counter.pages._store, "drinks", away)
    counter.pages.ask("a", DrinksRequest(after=2))
    counter.turn()
    monkeypatch.setattr(counter.pages._store, "drinks", read)
    counter.turn(RETRY_S / 2)
    assert counter.given == []
    counter.turn(RETRY_S)
    assert counter.given == [("a", [3])]
