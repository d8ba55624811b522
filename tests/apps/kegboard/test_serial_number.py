"""A board is given its serial number, once."""

from __future__ import annotations

import re

import pytest

from kegapps.kegboard.serial_number import parse_serial_number
from tests.apps.kegboard.programs import Bar, Program


def give(bar: Bar, number: str) -> tuple[int, list[str]]:
    program: Program = bar.run(
        "kegboard_monitor.py", "--kegboard_device=board", f"--set_serial_number={number}"
    )
    return program.wait(), program.lines


def test_a_board_without_a_serial_number_gets_one_and_keeps_it(bar: Bar) -> None:
    board = bar.simulator()
    status, lines = give(bar, "KB-0000-0000-deadbeef")
    assert (status, lines) == (0, [f"{board.link} is KB-0000-0000-deadbeef"])
    assert board.state()["serial_number"] == "KB-0000-0000-deadbeef"
    status, lines = give(bar, "KB-0000-0000-deadbeef")
    assert (status, lines) == (0, [f"{board.link} was already KB-0000-0000-deadbeef"])
    status, lines = give(bar, "new")
    assert status == 1
    assert lines == [
        f"kegboard_monitor.py: {board.link}: the board is KB-0000-0000-deadbeef, and keeps that number for ever"
    ]


def test_two_boards_that_were_one_name_are_two_after_one_got_a_serial_number(bar: Bar) -> None:
    bar.simulator()
    assert give(bar, "KB-0000-0000-deadbeef")[0] == 0
    bar.simulator(name="other")
    core = bar.core()
    daemon = bar.daemon(core, device="board,other")
    daemon.line("status: boards online: kegboard, kegboard-deadbeef")


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [(["--firmware_version=14"], "firmware 14 keeps no serial number"), (None, "no such device")],
)
def test_a_board_that_cannot_have_one_is_left_as_it_is(
    bar: Bar, flags: list[str] | None, complaint: str
) -> None:
    if flags is not None:
        bar.simulator(*flags)
    status, lines = give(bar, "new")
    assert status == 1
    assert complaint in lines[0]
    assert len(lines) == 1


def test_a_new_serial_number_has_the_usual_form() -> None:
    assert re.fullmatch("KB-0000-0000-[0-9a-f]{8}", parse_serial_number("new"))


@pytest.mark.parametrize("text", ["", "a b", "x" * 30, "a,b", "a=b", "ä", "KB\n"])
def test_a_serial_number_that_would_make_trouble_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected at most 29 letters"):
        parse_serial_number(text)
