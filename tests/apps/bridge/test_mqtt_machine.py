"""A machine's numbered events into a core, each once and in order, whatever was lost or repeated on the way."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from kegapps.bridge.mqtt_letters import Took, Up
from kegapps.bridge.mqtt_machine import Machine
from kegapps.daemon.loop import Loop
from kegapps.kegnet.events import AppEvent, Event, MeterUpdate
from kegapps.kegnet.hub import Hub
from tests.apps.kegnet.support import turn_until


class World:
    """A core's hub, which stores all at once, and a bridge's machine; `told` is what the machine far away is told."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.readings: list[int] = []
        self.told: list[Took] = []
        self.refused: set[int] = set()
        self.hub = Hub(self.loop, ("127.0.0.1", 0), on_event=self._heard, confirms=True)
        self.machine = self.new_machine()

    def new_machine(self) -> Machine:
        self.machine = Machine(
            self.loop, "cellar", self.hub.address, token="", tell=self.told.append,
            check=lambda event: "" if _ticks(event) not in self.refused else "no",
        )  # fmt: skip
        return self.machine

    def _heard(self, event: Event, _peer: str) -> None:
        if isinstance(event, MeterUpdate):
            self.readings.append(event.reading)
        self.loop.call_later(0.0, self.hub.stored)

    def until_told(self, took: int) -> None:
        turn_until(
            self.loop, lambda: any(told.took == took for told in self.told), f"for {took}: {self.told}"
        )

    def until_asked(self, again: int) -> None:
        self.told.clear()
        turn_until(
            self.loop, lambda: any(told.again == again for told in self.told), f"for {again}: {self.told}"
        )

    def close(self) -> None:
        self.machine.close()
        self.hub.close()
        self.loop.close()


@pytest.fixture
def world() -> Iterator[World]:
    built = World()
    yield built
    built.close()


def _ticks(event: AppEvent) -> int:
    return event.reading if isinstance(event, MeterUpdate) else -1


def letter(number: int, first: int, session: str = "s") -> Up:
    return Up(
        session=session, number=number, first=first, run="r", sent_s=1.0,
        event=MeterUpdate(tap_name="kegboard.flow0", reading=number),
    )  # fmt: skip


def begin(world: World, number: int) -> None:
    """The first letter finds the core not connected yet, and is asked for again."""
    world.machine.take(letter(number, number))
    world.until_asked(number)
    world.machine.take(letter(number, number))
    world.until_told(number + 1)


def test_events_go_to_the_core_in_order_and_are_confirmed_when_it_has_stored_them(world: World) -> None:
    begin(world, 7)
    for number in (8, 9):
        world.machine.take(letter(number, 8))
    world.until_told(10)
    assert world.readings == [7, 8, 9]


def test_what_comes_twice_goes_to_the_core_once(world: World) -> None:
    begin(world, 0)
    for number in (1, 1, 0, 2, 1, 2):
        world.machine.take(letter(number, 0))
    world.until_told(3)
    assert world.readings == [0, 1, 2]


def test_what_is_missing_is_asked_for_and_nothing_goes_before_it(world: World) -> None:
    begin(world, 0)
    world.machine.take(letter(2, 1))
    world.until_asked(1)
    assert world.readings == [0]
    for number in (1, 2):
        world.machine.take(letter(number, 1))
    world.until_told(3)
    assert world.readings == [0, 1, 2]


def test_a_new_bridge_begins_with_the_first_that_is_not_stored_and_no_other(world: World) -> None:
    world.machine.take(letter(5, 3))
    world.until_asked(0)
    begin(world, 3)
    assert world.readings == [3]


def test_what_the_core_had_from_a_bridge_before_it_does_not_take_again(world: World) -> None:
    begin(world, 0)
    for number in (1, 2, 3):
        world.machine.take(letter(number, 1))
    world.until_told(4)
    world.machine.close()
    world.new_machine()
    world.told.clear()
    world.machine.take(letter(1, 1))  # its confirmation was lost with the bridge
    world.until_told(4)  # the core knows better
    for number in (4, 5):
        world.machine.take(letter(number, 4))  # so the machine never sends 1 to 3 again
    world.until_asked(4)
    for number in (4, 5):
        world.machine.take(letter(number, 4))
    world.until_told(6)
    assert world.readings == [0, 1, 2, 3, 4, 5]


def test_a_machine_that_begins_a_new_spool_is_another_session(world: World) -> None:
    begin(world, 7)
    world.machine.take(letter(0, 0, session="t"))
    world.until_asked(0)
    world.machine.take(letter(0, 0, session="t"))
    world.until_told(1)
    assert world.readings == [7, 0]


def test_what_must_not_reach_the_core_is_confirmed_and_left_out(world: World) -> None:
    world.refused = {1}
    begin(world, 0)
    for number in (1, 2):
        world.machine.take(letter(number, 1))
    world.until_told(3)
    assert world.readings == [0, 2]


@pytest.mark.parametrize("seed", range(2))
def test_a_network_that_loses_repeats_and_kills_bridges_ends_with_every_event_once(
    world: World, seed: int
) -> None:
    chance = random.Random(seed)
    total, first, sent, answered = 20, 0, 0, 0
    for _ in range(20_000):
        if first == total:
            break
        if sent < total and chance.random() < 0.7:
            if chance.random() < 0.8:
                world.machine.take(letter(sent, first))
            sent += 1
        if chance.random() < 0.02:
            world.machine.close()
            world.new_machine()
            sent = first
        if sent == total and chance.random() < 0.01:
            sent = first  # nothing was confirmed for long
        world.loop.run_once(0.001)
        for told in world.told[answered:]:
            if chance.random() < 0.8:
                first = max(first, told.took)
                sent = max(first, sent if told.again is None else told.again)
        answered = len(world.told)
    assert first == total
    assert world.readings == list(range(total))
