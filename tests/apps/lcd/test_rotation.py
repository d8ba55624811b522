"""Whose turn it is on the display, second by second."""

from __future__ import annotations

import pytest

from kegapps.lcd.rotation import SPLASH_S, Backlight, Page, Rotation


def pages(*keys: str, seconds: float = 10.0) -> list[Page]:
    return [Page(key=key, rows=(key,), seconds=SPLASH_S if key == "splash" else seconds) for key in keys]


ROUND = pages("splash", "last", "left", "right")


def test_each_page_has_its_turn_and_the_round_begins_again() -> None:
    rotation = Rotation(100.0)
    shown = []
    now_s = 100.0
    for _ in range(6):
        turn = rotation.turn(ROUND, now_s)
        assert turn.until_s is not None
        shown.append((turn.page.key, turn.until_s - 100.0))
        now_s = turn.until_s
    assert shown == [("splash", 5), ("last", 15), ("left", 25), ("right", 35), ("splash", 40), ("last", 50)]


def test_between_its_times_nothing_changes() -> None:
    rotation = Rotation(0.0)
    for now_s in (0.0, 1.0, 4.999):
        assert rotation.turn(ROUND, now_s).page.key == "splash"
    for now_s in (5.0, 14.999):
        assert rotation.turn(ROUND, now_s).page.key == "last"


def test_a_page_alone_stays_and_nothing_wakes_up_for_it() -> None:
    rotation = Rotation(0.0)
    for now_s in (0.0, 5.0, 1e6):
        turn = rotation.turn(pages("splash"), now_s)
        assert (turn.page.key, turn.until_s) == ("splash", None)


def test_a_jump_gives_a_page_a_whole_turn() -> None:
    rotation = Rotation(0.0)
    rotation.turn(ROUND, 3.0)
    rotation.jump("last", 4.0)
    assert rotation.turn(ROUND, 4.1).page.key == "last"
    assert rotation.turn(ROUND, 4.1).until_s == 14.0


@pytest.mark.parametrize(
    ("then", "expected"),
    [
        (("splash", "last", "right"), "right"),  # the one that has its place now
        (("splash",), "splash"),
        (("no core",), "no core"),
    ],
)
def test_a_page_that_is_gone_gives_its_turn_to_another(then: tuple[str, ...], expected: str) -> None:
    rotation = Rotation(0.0)
    rotation.jump("left", 0.0)
    assert rotation.turn(ROUND, 1.0).page.key == "left"
    assert rotation.turn(pages(*then), 2.0).page.key == expected


def test_a_new_page_before_the_present_one_does_not_take_its_turn() -> None:
    rotation = Rotation(0.0)
    rotation.jump("right", 0.0)
    assert rotation.turn(ROUND, 1.0).page.key == "right"
    assert rotation.turn(pages("splash", "new", "last", "left", "right"), 2.0).page.key == "right"


def test_what_is_on_a_page_may_change_in_its_turn() -> None:
    rotation = Rotation(0.0)
    rotation.jump("left", 0.0)
    rotation.turn(ROUND, 0.0)
    other = [Page(key="left", rows=("fuller",), seconds=10.0), Page(key="right", rows=(), seconds=10.0)]
    turn = rotation.turn(other, 5.0)
    assert (turn.page.rows, turn.until_s) == (("fuller",), 10.0)


def test_after_a_long_sleep_the_round_is_not_made_up_for() -> None:
    rotation = Rotation(0.0)
    rotation.turn(ROUND, 0.0)
    turn = rotation.turn(ROUND, 100_000.0)
    assert turn.page.key == "last"
    assert turn.until_s == 100_010.0


def test_the_backlight_goes_off_when_nothing_happens_and_on_when_something_does() -> None:
    light = Backlight(300.0, 0.0)
    assert light.on(0.0)
    assert light.off_at_s(10.0) == 300.0
    assert light.on(299.9)
    assert not light.on(300.0)
    assert light.off_at_s(300.0) is None
    light.activity(1000.0)
    assert light.on(1000.0)
    assert light.off_at_s(1001.0) == 1300.0


def test_a_backlight_without_a_timeout_stays_on() -> None:
    light = Backlight(0.0, 0.0)
    assert light.on(1e9)
    assert light.off_at_s(1.0) is None
