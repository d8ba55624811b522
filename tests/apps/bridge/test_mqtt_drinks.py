"""Drinks to MQTT: each one, in order, and noted only when the broker has it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kegapps.bridge.mqtt_drinks import DrinkFeed
from kegapps.bridge.mqtt_spool import Spool
from kegapps.kegnet.events import DrinkFacts, Drinks, DrinksRequest, Event


class World:
    """A core with drinks 1..`last`, a broker that answers when it is told to, and a file."""

    def __init__(self, path: Path, last: int) -> None:
        self.spool = Spool(str(path))
        self.last = last
        self.published: list[int] = []
        self.answers: list[Callable[[bool], None]] = []
        self.broker_is_there = True
        self.asked: list[DrinksRequest] = []
        self.line = "u"
        self.store_id = "a"
        self.restart()

    def restart(self) -> None:
        self.asked.clear()
        self.answers.clear()
        self.feed = DrinkFeed(self.spool, "drinks", ask=self._ask, publish=self._publish)
        self.feed.look()  # the broker is there, and the core is not yet
        self.asked.clear()
        self.feed.meet_core()
        self.serve()

    def _ask(self, event: Event) -> None:
        assert isinstance(event, DrinksRequest)
        self.asked.append(event)

    def _publish(self, topic: str, payload: bytes, *, qos: int, on_answer: Callable[[bool], None]) -> bool:
        assert (topic, qos) == ("drinks", 1)
        if self.broker_is_there:
            self.published.append(json.loads(payload)["drink_id"])
            self.answers.append(on_answer)
        return self.broker_is_there

    def serve(self) -> None:
        """The core answers what it was asked."""
        while self.asked:
            asked = self.asked.pop(0)
            numbers = range(1, self.last + 1)
            wanted = (
                numbers[-asked.limit :]
                if asked.after == -1
                else [n for n in numbers if n > asked.after][: asked.limit]
            )
            self.feed.take(
                Drinks(
                    drinks=tuple(drink(number, self.line) for number in wanted),
                    last_id=self.last,
                    store_id=self.store_id,
                )
            )

    def confirm(self, taken: bool = True) -> None:
        """The broker answers all, and what follows."""
        while self.answers:
            self.answers.pop(0)(taken)
            self.serve()

    def pour(self, drinks: int = 1) -> None:
        self.last += drinks
        self.feed.look()
        self.serve()


def drink(number: int, line: str = "u") -> DrinkFacts:
    return DrinkFacts(
        drink_id=number, uuid=f"{line if number > 2 else 'u'}{number}", flow_id=number, tap_name="a", username=None, ticks=100, volume_ml=45.5,
        start_unix_s=1.0, end_unix_s=2.0,
    )  # fmt: skip


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    built = World(tmp_path / "spool.sqlite", last=7)
    yield built
    built.spool.close()


def test_drinks_of_before_the_first_start_are_history(world: World) -> None:
    assert world.published == []
    world.pour()
    assert world.published == [8]


def test_drinks_follow_each_other_in_order_and_more_than_one_answer_holds(world: World) -> None:
    world.pour(120)
    world.confirm()
    assert world.published == list(range(8, 128))


def test_what_the_broker_has_confirmed_is_not_published_again(world: World) -> None:
    world.pour(3)
    world.confirm()
    world.restart()
    world.confirm()
    assert world.published == [8, 9, 10]


def test_what_it_has_not_confirmed_is_published_again(world: World) -> None:
    world.pour()
    world.restart()  # killed before the answer
    world.confirm()
    assert world.published == [8, 8]


def test_a_broker_that_is_away_gets_all_when_it_is_back(world: World) -> None:
    world.broker_is_there = False
    world.pour(3)
    world.pour(2)
    assert world.published == []
    world.feed.lose_broker()
    world.broker_is_there = True
    world.feed.look()
    world.serve()
    world.confirm()
    assert world.published == [8, 9, 10, 11, 12]


def test_a_drink_that_is_poured_while_another_is_under_way_follows_it(world: World) -> None:
    world.pour()
    world.pour()
    world.confirm()
    assert world.published == [8, 9]


def test_of_a_backup_that_was_put_back_all_that_was_poured_after_it_is_published(world: World) -> None:
    world.pour(3)
    world.confirm()
    world.last, world.line = 2, "v"
    world.restart()
    world.pour(10)
    world.confirm()
    assert world.published == [8, 9, 10, *range(3, 13)]


def test_an_empty_store_and_another_one_in_between_make_nothing_new_and_nothing_forgotten(
    world: World,
) -> None:
    world.pour(2)
    world.confirm()
    world.last, world.store_id = 0, "empty"
    world.restart()
    world.last, world.store_id = 5000, "other"
    world.restart()
    world.last, world.store_id = 10, "a"
    world.restart()
    world.confirm()
    assert world.published == [8, 9, 10]


def test_a_drink_that_is_made_before_the_first_answer_is_published(tmp_path: Path) -> None:
    world = World(tmp_path / "other.sqlite", last=7)
    world.store_id = "b"
    world.feed.meet_core()
    world.last += 1
    world.feed.heard(8)
    world.serve()
    assert world.published == [8]
    world.spool.close()


@pytest.mark.parametrize(("name", "value"), [("drinks_told", "5"), ("drinks_read", "[" * 4000)])
def test_what_was_noted_by_another_version_is_history(tmp_path: Path, name: str, value: str) -> None:
    path = tmp_path / "other.sqlite"
    spool = Spool(str(path))
    spool.set_note(name, value)
    spool.close()
    world = World(path, last=7)
    assert world.published == []
    world.pour()
    assert world.published == [8]
    world.spool.close()


def test_what_the_broker_refuses_does_not_stop_the_others(world: World) -> None:
    world.pour(2)
    world.confirm(taken=False)
    assert world.published == [8, 9]
