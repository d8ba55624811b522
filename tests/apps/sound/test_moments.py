"""What is played for what the core tells: thresholds once a flow, the best row, and nothing twice."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from kegapps.kegnet.events import DrinkCreatedEvent, Event, FlowState, FlowUpdate, SetRelayOutputEvent
from kegapps.sound.moments import MAX_FLOWS, Moments
from kegapps.sound.table import parse

NOW = datetime(2026, 11, 21, 7, 12, 12, tzinfo=UTC)
TABLE = """
[flow start]
sound = start
[1 oz]
sound = one
[8 oz]
sound = eight
[12 oz]
sound = twelve
[user]
sound = user
[drink]
sound = drink
"""


def flow(
    volume_ml: float,
    state: FlowState = "active",
    *,
    user: str | None = None,
    tap: str = "k.flow0",
    flow_id: int = 1,
) -> FlowUpdate:
    return FlowUpdate(
        flow_id=flow_id, tap_name=tap, state=state, username=user, start_time=NOW, last_activity_time=NOW,
        ticks=int(volume_ml * 2.2), volume_ml=volume_ml,
    )  # fmt: skip


def drink(user: str = "guest", tap: str = "k.flow0", flow_id: int = 1) -> DrinkCreatedEvent:
    return DrinkCreatedEvent(
        flow_id=flow_id, drink_id=1, tap_name=tap, start_time=NOW, end_time=NOW, username=user
    )


START = flow(0, "initial")


def played(table: str, *events: Event) -> list[str]:
    moments = Moments(parse(table, source="/s", check=lambda _: ""))
    return [
        "|".join(path.removeprefix("/") for path in sounds)
        for event in events
        for sounds in moments.heard(event)
    ]


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ((START,), ["start"]),
        ((START, flow(20)), ["start"]),
        ((START, flow(29.57)), ["start"]),
        ((START, flow(29.5735)), ["start", "one"]),
        ((START, flow(40), flow(240), flow(400)), ["start", "one", "eight", "twelve"]),
        ((START, flow(400)), ["start", "twelve"]),  # the highest that an update crosses, alone
        ((START, flow(300), flow(350), flow(360), flow(5000)), ["start", "eight", "twelve"]),
        ((START, flow(400, "completed")), ["start", "twelve"]),
        ((START, flow(0, "idle"), flow(0, "completed")), ["start"]),
        (
            (START, flow(400), flow(400, "idle"), flow(400, "completed"), drink()),
            ["start", "twelve", "drink"],
        ),
        ((SetRelayOutputEvent(output_name="k.relay0", output_mode="enabled"),), []),
    ],
)
def test_the_highest_threshold_that_an_update_crosses_is_played(
    events: tuple[Event, ...], expected: list[str]
) -> None:
    assert played(TABLE, *events) == expected


def test_what_the_core_sends_again_is_not_played_again() -> None:
    pour: list[Event] = [START, flow(40), flow(240), flow(400), flow(400, "completed"), drink()]
    once = played(TABLE, *pour)
    assert played(TABLE, *(event for event in pour for _ in range(3))) == once
    assert played(TABLE, *pour, *pour) == once
    # A core that was restarted goes on with the flow; one whose tap was calibrated anew goes back and crosses again.
    assert played(TABLE, START, flow(240), START, flow(250), flow(200), flow(240)) == ["start", "eight"]


def test_a_flow_that_began_before_we_listened_has_passed_what_it_passed() -> None:
    assert played(TABLE, flow(240, user="alice"), flow(250, user="alice"), flow(360, user="alice")) == [
        "twelve"
    ]
    assert played(TABLE, flow(400, "completed")) == []
    assert played(TABLE, drink(), drink()) == ["drink"]


def test_flows_on_two_taps_are_told_apart() -> None:
    other = [flow(0, "initial", flow_id=2, tap="k.flow1"), flow(240, flow_id=2, tap="k.flow1")]
    assert played(TABLE, START, other[0], flow(40), other[1], flow(360)) == [
        "start",
        "start",
        "one",
        "eight",
        "twelve",
    ]


def test_a_user_is_heard_when_they_come_and_once() -> None:
    alice = [flow(0, "initial", user="alice"), flow(0, "initial", user="alice"), flow(40, user="alice")]
    assert played(TABLE, *alice) == ["user", "start", "one"]
    taken_over = [START, flow(40), flow(40, user="bob"), flow(40, user="bob")]
    assert played(TABLE, *taken_over) == ["start", "one", "user"]


CHOICES = """
[12 oz]
sound = any1, any2
[tap 0]
on = 12 oz
tap = k.flow0
sound = tap
[alice]
on = 12 oz
user = alice, carol
sound = alice
[alice at 0]
on = 12 oz
user = alice
tap = k.flow0
sound = both1, both2
[more]
on = 12 oz
sound = any3
[bob sleeps]
on = 12 oz
user = bob
sound =
[guests]
on = 12 oz
user = guest
tap = k.flow1
sound = guests
[8 oz]
sound = eight
[alice's drink]
on = drink
user = alice
sound = drink
[a guest's]
on = drink
user = guest
sound = guest's
"""


@pytest.mark.parametrize(
    ("user", "tap", "expected"),
    [
        ("dave", "k.flow1", ["any1|any2|any3"]),  # rows for the same are one choice
        ("dave", "k.flow0", ["tap"]),
        ("carol", "k.flow0", ["alice"]),
        ("alice", "k.flow1", ["alice"]),
        ("alice", "k.flow0", ["both1|both2"]),
        ("bob", "k.flow0", []),  # silence is a row, too: not even 8 oz instead
        (None, "k.flow1", ["guests"]),
        (None, "k.flow0", ["tap"]),
    ],
)
def test_the_row_that_says_most_wins(user: str | None, tap: str, expected: list[str]) -> None:
    assert played(CHOICES, flow(0, "initial", user=user, tap=tap), flow(400, user=user, tap=tap)) == expected


def test_a_threshold_that_is_for_others_leaves_the_next_lower_one() -> None:
    table = "[8 oz]\nsound = eight\n[x]\non = 12 oz\nuser = alice\nsound = twelve"
    assert played(table, START, flow(400)) == ["eight"]


def test_an_anonymous_drink_is_a_guests_whatever_the_core_calls_guests() -> None:
    anonymous, alice = flow(400), flow(400, user="alice")
    assert played(CHOICES, anonymous, drink("somebody")) == ["guest's"]
    assert played(CHOICES, alice, drink("alice")) == ["drink"]
    assert played(CHOICES, alice, drink("somebody")) == []
    assert played(CHOICES, drink("guest")) == ["guest's"]


def test_only_so_many_flows_are_remembered_the_latest_ones() -> None:
    moments = Moments(parse(TABLE, source="/s", check=lambda _: ""))
    assert list(moments.heard(flow(0, "initial", flow_id=0)))
    for flow_id in range(1, 10 * MAX_FLOWS):
        assert list(moments.heard(flow(0, "initial", flow_id=flow_id)))
        assert not list(moments.heard(flow(0, "initial", flow_id=0))), "it is heard of all the time"
    assert len(moments._flows) == MAX_FLOWS
