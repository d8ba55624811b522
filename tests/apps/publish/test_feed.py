"""Which drinks are news: each once, whatever the core, its store and the connection do."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from kegapps.kegnet.drinks_record import Cursor, Record
from kegapps.kegnet.events import DrinkCreatedEvent, DrinkFacts, Drinks, DrinksRequest, FlowUpdate
from kegapps.publish.feed import Feed, News
from tests.apps.publish.programs import drink, drinks_for

NOW = datetime(2026, 11, 21, 7, 12, 12, tzinfo=UTC)


def created(number: int) -> DrinkCreatedEvent:
    return DrinkCreatedEvent(
        flow_id=number, drink_id=number, tap_name="t", start_time=NOW, end_time=NOW, username="guest"
    )


def at(made: DrinkFacts) -> Record:
    return (Cursor(store_id="", drink_id=0).behind(made),)


def read(feed: Feed, stored: list[DrinkFacts]) -> list[int]:
    """Answer all that `feed` asks; the numbers of the drinks that were news."""
    seen: list[int] = []
    while (request := feed.asked()) is not None:
        news = feed.take(drinks_for(stored, request))
        seen += [each.drink_id for each in news.drinks]
        if news.record is not None:
            feed.moved(news.record)
    return seen


def connected(record: Record = ()) -> Feed:
    feed = Feed(record)
    feed.connected()
    return feed


def test_the_first_time_it_begins_behind_the_newest() -> None:
    stored = [drink(1), drink(2)]
    feed = connected()
    assert read(feed, stored) == []
    stored.append(drink(3))
    feed.created(created(3))
    assert read(feed, stored) == [3]


def test_the_first_time_a_drink_that_is_announced_before_the_answer_is_news() -> None:
    stored = [drink(1), drink(2), drink(3)]
    feed = connected()
    request = feed.asked()
    assert request == DrinksRequest(after=-1, limit=100)
    feed.created(created(2))
    feed.created(created(3))
    news = feed.take(drinks_for(stored, request))
    assert news.record is not None
    feed.moved(news.record)
    assert read(feed, stored) == [2, 3]


def test_an_empty_store_is_a_beginning_too() -> None:
    feed = connected()
    assert read(feed, []) == []
    feed.created(created(1))
    assert read(feed, [drink(1)]) == [1]


@pytest.mark.parametrize("missed", [0, 1, 49, 50, 51, 240])
def test_however_much_was_missed_all_of_it_is_news_once_in_order(missed: int) -> None:
    stored = [drink(number) for number in range(1, 11 + missed)]
    feed = connected(at(stored[9]))
    assert read(feed, stored) == list(range(11, 11 + missed))
    feed.connected()
    assert read(feed, stored) == []


def test_drinks_that_were_deleted_are_no_reason_to_stop() -> None:
    stored = [drink(number) for number in (1, 5, 80)]
    assert read(connected(at(drink(3))), stored) == [5, 80]


def test_a_drink_that_comes_while_an_answer_is_owed_is_asked_for_then() -> None:
    stored = [drink(1), drink(2)]
    feed = connected(at(drink(1)))
    request = feed.asked()
    assert request is not None
    feed.created(created(3))
    assert feed.asked() is None
    news = feed.take(drinks_for(stored, request))
    assert news.record is not None
    feed.moved(news.record)
    assert read(feed, [*stored, drink(3)]) == [3]


def test_what_could_not_be_kept_is_asked_for_again() -> None:
    stored = [drink(1), drink(2)]
    feed = connected(at(drink(1)))
    request = feed.asked()
    assert request is not None
    assert [each.drink_id for each in feed.take(drinks_for(stored, request)).drinks] == [2]
    feed.failed()
    assert feed.asked() is None
    feed.again()
    assert read(feed, stored) == [2]


@pytest.mark.parametrize(
    ("known", "stored", "news"),
    [
        (drink(9), [drink(1), drink(2)], []),  # an old backup
        (drink(2), [drink(1), drink(2, uuid="other"), drink(3, uuid="more")], [3]),  # one poured since then
        (drink(200), [drink(number, uuid=f"n{number}") for number in range(1, 150)], []),
    ],
)
def test_a_store_that_is_another_is_noticed_and_only_what_is_later_is_news(
    known: DrinkFacts, stored: list[DrinkFacts], news: list[int]
) -> None:
    feed = connected(at(known))
    assert read(feed, stored) == news
    number = len(stored) + 1
    stored.append(drink(number, uuid="later"))
    feed.created(created(number))
    assert read(feed, stored) == [number]


def test_an_answer_that_nobody_asked_for_changes_nothing() -> None:
    feed = Feed(at(drink(1)))
    assert feed.take(Drinks(drinks=(drink(2),), last_id=2)) == News()
    assert feed.asked() is None


def test_a_core_that_does_not_answer_is_taken_at_its_word_and_nothing_it_said_meanwhile_is_lost() -> None:
    feed = connected()
    assert feed.asked() is not None
    feed.flow(
        FlowUpdate(
            flow_id=4, tap_name="t", state="completed", username=None, start_time=NOW, last_activity_time=NOW,
            ticks=660, volume_ml=300.0,
        )
    )  # fmt: skip
    assert feed.created(created(4)) == News()
    (first,) = feed.no_answer().drinks
    assert (first.drink_id, first.volume_ml, first.username, first.beverage) == (4, 300.0, None, "")
    (second,) = feed.created(created(5)).drinks
    assert (second.drink_id, second.volume_ml, second.username) == (5, 0.0, "guest")
    assert first.uuid != second.uuid
    assert feed.asked() is None


def test_a_core_that_answers_late_is_believed_from_then_on() -> None:
    feed = connected()
    assert feed.asked() is not None
    feed.no_answer()
    feed.take(Drinks(drinks=(), last_id=0))
    assert read(feed, [drink(1)]) == []
    feed.created(created(2))
    assert read(feed, [drink(1), drink(2)]) == [2]


@pytest.mark.parametrize("record", [(), at(drink(1))], ids=["recognised", "known"])
def test_a_core_of_ours_is_asked_again_however_long_it_takes(record: Record) -> None:
    feed = connected(record)
    feed.recognised()
    assert feed.asked() is not None
    assert feed.created(created(2)) == feed.no_answer() == News()
    assert read(feed, [drink(1), drink(2)]) == [2]
