"""Which board has which name, whatever socket it is in."""

from __future__ import annotations

import pytest

from kegapps.kbsp.messages import Hello
from kegapps.kegboard.roster import MAX_BOARDS, Board, Naming, Refusal, Roster, check_name, parse_names

SERIAL = "KB-0000-0000-DEADBEEF"


def hello(serial_number: str | None = "") -> Hello:
    return Hello(firmware_version=18, serial_number=serial_number)


def roster(*, single: bool = False, given: dict[str, str] | None = None) -> Roster:
    return Roster(Naming(name="kegboard", single=single, given=given or {}), required_firmware=7)


def claimed(roster: Roster, serial_number: str | None, line: str) -> Board:
    board = roster.claim(hello(serial_number), line, (line,))
    assert isinstance(board, Board), board
    return board


@pytest.mark.parametrize(
    ("serial_number", "path", "name"),
    [
        (SERIAL, "/dev/ttyUSB0", "kegboard-deadbeef"),
        ("42", "/dev/ttyUSB0", "kegboard-42"),
        ("a b/c.d", "/dev/ttyUSB0", "kegboard-a_b_c_d"),
        ("", "/dev/ttyUSB0", "kegboard"),
        ("KB-0000-0000-00000001", "/dev/ttyUSB0", "left"),
        ("", "/dev/ttyUSB7", "right"),
        (SERIAL, "/dev/ttyUSB7", "right"),
    ],
)
def test_a_board_is_named_by_its_serial_number_unless_somebody_gave_it_a_name(
    serial_number: str, path: str, name: str
) -> None:
    naming = Naming(
        name="kegboard", single=False, given=parse_names(["KB-0000-0000-00000001=left", "/dev/ttyUSB7=right"])
    )
    assert naming.name_of(serial_number, (path,)) == name


def test_the_one_board_of_a_plain_path_has_the_name_of_the_flag_whatever_its_serial_number() -> None:
    one = roster(single=True)
    assert one.only.name == "kegboard"
    assert claimed(one, SERIAL, "/dev/ttyUSB0") is one.only


def test_a_board_keeps_its_name_and_what_is_known_of_its_meters_in_another_socket() -> None:
    boards = roster()
    first = claimed(boards, SERIAL, "/dev/ttyUSB0")
    first.line = None
    assert claimed(boards, SERIAL, "/dev/ttyUSB1") is first
    assert first.line == "/dev/ttyUSB1"


def test_two_boards_that_swap_their_sockets_stay_themselves() -> None:
    boards = roster()
    one, two = claimed(boards, "KB-1", "a"), claimed(boards, "KB-2", "b")
    one.line = two.line = None
    assert claimed(boards, "KB-2", "a") is two
    assert claimed(boards, "KB-1", "b") is one


@pytest.mark.parametrize(
    ("serial_number", "cure"),
    [("", "kegboard_monitor.py --set_serial_number=new"), (SERIAL, "another name with --kegboard_names")],
)
def test_the_second_board_of_a_name_is_refused_with_what_to_do(serial_number: str, cure: str) -> None:
    boards = roster()
    claimed(boards, serial_number, "/dev/ttyUSB0").device = "/dev/ttyUSB0"
    refused = boards.claim(hello(serial_number), "/dev/ttyUSB1", ("/dev/ttyUSB1",))
    assert isinstance(refused, Refusal)
    assert "another board on /dev/ttyUSB0 is kegboard" in refused.reason
    assert cure in refused.reason


def test_a_name_is_free_again_when_its_board_has_gone() -> None:
    boards = roster()
    claimed(boards, None, "a").line = None
    assert claimed(boards, None, "b").name == "kegboard"


def test_two_boards_with_one_name_at_different_times_do_not_share_what_is_known_of_their_meters() -> None:
    boards = roster()
    one = claimed(boards, "KB-1-deadbeef", "a")
    one.line = None
    other = claimed(boards, "KB-2-deadbeef", "a")
    assert (one.name, one.conversation) != (other.name, other.conversation)
    assert [board.name for board in boards.boards] == ["kegboard-deadbeef"]


def test_a_board_that_somebody_named_and_that_never_came_is_absent() -> None:
    boards = roster(given={"kb-1": "left", "kb-2": "right"})
    claimed(boards, "KB-1", "a")
    boards.miss()
    assert {board.name: board.state for board in boards.boards} == {"left": None, "right": "absent"}
    assert {b.name: b.detail for b in boards.boards}["right"] == "not seen since the daemon started"
    claimed(boards, "KB-2", "b")
    assert len(boards.boards) == 2


def test_a_line_gone_mad_does_not_make_endless_boards() -> None:
    boards = roster()
    for number in range(2 * MAX_BOARDS):
        board = boards.claim(hello(f"KB-{number:08}"), "a", ("a",))
        if isinstance(board, Board):
            board.line = None
    assert len(boards.boards) == MAX_BOARDS


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["left"], "expected SERIAL=NAME or DEVICE=NAME"),
        (["=left"], "expected SERIAL=NAME"),
        (["KB-1="], "expected a short name"),
        (["KB-1=a b"], "expected a short name"),
        (["KB-1=left", "KB-2=left"], "the name left is given twice"),
        (["KB-1=left", "kb-1=right"], "kb-1 has a name already, left"),
    ],
)
def test_names_that_make_no_sense_are_refused(words: list[str], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_names(words)


@pytest.mark.parametrize("name", ["", " ", "a b", "x" * 57, "ä", ".kegboard", "left/right"])
def test_a_name_that_a_core_would_not_take_is_no_name(name: str) -> None:
    with pytest.raises(ValueError, match="expected a short name such as kegboard"):
        check_name(name)
