"""Whose a board is."""

from __future__ import annotations

from kegapps.bridge.mqtt_claims import MAX_BOARDS, MAX_BOARDS_OF_ONE, Claims


def test_a_board_is_the_machines_that_told_of_it_first() -> None:
    claims = Claims()
    assert claims.claim("cellar", "kegboard") == claims.claim("cellar", "kegboard") == ""
    assert "machine cellar has a board of that name" in claims.claim("garden", "kegboard")
    assert claims.owner("kegboard") == "cellar"
    assert claims.owner("other") == ""


def test_a_board_of_the_cores_own_machine_is_no_other_machines() -> None:
    claims = Claims()
    claims.use(["kegboard"])
    assert "the core's own machine has a board of that name" in claims.claim("cellar", "kegboard")
    claims.use([])  # it is gone
    assert claims.claim("cellar", "kegboard") == ""


def test_what_a_machine_told_of_is_not_taken_for_the_cores_own() -> None:
    claims = Claims()
    claims.claim("cellar", "kegboard")
    claims.use(["kegboard"])
    assert claims.claim("cellar", "kegboard") == ""


def test_one_machine_with_junk_for_names_leaves_room_for_others() -> None:
    claims = Claims()
    told = [claims.claim("junk", f"b{number}") for number in range(MAX_BOARDS)]
    assert told.count("") == MAX_BOARDS_OF_ONE
    assert claims.claim("cellar", "kegboard") == ""


def test_there_are_no_more_boards_than_a_core_remembers() -> None:
    claims = Claims()
    told = [claims.claim(f"m{number}", f"b{number}") for number in range(MAX_BOARDS + 5)]
    assert told.count("") == MAX_BOARDS
