"""How often a network is spoken to, over restarts and clocks that jump."""

from __future__ import annotations

import pytest

from kegapps.publish.pacing import Bucket, Level, Rate, backoff_s, parse_rate

ONE_IN_TEN = Rate(count=1, period_s=10.0)
THREE_IN_A_MINUTE = Rate(count=3, period_s=60.0)


def times(bucket: Bucket, count: int, now_s: float = 0.0) -> list[float]:
    """When so many messages go that all wait from `now_s` on."""
    sent = []
    for _ in range(count):
        now_s += bucket.wait_s(now_s)
        bucket.take(now_s, now_s)
        sent.append(round(now_s, 6))
    return sent


@pytest.mark.parametrize(
    ("rate", "sent"),
    [
        (ONE_IN_TEN, [0, 10, 20, 30, 40]),
        (THREE_IN_A_MINUTE, [0, 0, 0, 20, 40]),
        (Rate(count=1000, period_s=1.0), [0, 0, 0, 0, 0]),
    ],
)
def test_messages_that_wait_go_as_the_rate_allows(rate: Rate, sent: list[float]) -> None:
    assert times(Bucket(rate, None, unix_s=0.0, now_s=0.0), 5) == sent


@pytest.mark.parametrize(
    ("away_s", "sent"),
    [
        (0.0, [10, 20]),
        (4.0, [6, 16]),
        (1000.0, [0, 10]),
        (-500.0, [10, 20]),  # the clock was set back: nothing is known, so nothing is owed
    ],
)
def test_a_restart_does_not_fill_the_bucket(away_s: float, sent: list[float]) -> None:
    left = Bucket(ONE_IN_TEN, None, unix_s=1e9, now_s=0.0).take(0.0, 1e9)
    assert left == Level(tokens=0.0, unix_s=1e9)
    assert times(Bucket(ONE_IN_TEN, left, unix_s=1e9 + away_s, now_s=0.0), 2) == sent


def test_a_restart_with_a_lower_rate_keeps_to_that() -> None:
    left = Level(tokens=50.0, unix_s=0.0)
    assert times(Bucket(ONE_IN_TEN, left, unix_s=0.0, now_s=0.0), 2) == [0, 10]


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


def test_pauses_double_up_to_a_limit_and_spread() -> None:
    def pause(failures: int, spread: float) -> float:
        return backoff_s(failures, first_s=5.0, most_s=300.0, spread=spread)

    assert [pause(failures, 0.5) for failures in (1, 2, 3, 7, 8, 10**6)] == pytest.approx(
        [5, 10, 20, 300, 300, 300]
    )
    assert (pause(1, 0.0), pause(1, 1.0)) == pytest.approx((4.0, 6.0))
