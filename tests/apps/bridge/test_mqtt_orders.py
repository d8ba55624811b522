"""Orders to valves over a network: an old one opens nothing, and an open valve that is not fed is closed."""

from __future__ import annotations

import pytest

from kegapps.bridge.mqtt_orders import FED_S, FRESH_S, REPEAT_S, Orders, Stamps
from kegapps.kegnet.events import SetRelayOutputEvent


def order(mode: str, name: str = "kegboard.relay0") -> SetRelayOutputEvent:
    return SetRelayOutputEvent(output_name=name, output_mode=mode)  # type: ignore[arg-type]


@pytest.mark.parametrize("age_s", [0.0, 1.0, FRESH_S - 0.01])
def test_an_order_that_shows_a_stamp_of_just_now_opens(age_s: float) -> None:
    orders = Orders("run")
    assert orders.take(order("enabled"), orders.stamp(100.0), 100.0 + age_s)


@pytest.mark.parametrize(
    "stamp",
    [
        "",
        "run",
        "run ",
        "run 90.000",
        "run 101.000",
        "run x",
        "run nan",
        "run -100",
        "other 100.000",
        "run ٣",
    ],
)
def test_an_order_with_an_old_foreign_or_no_stamp_opens_nothing(stamp: str) -> None:
    assert not Orders("run").take(order("enabled"), stamp, 100.0)


def test_closing_needs_no_stamp() -> None:
    assert Orders("run").take(order("disabled"), "", 100.0)


def test_a_stamp_of_before_a_restart_opens_nothing() -> None:
    assert not Orders("second").take(order("enabled"), Orders("first").stamp(100.0), 100.5)


def test_a_valve_is_closed_when_it_is_not_fed_any_more() -> None:
    orders = Orders("run")
    assert orders.due_s() is None
    orders.take(order("enabled"), orders.stamp(100.0), 100.0)
    orders.take(order("enabled", "b.relay1"), orders.stamp(100.0), 101.0)
    assert orders.due_s() == 100.0 + FED_S
    assert orders.close_unfed(100.0 + FED_S) == [order("disabled")]
    assert orders.due_s() == 101.0 + FED_S
    assert orders.close_all() == [order("disabled", "b.relay1")]
    assert orders.due_s() is None


def test_a_valve_that_the_core_closed_is_not_closed_again() -> None:
    orders = Orders("run")
    orders.take(order("enabled"), orders.stamp(100.0), 100.0)
    orders.take(order("disabled"), "", 100.5)
    assert orders.close_unfed(200.0) == orders.close_all() == []


def test_an_order_that_came_with_too_old_a_stamp_is_said_again_with_the_new_one() -> None:
    orders, stamps = Orders("run"), Stamps()
    said = order("enabled")
    stamps.say(said, 5.0)
    assert not orders.take(said, stamps.last, 100.0)
    again = stamps.beat(orders.stamp(100.0), again=True, now_s=5.1)
    assert again == [said]
    assert orders.take(again[0], stamps.last, 100.1)
    assert stamps.beat(orders.stamp(100.1), again=True, now_s=5.2) == []  # once


@pytest.mark.parametrize(
    ("mode", "again", "later_s"),
    [("enabled", True, REPEAT_S + 0.1), ("enabled", False, 0.1), ("disabled", True, 0.1)],
)
def test_nothing_else_is_said_again(mode: str, again: bool, later_s: float) -> None:
    stamps = Stamps()
    stamps.say(order("enabled"), 4.9)
    stamps.say(order(mode), 5.0)
    assert stamps.beat("run 1.000", again=again, now_s=5.0 + later_s) == []


def test_what_was_said_to_a_machine_that_went_away_is_not_said_to_the_one_that_comes_back() -> None:
    stamps = Stamps()
    stamps.say(order("enabled"), 5.0)
    stamps.forget()
    assert stamps.last == ""
    assert stamps.beat("run 1.000", again=True, now_s=5.1) == []
