"""Tokens, grants and valves: what the core decides is what the board is told."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kegapps.core.ledger import Ledger
from kegapps.core.store import Store
from kegapps.kegnet.events import ALL_TAPS, FlowRequest, TokenAuthEvent
from tests.apps.core.programs import App, CoreProgram
from tests.apps.gateway.programs import (
    GatewayProgram,
    bar,
    batch,
    counted,
    drinks,
    event,
    pour,
    shown,
    status,
    until,
    update,
)

ALICE, BOB = "0415ab96c3", "deadbeef00"


@pytest.fixture
def tended(tmp_path: Path) -> Iterator[Board]:
    """A core with a tap with a valve and one without, and a board of both that has said so."""
    Store(str(tmp_path / "core.sqlite"), boot_id="").close()
    with contextlib.closing(Ledger(str(tmp_path / "core.sqlite"))) as ledger:
        for number in range(2):
            ledger.add_tap(f"kb-1.flow{number}", 0.185)
        ledger.add_tap("other.flow0", 0.185)
        ledger.set_tap("kb-1.flow0", relay_name="kb-1.relay3")
        for name, token in (("alice", ALICE), ("bob", BOB)):
            ledger.add_user(name, 0.0)
            ledger.add_token("core.rfid", token, name, 0.0)
            ledger.add_token("core.onewire", token, name, 0.0)
    # A busy machine may take longer than a person at a tap should have to wait.
    with bar(tmp_path, gateway_flags=("--token_wait_s=2",)) as (core, gate, token):
        board = Board(core, gate, token)
        board.tell("status", status(1, meters=2)["data"])
        # Known to the core by their first readings, and to the gateway with their relays.
        until(
            lambda: gate.word("devices", "--json").stdout,
            lambda seen: seen.count('"core_ml_per_tick": 0.185') == 2,
        )
        yield board


class Board:
    """Tells one event at a time and remembers what it was answered."""

    def __init__(self, core: CoreProgram, gate: GatewayProgram, token: str) -> None:
        self.core, self.gate, self.token = core, gate, token
        self.number = 0
        self.commands: dict[str, dict[str, Any]] = {}

    def tell(self, kind: str, data: dict[str, Any], *, age_s: float = 0.0) -> list[dict[str, Any]]:
        """The commands in the answer, oldest first."""
        self.number += 1
        told = event(self.number, kind, data, age_s=age_s)
        code, answer = self.gate.ask(batch([told]), self.token)
        assert code == 200
        commands: list[dict[str, Any]] = answer["commands"]
        return commands

    def show(self, token: str, action: str = "attached", reader: str = "core.rfid") -> list[dict[str, Any]]:
        return self.tell("token", shown(1, token, action, reader)["data"])

    def acknowledge(self, *commands: dict[str, Any]) -> None:
        for command in commands:
            self.tell("command_result", {"command": command["id"], "result": "ok"})

    def pour(self, ticks: int, *, age_s: float = 0.0, **more: Any) -> list[dict[str, Any]]:
        return self.tell("pour", pour(1, ticks, **more)["data"], age_s=age_s)

    def look(self) -> list[dict[str, Any]]:
        """What an ordinary heartbeat is answered."""
        return self.tell("status", status(1, meters=2, state="heartbeat")["data"])

    def granted(self, token: str = ALICE, reader: str = "core.rfid") -> dict[int, dict[str, Any]]:
        """Show a token that opens, carry out what is ordered; the grants by meter."""
        commands = self.show(token, reader=reader)
        self.acknowledge(*commands)
        data = [command["data"] for command in commands if command["type"] == "authorize"]
        assert {grant["token"] for grant in data} == {token}, commands
        return {grant["meter_numbers"][0]: grant for grant in data}


def test_a_known_token_is_answered_with_a_grant_for_each_tap_and_the_valve_of_each(tended: Board) -> None:
    begin_s = time.monotonic()
    commands = tended.show(ALICE)
    assert time.monotonic() - begin_s < 5
    assert [command["type"] for command in commands] == ["authorize", "authorize"]
    for number, (command, relays) in enumerate(zip(commands, ([3], []), strict=True)):
        data = command["data"]
        assert data.pop("grant_id")
        assert data == {
            "meter_numbers": [number], "relay_numbers": relays, "max_idle_ms": 30000, "auth_device": "core.rfid",
            "token": ALICE,
        }  # fmt: skip
    assert "other.flow0" not in str([flow for flow in tended.core.output.splitlines() if "starts" in flow])


def test_a_command_is_repeated_in_each_answer_until_it_is_acknowledged(tended: Board) -> None:
    commands = tended.show(ALICE)
    assert tended.look() == commands == tended.look()
    tended.acknowledge(commands[0])
    assert tended.look() == commands[1:]
    tended.acknowledge(commands[1])
    assert tended.look() == []


def test_an_unknown_token_is_denied_and_opens_nothing(tended: Board) -> None:
    (denial,) = tended.show("ffffffffff")
    assert (denial["type"], denial["data"]) == (
        "deny", {"auth_device": "core.rfid", "token": "ffffffffff", "reason": "not known here"},
    )  # fmt: skip
    assert tended.look() == [denial]
    tended.acknowledge(denial)
    assert tended.look() == []


def test_an_unknown_token_is_denied_while_somebody_pours_who_keeps_the_grant(tended: Board) -> None:
    grant = tended.granted()[0]["grant_id"]
    (denial,) = tended.show("ffffffffff")
    assert (denial["type"], denial["data"]["token"]) == ("deny", "ffffffffff")
    tended.acknowledge(denial)
    assert tended.look() == []
    tended.pour(600, grant_id=grant)
    assert [(row.username, row.ticks) for row in drinks(tended.core, 1)] == [("alice", 600)]
    assert tended.look() == []


def test_two_known_users_in_turn_have_each_their_own_grant(tended: Board) -> None:
    first = tended.granted()
    second = tended.granted(BOB)
    assert tended.look() == []
    tended.pour(600, grant_id=first[0]["grant_id"], age_s=1)
    tended.pour(500, grant_id=second[0]["grant_id"])
    rows = drinks(tended.core, 2)
    assert {(row.username, row.ticks) for row in rows} == {("alice", 600), ("bob", 500)}
    again = tended.granted()
    assert not {grant["grant_id"] for grant in again.values()} & {
        grant["grant_id"] for grant in first.values()
    }


def test_a_pour_with_a_grant_is_its_users_and_one_without_is_a_guests(tended: Board) -> None:
    tended.pour(500)
    grants = tended.granted()
    tended.pour(1000, grant_id=grants[0]["grant_id"])
    tended.pour(700, meter=1, grant_id=grants[1]["grant_id"])
    assert {(row.tap_name, row.username, row.ticks) for row in drinks(tended.core, 3)} == {
        ("kb-1.flow0", None, 500), ("kb-1.flow0", "alice", 1000), ("kb-1.flow1", "alice", 700),
    }  # fmt: skip


def test_two_glasses_of_one_grant_are_two_drinks_and_the_valve_stays_open(tended: Board) -> None:
    grant = tended.granted()[0]["grant_id"]
    assert tended.pour(1000, grant_id=grant) == []
    until(lambda: counted(tended.core), lambda seen: seen == 1000)
    assert tended.pour(900, grant_id=grant) == []
    rows = drinks(tended.core, 2)
    assert [(row.username, row.ticks) for row in rows] == [("alice", 1000), ("alice", 900)]
    assert tended.look() == []


def test_a_live_pour_of_a_grant_is_its_users_and_one_drink(tended: Board) -> None:
    grant = tended.granted()[0]["grant_id"]
    for ticks in (300, 800):
        tended.tell("pour_update", update(1, ticks, "live")["data"])
    tended.pour(1100, pour_id="live", grant_id=grant)
    assert [(row.username, row.ticks) for row in drinks(tended.core, 1)] == [("alice", 1100)]


def test_a_pour_told_late_is_still_its_users_at_its_time(tended: Board) -> None:
    grant = tended.granted()[0]["grant_id"]
    tended.tell("grant_end", {"meter_numbers": [0], "reason": "idle", "grant_id": grant})
    tended.granted(BOB)
    now_s = time.time()
    tended.pour(1000, age_s=300, grant_id=grant)
    tended.pour(400, age_s=200)
    rows = drinks(tended.core, 2)
    assert [(row.username, row.ticks) for row in rows] == [("alice", 1000), (None, 400)]
    assert rows[0].end_unix_s == pytest.approx(now_s - 300, abs=2)


def test_a_grant_that_this_gateway_did_not_give_is_nobodys(tended: Board) -> None:
    tended.pour(1000, grant_id="made up", auth_device="core.rfid", auth_token=ALICE)
    assert [row.username for row in drinks(tended.core, 1)] == [None]


def test_the_end_of_a_grant_ends_the_flow_and_nothing_is_ordered_for_it(tended: Board) -> None:
    grant = tended.granted()[0]["grant_id"]
    tended.tell("pour_update", update(1, 600, "cut")["data"])
    tended.tell("grant_end", {"meter_numbers": [0], "reason": "detached", "grant_id": grant})
    assert [(row.username, row.ticks) for row in drinks(tended.core, 1)] == [("alice", 600)]
    assert tended.look() == []


def test_a_token_that_is_taken_away_takes_the_grant_along(tended: Board) -> None:
    grants = tended.granted(reader="core.onewire")
    tended.show(ALICE, "detached", "core.onewire")
    ended = until(tended.look, lambda commands: len(commands) == 2)
    assert {command["type"] for command in ended} == {"deauthorize"}
    assert {g for command in ended for g in command["data"]["grant_ids"]} == {
        grant["grant_id"] for grant in grants.values()
    }
    tended.acknowledge(*ended)
    assert tended.look() == []


def test_a_valve_that_the_core_closes_is_closed_on_the_board(tended: Board) -> None:
    grant = tended.granted()[0]["grant_id"]
    with contextlib.closing(Ledger(str(tended.core.store))) as ledger:
        ledger.enable_user("alice", enabled=False)
    tended.pour(100, meter=1)  # the core looks at its books when something comes
    ended = until(tended.look, lambda commands: commands)
    assert [grant] in [command["data"].get("grant_ids") for command in ended]


def test_without_a_core_nothing_is_opened_and_what_is_open_is_closed(tended: Board) -> None:
    grants = tended.granted()
    tended.core.process.kill()
    tended.core.process.wait()
    ended = until(tended.look, lambda commands: len(commands) == 2)
    assert {g for command in ended for g in command["data"]["grant_ids"]} == {
        grant["grant_id"] for grant in grants.values()
    }
    tended.acknowledge(*ended)
    (denial,) = tended.show(BOB)
    assert (denial["type"], denial["data"]["reason"]) == ("deny", "the core is away")


def test_a_gateway_that_was_killed_takes_back_what_it_gave(tended: Board) -> None:
    grants = tended.granted()
    tended.gate.kill()
    with contextlib.closing(_Again(tended)) as again:
        ended = tended.look()
        assert {g for command in ended for g in command["data"]["grant_ids"]} == {
            grant["grant_id"] for grant in grants.values()
        }
        tended.pour(1000, grant_id=grants[0]["grant_id"])
        assert [(row.username, row.ticks) for row in drinks(tended.core, 1)] == [("alice", 1000)]
        assert again.gate is tended.gate


class _Again:
    """The gateway, started once more."""

    def __init__(self, board: Board) -> None:
        self.gate = board.gate = GatewayProgram(board.gate.cwd, "--token_wait_s=2", core_port=board.core.port)

    def close(self) -> None:
        self.gate.kill()


def test_a_grant_that_the_board_has_ended_is_not_given_again_for_the_same_showing(tended: Board) -> None:
    grants = tended.granted()
    for number, grant in grants.items():
        data = {"meter_numbers": [number], "reason": "max_idle", "grant_id": grant["grant_id"]}
        assert tended.tell("grant_end", data) == []
    assert tended.look() == []
    assert set(tended.granted()) == {0, 1}, "but for the next one"


def test_whom_the_core_lets_in_by_another_reader_pours_here_too(tended: Board) -> None:
    app = App(tended.core.port)
    app.send(TokenAuthEvent(tap_name=ALL_TAPS, auth_device_name="core.rfid", token_value=BOB, status="added"))
    commands = until(tended.look, lambda commands: len(commands) == 2)
    assert [command["type"] for command in commands] == ["authorize", "authorize"]
    grant = commands[0]["data"]["grant_id"]
    tended.acknowledge(*commands)
    tended.pour(800, grant_id=grant)
    app.send(FlowRequest(tap_name="kb-1.flow0", request="stop_flow"))
    assert [(row.username, row.ticks) for row in drinks(tended.core, 1)] == [("bob", 800)]
    app.close()


def test_a_valve_that_a_tap_was_given_a_moment_ago_is_opened_by_the_next_token(tended: Board) -> None:
    with contextlib.closing(Ledger(str(tended.core.store))) as ledger:
        ledger.set_tap("kb-1.flow1", relay_name="kb-1.relay0")
    assert [grant["relay_numbers"] for grant in tended.granted().values()] == [[3], [0]]


def test_a_valve_that_a_tap_lost_a_moment_ago_is_opened_no_more(tended: Board) -> None:
    with contextlib.closing(Ledger(str(tended.core.store))) as ledger:
        ledger.set_tap("kb-1.flow0", relay_name="")
    assert [grant["relay_numbers"] for grant in tended.granted().values()] == [[], []]
