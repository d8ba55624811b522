"""The account of every tick: counted = told + untold + lost."""

from __future__ import annotations

from kegapps.kegboard.tally import Tally


def account(tally: Tally, meter: int = 0) -> tuple[int, int, int, int]:
    ticks = tally.meters[meter]
    return ticks.counted, ticks.told, ticks.untold, ticks.lost


def told(tally: Tally, end: int | None, *meters: int) -> None:
    for meter in meters:
        tally.report(meter)
    tally.sent(end)


def test_a_tick_is_untold_until_it_is_reported_on_a_line_that_takes_it() -> None:
    tally = Tally(2)
    tally.count(0, 7)
    assert account(tally) == (7, 0, 7, 0)
    told(tally, None, 0)
    assert account(tally) == (7, 0, 7, 0)
    tally.count(0, 1)
    told(tally, 29, 0)
    assert account(tally) == (8, 8, 0, 0)
    assert account(tally, 1) == (0, 0, 0, 0)


def test_what_a_host_left_unread_is_untold_and_told_again_with_the_next_report() -> None:
    tally = Tally(1)
    for end in (29, 58, 87):
        tally.count(0, 10)
        told(tally, end, 0)
    tally.hung_up(60)
    assert account(tally) == (30, 20, 10, 0)
    tally.count(0, 1)
    told(tally, 116, 0)
    assert account(tally) == (31, 31, 0, 0)


def test_what_is_untold_when_the_power_goes_is_lost() -> None:
    tally = Tally(1)
    tally.count(0, 10)
    told(tally, 29, 0)
    tally.count(0, 3)
    tally.forget()
    assert account(tally) == (13, 10, 0, 3)


def test_what_was_sent_before_the_power_went_and_never_read_is_lost() -> None:
    tally = Tally(1)
    tally.count(0, 10)
    told(tally, 29, 0)
    tally.forget()
    tally.hung_up(0)
    assert account(tally) == (10, 0, 0, 10)
