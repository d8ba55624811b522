"""What is published, when Redis or the core was away: the latest of each flow and valve, every drink."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kegapps.bridge.redis_deafness import Deafness
from kegapps.bridge.redis_drinks import DrinkFeed
from kegapps.bridge.redis_outgoing import MAX_KEPT, MAX_UNDER_WAY, RELAY_MAX_AGE_S, Outgoing
from kegapps.kegnet.drinks_read import BATCH
from kegapps.kegnet.drinks_record import Cursor
from kegapps.kegnet.events import (
    MAX_DRINKS,
    DrinkCreatedEvent,
    DrinkFacts,
    Drinks,
    DrinksRequest,
    FlowUpdate,
    SetRelayOutputEvent,
)
from tests.apps.bridge.test_redis_dialect import DRINK, FLOW

OPEN = SetRelayOutputEvent(output_name="kegboard.relay0", output_mode="enabled")
SHUT = SetRelayOutputEvent(output_name="kegboard.relay0", output_mode="disabled")


def flow(flow_id: int, ticks: int) -> FlowUpdate:
    return replace(FLOW, flow_id=flow_id, ticks=ticks)


def heard(drink_id: int) -> DrinkCreatedEvent:
    return replace(DRINK, drink_id=drink_id)


def stored(drink_id: int) -> DrinkFacts:
    return DrinkFacts(
        drink_id=drink_id, uuid="u", flow_id=7, tap_name="kegboard.flow0", username=None, ticks=250, volume_ml=113.5,
        start_unix_s=1795262400.0, end_unix_s=1795262400.9,
    )  # fmt: skip


# -- the queue


def test_while_redis_takes_them_all_are_published_in_order() -> None:
    outgoing = Outgoing()
    told = [flow(1, ticks) for ticks in range(5)]
    for event in told:
        outgoing.add(event, 0)
        assert outgoing.take(0) == [event]
    assert [outgoing.answered() for _ in told] == told
    assert outgoing.answered() is None


def test_while_redis_is_away_the_latest_of_each_flow_and_valve_is_kept_and_every_drink() -> None:
    outgoing = Outgoing()
    for ticks in range(1000):
        outgoing.add(flow(1, ticks), 0)
        outgoing.add(flow(2, ticks), 0)
    for drink_id in (1, 2, 3):
        outgoing.add(heard(drink_id), 0)
    outgoing.add(OPEN, 0)
    outgoing.add(SHUT, 0)
    assert outgoing.take(60) == [flow(1, 999), flow(2, 999), heard(1), heard(2), heard(3), SHUT]


def test_a_valve_is_never_opened_late() -> None:
    outgoing = Outgoing()
    outgoing.add(OPEN, 0)
    assert outgoing.take(RELAY_MAX_AGE_S) == [OPEN]
    outgoing.answered()
    outgoing.add(OPEN, 10)
    assert outgoing.take(10 + RELAY_MAX_AGE_S + 0.1) == []
    assert len(outgoing) == 0


def test_what_redis_did_not_answer_goes_again_unless_there_is_a_later_word() -> None:
    outgoing = Outgoing()
    for event in (flow(1, 1), flow(2, 1), heard(9)):
        outgoing.add(event, 0)
    outgoing.take(0)
    assert outgoing.answered() == flow(1, 1)
    outgoing.add(flow(2, 2), 0)
    outgoing.lost()
    assert outgoing.take(0) == [heard(9), flow(2, 2)]


def test_no_more_than_a_few_are_under_way_and_no_more_than_some_are_kept_but_drinks() -> None:
    outgoing = Outgoing()
    outgoing.add(heard(1), 0)
    for flow_id in range(1000):
        outgoing.add(flow(flow_id, 1), 0)
    assert len(outgoing) == MAX_KEPT
    taken = outgoing.take(0)
    assert (len(taken), taken[0]) == (MAX_UNDER_WAY, heard(1))
    assert outgoing.take(0) == []


# -- drinks


class Feed:
    """A feed, and what it said."""

    def __init__(self, last_id: int | None) -> None:
        self.said: list[str] = []
        record = () if last_id is None else (Cursor(store_id="a", drink_id=last_id, uuid="u"),)
        self.feed = DrinkFeed(record, say=self.said.append)

    @property
    def last_id(self) -> int:
        return self.feed.record[-1].drink_id


def answer(*drink_ids: int, last_id: int | None = None, store_id: str = "a") -> Drinks:
    last_id = max(drink_ids, default=0) if last_id is None else last_id
    return Drinks(drinks=tuple(map(stored, drink_ids)), last_id=last_id, store_id=store_id)


def test_before_the_first_start_all_drinks_are_history() -> None:
    made = Feed(None)
    assert made.feed.connected() == DrinksRequest(after=-1, limit=MAX_DRINKS)
    assert made.feed.answer(answer(17)) == ([], None)
    assert made.last_id == 17


def test_an_empty_store_has_no_history_and_its_first_drink_is_published() -> None:
    made = Feed(None)
    made.feed.connected()
    assert made.feed.answer(answer()) == ([], None)
    assert made.last_id == 0
    assert made.feed.heard(heard(1)) == ([], DrinksRequest(after=0, limit=BATCH))
    drinks, _ = made.feed.answer(answer(1))
    assert [drink.drink_id for drink in drinks] == [1]
    assert drinks[0].username == "guest"


@pytest.mark.parametrize("last_id", [17, 18])  # the answer may be from before or after it
def test_a_drink_poured_while_we_ask_for_the_first_time_is_news(last_id: int) -> None:
    feed = Feed(None).feed
    feed.connected()
    feed.heard(heard(18))
    assert feed.answer(answer(last_id=last_id)) == ([], DrinksRequest(after=16, limit=BATCH))
    drinks, _ = feed.answer(answer(18))
    assert [drink.drink_id for drink in drinks] == [18]


@pytest.mark.parametrize(
    ("said", "username", "names"),
    [
        ("Gast", None, ["Gast", "Gast"]),
        ("guest", None, ["guest", "guest"]),
        ("alice", "alice", ["guest", "alice"]),
    ],
)
def test_a_guest_is_called_as_the_core_called_one(said: str, username: str | None, names: list[str]) -> None:
    feed = Feed(16).feed
    feed.connected()
    feed.heard(replace(heard(18), username=said))
    told = (stored(16), stored(17), replace(stored(18), username=username))
    drinks, _ = feed.answer(Drinks(drinks=told, last_id=18, store_id="a"))
    assert [(drink.drink_id, drink.username) for drink in drinks] == list(zip((17, 18), names, strict=True))


def test_what_was_poured_while_we_were_away_is_published_batch_by_batch_as_redis_takes_it() -> None:
    made = Feed(10)
    assert made.feed.connected() == DrinksRequest(after=9, limit=BATCH)
    first, request = made.feed.answer(answer(*range(10, 60), last_id=70))
    assert ([drink.drink_id for drink in first], request) == (list(range(11, 60)), None)
    asked = [made.feed.published(drink) for drink in first[:-1]]
    assert (asked, made.last_id) == ([None] * 48, 10)
    assert made.feed.published(first[-1]) == DrinksRequest(after=58, limit=BATCH)
    assert made.last_id == 59
    second, _ = made.feed.answer(answer(*range(59, 71)))
    assert [made.feed.published(drink) for drink in second] == [None] * 11
    assert made.last_id == 70


def test_a_core_that_comes_back_is_not_asked_again_for_what_waits_for_redis() -> None:
    feed = Feed(10).feed
    feed.connected()
    drinks, _ = feed.answer(answer(10, 11, 12))
    assert feed.connected() is None
    assert feed.published(drinks[0]) is None
    assert feed.published(drinks[1]) == DrinksRequest(after=11, limit=BATCH)


def test_a_drink_that_is_heard_of_while_we_ask_is_asked_for_next() -> None:
    feed = Feed(10).feed
    feed.connected()
    assert feed.heard(heard(11)) == ([], None)
    assert feed.answer(answer(10)) == ([], DrinksRequest(after=9, limit=BATCH))


def test_numbers_that_the_core_does_not_have_are_not_asked_for_for_ever() -> None:
    feed = Feed(10).feed
    feed.connected()
    assert feed.answer(answer(10, last_id=20)) == ([], None)


@pytest.mark.parametrize("last_id", [3, 5000])
def test_another_store_begins_with_history_and_the_one_before_is_not_forgotten(last_id: int) -> None:
    made = Feed(500)
    made.feed.connected()
    assert made.feed.answer(answer(last_id, store_id="b")) == ([], DrinksRequest(after=-1, limit=MAX_DRINKS))
    assert made.feed.answer(answer(last_id, store_id="b")) == ([], None)
    assert made.last_id == last_id
    made.feed.heard(heard(last_id + 1))
    drinks, _ = made.feed.answer(answer(last_id, last_id + 1, store_id="b"))
    assert [drink.drink_id for drink in drinks] == [last_id + 1]
    made.feed.published(drinks[0])
    made.feed.connected()
    assert made.feed.answer(answer(500)) == ([], DrinksRequest(after=499, limit=BATCH))
    assert [line.partition(",")[0] for line in made.said] == ["the core has another store"] * 2


def test_drinks_of_a_core_of_2012_are_published_as_they_are_heard_of() -> None:
    made = Feed(10)
    feed = made.feed
    feed.connected()
    assert feed.heard(heard(3)) == ([], None)
    assert feed.is_asking
    assert feed.no_answer() == [heard(3)]
    assert feed.heard(heard(4)) == ([heard(4)], None)
    assert feed.published(heard(4)) is None
    assert made.last_id == 10
    # And when one of ours takes its place, it is asked.
    assert feed.connected() == DrinksRequest(after=9, limit=BATCH)


def test_a_core_that_answers_late_is_asked_again() -> None:
    feed = Feed(10).feed
    feed.connected()
    feed.no_answer()
    assert feed.answer(answer(10, 11)) == ([], DrinksRequest(after=9, limit=BATCH))


# -- deafness


def test_each_meters_next_reading_tells_how_long_it_could_not_be_heard() -> None:
    deafness = Deafness()
    assert deafness.gap_s("a") == 0
    deafness.begin(10)
    deafness.begin(12)  # tried in vain
    deafness.end(40)
    assert (deafness.gap_s("a"), deafness.gap_s("a")) == (30, 0)
    assert deafness.gap_s("b") == 0  # nobody told of it before: the core sees that
    deafness.begin(50)
    deafness.end(55)
    deafness.begin(60)
    deafness.end(61)
    assert (deafness.gap_s("b"), deafness.gap_s("a")) == (6, 6)
