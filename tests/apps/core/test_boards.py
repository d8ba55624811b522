"""Boards that are lost and come back, and what becomes of the valves on them."""

from __future__ import annotations

from typing import cast

import pytest

from kegapps.core.boards import GONE, MAX_BOARDS, MAX_BOARDS_TOLD, REFUSED_FOR_S, Boards
from kegapps.core.model import Now, Tap
from kegapps.kegnet.events import BoardState, BoardStatus
from tests.apps.core.bar import ALICE, ALICE_RFID, FLOW0, FLOW1, START_UNIX_S, Bar, added, reading, request

NOW = Now(mono_s=1000.0, unix_s=START_UNIX_S)


def board(state: BoardState, name: str = "kegboard", device: str = "/dev/ttyUSB0") -> BoardStatus:
    return BoardStatus(board_name=name, state=state, device=device)


@pytest.mark.parametrize(
    ("history", "lost"),
    [
        ([], set()),
        ([("a", "online")], set()),
        ([("a", "silent")], {"kegboard"}),
        ([("a", "too_old")], {"kegboard"}),
        ([("a", "online"), ("a", "silent"), ("a", "online")], set()),
        ([("a", "online"), ("a", "absent")], {"kegboard"}),
        ([("a", "online"), ("a", None)], {"kegboard"}),
        ([("a", "online"), ("a", "absent"), ("a", None)], {"kegboard"}),
        ([("a", "online"), ("a", None), ("b", "online")], set()),
        ([("a", "online"), ("b", "online"), ("a", None)], set()),
        ([("a", "online"), ("a", "absent"), ("b", "online")], set()),
        ([("a", "online"), ("b", "absent")], set()),
        ([("a", "online"), ("b", "absent"), ("b", None)], set()),
        ([("a", "online"), ("a", "refused")], set()),
        ([("b", "refused")], set()),
        ([("b", None)], set()),
        ([("a", "absent")], set()),
        ([("a", "absent"), ("a", None)], set()),
        ([("a", "silent"), ("a", None)], set()),
        ([("a", "online"), ("b", "silent"), ("b", None)], set()),
        ([("b", "online"), ("a", "silent")], {"kegboard"}),
        ([("b", "online"), ("a", "online"), ("a", "silent")], {"kegboard"}),
        ([("a", "online"), ("a", "silent"), ("b", "online"), ("b", None)], {"kegboard"}),
        ([("a", "online"), ("a", "read")], set()),
        ([("a", "online"), ("a", None), ("c", "read")], set()),
        ([("a", "online"), ("a", "silent"), ("c", "read")], {"kegboard"}),
        ([("a", "online"), ("a", "absent"), ("c", "read")], {"kegboard"}),
        ([("a", "online"), ("a", None), ("c", "read"), ("a", "online"), ("a", None)], {"kegboard"}),
    ],
    ids=[
        "never told of", "online", "silent", "too old", "silent for a while", "unplugged", "its daemon ended",
        "its daemon ended while it was unplugged", "its daemon came back", "a new daemon before the old one went",
        "moved to another machine", "somebody else cannot see it", "somebody else could not see it",
        "a second one of its name", "only a second one of its name", "another program went", "never there",
        "a stranger never saw it", "a stranger could not hear it", "a stranger lied and went",
        "a stranger claims it and its daemon cannot hear it", "a stranger claimed it first",
        "a stranger claimed it and went", "read while it is online", "a daemon of 2012 reads it and a stranger claimed it",
        "a stranger sends readings while it is silent", "a stranger sends readings while it is unplugged",
        "read by another until its daemon came back",
    ],
)  # fmt: skip
def test_a_board_is_lost_while_anybody_says_it_is_unsafe_or_when_it_was_online_and_nobody_says_that_it_is(
    history: list[tuple[str, str | None]], lost: set[str]
) -> None:
    boards = Boards()
    for peer, state in history:
        if state is None:
            boards.leave(peer)
        elif state == "read":
            boards.read("kegboard")
        else:
            boards.tell(board(cast(BoardState, state)), peer, NOW)
    assert boards.lost == lost


@pytest.mark.parametrize("leaves", [True, False])
def test_boards_that_do_not_exist_do_not_blind_the_core_for_one_that_has_taps(*, leaves: bool) -> None:
    boards = Boards()
    boards.use(["kegboard"])
    for number in range(3 * MAX_BOARDS):
        boards.tell(board("online", f"x{number}"), f"stranger{number % 4}", NOW)
    if leaves:
        for number in range(4):
            boards.leave(f"stranger{number}")
    assert boards.tell(board("online"), "daemon", NOW)
    assert boards.tell(board("silent"), "daemon", NOW)
    assert "kegboard" in boards.lost
    assert len(boards.heard(NOW)) <= MAX_BOARDS + 1


def test_boards_that_have_gone_give_way_to_new_ones_but_for_those_with_taps() -> None:
    boards = Boards()
    boards.use(["kegboard"])
    boards.tell(board("online"), "daemon", NOW)
    for number in range(MAX_BOARDS):
        boards.tell(board("online", f"x{number}"), "stranger", NOW)
    boards.leave("daemon")
    boards.leave("stranger")
    assert boards.tell(board("online", "new"), "daemon again", NOW)
    assert "kegboard" in boards.lost
    assert "x0" not in boards.lost
    assert "x1" in boards.lost


def test_one_connection_tells_of_so_many_boards_and_leaves_room_for_others() -> None:
    boards = Boards()
    boards.use([f"x{number}" for number in range(2 * MAX_BOARDS_TOLD)])
    took = [boards.tell(board("online", f"x{n}"), "a", NOW) for n in range(2 * MAX_BOARDS_TOLD)]
    assert took == [True] * MAX_BOARDS_TOLD + [False] * MAX_BOARDS_TOLD
    assert boards.tell(board("online", f"x{2 * MAX_BOARDS_TOLD - 1}"), "b", NOW)


def states(boards: Boards, now: Now = NOW) -> list[tuple[str, str, str]]:
    return [(h.status.board_name, h.status.state, h.status.detail) for h in boards.heard(now)]


def test_a_board_whose_daemon_has_gone_is_still_told_of() -> None:
    boards = Boards()
    boards.tell(board("online"), "a", NOW)
    boards.tell(board("silent", "right"), "b", NOW)
    boards.leave("a")
    assert states(boards) == [("kegboard", "absent", GONE), ("right", "silent", "")]


def test_a_refused_board_is_told_of_beside_the_one_that_has_the_name_until_it_is_not_refused_any_more() -> (
    None
):
    boards = Boards()
    boards.tell(board("online"), "a", NOW)
    boards.tell(board("refused", device="/dev/ttyUSB1"), "a", NOW)
    assert [state for _, state, _ in states(boards)] == ["online", "refused"]
    later = Now(mono_s=NOW.mono_s + REFUSED_FOR_S + 0.1, unix_s=NOW.unix_s)
    assert [state for _, state, _ in states(boards, later)] == ["online"]


def test_a_client_that_tells_of_endless_boards_does_not_fill_the_memory() -> None:
    boards = Boards()
    for number in range(3 * MAX_BOARDS):
        for state in ("online", "refused"):
            boards.tell(board(state, f"board{number}"), f"peer{number % 5}", NOW)
    assert len(boards.heard(NOW)) <= 2 * MAX_BOARDS


def test_the_valve_of_a_lost_board_is_closed_once_and_fed_no_more_until_it_is_back() -> None:
    bar = Bar()
    bar.send(board("online"), added(ALICE))
    assert bar.wait(1.25) == ["relay0 enabled"]
    assert bar.send(board("silent")) == ["relay0 disabled"]
    assert bar.send(board("silent"), board("absent")) == []
    assert bar.wait(5) == []
    assert bar.send(board("online")) == ["relay0 enabled"]
    assert bar.wait(2.5) == ["relay0 enabled", "relay0 enabled"]


def test_the_end_of_the_connection_that_told_of_a_board_closes_its_valve_and_the_flow_lives_on() -> None:
    bar = Bar()
    bar.send(board("online"), added(ALICE), reading(0), peer="daemon")
    assert bar.leave("daemon") == ["relay0 disabled"]
    assert bar.send(board("online"), peer="daemon again") == ["relay0 enabled"]
    assert bar.send(reading(100), peer="daemon again") == ["FU active alice 100"]


def test_a_program_that_only_poured_for_a_test_closes_no_valve_when_it_ends() -> None:
    for boards in ([board("online")], []):  # with our daemon, and with one of 2012
        bar = Bar()
        bar.send(*boards, peer="daemon")
        bar.send(added(ALICE_RFID), reading(0), reading(50), peer="test flow")
        assert bar.leave("test flow") == []
        assert bar.wait(1.25) == ["relay0 enabled"]


def test_only_the_valves_on_the_lost_board_are_closed() -> None:
    taps = (
        Tap(name=FLOW0, ml_per_tick=1.0, relay_name="kegboard.relay0"),
        Tap(name=FLOW1, ml_per_tick=1.0, relay_name="other.relay1"),
    )
    bar = Bar(taps=taps)
    bar.send(board("online"), board("online", "other"), added(ALICE), added(ALICE, tap=FLOW1))
    assert bar.send(board("absent", "other")) == ["other.relay1 disabled"]
    assert bar.wait(1.25) == ["relay0 enabled"]


def test_a_flow_that_ends_while_its_board_is_lost_opens_nothing_when_the_board_is_back() -> None:
    bar = Bar()
    bar.send(board("online"), added(ALICE), board("absent"), request("stop_flow"))
    assert bar.send(board("online")) == []


def test_a_flow_that_begins_while_its_board_is_lost_opens_its_valve_when_the_board_is_back() -> None:
    bar = Bar()
    assert bar.send(board("silent"), added(ALICE)) == ["FU initial alice 0"]
    assert bar.send(board("online")) == ["relay0 enabled"]


def test_a_flow_without_an_owner_opens_no_valve_when_its_board_is_back() -> None:
    bar = Bar()
    bar.send(board("online"), reading(0), reading(50), board("silent"))
    assert bar.send(board("online")) == []


def test_nothing_wakes_the_core_for_the_valve_of_a_lost_board() -> None:
    bar = Bar()
    bar.send(board("online"), board("absent"), added(ALICE))
    wake_s = bar.engine.next_wake_mono_s()
    assert wake_s is not None
    assert wake_s - bar.now.mono_s > 100  # when the flow is idle


def test_people_are_told_once_that_a_board_is_lost_and_that_it_is_back() -> None:
    bar = Bar()
    bar.send(board("online"), board("silent"), board("silent"), board("online"), board("online"))
    assert bar.said() == [
        "Board kegboard is lost: its valves are closed until it is back",
        "Board kegboard is back",
    ]


def test_a_stranger_who_never_saw_a_board_closes_none_of_its_valves() -> None:
    bar = Bar()
    bar.send(added(ALICE_RFID), reading(0), reading(50), peer="daemon of 2012")
    assert bar.send(board("absent"), peer="stranger") == []
    assert bar.leave("stranger") == []
    assert bar.wait(1.25) == ["relay0 enabled"]


def test_a_stranger_who_claimed_a_board_and_went_closes_its_valves_until_somebody_reads_its_meters() -> None:
    bar = Bar()
    bar.send(added(ALICE_RFID), reading(0), reading(50), peer="daemon of 2012")
    bar.send(board("online"), peer="stranger")
    assert bar.leave("stranger") == ["relay0 disabled"]
    assert bar.send(reading(60, age_s=3.0), peer="daemon of 2012") == ["FU active alice 60"]  # of before
    assert bar.send(reading(70), peer="daemon of 2012") == ["relay0 enabled", "FU active alice 70"]
    assert bar.wait(1.25) == ["relay0 enabled"]


def test_apps_that_tell_of_too_many_boards_are_told_of_once() -> None:
    bar = Bar()
    for number in range(2 * MAX_BOARDS_TOLD):
        bar.send(board("absent", f"x{number}"))
    assert bar.said() == [f"Board x{MAX_BOARDS_TOLD} is not remembered: apps tell of too many boards"]
