from __future__ import annotations

import itertools

import pytest

from kegapps.kegnet.backlog import Backlog, BacklogLimits, Stored
from kegapps.kegnet.events import Event, FlowRequest, MeterUpdate, Ping, ThermoEvent, TokenAuthEvent

LIMITS = BacklogLimits(max_events=20, readings_per_meter=4, thermo_interval_s=60, command_max_age_s=120)


def reading(ticks: int, tap: str = "a") -> MeterUpdate:
    return MeterUpdate(tap_name=tap, reading=ticks)


def token(status: str = "added") -> TokenAuthEvent:
    return TokenAuthEvent(
        tap_name="a",
        auth_device_name="core.rfid",
        token_value="01",
        status="added" if status == "added" else "removed",
    )


def thermo(celsius: float) -> ThermoEvent:
    return ThermoEvent(sensor_name="s", sensor_value=celsius)


START = FlowRequest(tap_name="a", request="start_flow")


def kept(*events: Event, every_s: float = 1.0, limits: BacklogLimits = LIMITS) -> list[Event]:
    """What is left of `events`, given one every so often, right after the last."""
    backlog = Backlog(limits)
    for number, event in enumerate(events):
        backlog.add(event, number * every_s)
    return [stored.event for stored in backlog.take((len(events) - 1) * every_s, 1000)]


def ticks_of(events: list[Event]) -> list[int]:
    return [event.reading for event in events if isinstance(event, MeterUpdate)]


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ([1, 2, 11, 12, 21], [1, 11, 21]),
        ([100, 200, 3, 4, 300], [100, 200, 3, 300]),
        ([100, 200, 300, 3, 2, 1], [100, 300, 3, 2, 1]),
        ([5, 4, 3, 2, 1], [5, 4, 3, 2, 1]),
        ([1, 2, 3, 4], [1, 2, 3, 4]),
        ([5, 5, 5], [5]),
        ([1, 2, 3, 4, 5], [1, 3, 5]),
        ([1, 2, 3, 4, 5, 6], [1, 3, 5, 6]),
        ([1, 2, 3, 4, 5, 6, 7], [1, 5, 7]),
    ],
)
def test_of_many_readings_those_go_that_leave_the_smallest_steps_but_no_restart_of_the_board(
    given: list[int], left: list[int]
) -> None:
    got = ticks_of(kept(*map(reading, given)))
    assert got == left


def test_a_long_pour_is_kept_in_steps_of_about_the_same_size() -> None:
    got = ticks_of(kept(*(reading(10 * number) for number in range(10_000)), limits=BacklogLimits()))
    steps = [after - before for before, after in itertools.pairwise(got)]
    assert (got[0], got[-1]) == (0, 99_990)
    assert len(got) <= 64
    assert max(steps) <= 4 * 99_990 / 64


def test_meters_are_thinned_each_for_itself() -> None:
    events = [reading(1, "b"), *(reading(number) for number in range(5)), reading(2, "b")]
    left = kept(*events)
    assert [event for event in left if event in (reading(1, "b"), reading(2, "b"))] == [
        reading(1, "b"),
        reading(2, "b"),
    ]


def test_the_last_reading_before_a_token_stays_so_that_ticks_keep_their_owner() -> None:
    anonymous = [reading(number) for number in range(1, 10)]
    owned = [reading(number) for number in range(10, 30)]
    left = kept(*anonymous, token(), *owned)
    at = left.index(token())
    assert ticks_of(left[:at])[-1] == 9
    assert ticks_of(left[at:])[-1] == 29


def test_the_same_reading_after_a_token_is_kept() -> None:
    assert kept(reading(5), token(), reading(5)) == [reading(5), token(), reading(5)]


def test_a_sensor_is_kept_once_a_minute() -> None:
    assert kept(*(thermo(number) for number in range(10)), every_s=20) == [
        thermo(0), thermo(3), thermo(6), thermo(9),
    ]  # fmt: skip


def test_order_is_kept() -> None:
    events: list[Event] = [reading(1), token(), thermo(4), START, reading(2), token("removed"), Ping()]
    assert kept(*events) == events


def test_a_token_or_request_is_given_up_when_it_is_older_than_any_flow_may_idle_and_nothing_was_poured() -> (
    None
):
    backlog = Backlog(LIMITS)
    for event in (token(), START, thermo(4)):
        backlog.add(event, 0.0)
    backlog.add(token("removed"), 50.0)
    assert [stored.event for stored in backlog.take(121.0, 100)] == [thermo(4), token("removed")]
    assert backlog.dropped == 2


def test_a_token_is_kept_however_old_if_it_may_tell_whose_the_ticks_near_it_are() -> None:
    backlog = Backlog(LIMITS)
    backlog.add(token(), 0.0)
    backlog.add(token(), 500.0)
    backlog.add(reading(1), 619.0)
    backlog.add(token("removed"), 700.0)
    backlog.add(token(), 900.0)
    taken = backlog.take(86_400.0, 100)
    assert [(stored.event, stored.since_s) for stored in taken] == [
        (token(), 500.0),
        (reading(1), 619.0),
        (token("removed"), 700.0),
    ]
    assert backlog.dropped == 2


def test_when_it_is_full_temperatures_go_before_readings_and_readings_before_the_oldest() -> None:
    backlog = Backlog(LIMITS)
    backlog.add(thermo(4), 0.0)
    for number in range(3):
        backlog.add(reading(number, tap="poured"), 1.0)
    for number in range(17):
        backlog.add(reading(number, tap=f"t{number}"), 2.0)
    assert backlog.dropped == 1  # the temperature
    backlog.add(reading(1, tap="another"), 2.0)
    assert backlog.dropped == 1
    assert backlog.superseded == 1  # the second of the three
    backlog.add(reading(1, tap="one too many"), 2.0)
    assert backlog.dropped == 2
    assert len(backlog) == 20


def test_it_never_holds_more_than_its_limit() -> None:
    backlog = Backlog(LIMITS)
    for number in range(1000):
        backlog.add((token(), reading(number), thermo(number), START)[number % 4], float(number))
        assert len(backlog) <= LIMITS.max_events


def test_what_was_taken_can_be_put_back_before_the_rest() -> None:
    backlog = Backlog(LIMITS)
    for number in range(4):
        backlog.add(reading(number), 0.0)
    taken = backlog.take(0.0, 2)
    backlog.put_back(taken)
    assert ticks_of([stored.event for stored in backlog.take(0.0, 10)]) == [0, 1, 2, 3]


def test_a_reading_is_remembered_as_the_newest_only_while_it_is_kept() -> None:
    backlog = Backlog(LIMITS)
    backlog.add(reading(5), 0.0)
    backlog.take(0.0, 10)
    backlog.add(reading(5), 1.0)
    assert len(backlog) == 1


@pytest.mark.parametrize(
    ("event", "waited_s", "age_s"),
    [
        (reading(1), 0.05, 0.0),
        (reading(1), 30.0, 30.0),
        (MeterUpdate(tap_name="a", reading=1, age_s=2.0), 30.0, 32.0),
        (MeterUpdate(tap_name="a", reading=1, age_s=2.0), 0.0, 2.0),
        (token(), 3.0004, 3.0),
        (reading(1), 1e12, 10 * 366 * 86400.0),
    ],
)
def test_what_waited_is_sent_with_its_age(event: Event, waited_s: float, age_s: float) -> None:
    aged = Stored(event=event, since_s=100.0).aged(100.0 + waited_s)
    assert getattr(aged, "age_s", None) == pytest.approx(age_s)


def test_an_event_that_has_no_age_is_sent_as_it_is() -> None:
    assert Stored(event=Ping(), since_s=0.0).aged(50.0) == Ping()


def test_no_reading_goes_beside_which_the_board_was_not_heard_for_a_while() -> None:
    gap = MeterUpdate(tap_name="a", reading=12, gap_s=8.0)
    assert ticks_of(kept(reading(1), reading(11), gap, reading(13), reading(14), reading(15))) == [
        1,
        11,
        12,
        15,
    ]
