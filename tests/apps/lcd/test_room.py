"""What the display makes of what a core says, be it one of ours or one of 2012."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kegapps.kegnet.events import (
    CoreStatus,
    DrinkCreatedEvent,
    FlowState,
    FlowUpdate,
    Ping,
    SetRelayOutputEvent,
)
from kegapps.lcd.room import MAX_FLOWS, MAX_HEARD_TAPS, SILENT_S, Room
from tests.apps.kegnet.recordings import SESSIONS, Step
from tests.apps.kegnet.test_recordings import spoken

BEGAN = datetime(2026, 11, 20, 23, 12, tzinfo=UTC)
REPORT: dict[str, Any] = {
    "taps": [
        {"name": "kegboard.flow0", "description": "Left", "beverage": "Pale Ale", "keg_volume_ml": 20000.0, "keg_left_ml": 5000.0},
        {"name": "kegboard.flow1"},
    ],
    "last_drink": None,
}  # fmt: skip


def flow(
    flow_id: int = 1,
    state: FlowState = "active",
    *,
    tap: str = "kegboard.flow0",
    user: str | None = "alice",
    ml: float = 454.5,
) -> FlowUpdate:
    return FlowUpdate(
        flow_id=flow_id, tap_name=tap, state=state, username=user, start_time=BEGAN,
        last_activity_time=BEGAN + timedelta(seconds=8), ticks=1000, volume_ml=ml,
    )  # fmt: skip


def drink(flow_id: int = 1, user: str = "alice") -> DrinkCreatedEvent:
    hours_off = BEGAN - timedelta(hours=8)
    return DrinkCreatedEvent(
        flow_id=flow_id, drink_id=7, tap_name="kegboard.flow0", start_time=hours_off, end_time=hours_off, username=user
    )  # fmt: skip


def room(*events: Any, now_s: float = 0.0) -> Room:
    heard = Room()
    heard.connect()
    for event in events:
        heard.hear(event, now_s=now_s, unix_s=1000.0)
    return heard


def titles(heard: Room) -> list[str]:
    return [pour.title for pour in heard.pours]


def test_any_update_but_the_last_is_a_pour_under_way() -> None:
    states: tuple[FlowState, ...] = ("initial", "active", "idle", "close_wait")
    for state in states:
        assert len(room(flow(state=state)).pours) == 1
    assert not room(flow(), flow(state="completed")).pours
    assert not room(flow(state="completed")).pours


def test_a_pour_has_the_names_that_the_core_reported() -> None:
    (pour,) = room(CoreStatus(report=REPORT), flow()).pours
    assert (pour.title, pour.beverage, pour.username, pour.volume_ml) == ("Left", "Pale Ale", "alice", 454.5)
    (pour,) = room(flow()).pours
    assert (pour.title, pour.beverage) == ("kegboard.flow0", "")


def test_a_flow_that_somebody_takes_over_stays_the_same_pour() -> None:
    heard = room(flow(user=None), flow(2, tap="kegboard.flow1"), flow(user="bob"))
    assert [(pour.flow_id, pour.username) for pour in heard.pours] == [(1, "bob"), (2, "alice")]


def test_a_new_flow_on_a_tap_ends_the_one_whose_end_was_missed() -> None:
    assert [pour.flow_id for pour in room(flow(1), flow(2)).pours] == [2]


def test_a_silent_flow_is_forgotten_and_until_then_is_looked_at_once() -> None:
    heard = room(flow(), now_s=100.0)
    assert heard.forget_silent(100.0 + SILENT_S - 0.1) == 100.0 + SILENT_S
    assert len(heard.pours) == 1
    assert heard.forget_silent(100.0 + SILENT_S) is None
    assert not heard.pours


def test_without_a_core_nothing_flows_as_far_as_anybody_knows() -> None:
    heard = room(CoreStatus(report=REPORT), flow())
    heard.disconnect()
    assert not heard.connected
    assert not heard.pours
    assert heard.forget_silent(0.0) is None
    heard.connect()
    assert [tap.title for tap in heard.taps] == ["Left", "kegboard.flow1"]


def test_a_core_of_2012_is_known_by_what_is_heard() -> None:
    heard = room(flow(1), flow(2, tap="kegboard.flow1"), flow(1, "completed"), drink())
    assert [tap.name for tap in heard.taps] == ["kegboard.flow0", "kegboard.flow1"]
    last = heard.last_drink
    assert last is not None
    assert (last.username, last.volume_ml, last.ticks) == ("alice", 454.5, 1000)


@pytest.mark.parametrize("session", SESSIONS.values(), ids=SESSIONS.keys())
def test_the_recorded_sessions_of_2012_are_followed_to_their_drink(session: tuple[Step, ...]) -> None:
    heard = room()
    shown: list[tuple[str | None, int]] = []
    for step in session:
        for line in step.core:
            heard.hear(spoken(line, step.at_s), now_s=step.at_s, unix_s=1000.0 + step.at_s)
            shown += [(pour.username, round(pour.volume_ml)) for pour in heard.pours]
    users = {user for user, _ in shown}
    assert max(volume for _, volume in shown) == 455
    assert not heard.pours
    last = heard.last_drink
    assert last is not None
    assert (last.ticks, last.username in users) == (1000, True)


def test_the_times_of_an_old_core_are_not_believed() -> None:
    last = room(flow(state="completed"), drink()).last_drink
    assert last is not None
    assert (last.start_unix_s, last.end_unix_s) == (992.0, 1000.0)


def test_a_guest_is_nobody_and_a_flow_too_small_is_no_drink() -> None:
    last = room(flow(state="completed", user=None), drink(user="guest")).last_drink
    assert last is not None
    assert last.username is None
    assert room(flow(state="completed")).last_drink is None
    assert room(drink()).last_drink is None


def test_guests_are_called_as_the_core_calls_them() -> None:
    heard = room(
        CoreStatus(report={**REPORT, "guest_username": "Gast"}),
        flow(state="completed", user=None),
        drink(user="Gast"),
    )
    assert heard.guest == "Gast"
    assert heard.last_drink is not None
    assert heard.last_drink.username is None
    for odd in (None, "", 3, "a\nb"):
        assert room(CoreStatus(report={**REPORT, "guest_username": odd})).guest == "guest"


def test_what_the_core_reports_as_the_last_drink_is_it() -> None:
    row = {
        "drink_id": 9, "uuid": "u", "flow_id": 5, "tap_name": "kegboard.flow1", "username": "bob", "ticks": 10,
        "volume_ml": 4.5, "start_unix_s": 1.0, "end_unix_s": 2.0, "beverage": "Stout",
    }  # fmt: skip
    last = room(flow(state="completed"), drink(), CoreStatus(report={**REPORT, "last_drink": row})).last_drink
    assert last is not None
    assert (last.username, last.beverage) == ("bob", "Stout")


def test_only_pours_and_drinks_are_activity() -> None:
    heard = Room()

    def news(event: Any) -> bool:
        return heard.hear(event, now_s=0.0, unix_s=0.0)

    assert news(flow())
    assert news(drink())
    assert not news(CoreStatus(report=REPORT))
    assert not news(SetRelayOutputEvent(output_name="kegboard.relay0", output_mode="enabled"))
    assert not news(Ping())


def test_odd_reports_are_survived() -> None:
    for report in ({}, {"taps": None}, {"taps": [None, 1, {}], "last_drink": 3}):
        assert room(CoreStatus(report=report)).taps == ()


def test_a_core_that_makes_up_flows_and_taps_for_ever_costs_no_more_than_that() -> None:
    heard = room(*(flow(number, tap=f"tap{number}") for number in range(1000)))
    assert len(heard.pours) == MAX_FLOWS
    assert titles(heard)[-1] == "tap999"
    assert len(heard.taps) == MAX_HEARD_TAPS
    for number in range(1000):
        heard.hear(flow(number, "completed"), now_s=0.0, unix_s=0.0)
    assert not heard.pours
