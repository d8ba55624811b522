"""Boards that are lost and come back, and what becomes of the valves on them."""

from __future__ import annotations

import pytest

from kegapps.core.boards import GONE, MAX_BOARDS, REFUSED_FOR_S, Boards
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
        ([("a", "absent")], {"kegboard"}),
        ([("a", "too_old")], {"kegboard"}),
        ([("a", "online"), ("a", "silent"), ("a", "online")], set()),
        ([("a", "online"), ("a", None)], {"kegboard"}),
        ([("a", "online"), ("a", None), ("b", "online")], set()),
        ([("a", "online"), ("b", "online"), ("a", None)], set()),
        ([("a", "online"), ("b", "absent")], set()),
        ([("a", "online"), ("b", "absent"), ("b", None)], set()),
        ([("a", "online"), ("a", "refused")], set()),
        ([("b", "refused")], set()),
        ([("b", None)], set()),
    ],
    ids=[
        "never told of", "online", "silent", "absent", "too old", "silent for a while", "its daemon ended",
        "its daemon came back", "a new daemon before the old one went", "somebody else cannot see it",
        "somebody else could not see it", "a second one of its name", "only a second one of its name",
        "another program went",
    ],
)  # fmt: skip
def test_a_board_is_lost_when_it_was_told_of_and_nobody_connected_says_that_it_is_online(
    history: list[tuple[str, BoardState | None]], lost: set[str]
) -> None:
    boards = Boards()
    for peer, state in history:
        if state is None:
            boards.leave(peer)
        else:
            boards.tell(board(state), peer, NOW)
    assert boards.lost == lost


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
    assert bar.send(board("absent"), added(ALICE)) == ["FU initial alice 0"]
    assert bar.send(board("online")) == ["relay0 enabled"]


def test_a_flow_without_an_owner_opens_no_valve_when_its_board_is_back() -> None:
    bar = Bar()
    bar.send(board("online"), reading(0), reading(50), board("silent"))
    assert bar.send(board("online")) == []


def test_nothing_wakes_the_core_for_the_valve_of_a_lost_board() -> None:
    bar = Bar()
    bar.send(board("absent"), added(ALICE))
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
