"""Broken requests for the gateway's readers: `python -m tests.apps.gateway.fuzz --inputs=100000 --seed=1`.

Of each input: in any pieces it is read alike; what is kept is bounded; a body is a batch within its bounds, or refused
with a word for the sender; nothing else is raised. Now and then one is answered by the whole endpoint over a store.
"""

from __future__ import annotations

import json
import logging
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, Final

from kegapps.daemon.loop import Loop
from kegapps.daemon.notify import Notifier
from kegapps.daemon.service import Service
from kegapps.gateway import tokens
from kegapps.gateway.batch import (
    MAX_AGE_S,
    MAX_EVENTS,
    MAX_POUR_ML,
    MAX_POUR_TICKS,
    Dropped,
    Invalid,
    Pour,
    read_batch,
)
from kegapps.gateway.gateway import Gateway
from kegapps.gateway.request import MAX_BODY_BYTES, MAX_TOTAL_BYTES, Refused, Request, RequestReader
from kegapps.gateway.server import Answer, encode
from kegapps.gateway.store import Store
from tests.apps import fuzzing
from tests.apps.gateway.programs import batch, event, pour, shown, status, update

ENDPOINT_SHARE: Final = 20
TOKEN: Final = "kbe_" + "0" * 40
BATCHES: Final[tuple[dict[str, Any], ...]] = (
    batch([pour(1, 1000, pour_id="p1", grant_id="g", auth_device="core.rfid", auth_token="ff")]),
    batch([pour(n, 10 * n, age_s=n, pour_id=f"p{n}") for n in range(1, 17)]),
    batch([update(1, 500, "p1"), status(2, meters=3), shown(3, "0415ab96c3")]),
    batch([event(1, "temperature", {"sensor": "thermo-28", "temp_c": 4.25}), event(2, "set_mood", {"a": [1]})]),
    batch([event(1, "command_result", {"command": "c", "result": "ok"}), event(2, "grant_end", {"meter_numbers": [0], "reason": "idle", "grant_id": "g"})]),
)  # fmt: skip
PIECES: Final = (
    b"\r\n", b"\n", b"\r\n\r\n", b"\r", b":", b" ", b"\t", b"\x00", b"\xff", b'"', b"\\", b"\\ud800", b"\\u0000", b"{",
    b"}", b"[", b"]", b",", b"null", b"true", b"NaN", b"-Infinity", b"1e999", b"-1", b"0.5", b"9" * 400, b"9" * 5000,
    b"9223372036854775808", b"[" * 1500, b'{"a":' * 1500, b"x" * 300, b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xff\xfe",
    b"Content-Length: 5\r\n", b"Content-Length: -1\r\n", b"Content-Length: 99999999999999\r\n", b"Content-Length: 16385\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip\r\n", b"Expect: 100-continue\r\n", b"Connection: close\r\n",
    b"Authorization: Bearer \r\n", b"Content-Type: text/plain\r\n", b"GET / HTTP/1.0\r\n", b"HTTP/2.0", b"ffffffff\r\n",
    b"0\r\n\r\n", b"5;x=y\r\n", b'"v"', b'"events"', b'"data"', b'"id"', b'"age_ms"', b'"meter_number"', b'"pour_id"', b'"ticks"',
)  # fmt: skip


def framed(rng: random.Random, body: bytes) -> bytes:
    """`body` in a whole request, framed in one of the ways there are."""
    head = b"POST /api/kegboard-event HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    if rng.random() < 0.8:
        head += b"Authorization: Bearer %s\r\n" % TOKEN.encode()
    if rng.random() < 0.3:
        half = len(body) // 2
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in (body[:half], body[half:]) if p)
        return head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


def mutated(rng: random.Random) -> bytes:
    """A request that went wrong in a few places, in its head, its framing or its JSON; now and then mere noise."""
    if rng.random() < 0.03:
        return rng.randbytes(rng.randrange(300))
    body = bytearray(json.dumps(rng.choice(BATCHES)).encode())
    if rng.random() < 0.6:
        change(rng, body)
        return framed(rng, bytes(body))
    text = bytearray(framed(rng, bytes(body)))
    if rng.random() < 0.9:
        change(rng, text)
    return bytes(text)


def change(rng: random.Random, text: bytearray) -> None:
    for _ in range(rng.randint(1, 4)):
        fuzzing.change(rng, text, PIECES)


def read(text: bytes, rng: random.Random | None = None) -> tuple[list[Request], Refused | None]:
    """All requests in `text`, whole or, with `rng`, in random pieces; and why there are no more."""
    reader, at, requests = RequestReader(), 0, list[Request]()
    while at < len(text) and reader.refused is None:
        size = len(text) if rng is None else rng.choice((1, 3, 40, 700, 70_000))
        reader.feed(text[at : at + size])
        at += size
        while reader.request is not None:
            requests.append(reader.request)
            assert len(reader.request.body) <= MAX_BODY_BYTES
            reader.next()
        assert len(reader._buffer) + len(reader._body) <= MAX_TOTAL_BYTES
    return requests, reader.refused


def check(request: Request, outcomes: Counter[str]) -> None:
    """Raise AssertionError if what is made of its body is not within its bounds."""
    try:
        made = read_batch(request.body)
    except Invalid as invalid:
        outcomes[f"refused: {invalid.detail or invalid.error}"] += 1
        return
    assert made.device.isprintable()
    assert made.boot_id.isprintable()
    assert 1 <= len(made.events) <= MAX_EVENTS
    for one in made.events:
        assert 0 <= one.age_s <= MAX_AGE_S
        if isinstance(one.what, Pour):
            assert 0 <= one.what.volume_ml <= MAX_POUR_ML
            assert 0 <= one.what.meter_number < 16
            assert one.what.ticks is None or 0 <= one.what.ticks <= MAX_POUR_TICKS
        outcomes["dropped events" if isinstance(one.what, Dropped) else "events"] += 1


class Endpoint:
    """The whole gateway over a store, without sockets; its core is not there."""

    def __init__(self, folder: Path) -> None:
        self.loop = Loop()
        self._log = logging.getLogger("gateway")
        self._log.disabled = True  # what it says of each is not what is tried here
        self.store = Store(str(folder / "gateway.sqlite"))
        self.store._db.execute("pragma synchronous = off")  # it is not the disk that is tried here
        service = Service(self.loop, [], start_dir="/", notifier=Notifier({}, 1), on_ready=lambda: None)
        self.gateway = Gateway(
            service, self.store, ("127.0.0.1", 1), default_ml_per_tick=0.185, boot="b", on_change=lambda: None
        )
        self.store.meet("kb-1", "127.0.0.1", 0.0)
        self.store.set_state("kb-1", "allowed")
        self.store.give_token("kb-1", tokens.digest(TOKEN))
        self.store.commit()

    def answer(self, request: Request) -> int:
        """The status of the answer, which has to be a sound one."""
        answers: list[Answer] = []
        self.gateway._pairing._limits.clear()  # so many in a second nobody would be served
        self.gateway.handle(request, "127.0.0.1", answers.append)
        (answer,) = answers
        assert json.loads(encode(answer, keep_alive=True).partition(b"\r\n\r\n")[2]) == answer.body
        return answer.status

    def close(self) -> None:
        self.gateway.close()
        self.store.close()
        self.loop.close()
        self._log.disabled = False


def run(inputs: int, seed: int) -> Counter[str]:
    """How many of each outcome `inputs` inputs gave. Raises AssertionError, or whatever the code under test let out."""
    with tempfile.TemporaryDirectory() as folder:
        endpoint = Endpoint(Path(folder))

        def take(text: bytes, rng: random.Random, number: int) -> Counter[str]:
            outcomes: Counter[str] = Counter()
            requests, refused = read(text)
            again, refused_again = read(text, rng)
            assert again == requests
            assert bool(refused_again) is bool(refused)
            for request in requests:
                check(request, outcomes)
            if refused is not None:
                outcomes[f"{refused.status} {refused.detail or refused.error}"] += 1
            if number % ENDPOINT_SHARE == 0 and requests:
                outcomes[f"answered {endpoint.answer(requests[0])}"] += 1
            return outcomes

        outcomes = fuzzing.each(inputs, seed, mutated, take)
        endpoint.close()
    return outcomes


if __name__ == "__main__":
    sys.exit(fuzzing.main(run, "Fuzz all that reads the requests of boards."))
