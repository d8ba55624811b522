"""How often a network is spoken to, over restarts and clocks that jump."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kegapps.publish.pacing import Moment, Rate, Window, backoff_s, parse_rate

ONE_IN_TEN = Rate(count=1, period_s=10.0)
THREE_IN_A_MINUTE = Rate(count=3, period_s=60.0)


NOW = Moment(boot_id="this", mono_s=1000.0, unix_s=1e9)


def times(window: Window, count: int, *, takes_s: float = 0.0) -> list[float]:
    """When so many messages begin that all wait, in seconds from now, if the network takes so long for each."""
    began = []
    now_s = NOW.mono_s
    for _ in range(count):
        now_s += window.wait_s(now_s)
        window.begin(now_s)
        began.append(round(now_s - NOW.mono_s, 6))
        now_s += takes_s
        window.end(now_s)
    return began


@pytest.mark.parametrize(
    ("rate", "sent"),
    [
        (ONE_IN_TEN, [0, 10, 20, 30, 40]),
        (THREE_IN_A_MINUTE, [0, 0, 0, 60, 60]),
        (Rate(count=1000, period_s=1.0), [0, 0, 0, 0, 0]),
    ],
)
def test_messages_that_wait_go_as_the_rate_allows(rate: Rate, sent: list[float]) -> None:
    assert times(Window(rate, [], now=NOW), 5) == sent


def test_what_the_network_may_have_taken_late_counts_as_late() -> None:
    assert times(Window(THREE_IN_A_MINUTE, [], now=NOW), 5, takes_s=4.0) == [0, 4, 8, 64, 68]


@given(
    st.integers(1, 7), st.floats(1.0, 100.0), st.lists(st.floats(0.0, 30.0), max_size=60), st.floats(0.0, 5.0)
)
def test_in_no_period_of_that_length_are_there_more(
    count: int, period_s: float, pauses_s: list[float], takes_s: float
) -> None:
    window = Window(Rate(count=count, period_s=period_s), [], now=NOW)
    now_s, began = NOW.mono_s, []
    for pause_s in pauses_s:
        now_s += pause_s
        now_s += window.wait_s(now_s)
        window.begin(now_s)
        began.append(now_s)
        now_s += takes_s
        window.end(now_s)
    for first, beyond in zip(began, began[count:], strict=False):
        assert beyond - first >= period_s - 1e-6


@pytest.mark.parametrize(
    ("ago_s", "sent"),
    [
        (0.0, [10, 20]),
        (4.0, [6, 16]),
        (1000.0, [0, 10]),
        (-500.0, [10, 20]),  # the clock was set back: nothing is known, so nothing is owed
    ],
)
def test_a_reboot_does_not_make_it_forget(ago_s: float, sent: list[float]) -> None:
    before = Moment(boot_id="other", mono_s=77.0, unix_s=NOW.unix_s - ago_s)
    assert times(Window(ONE_IN_TEN, [before], now=NOW), 2) == sent


@pytest.mark.parametrize("turned_s", [-1e6, 0.0, 1e6])
def test_within_one_boot_a_clock_that_is_turned_means_nothing(turned_s: float) -> None:
    before = Moment(boot_id="this", mono_s=NOW.mono_s - 4.0, unix_s=NOW.unix_s + turned_s)
    assert times(Window(ONE_IN_TEN, [before], now=NOW), 2) == [6, 16]


def test_a_restart_with_a_lower_rate_keeps_to_that() -> None:
    before = [Moment(boot_id="this", mono_s=NOW.mono_s - ago_s, unix_s=0.0) for ago_s in (9.0, 7.0, 2.0)]
    assert times(Window(ONE_IN_TEN, before, now=NOW), 2) == [8, 18]


@pytest.mark.parametrize(
    ("text", "rate"),
    [("1/10", ONE_IN_TEN), ("3/60", THREE_IN_A_MINUTE), ("20/0.5", Rate(count=20, period_s=0.5))],
)
def test_a_rate_is_a_count_in_so_many_seconds(text: str, rate: Rate) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize(
    "text", ["", "1", "1/", "/10", "0/10", "1/0", "-1/10", "1/nan", "1 per 10", "1/10s", "٣/١"]
)
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected COUNT/SECONDS"):
        parse_rate(text)


def test_more_than_can_be_remembered_is_refused() -> None:
    assert parse_rate("1000/3600").count == 1000
    with pytest.raises(ValueError, match="at most 1000 messages; a shorter time can mean the same"):
        parse_rate("1001/3600")


def test_pauses_double_up_to_a_limit_and_spread() -> None:
    def pause(failures: int, spread: float) -> float:
        return backoff_s(failures, first_s=5.0, most_s=300.0, spread=spread)

    assert [pause(failures, 0.5) for failures in (1, 2, 3, 7, 8, 10**6)] == pytest.approx(
        [5, 10, 20, 300, 300, 300]
    )
    assert (pause(1, 0.0), pause(1, 1.0)) == pytest.approx((4.0, 6.0))
