"""Every documented answer of the endpoint, by the real program; no core is there."""

from __future__ import annotations

import json
import random
import re
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.apps.gateway.fuzz import Endpoint, framed, read
from tests.apps.gateway.programs import (
    DEADLINE_S,
    GatewayProgram,
    ask,
    batch,
    event,
    gateway,
    gateway_word,
    pour,
    raw,
    status,
)

PENDING = (401, {"pairing": {"state": "pending"}})
DENIED = (401, {"pairing": {"state": "denied"}})
DONE: tuple[int, dict[str, Any]] = (200, {"commands": []})


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[GatewayProgram, str]]:
    with gateway(tmp_path_factory.mktemp("endpoint")) as program:
        yield program, program.paired("kb-1")


def test_a_board_is_let_in_by_a_person_and_given_its_token_once(
    served: tuple[GatewayProgram, str],
) -> None:
    gate, _ = served
    hello = batch([status(1)], device="kb-2")
    assert gate.ask(hello) == PENDING
    assert gate.ask(hello, token="kbe_" + "0" * 40) == PENDING
    assert gate.word("allow", "kb-2").returncode == 0
    code, answer = gate.ask(hello)
    assert code == 401
    assert answer["pairing"]["state"] == "allowed"
    token = answer["pairing"]["token"]
    assert re.fullmatch(r"kbe_[0-9a-f]{40}", token)
    assert gate.ask(hello) == PENDING, "given once"
    assert gate.ask(hello, token) == DONE
    assert gate.ask(hello, token[:-1]) == PENDING
    assert gate.ask(batch([status(1)], device="kb-3"), token) == PENDING, "a token is one board's"
    assert token.encode() not in b"".join(path.read_bytes() for path in gate.cwd.iterdir())
    assert gate.store.stat().st_mode & 0o777 == 0o600


def test_a_board_can_be_denied_revoked_and_forgotten_while_the_gateway_runs(
    served: tuple[GatewayProgram, str],
) -> None:
    gate, _ = served
    token, hello = gate.paired("kb-4"), batch([status(1)], device="kb-4")
    assert gate.word("revoke", "kb-4").returncode == 0
    assert gate.ask(hello, token) == PENDING
    assert gate.word("deny", "kb-4").returncode == 0
    assert gate.ask(hello, token) == gate.ask(hello) == DENIED
    assert gate.word("forget", "kb-4").returncode == 0
    assert gate.ask(hello, token) == PENDING
    rows = {row["device"]: row for row in json.loads(gate.word("devices", "--json").stdout)}
    assert rows["kb-4"]["state"] == "pending"
    assert "kb-4: pending" in gate.word("devices").stdout


def test_who_only_uses_a_boards_name_does_not_end_its_service(served: tuple[GatewayProgram, str]) -> None:
    gate, _ = served
    token, hello = gate.paired("kb-5"), batch([status(1)], device="kb-5")
    assert gate.ask(hello) == PENDING
    assert "one of its name asks for a token" in gate.word("devices").stdout
    assert gate.ask(hello, token) == DONE
    assert gate.word("allow", "kb-5").returncode == 0
    assert gate.ask(hello, token) == DONE, "until another one is fetched"
    assert gate.ask(hello)[1]["pairing"]["state"] == "allowed"
    assert gate.ask(hello, token) == PENDING


@pytest.mark.parametrize("path", ["/api/kegboard-event", "/kegboard-event", "/api/kegboard-event/?a=b"])
def test_the_endpoint_has_two_names(served: tuple[GatewayProgram, str], path: str) -> None:
    gate, token = served
    assert gate.ask(batch([status(1)]), token, path) == DONE


INVALID = [
    (b"not JSON", {"error": "invalid", "detail": "not JSON"}),
    (batch([pour(2, 1), pour(1, 1)]), {"error": "invalid", "detail": "events: id"}),
    (batch([pour(n, 1) for n in range(1, 18)]), {"error": "invalid", "detail": "events"}),
    (batch([status(1)], v=2), {"error": "unsupported_version"}),
]


@pytest.mark.parametrize(("body", "answer"), INVALID)
@pytest.mark.parametrize("is_paired", [True, False])
def test_a_malformed_batch_is_400_with_the_reason(
    served: tuple[GatewayProgram, str], body: object, answer: object, is_paired: bool
) -> None:
    gate, token = served
    assert gate.ask(body, token if is_paired else "") == (400, answer)


def test_16384_bytes_pass_and_one_more_does_not(served: tuple[GatewayProgram, str]) -> None:
    gate, token = served
    body = json.dumps(batch([status(1)], boot_id="large")).encode()
    assert gate.ask(body + b" " * (16384 - len(body)), token) == DONE
    assert gate.ask(body + b" " * (16385 - len(body)), token) == (413, {"error": "too_large"})


def test_unknown_types_and_malformed_data_are_200_and_counted(served: tuple[GatewayProgram, str]) -> None:
    gate, token = served
    before = _row(gate, "kb-1")["events_malformed"]
    events = [event(1, "set_mood", {}), event(2, "pour", {"meter_number": "x"}), event(3, "token", 7)]
    assert gate.ask(batch(events, boot_id="odd"), token) == DONE
    assert _row(gate, "kb-1")["events_malformed"] == before + 2
    assert "malformed meter_number" in gate.program.line("dropped a pour event")


def _row(gate: GatewayProgram, device: str) -> dict[str, Any]:
    rows: list[dict[str, Any]] = json.loads(gate.word("devices", "--json").stdout)
    return next(row for row in rows if row["device"] == device)


ELSE = [
    (b"GET /api/kegboard-event HTTP/1.1\r\nConnection: close\r\n\r\n", 405, "method_not_allowed"),
    (b"POST / HTTP/1.1\r\nConnection: close\r\n\r\n", 404, "not_found"),
    (b"POST /api/taps HTTP/1.1\r\nConnection: close\r\n\r\n", 404, "not_found"),
    (b"POST /kegboard-event HTTP/1.1\r\nContent-Type: text/plain\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}", 415, "unsupported_media_type"),
    (b"POST /kegboard-event HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", 413, "too_large"),
    (b"POST /kegboard-event HTTP/1.1\r\nContent-Length: 20000\r\n\r\n" + b"x" * 20000, 413, "too_large"),
    (b"\x16\x03\x01\x00\xa5\x01\x00\n", 400, "invalid"),
    (b"POST /" + b"x" * 9000, 431, "head_too_large"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "code", "error"), ELSE)
def test_anything_else_is_answered_and_hung_up_on(
    served: tuple[GatewayProgram, str], data: bytes, code: int, error: str
) -> None:
    head, _, body = raw(served[0].port, data).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % code)
    assert json.loads(body)["error"] == error


def test_a_connection_serves_again_and_again_also_what_comes_at_once(
    served: tuple[GatewayProgram, str],
) -> None:
    gate, token = served
    body = json.dumps(batch([status(1)])).encode()
    request = (
        b"POST /kegboard-event HTTP/1.1\r\nContent-Type: application/json; charset=utf-8\r\n"
        b"Authorization: bearer %s\r\nContent-Length: %d\r\n" % (token.encode(), len(body))
    )
    got = raw(gate.port, (request + b"\r\n" + body) * 4 + request + b"Connection: close\r\n\r\n" + body)
    assert got.count(b"HTTP/1.1 200 OK") == 5
    assert got.endswith(b'{"commands":[]}')


def test_a_client_that_asks_first_is_told_to_go_on(served: tuple[GatewayProgram, str]) -> None:
    gate, token = served
    body = json.dumps(batch([status(1)])).encode()
    with socket.create_connection(("127.0.0.1", gate.port), DEADLINE_S) as sock:
        sock.sendall(
            b"POST /kegboard-event HTTP/1.1\r\nExpect: 100-continue\r\nConnection: close\r\n"
            b"Authorization: Bearer %s\r\nContent-Length: %d\r\n\r\n" % (token.encode(), len(body))
        )
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(body)
        assert sock.recv(1000).startswith(b"HTTP/1.1 200 OK")


def test_strangers_cannot_fill_the_list_and_a_board_is_served_beside_them(tmp_path: Path) -> None:
    with gateway(tmp_path) as gate:
        token = gate.paired()
        codes = [gate.ask(batch([status(1)], device=f"stranger-{n}"))[0] for n in range(60)]
        assert set(codes) == {401, 503}, "503: come again, and lose nothing"
        assert gate.ask(batch([status(2)]), token) == DONE
        assert len(json.loads(gate.word("devices", "--json").stdout)) <= 33


def test_slow_and_silent_clients_give_way_to_a_board(tmp_path: Path) -> None:
    with gateway(tmp_path) as gate:
        token = gate.paired()
        crowd = []
        for _ in range(40):
            sock = socket.create_connection(("127.0.0.1", gate.port), DEADLINE_S)
            crowd.append(sock)
        assert gate.ask(batch([status(2)]), token) == DONE
        for sock in crowd:
            sock.close()


def test_two_gateways_do_not_share_a_store(tmp_path: Path) -> None:
    with gateway(tmp_path) as gate:
        said = f"another gateway (pid {gate.program.process.pid}) uses it; stop that one"
        done = gateway_word(gate.store, "--gateway_bind_addr=localhost:0")
        assert (done.returncode, said in done.stderr) == (1, True)
        (tmp_path / "link.sqlite").symlink_to(gate.store)
        done = gateway_word(tmp_path / "link.sqlite", "--gateway_bind_addr=localhost:0")
        assert (done.returncode, said in done.stderr) == (1, True)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["allow", "nobody"], 1, "nobody: no such board"),
        (["allow"], 2, "allow: expected DEVICE"),
        (["devices", "x"], 2, "devices: expected no more words"),
        (["dance"], 2, "dance: expected devices, allow, deny, revoke, forget, or nothing"),
    ],
)
def test_a_word_that_cannot_be_done_is_one_line(
    served: tuple[GatewayProgram, str], words: list[str], code: int, said: str
) -> None:
    done = served[0].word(*words)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_odd_name_is_one_for_the_core_too(served: tuple[GatewayProgram, str]) -> None:
    gate, _ = served
    token = gate.paired("Zapfhahn „links“")
    assert gate.ask(batch([pour(1, 5)], device="Zapfhahn „links“"), token) == DONE
    row = _row(gate, "Zapfhahn „links“")
    assert row["board_name"] == "Zapfhahn--links-"
    assert ask(gate.port, batch([status(1)], device="__x"))[0] == 401


def test_while_the_disk_takes_nothing_boards_are_told_to_come_again(tmp_path: Path) -> None:
    endpoint = Endpoint(tmp_path)
    requests, _ = read(framed(random.Random(1), json.dumps(batch([pour(1, 100)])).encode()))
    assert endpoint.answer(requests[0]) == 200
    endpoint.store._db.execute("pragma query_only = on")
    assert endpoint.answer(replace(requests[0], body=requests[0].body.replace(b"b1", b"b2"))) == 503
    assert "cannot be written" in endpoint.gateway.status
    endpoint.store._db.execute("pragma query_only = off")
    assert endpoint.answer(requests[0]) == 200
    assert endpoint.gateway.status.startswith("boards online: kb-1")
    endpoint.close()


def test_what_nobody_thought_of_does_not_end_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = Endpoint(tmp_path)
    requests, _ = read(framed(random.Random(1), json.dumps(batch([pour(1, 100)])).encode()))
    with monkeypatch.context() as broken:
        broken.setattr(endpoint.store, "take_ids", lambda *_: 1 // 0)
        assert endpoint.answer(requests[0]) == 503
    assert endpoint.store.meters() == {}, "nothing of it is kept"
    assert endpoint.answer(requests[0]) == 200
    assert endpoint.store.meters()["kb-1.flow0"].position == 100
    endpoint.close()
