"""The daemon between a core and a display, in one loop, with a clock that can be turned forward."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from kegapps.daemon.loop import Loop
from kegapps.daemon.notify import Notifier
from kegapps.daemon.service import Service
from kegapps.kegnet.events import CoreStatus, DrinkCreatedEvent, FlowState, FlowUpdate, StatusRequest
from kegapps.kegnet.hub import Hub, HubLimits
from kegapps.lcd.daemon import LcdDaemon, MakeServer, Manner
from kegapps.lcd.screens import UNITS
from tests.apps.kegnet.support import Clock, Core, turn_until

NOW = datetime(2026, 11, 21, 7, 12, 12, tzinfo=UTC)
TAPS: dict[str, Any] = {
    "taps": [{"name": "kegboard.flow0", "description": "Left", "beverage": "Pale Ale"}],
    "last_drink": None,
}


class Recorder:
    """A display that notes what it is told."""

    def __init__(self, on_status: Callable[[], None]) -> None:
        self.rows, self.columns = 4, 20
        self.ready = True
        self.status = "recording"
        self.shown: list[tuple[str, ...]] = []
        self.light: list[bool] = []
        self.closed = False
        self.on_status = on_status

    def show(self, rows: Sequence[str]) -> None:
        self.shown.append(tuple(row.strip() for row in rows))

    def backlight(self, on: bool) -> None:
        self.light.append(on)

    def close(self) -> None:
        self.closed = True


class Bar:
    """A core's hub, the daemon and its display."""

    def __init__(self, server: MakeServer | None = None) -> None:
        self.clock = Clock()
        self.loop = Loop(self.clock)
        self.core = Core(self.loop, HubLimits())
        service = Service(
            self.loop, [], start_dir="/", notifier=Notifier({}, os.getpid()), on_ready=lambda: None
        )
        self.daemon = LcdDaemon(
            service,
            core=self.core.hub.address,
            token="",
            display=self._make,
            manner=Manner(
                rotation_s=10.0, backlight_s=300.0, update_s=60.0, unit=UNITS["oz"], fahrenheit=False
            ),
            server=server,
        )
        self.until(lambda: self.asked() == 1)

    def _make(self, _loop: Loop, on_status: Callable[[], None]) -> Recorder:
        self.display = Recorder(on_status)
        return self.display

    def until(self, condition: Callable[[], object]) -> None:
        turn_until(self.loop, condition)

    def asked(self) -> int:
        return sum(isinstance(event, StatusRequest) for event in self.core.got)

    def say(self, *events: Any) -> None:
        self.core.hub.broadcast(*events)

    def report(self, report: dict[str, Any]) -> None:
        self.core.hub.send_to(self.core.from_peers[-1], CoreStatus(report=report))

    def until_shown(self, *rows: str) -> None:
        self.until(lambda: self.display.shown and self.display.shown[-1] == rows)

    def later(self, seconds: float) -> None:
        self.clock.ahead_s += seconds
        self.loop.run_once(0.0)

    def next_wake_s(self) -> float:
        """Seconds until the loop would wake up by itself."""
        return self.loop._wait_s() or float("inf")

    def close(self) -> None:
        self.daemon.close()
        self.core.close()
        self.loop.close()


def flow(
    state: FlowState = "active", ml: float = 454.545, *, flow_id: int = 1, user: str | None = "alice"
) -> Any:
    return FlowUpdate(
        flow_id=flow_id, tap_name="kegboard.flow0", state=state, username=user, start_time=NOW,
        last_activity_time=NOW, ticks=1000, volume_ml=ml,
    )  # fmt: skip


def drink(number: int = 1) -> DrinkCreatedEvent:
    return DrinkCreatedEvent(
        flow_id=number, drink_id=number, tap_name="kegboard.flow0", start_time=NOW, end_time=NOW, username="alice"
    )  # fmt: skip


@pytest.fixture
def bar() -> Iterator[Bar]:
    bar = Bar()
    yield bar
    bar.close()


def test_it_begins_with_the_splash_and_then_shows_each_tap(bar: Bar) -> None:
    assert bar.display.shown[0][1] == "kegmaster"
    bar.report(TAPS)
    bar.until_shown("==================", "kegmaster", "1 tap", "==================")
    bar.later(5.0)
    bar.until_shown("Left", "Pale Ale")
    bar.later(10.0)
    bar.until_shown("==================", "kegmaster", "1 tap", "==================")


def test_a_pour_is_shown_from_its_first_sign_to_its_end_and_then_as_the_last(bar: Bar) -> None:
    bar.report(TAPS)
    bar.say(flow("initial", 0.0))
    bar.until_shown("Left", "user: alice", "0.00 oz", "Pale Ale")
    bar.say(flow())
    bar.until_shown("Left", "user: alice", "15.37 oz", "Pale Ale")
    bar.say(flow("completed"), drink())
    bar.until(lambda: bar.display.shown[-1][0] == "Last pour")
    assert bar.display.shown[-1][1::2] == ("user: alice", "size: 15.37 oz")
    bar.later(10.0)
    bar.until_shown("Left", "Pale Ale")


@pytest.mark.parametrize("end_unix_s", [0.0, 1e12])
def test_a_drink_of_any_time_is_shown(bar: Bar, end_unix_s: float) -> None:
    drunk = {
        "drink_id": 9, "uuid": "u", "flow_id": 5, "tap_name": "kegboard.flow0", "username": "bob", "ticks": 10,
        "volume_ml": 4.5, "start_unix_s": 0.0, "end_unix_s": end_unix_s, "beverage": "Stout",
    }  # fmt: skip
    bar.report({**TAPS, "last_drink": drunk})
    bar.until(lambda: len(bar.display.shown) > 1)
    bar.later(5.0)
    bar.until(lambda: bar.display.shown[-1][1] == "user: bob")


def test_a_thousand_updates_are_drawn_ten_times_a_second_at_most_and_the_last_one_is(bar: Bar) -> None:
    bar.report(TAPS)
    bar.say(flow("initial", 0.0))
    bar.until(lambda: "0.00 oz" in bar.display.shown[-1])
    start_s, before = bar.loop.now_s(), len(bar.display.shown)
    for number in range(1000):
        bar.say(flow(ml=float(number)))
        bar.loop.run_once(0.0)
    bar.say(flow(ml=29.5735))
    bar.until(lambda: "1.00 oz" in bar.display.shown[-1])
    assert len(bar.display.shown) - before <= (bar.loop.now_s() - start_s) * 10 + 2


def test_what_has_not_changed_is_not_drawn_again(bar: Bar) -> None:
    bar.report(TAPS)
    bar.say(flow())
    bar.until_shown("Left", "user: alice", "15.37 oz", "Pale Ale")
    drawn = len(bar.display.shown)
    for _ in range(3):
        bar.say(flow())
        bar.later(1.0)
    assert len(bar.display.shown) == drawn


def test_while_nothing_changes_nothing_wakes_up(bar: Bar) -> None:
    bar.until(lambda: bar.next_wake_s() > 1.0)
    assert bar.next_wake_s() > 50.0, "no tap is known: the next is the question after a minute"
    bar.report(TAPS)
    bar.until(lambda: len(bar.display.shown) > 1)
    bar.until(lambda: bar.next_wake_s() > 0.2)
    assert bar.next_wake_s() > 3.0, "the end of the splash"


def test_the_light_goes_off_when_nobody_pours_and_on_with_a_pour(bar: Bar) -> None:
    assert bar.display.light == [True]
    bar.later(300.0)
    bar.until(lambda: bar.display.light == [True, False])
    bar.report(TAPS)  # news, but nobody is there
    bar.until(lambda: len(bar.display.shown) > 1)
    assert bar.display.light == [True, False]
    bar.say(flow("initial", 0.0))
    bar.until(lambda: bar.display.light == [True, False, True])


def test_the_core_is_asked_at_once_after_a_drink_and_once_a_minute(bar: Bar) -> None:
    bar.later(2.0)
    bar.say(drink())
    bar.until(lambda: bar.asked() == 2)
    bar.later(59.0)
    assert bar.asked() == 2
    bar.later(1.0)
    bar.until(lambda: bar.asked() == 3)


def test_many_drinks_at_once_are_one_question(bar: Bar) -> None:
    bar.later(2.0)
    bar.say(*(drink(number) for number in range(50)))
    bar.until(lambda: bar.asked() == 2)
    bar.later(0.9)
    bar.later(1.0)
    bar.loop.run_once(0.05)
    assert bar.asked() <= 3


def test_without_a_core_the_display_says_so_and_with_one_it_goes_on(bar: Bar) -> None:
    bar.report(TAPS)
    bar.say(flow())
    bar.until_shown("Left", "user: alice", "15.37 oz", "Pale Ale")
    address = bar.core.hub.address
    bar.core.hub.close()
    bar.until(lambda: bar.display.shown[-1][0] == "no core")
    assert bar.display.shown[-1][1] == f"localhost:{address[1]}"
    assert "looking for the core" in bar.daemon.status
    bar.core.hub = Hub(bar.loop, address, on_event=lambda *_: None)
    bar.later(10.0)
    bar.until(lambda: bar.display.shown[-1][0] != "no core")
    assert bar.daemon.status == f"recording; listening to the core at localhost:{address[1]}"


def test_a_flow_that_is_never_heard_of_again_does_not_stay_for_ever(bar: Bar) -> None:
    bar.report(TAPS)
    bar.say(flow())
    bar.until_shown("Left", "user: alice", "15.37 oz", "Pale Ale")
    bar.later(151.0)
    bar.until(lambda: "15.37 oz" not in bar.display.shown[-1])


def test_another_display_of_another_size_is_drawn_for_its_size(bar: Bar) -> None:
    bar.report(TAPS)
    bar.say(flow())
    bar.until_shown("Left", "user: alice", "15.37 oz", "Pale Ale")
    bar.display.columns, bar.display.rows = 16, 2
    bar.display.on_status()
    bar.until_shown("alice", "15.37 oz Left")
