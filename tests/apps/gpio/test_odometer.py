"""Counts over restarts: told only when on the disk, never backwards, exact over the wrap."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kegapps.core.meters import step
from kegapps.gpio.odometer import Odometers
from kegapps.gpio.record import COUNTER_SPAN, MAX_METERS
from kegapps.kegnet.events import MeterUpdate

FLOW0 = "gpio.flow0"


def odometers(saved: dict[str, int], *names: str, now_s: float = 100.0) -> Odometers:
    return Odometers("gpio", names or ("flow0",), saved, now_s=now_s)


def told(meters: Odometers, now_s: float = 100.0) -> list[MeterUpdate]:
    counts = meters.to_save(now_s)
    return [] if counts is None else list(meters.saved(counts, now_s))


def test_a_meter_goes_on_where_it_stood() -> None:
    meters = odometers({FLOW0: 4711})
    assert list(meters.begin(100.0)) == [MeterUpdate(tap_name=FLOW0, reading=4711)]
    assert told(meters) == []
    meters.count("flow0", 3)
    assert told(meters) == [MeterUpdate(tap_name=FLOW0, reading=4714)]
    assert told(meters) == []
    meters.count("flow0", 10)
    assert told(meters) == [MeterUpdate(tap_name=FLOW0, reading=4721)]


def test_a_new_meter_says_that_it_begins_at_0_and_since_when() -> None:
    meters = odometers({"kegboard.flow0": 4711})
    assert list(meters.begin(102.5)) == [MeterUpdate(tap_name=FLOW0, reading=0, board_uptime_s=2.5)]
    assert meters.to_save(102.5) == {"kegboard.flow0": 4711, FLOW0: 0}


def test_nothing_is_told_before_it_is_on_the_disk() -> None:
    meters = odometers({FLOW0: 0})
    list(meters.begin(100.0))
    meters.count("flow0", 5)
    on_its_way = meters.to_save(100.0)
    assert on_its_way == {FLOW0: 5}
    meters.count("flow0", 9)  # meanwhile
    assert list(meters.saved(on_its_way, 100.02)) == [MeterUpdate(tap_name=FLOW0, reading=5)]
    assert told(meters) == [MeterUpdate(tap_name=FLOW0, reading=9)]


def test_only_meters_that_moved_are_told() -> None:
    meters = odometers({}, "flow0", "flow1")
    assert len(list(meters.begin(100.0))) == 2
    assert told(meters) == []
    meters.count("flow1", 1)
    assert told(meters) == [MeterUpdate(tap_name="gpio.flow1", reading=1)]


def test_ticks_that_waited_long_for_the_disk_say_so() -> None:
    meters = odometers({FLOW0: 0})
    list(meters.begin(100.0))
    meters.count("flow0", 1)
    for now_s in (100.0, 101.0, 102.0, 130.0):  # tried in vain
        meters.count("flow0", int(now_s))
        counts = meters.to_save(now_s)
    assert counts is not None
    assert list(meters.saved(counts, 130.5)) == [MeterUpdate(tap_name=FLOW0, reading=130, gap_s=30.5)]
    meters.count("flow0", 131)
    assert told(meters, 500.0) == [MeterUpdate(tap_name=FLOW0, reading=131)], "an idle hour is no wait"


def test_it_wraps_as_a_board_does_and_the_core_counts_on() -> None:
    meters = odometers({FLOW0: COUNTER_SPAN - 6})
    list(meters.begin(100.0))
    meters.count("flow0", 9)
    (update,) = told(meters)
    assert update.reading == 3
    assert step(COUNTER_SPAN - 6, update.reading, max_ticks=1100).ticks == 9


def test_meters_that_are_away_keep_their_count_as_far_as_there_is_room() -> None:
    saved = {"gpio.flow1": 11} | {f"old.flow{at}": at for at in range(2 * MAX_METERS)}
    counts = odometers(saved).to_save(100.0)
    assert counts is not None
    assert counts["gpio.flow1"] == 11
    assert len(counts) == MAX_METERS


@given(
    st.lists(st.tuples(st.integers(0, 50), st.booleans(), st.booleans())), st.integers(0, COUNTER_SPAN - 1)
)
def test_what_was_told_is_never_taken_back_whenever_it_is_killed(
    pours: list[tuple[int, bool, bool]], start: int
) -> None:
    disk = {FLOW0: start}
    meters, pulses, last, counted = odometers(disk), 0, start, 0
    list(meters.begin(100.0))
    for ticks, is_saved, is_killed in pours:
        pulses += ticks
        meters.count("flow0", pulses)
        counts = meters.to_save(100.0)
        if counts is not None and is_saved:
            disk = dict(counts)
        if counts is not None and is_saved and not is_killed:
            readings = [update.reading for update in meters.saved(counts, 100.0)]
        elif is_killed:
            meters, pulses = odometers(disk), 0
            readings = [update.reading for update in meters.begin(100.0)]
        else:
            readings = []
        for reading in readings:
            counted, last = counted + step(last, reading, max_ticks=COUNTER_SPAN / 2).ticks, reading
    assert counted <= sum(ticks for ticks, _, _ in pours)
    assert (start + counted) % COUNTER_SPAN == last
