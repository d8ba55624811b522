"""Who may pour: kegnet-protocol.md, "Tokens", with its upstream mistake mended."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kegapps.core.model import Flow, Memory, Setup
from kegapps.core.rules import Rules
from kegapps.core.tokens import idle_limit_s, is_captive
from tests.apps.core.bar import (
    ALICE,
    ALICE_RFID,
    BOB,
    BOB_RFID,
    CAROL,
    FLOW0,
    START_UNIX_S,
    Bar,
    added,
    reading,
    removed,
    request,
)

STRANGER = ("core.onewire", "00000000000000ff")
STRANGER_RFID = ("core.rfid", "ffffffffff")


@pytest.mark.parametrize(
    ("device", "captive", "limit_s"),
    [("core.onewire", True, 120.0), ("core.rfid", False, 20.0), ("turnstile", True, 10.0)],
)
def test_the_table_of_devices(device: str, captive: bool, limit_s: float) -> None:
    assert (is_captive(device, Rules()), idle_limit_s(device, Rules())) == (captive, limit_s)


@pytest.mark.parametrize(
    ("who", "limit_s"), [(ALICE, 120.0), (ALICE_RFID, 20.0), (CAROL, 10.0)], ids=lambda value: str(value)
)
def test_a_flow_lives_as_long_without_ticks_as_its_device_allows(
    who: tuple[str, str], limit_s: float
) -> None:
    bar = Bar()
    bar.send(added(who))
    assert "FU idle" not in " ".join(bar.wait(limit_s))
    assert bar.wait(0.5)[-3].startswith("FU idle")


@pytest.mark.parametrize("who", [STRANGER, STRANGER_RFID, ("turnstile", "card7")])
def test_an_unknown_token_brings_nothing_on_the_wire(who: tuple[str, str]) -> None:
    bar = Bar()
    assert bar.send(added(who), removed(who)) == []


def test_a_token_present_already_is_no_news() -> None:
    bar = Bar()
    bar.send(added(ALICE))
    assert bar.send(added(ALICE), added(ALICE)) == []


@pytest.mark.parametrize(
    ("who", "said"),
    [(ALICE, []), (ALICE_RFID, ["FU initial alice 0", "relay0 enabled"])],
    ids=["captive", "contactless"],
)
def test_a_contactless_token_that_nobody_said_was_gone_is_let_in_again_once_its_flow_is_over(
    who: tuple[str, str], said: list[str]
) -> None:
    bar = Bar()
    bar.send(added(who))
    assert bar.send(added(who)) == []
    assert bar.send(request("stop_flow"))[-1] == "FU completed alice 0"
    assert bar.send(added(who)) == said


def test_hexadecimal_tokens_match_in_any_case_and_others_only_as_they_are() -> None:
    bar = Bar()
    assert bar.send(added(("core.rfid", "0415AB96C3"))) == ["FU initial alice 0", "relay0 enabled"]
    assert bar.send(removed(("core.rfid", "0415Ab96C3")), request("stop_flow"))[-1] == "FU completed alice 0"
    assert bar.send(added(("turnstile", "CARD7"))) == []


def test_a_captive_token_taken_away_ends_even_an_anonymous_flow_and_even_if_it_was_never_accepted() -> None:
    bar = Bar()
    bar.send(added(STRANGER), reading(0), reading(100))
    assert bar.send(removed(STRANGER)) == ["relay0 disabled", "FU completed None 100", "drink guest"]


def test_a_contactless_token_taken_away_ends_nothing() -> None:
    bar = Bar()
    bar.send(added(STRANGER_RFID), reading(0), reading(100))
    assert bar.send(removed(STRANGER_RFID)) == []


def test_a_token_that_is_not_present_cannot_be_taken_away() -> None:
    bar = Bar()
    bar.send(added(ALICE), reading(0), reading(100))
    assert bar.send(removed(BOB), removed(ALICE_RFID)) == []


def test_another_token_pushes_the_first_away_as_if_removed() -> None:
    bar = Bar()
    bar.send(added(ALICE), reading(0), reading(100))
    assert bar.send(added(BOB)) == [
        "relay0 disabled", "FU completed alice 100", "drink alice", "FU initial bob 0", "relay0 enabled",
    ]  # fmt: skip
    assert bar.send(removed(ALICE)) == []  # it was forgotten


def test_a_second_captive_token_of_the_same_user_ends_the_flow_of_the_first() -> None:
    bar = Bar()
    bar.send(added(ALICE))
    assert bar.send(added(ALICE_RFID)) == [
        "relay0 disabled", "FU completed alice 0", "FU initial alice 0", "relay0 enabled",
    ]  # fmt: skip


@pytest.mark.parametrize("stranger", [STRANGER, STRANGER_RFID])
@pytest.mark.parametrize("who", [ALICE, ALICE_RFID])
def test_an_unknown_token_does_not_end_the_flow_of_somebody(
    who: tuple[str, str], stranger: tuple[str, str]
) -> None:
    bar = Bar()
    bar.send(added(who), reading(0), reading(100))
    if who == ALICE_RFID:
        bar.send(removed(who))
    assert bar.send(added(stranger), removed(stranger)) == []
    assert bar.send(reading(200)) == ["FU active alice 200"]


def test_the_owner_can_still_end_a_flow_after_an_unknown_token_was_waved() -> None:
    bar = Bar()
    bar.send(added(ALICE), reading(0), reading(100), added(STRANGER), removed(STRANGER))
    assert bar.send(removed(ALICE))[-1] == "drink alice"


def test_a_token_counts_from_the_moment_its_user_is_let_in() -> None:
    bar = Bar()
    assert bar.send(added(STRANGER_RFID), removed(STRANGER_RFID)) == []
    users = {**bar.setup.users, STRANGER_RFID: "dora"}
    bar.use(replace(bar.setup, users=users))
    assert bar.send(added(STRANGER_RFID)) == ["FU initial dora 0", "relay0 enabled"]


@pytest.mark.parametrize("owner", [BOB, BOB_RFID])
def test_who_is_shut_out_pours_no_more_from_then_on(owner: tuple[str, str]) -> None:
    bar = Bar()
    bar.send(added(owner), reading(0), reading(50))
    assert bar.use(Setup(taps=bar.setup.taps)) == ["relay0 disabled", "FU completed bob 50", "drink bob"]
    assert bar.send(removed(owner), added(owner), reading(60)) == ["FU initial None 0", "FU active None 10"]
    assert bar.wait(2) == []


def test_who_is_let_in_again_has_to_show_the_token_again() -> None:
    bar = Bar()
    bar.send(added(BOB))
    bar.use(Setup(taps=bar.setup.taps))
    assert bar.use(bar.setup) == []
    assert bar.send(added(BOB)) == ["FU initial bob 0", "relay0 enabled"]


def test_a_flow_ends_with_the_token_by_which_it_began_and_not_with_another_of_its_owner() -> None:
    bar = Bar()
    bar.send(added(ALICE_RFID), removed(ALICE_RFID))
    users = {key: user for key, user in bar.setup.users.items() if key != ALICE}
    assert bar.use(replace(bar.setup, users=users, refused=frozenset([ALICE]))) == []
    assert bar.use(replace(bar.setup, users={BOB: "bob"})) == ["relay0 disabled", "FU completed alice 0"]


FLOW_OF_ALICE = Flow(
    uuid="from-before", flow_id=17, tap_name=FLOW0, username="alice", idle_limit_s=20.0, start_unix_s=START_UNIX_S,
    last_unix_s=START_UNIX_S, last_mono_s=1000.0,
)  # fmt: skip


def test_a_flow_of_before_a_restart_ends_when_its_owner_has_no_token_any_more() -> None:
    bar = Bar(memory=Memory(flows=(FLOW_OF_ALICE,)))
    users = {key: user for key, user in bar.setup.users.items() if key != ALICE}
    assert bar.use(replace(bar.setup, users=users)) == []
    assert bar.use(replace(bar.setup, users={})) == ["relay0 disabled", "FU completed alice 0"]


def test_another_rule_for_captive_devices_can_be_given() -> None:
    bar = Bar(rules=Rules(not_captive_devices=frozenset({"turnstile"})))
    bar.send(added(CAROL))
    assert bar.send(removed(CAROL)) == []
    bar.send(request("stop_flow"), added(ALICE_RFID))
    assert bar.send(removed(ALICE_RFID)) == ["relay0 disabled", "FU completed alice 0"]
