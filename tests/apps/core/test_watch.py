"""Owners whose token may have been taken away while nobody listened, and what becomes of their valves."""

from __future__ import annotations

import pytest

from kegapps.core.model import Memory, Now
from kegapps.core.watch import MAX_BOARDS, Watch
from kegapps.kegnet.events import BoardState, BoardStatus
from tests.apps.core.bar import ALICE, ALICE_RFID, BOB, FLOW0, Bar, added, reading, removed

AGAIN = f"{FLOW0}: nobody listened to the board for a while; alice's token may be gone, show it again"


def board(listened_s: float | None, *, state: BoardState = "online", name: str = "kegboard") -> BoardStatus:
    return BoardStatus(board_name=name, state=state, listened_s=listened_s)


@pytest.mark.parametrize(
    ("history", "broken"),
    [
        ([], False),
        ([(0, "a", None)], False),
        ([(0, "a", 60)], False),
        ([(0, "a", 60), (10, "a", 70)], False),
        ([(0, "a", 60), (10, "a", 3)], True),
        ([(0, "a", 60), (10, "b", 70)], False),
        ([(0, "a", 60), (40, "b", 3)], True),
        ([(0, "a", 1), (40, "a", 11)], False),
        ([(10, "b", 2)], True),
        ([(10, "b", 2), (20, "b", None)], True),
        ([(0, "a", 5.5), (6, "a", 5.6)], False),
    ],
    ids=[
        "never told of", "a daemon of 2012", "listened to all along", "told again", "the board booted or was plugged in",
        "the core was away from its daemon", "another daemon", "told late", "core and daemon began anew",
        "then not told any more", "a core that was stopped",
    ],
)  # fmt: skip
def test_a_token_shown_a_second_ago_must_be_there_unless_nobody_listened_since(
    history: list[tuple[float, str, float | None]], broken: bool
) -> None:
    watch = Watch()
    for at_s, peer, listened_s in history:
        watch.tell(board(listened_s), peer, Now(mono_s=1000.0 + at_s, unix_s=0.0))
    assert watch.was_broken("kegboard", 999.0) is broken


def test_a_board_that_was_away_was_not_listened_to_however_soon_it_had_been_told_of_before() -> None:
    watch = Watch()
    for now_s, status in ((0.0, board(0.2)), (2.0, board(None, state="absent")), (3.0, board(0.3))):
        watch.tell(status, "a", Now(mono_s=100.0 + now_s, unix_s=1e9 + now_s))
    assert watch.was_broken("kegboard", 101.0)


def test_a_client_that_tells_of_endless_boards_does_not_fill_the_memory() -> None:
    watch = Watch()
    for number in range(3 * MAX_BOARDS):
        watch.tell(board(1.0, name=f"board{number}"), "a", Now(mono_s=1000.0, unix_s=0.0))
    assert len(watch._heard) == MAX_BOARDS


def test_after_its_board_was_lost_a_valve_stays_closed_until_the_token_is_shown_again() -> None:
    bar = Bar()
    bar.send(board(60), added(ALICE), reading(0), reading(50))
    bar.send(board(None, state="absent"))
    bar.wait(5)
    assert bar.send(board(2)) == []
    assert bar.wait(3) == []
    assert bar.said()[-2:] == [AGAIN, "Board kegboard is back"]
    assert bar.send(reading(90)) == ["FU active alice 90"]
    assert bar.send(added(ALICE)) == ["relay0 enabled"]
    assert bar.wait(1.25) == ["relay0 enabled"]
    assert bar.send(removed(ALICE))[0] == "relay0 disabled"


def test_the_same_if_the_board_booted_under_the_eyes_of_its_daemon() -> None:
    bar = Bar()
    bar.send(board(60), added(ALICE))
    bar.wait(5)
    assert bar.new_lines() == []
    assert bar.send(board(0)) == ["relay0 disabled"]
    assert bar.send(added(ALICE)) == ["relay0 enabled"]  # a board that boots tells what is on its reader


@pytest.mark.parametrize("taken_away", [True, False], ids=["the token is taken away", "it falls idle"])
def test_the_flow_still_ends_when(taken_away: bool) -> None:
    bar = Bar()
    bar.send(board(60), added(ALICE), reading(0), reading(50))
    bar.wait(5)
    bar.send(board(2))
    if taken_away:
        bar.send(removed(ALICE))
    else:
        bar.wait(121)
    assert [drink.username for drink in bar.drinks()] == ["alice"]


def test_another_token_opens_the_valve_for_its_own_owner() -> None:
    bar = Bar()
    bar.send(board(60), added(ALICE))
    bar.wait(5)
    bar.send(board(2))
    assert "relay0 enabled" in bar.send(added(BOB))
    assert bar.wait(1.25) == ["relay0 enabled"]


def test_a_token_that_is_only_swiped_is_not_expected_to_stay() -> None:
    bar = Bar()
    bar.send(board(60), added(ALICE_RFID), removed(ALICE_RFID))
    bar.wait(5)
    bar.send(board(None, state="absent"))
    assert bar.send(board(2)) == ["relay0 enabled"]


@pytest.mark.parametrize(("listened_s", "opens"), [(60.0, True), (2.0, False), (None, True)])
def test_after_a_restart_of_the_core_a_valve_is_opened_if_the_daemon_has_listened_all_along(
    listened_s: float | None, opens: bool
) -> None:
    before = Bar()
    before.send(board(30), added(ALICE), reading(0), reading(50))
    flow, presence = before.engine.open_flows[0], before.engine._admission._readers.present(FLOW0)
    assert presence is not None
    bar = Bar(memory=Memory(flows=(flow,), presences=(presence,)), mono_s=before.now.mono_s + 10)
    bar.send(board(listened_s))
    assert bar.wait(1.25) == (["relay0 enabled"] if opens else [])
