"""Meter arithmetic: the recorded table of the protocol page, and what we count better."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kegapps.core.meters import MAX_READING, Doubt, Step, believable_ml, step

MAX_TICKS = 1100.0

# kegnet-protocol.md section 4, recorded with max = 1100, in this order. One difference is ours on purpose:
# the 2012 core counted 3 ticks for the step over 2^32, and lost six.
RECORDED = (
    (100, 0), (1200, 1100), (2301, 0), (2302, 1), (5, 5), (10, 5), (4294967290, 0), (3, 9), (4294967290, 0),
    (1099, 1099), (1, 1), (2500, 0), (1200, 0),
)  # fmt: skip


def test_the_recorded_table_is_counted_as_recorded_but_for_the_exact_wrap() -> None:
    last: int | None = None
    counted = []
    for reading, _ in RECORDED:
        counted.append((reading, step(last, reading, max_ticks=MAX_TICKS).ticks))
        last = reading
    assert tuple(counted) == RECORDED


@pytest.mark.parametrize(
    ("last", "reading", "ticks"),
    [
        (4294967290, 3, 9),
        (4294967295, 1, 2),
        (2**32 - 1099, 1, 1100),
        (2**32 - 550, 550, 1100),
        (2**32 - 551, 550, 550),  # 1101 over the wrap is not believed: the board restarted
    ],
)
def test_a_wrap_at_two_to_the_32_is_counted_exactly(last: int, reading: int, ticks: int) -> None:
    assert step(last, reading, max_ticks=MAX_TICKS) == Step(ticks=ticks)


@pytest.mark.parametrize(
    ("last", "ticks"), [(2**32 - 1, 1), (2**32 - 1100, 1100), (2**32 - 1101, 0), (1000, 0)]
)
def test_a_reading_of_exactly_zero_is_a_wrap_only_near_the_end_of_the_counter(last: int, ticks: int) -> None:
    assert step(last, 0, max_ticks=MAX_TICKS) == Step(ticks=ticks)
    assert step(0, 50, max_ticks=MAX_TICKS) == Step(ticks=50)


@pytest.mark.parametrize(
    ("reading", "ticks", "dropped"), [(0, 0, 0), (1, 1, 0), (1099, 1099, 0), (1100, 0, 1100)]
)
def test_after_a_restart_the_reading_itself_is_counted_if_it_is_less_than_the_limit(
    reading: int, ticks: int, dropped: int
) -> None:
    counted = step(100_000, reading, max_ticks=MAX_TICKS)
    assert (counted.ticks, counted.dropped_ticks) == (ticks, dropped)
    assert counted.doubt == (Doubt.TOO_LARGE_AFTER_RESTART if dropped else None)


def test_the_first_reading_ever_counts_nothing_and_drops_nothing() -> None:
    assert step(None, 123456, max_ticks=MAX_TICKS) == Step()


def test_a_step_of_exactly_the_limit_is_believed_and_one_more_is_not() -> None:
    assert step(100, 1200, max_ticks=MAX_TICKS) == Step(ticks=1100)
    assert step(100, 1201, max_ticks=MAX_TICKS) == Step(dropped_ticks=1101, doubt=Doubt.TOO_LARGE)


@given(
    last=st.integers(0, MAX_READING),
    reading=st.integers(0, MAX_READING),
    max_ticks=st.floats(0.01, 1e9),
)
def test_whatever_is_read_no_more_than_the_limit_is_counted_and_only_a_doubt_drops(
    last: int, reading: int, max_ticks: float
) -> None:
    counted = step(last, reading, max_ticks=max_ticks)
    assert 0 <= counted.ticks <= max_ticks
    assert counted.ticks == 0 or counted.dropped_ticks == 0
    assert bool(counted.doubt) == bool(counted.dropped_ticks)


@given(st.lists(st.integers(0, 1099), max_size=30), st.integers(0, 2**32 - 1))
def test_any_small_steps_sum_up_exactly_from_any_base_over_the_wrap(steps: list[int], base: int) -> None:
    last, total, expected = base, 0, 0
    for ticks in steps:
        reading = (last + ticks) % 2**32
        total += step(last, reading, max_ticks=MAX_TICKS).ticks
        last, expected = reading, expected + ticks
    assert total == expected


@pytest.mark.parametrize(
    ("unheard_s", "limit_ml"),
    [(None, 500.0), (0.0, 500.0), (-3600.0, 500.0), (4.0, 900.0), (1e9, 20000.0)],
)
def test_more_is_believed_only_after_nobody_listened_for_a_while(
    unheard_s: float | None, limit_ml: float
) -> None:
    assert (
        believable_ml(unheard_s, max_step_ml=500.0, max_flow_ml_per_s=100.0, max_catch_up_ml=20000.0)
        == limit_ml
    )
