"""Throws mutated and random answers at all that reads a Kegbot Server's: `python -m tests.apps.server.fuzz --inputs=1000000`.

Every input is read twice, whole and in random chunks, and one in SOCKET_SHARE comes through a real connection too.
Whatever it is: no exception but AnswerError, the same answer however it is cut, bounded memory, verdicts with a
printable reason, and never DONE without a drink to show for it.
"""

from __future__ import annotations

import gzip
import json
import random
import socket
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from kegapps.server import event_api, form_api
from kegapps.server.answers import AnswerError
from kegapps.server.calls import MAX_ANSWER_BYTES, Answer, Call, Pour
from kegapps.server.exchange import exchange
from kegapps.server.http_answer import MAX_TOTAL_BYTES, AnswerReader
from kegapps.server.look import Attempt, Found, find_drink
from kegapps.server.probe import Probe
from kegapps.server.url import parse_api_url
from kegapps.server.verdicts import Asked, Kind, Verdict, judge
from tests.apps import fuzzing
from tests.apps.server.rawserver import raw_server, request_of

SOCKET_SHARE: Final = 500
NOW: Final = 1_795_216_400.0
URL: Final = parse_api_url("http://localhost:8000/api/v1/")
POUR: Final = Pour(
    uuid="u", meter_name="kegboard.flow0", ticks=1000, volume_ml=454.5, ml_per_tick=1 / 2.2, username="alice",
    start_unix_s=NOW - 70, end_unix_s=NOW - 60,
)  # fmt: skip
ATTEMPT: Final = Attempt(pour=POUR, sent_unix_s=NOW - 20, after_drink_id="41")
DRINK: Final[dict[str, Any]] = {
    "id": 42, "ticks": 1000, "volume_ml": 454.5454545454545, "time": "2026-11-20T23:12:20.691920+00:00", "duration": 7,
    "keg_id": 1, "user_id": "alice", "url": "/drinks/42/", "session_id": 1, "user": {"username": "alice"},
}  # fmt: skip
TAP: Final[dict[str, Any]] = {
    "id": 1, "name": "Main Tap", "meter_name": "kegboard.flow0", "ml_per_tick": 0.45454545454545453,
    "relay_name": "", "current_keg_id": 1, "meter": {"id": 1, "name": "kegboard.flow0", "ticks_per_ml": 2.2},
    "current_keg": {"id": 1, "type": {"name": "Alt"}, "size_volume_ml": 5e4, "volume_ml_remain": 2.5e4, "percent_full": 50,
                    "beverage": {"name": "Alt"}, "full_volume_ml": 5e4, "served_volume_ml": 2.5e4},
    "thermo_sensor": {"id": 1, "sensor_name": "kegboard.thermo-1"},
    "last_temperature": {"id": 1, "temperature_c": 4.25, "time": "2026-11-20T23:28:00+00:00"},
}  # fmt: skip
BODIES: Final[tuple[Any, ...]] = (
    {"object": DRINK, "meta": {"result": "ok"}},
    {"objects": [{"id": 9, "kind": "drink_poured", "drink": DRINK}, {"id": 8, "kind": "session_started"}]},
    {"objects": [DRINK, {**DRINK, "id": 41}]},
    {"objects": [TAP, {"id": 2, "name": "", "meter_name": "unknown.2", "ml_per_tick": 0}], "meta": {}},
    {"object": {"taps": [TAP], "drinks": [DRINK], "site_info": {"server_version": "1.3.0"}}},
    {"object": {"auth_device": "core.rfid", "token_value": "ff", "username": "bob", "enabled": True,
                "expire_time": "2027-01-01T00:00:00Z"}},
    {"error": {"code": "BadRequestError", "message": {"ticks": ["This field is required."]}}},
    {"error": {"code": "ServerError", "message": "User matching query does not exist."}},
    {"error": {"code": "NotFoundError", "message": "Meter is inactive"}, "meta": {"result": "error"}},
    {"next": None, "results": [{"id": 1, "name": "Main Tap"}]},
    {"next": "more", "results": [{**DRINK, "user": {"username": "guest"}, "keg": {"id": 1}}]},
    {"detail": "Not found."},
    {"error": "setup_required"},
    {"pairing": {"state": "allowed", "token": "kbe_0123456789"}},
    {"commands": [
        {"id": "c1", "type": "authorize", "data": {"grant_id": "g", "meter_numbers": [0], "relay_numbers": []}},
        {"id": "c2", "type": "deny", "data": {"auth_device": "core.rfid", "token": "ff", "reason": "Unknown"}},
        {"id": "c3", "type": "deauthorize", "data": {"grant_ids": ["g"]}},
    ]},
)  # fmt: skip
HEADS: Final = (
    b"HTTP/1.1 200 OK", b"HTTP/1.1 200", b"HTTP/1.0 200 OK", b"HTTP/1.1 201 Created", b"HTTP/1.1 204 No Content",
    b"HTTP/1.1 400 Bad Request", b"HTTP/1.1 401 Unauthorized", b"HTTP/1.1 404 Not Found", b"HTTP/1.1 410 Gone",
    b"HTTP/1.1 500 Oops", b"HTTP/1.1 503 Busy", b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere/",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK",
)  # fmt: skip
PIECES: Final = (
    b"\r\n", b"\n", b"\r\n\r\n", b"\r", b":", b" ", b"\t", b"\x00", b"\xff", b"\x1b[2J", b'"', b"\\", b"\\ud800", b"\\u0000",
    b"{", b"}", b"[", b"]", b",", b"null", b"true", b"NaN", b"-Infinity", b"1e999", b"-1", b"0.5", b"9" * 400,
    b"9223372036854775808", b"[" * 1500, b'{"a":' * 1500, b"x" * 300, b"\xef\xbb\xbf", b"\xed\xa0\x80",
    b"Content-Length: 5\r\n", b"Content-Length: -1\r\n", b"Content-Length: 99999999999999\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip\r\n", b"Content-Encoding: gzip\r\n",
    b"Retry-After: 120\r\n", b"Date: Fri, 20 Nov 2026 23:26:38 GMT\r\n", b"Date: Mon, 31 Feb 0000 99:99:99 GMT\r\n",
    b"Location: //\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/2 200\r\n", b"ffffffff\r\n", b"0\r\n\r\n", b"5;x=y\r\n",
    b"<!DOCTYPE html><html>", b'"objects"', b'"object"', b'"error"', b'"id"', b'"kind"', b'"ticks"', b'"time"', b'"drink"',
    b'"commands"', b'"pairing"', b'"2026-02-31T00:00:00Z"', b'"0001-01-01T00:00:00+23:59"', b'"9999-12-31T23:59:59-23:59"',
)  # fmt: skip
SOUND: Final = {
    path: Answer(status=200, body=json.dumps(BODIES[number]).encode(), sent=True)
    for path, number in (("taps", 3), ("status", 4), ("events", 1))
}
READERS: Final[tuple[Callable[[bytes], object], ...]] = (
    form_api.read_drink, form_api.read_drinks, form_api.read_status_drinks, form_api.read_taps, form_api.read_token, form_api.read_version,
)  # fmt: skip


def framed(rng: random.Random, body: bytes) -> bytes:
    """`body` in a whole answer, framed in one of the ways there are."""
    head = (
        rng.choice(HEADS) + b"\r\nContent-Type: application/json\r\nDate: Fri, 20 Nov 2026 23:26:38 GMT\r\n"
    )
    kind = rng.randrange(8)
    if kind == 0:
        return head + b"\r\n" + body
    if kind == 1:
        half = len(body) // 2
        chunks = b"".join(
            b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (body[:half], body[half:]) if piece
        )
        return head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    if kind == 2:
        body = gzip.compress(body, 1)
        head += b"Content-Encoding: gzip\r\n"
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


def mutated(rng: random.Random) -> bytes:
    """An answer that went wrong in a few places, in its head, its framing or its JSON; now and then mere noise."""
    if rng.random() < 0.03:
        return rng.randbytes(rng.randrange(300))
    text = bytearray(json.dumps(rng.choice(BODIES)).encode())
    if rng.random() < 0.5:  # broken JSON in sound HTTP
        change(rng, text)
        return framed(rng, bytes(text))
    text = bytearray(framed(rng, bytes(text)))
    if rng.random() < 0.9:
        change(rng, text)
    return bytes(text)


def change(rng: random.Random, text: bytearray) -> None:
    for _ in range(rng.randint(1, 5)):
        if rng.randrange(6):
            fuzzing.change(rng, text, PIECES)
        else:
            del text[rng.randrange(len(text) + 1) :]


def read(text: bytes, rng: random.Random | None = None) -> Answer:
    """The answer in `text`, whole or, with `rng`, in random chunks; the connection then ends."""
    reader, at = AnswerReader(), 0
    while at < len(text) and not reader.over:
        size = len(text) if rng is None else rng.choice((1, 3, 40, 700, 70_000))
        reader.feed(text[at : at + size])
        at += size
        assert len(reader._buffer) + len(reader._body) <= MAX_TOTAL_BYTES
    reader.end()
    return reader.answer()


def check_text(text: str) -> None:
    assert len(text) <= 300, text
    assert text.isprintable(), text


def check_verdict(verdict: Verdict, answer: Answer) -> None:
    check_text(verdict.reason)
    assert bool(verdict.reason) is (verdict.kind is not Kind.DONE)
    if verdict.kind is Kind.DONE:
        assert answer.status is not None
        assert 200 <= answer.status < 300
        assert not answer.error


def check(rng: random.Random, answer: Answer, outcomes: Counter[str]) -> None:
    """Raise AssertionError if anything that is made of `answer` is not sane."""
    assert len(answer.body) <= MAX_ANSWER_BYTES
    check_text(answer.error)
    check_text(answer.location)
    verdict = judge(answer, Asked.DRINK, username=rng.choice((None, "alice")), server_errors=rng.randrange(5))
    check_verdict(verdict, answer)
    outcomes[verdict.kind.value] += 1
    if verdict.kind is Kind.DONE:
        assert form_api.read_drink(answer.body).id
    for asked in (Asked.TEMPERATURE, Asked.READING):
        other = judge(answer, asked)
        check_verdict(other, answer)
        assert not other.may_be_stored
    try:
        repr(rng.choice(READERS)(answer.body))
    except AnswerError as error:
        check_text(str(error))
    found = find_drink(answer, ATTEMPT, now_unix_s=NOW)
    check_text(found.reason)
    assert (found.drink_id is not None) is (found.found is Found.FOUND)
    reception = event_api.receive(answer)
    check_verdict(reception.verdict, answer)
    assert reception.token is None or reception.token.isascii()
    probe, asked_times, broken = Probe(URL, has_key=True), 0, rng.randrange(5)
    while probe.call is not None:
        good = SOUND.get(probe.call.path, Answer(status=404, sent=True))
        probe.take(answer if asked_times == broken else good)
        asked_times += 1
        assert asked_times < 12
    assert probe.finding is not None
    check_text(probe.finding.reason[:300])
    outcomes[probe.finding.state.value] += 1


@contextmanager
def line() -> Iterator[Callable[[bytes], Answer]]:
    """Sends bytes through a server on loopback and returns what the exchange made of them."""
    saying: list[bytes] = []

    def script(connection: socket.socket) -> None:
        request_of(connection)
        connection.sendall(saying[-1])

    with raw_server(script) as port:
        url = parse_api_url(f"http://127.0.0.1:{port}/api/v1/")

        def through(text: bytes) -> Answer:
            saying.append(text)
            answer = exchange(url, "key", Call(method="GET", path="taps", timeout_s=10.0))
            saying.clear()
            return answer

        yield through


def run(inputs: int, seed: int) -> Counter[str]:
    """How many of each outcome `inputs` inputs gave. Raises AssertionError, or whatever the code under test let out."""
    with line() as through:

        def take(text: bytes, rng: random.Random, number: int) -> Counter[str]:
            outcomes: Counter[str] = Counter()
            answer = read(text)
            assert read(text, rng) == answer
            check(rng, answer, outcomes)
            if number % SOCKET_SHARE == 0:
                received = through(text)
                assert (received.status, received.body) == (answer.status, answer.body)
                assert bool(received.error) is bool(answer.error)
                outcomes["through a socket"] += 1
            return outcomes

        return fuzzing.each(inputs, seed, mutated, take)


if __name__ == "__main__":
    sys.exit(fuzzing.main(run, "Fuzz all that reads the answers of a Kegbot Server."))
