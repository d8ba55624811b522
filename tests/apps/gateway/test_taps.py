"""Grants by the clock: what an hour of a tap room would be needed for."""

from __future__ import annotations

import itertools

from kegapps.gateway.taps import BY_OTHERS, COMMAND_S, RELAY_HELD_S, Changes, Taps

ALICE, BOB = ("core.rfid", "a"), ("core.rfid", "b")
METER, BOARD, RELAY = "kb.flow0", "kb", "kb.relay1"


def tended(*, relay: str = RELAY) -> Taps:
    numbers = itertools.count(1)
    taps = Taps(lambda: f"g{next(numbers)}")
    taps.tap(METER, BOARD, 0)
    taps.know({METER: relay})
    return taps


def let_in(taps: Taps, now_s: float, key: tuple[str, str] = ALICE, owner: str = "alice") -> None:
    taps.tap(METER, BOARD, 0).show(key)
    taps.flow(METER, owner, 0.0, is_over=False)
    taps.relay(RELAY, now_s, enabled=True)
    taps.settle(BOARD, now_s)


def kinds(taps: Taps, now_s: float) -> list[tuple[str, object]]:
    return [
        (command["type"], command["data"].get("grant_id") or command["data"].get("grant_ids"))
        for command in taps.commands(BOARD, now_s)
    ]


def test_a_valve_that_the_core_does_not_mention_for_10_s_is_not_kept_open() -> None:
    taps = tended()
    let_in(taps, 0.0)
    assert kinds(taps, 1.0) == [("authorize", "g1")]
    taps.settle(BOARD, RELAY_HELD_S)
    assert kinds(taps, RELAY_HELD_S) == [("authorize", "g1")]
    for late_s in (0.1, 1.0):
        taps.settle(BOARD, RELAY_HELD_S + late_s)
    assert kinds(taps, RELAY_HELD_S + 1) == [("deauthorize", ["g1"])]


def test_a_flow_without_its_valve_is_no_grant_and_one_without_any_valve_is() -> None:
    taps = tended()
    taps.tap(METER, BOARD, 0).show(ALICE)
    taps.flow(METER, "alice", 0.0, is_over=False)
    assert taps.settle(BOARD, 0.0).opened == ()
    taps.know({METER: ""})
    assert [grant.relay_numbers for grant in taps.settle(BOARD, 0.0).opened] == [()]


def test_a_valve_on_another_board_is_not_this_ones_to_open() -> None:
    taps = tended(relay="kegboard.relay0")
    taps.tap(METER, BOARD, 0).show(ALICE)
    taps.flow(METER, "alice", 0.0, is_over=False)
    taps.relay("kegboard.relay0", 0.0, enabled=True)
    assert [grant.relay_numbers for grant in taps.settle(BOARD, 0.0).opened] == [()]


def test_between_two_glasses_the_grant_stays() -> None:
    taps = tended()
    let_in(taps, 0.0)
    taps.tap(METER, BOARD, 0).show(ALICE)
    taps.flow(METER, "alice", 0.0, is_over=True)
    taps.settle(BOARD, 1.0)
    taps.flow(METER, "alice", 1.0, is_over=False)
    taps.settle(BOARD, 1.4)
    taps.relay(RELAY, 2.0, enabled=True)
    taps.settle(BOARD, 2.0)
    assert kinds(taps, 2.0) == [("authorize", "g1")]


def test_another_owner_has_another_grant_at_once() -> None:
    taps = tended()
    let_in(taps, 0.0)
    let_in(taps, 1.0, BOB, "bob")
    assert kinds(taps, 1.0) == [("deauthorize", ["g1"]), ("authorize", "g2")]


def test_whom_others_let_in_is_not_taken_for_who_was_here_before() -> None:
    taps = tended()
    let_in(taps, 0.0)
    taps.flow(METER, "alice", 0.0, is_over=True)
    taps.flow(METER, "carol", 1.0, is_over=False)
    assert [grant.key for grant in taps.settle(BOARD, 1.0).opened] == [BY_OTHERS]


def test_a_command_that_nobody_acknowledges_is_given_up_after_five_minutes() -> None:
    taps = tended()
    taps.deny(BOARD, ALICE, "not known here", 0.0)
    taps.close(BOARD, "g0", 0.0)
    assert len(kinds(taps, COMMAND_S - 1)) == 2
    assert kinds(taps, COMMAND_S) == []


def test_denials_are_few() -> None:
    taps = tended()
    for number in range(50):
        taps.deny(BOARD, ("core.rfid", str(number)), "not known here", 0.0)
    denied = [command["data"]["token"] for command in taps.commands(BOARD, 0.0)]
    assert denied == [str(number) for number in range(42, 50)]


def test_a_token_shown_again_before_the_core_has_ended_its_flow_is_still_its_owners() -> None:
    taps = tended()
    let_in(taps, 0.0)
    taps.ended(BOARD, "g1", [])
    taps.tap(METER, BOARD, 0).show(ALICE)
    assert taps.settle(BOARD, 0.1).opened == (), "what is known of the flow is of the past"
    taps.flow(METER, "alice", 0.0, is_over=True)
    taps.flow(METER, "alice", 0.2, is_over=False)
    assert [grant.key for grant in taps.settle(BOARD, 0.2).opened] == [ALICE]


def test_what_is_told_of_the_one_before_says_nothing_of_the_token_that_was_shown() -> None:
    taps = tended()
    let_in(taps, 0.0, BOB, "bob")
    tap = taps.tap(METER, BOARD, 0)
    tap.show(ALICE)
    assert tap.holder == BOB, "before the core has said anything"
    taps.flow(METER, "bob", 0.0, is_over=False)
    assert tap.holder == BOB
    taps.flow(METER, "bob", 0.0, is_over=True)
    taps.flow(METER, "alice", 0.1, is_over=False)
    assert tap.holder == ALICE


def test_a_token_that_was_denied_is_not_taken_for_that_of_the_next_one_let_in() -> None:
    taps = tended()
    taps.tap(METER, BOARD, 0).show(ALICE)
    taps.deny(BOARD, ALICE, "not known here", 0.3)
    taps.flow(METER, "carol", 5.0, is_over=False)
    assert taps.tap(METER, BOARD, 0).holder == BY_OTHERS


def test_a_token_that_the_core_has_not_answered_is_nobodys_and_takes_no_grant_away() -> None:
    taps = tended()
    let_in(taps, 0.0)
    stranger = ("core.rfid", "nobody's")
    taps.tap(METER, BOARD, 0).show(stranger)
    assert not taps.is_wanted(BOARD, [stranger], 0.1)
    assert taps.settle(BOARD, 0.1) == Changes()
    taps.deny(BOARD, stranger, "not known here", 0.3)
    taps.flow(METER, "alice", 0.4, is_over=False)
    assert taps.settle(BOARD, 0.9) == Changes()
    assert taps.tap(METER, BOARD, 0).holder == ALICE


def test_a_flow_that_is_cut_into_two_drinks_does_not_say_that_a_token_is_its_owners() -> None:
    taps = tended()
    let_in(taps, 0.0)
    taps.tap(METER, BOARD, 0).show(BOB)
    taps.flow(METER, "alice", 0.1, is_over=True)
    taps.flow(METER, "alice", 0.2, is_over=False)
    assert taps.tap(METER, BOARD, 0).holder == ALICE
    taps.flow(METER, "bob", 0.3, is_over=False)
    assert taps.tap(METER, BOARD, 0).holder == BOB
