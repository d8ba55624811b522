"""Throws mutated and random bytes at kegnet's codec: `python -m tests.apps.kegnet.fuzz --inputs=1000000`.

Every input is fed twice, whole and in random chunks. Whatever it is, there must be no exception, the two must
agree, each result must be an event that encodes and comes back the same, or a short printable complaint, and
the decoder must not keep more than its limit.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from pathlib import Path

from kegapps.kegnet.codec import Decoder, Rejected, decode, encode
from kegapps.kegnet.drink_facts import drink_object
from kegapps.kegnet.events import (
    BoardStatus,
    CoreStatus,
    Credentials,
    DrinkFacts,
    Drinks,
    DrinksRequest,
    Event,
    Session,
    StatusRequest,
    Taken,
)
from kegapps.kegnet.taproom import taproom
from tests.apps import fuzzing

VECTORS = Path(__file__).parents[2] / "vectors" / "kegnet.txt"
PIECES = (
    b"\n\n", b"\r\n\r\n", b"\r", b"\n", b'"', b"\\", b"\\u", b"\\ud800", b"\\u0000", b"{", b"}", b"[", b"]",
    b":", b",",
    b"null", b"true", b"NaN", b"-Infinity", b"1e999", b"-1", b"0.5", b"4294967295", b"4294967296", b"9" * 400,
    b"[" * 300, b'{"a":' * 300, b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\x00", b"\x1b[2J", b"x" * 200,
    b'"event"', b'"data"', b'"tap_name"', b'"meter_name"', b'"reading"', b'"age_s"', b'"MeterUpdate"',
    b'"FlowUpdate"', b'"QuitEvent"', b'"Ping"', b'"token"', b'"board_state"', b'"want"', b'"status"', b'"online"',
    b'"drinks_after"', b'"limit"', b'"drinks"', b'"taps"', b'"keg_left_ml"', b'"last_drink"',
    b'"2026-02-31T00:00:00Z"', b'"0000-00-00T00:00:00Z"', b'"__all_taps__"',
)  # fmt: skip
DRINK = DrinkFacts(
    drink_id=7, uuid="0b1c", flow_id=1795216330, tap_name="kegboard.flow0", username=None, ticks=1000, volume_ml=454.5,
    start_unix_s=1795216330.0, end_unix_s=1795216340.0, beverage="Märzen",
)  # fmt: skip
OWN: tuple[Event, ...] = (
    Credentials(token="0123456789abcdef"),
    BoardStatus(
        board_name="kegboard", state="silent", detail="no heartbeat", firmware_version=18, serial_number="a1b2",
        device="/dev/ttyACM0", uptime_s=12.5,
    ),
    StatusRequest(),
    Session(session="0123456789abcdef", next=3),
    Taken(took=4),
    CoreStatus(report={"taps": [{"name": "kegboard.flow0", "ml_per_tick": 0.45}], "server": None}),
    CoreStatus(
        report={
            "taps": [{"name": "kegboard.flow0", "keg_left_ml": 2.5, "temperature_c": -1.0}],
            "sensors": [{"sensor_name": "kegboard.thermo-1", "temperature_c": 4.5, "unix_s": 1.7e9}],
            "last_drink": drink_object(DRINK),
        }
    ),
    DrinksRequest(after=-1, limit=3),
    Drinks(drinks=(DRINK, DRINK), last_id=7),
)  # fmt: skip


def seeds() -> list[bytes]:
    """The recorded messages, and one of each kind of our own, terminated."""
    lines = VECTORS.read_bytes().splitlines()
    return [line[2:] + b"\n\n" for line in lines if line[:2] in (b"> ", b"< ")] + list(map(encode, OWN))


def mutated(rng: random.Random, recorded: list[bytes]) -> bytes:
    """Recorded messages with a few bytes changed, cut, doubled or put in; now and then mere noise."""
    if rng.random() < 0.05:
        return rng.randbytes(rng.randrange(300))
    text = bytearray(b"".join(rng.choice(recorded) for _ in range(rng.randint(1, 3))))
    for _ in range(rng.randint(1, 6)):
        fuzzing.change(rng, text, PIECES)
    return bytes(text)


def check(item: Event | Rejected) -> None:
    """Raise AssertionError if `item` is neither a sane complaint nor an event that survives a round trip."""
    if isinstance(item, Rejected):
        for text in (item.reason, item.excerpt):
            assert len(text) < 500, text
            assert text.isascii(), text
            assert text.isprintable(), text
        assert item.reason
        return
    assert decode(encode(item)[:-2]) == item, item
    if isinstance(item, CoreStatus):
        taproom(item.report)


def run(inputs: int, seed: int) -> Counter[str]:
    """How many of each outcome `inputs` inputs gave. Raises AssertionError, or whatever the code under test let out."""
    recorded = seeds()
    limit = 2000

    def take(text: bytes, rng: random.Random, _number: int) -> Counter[str]:
        whole, chunked = Decoder(limit), Decoder(limit)
        got = list(whole.feed(text))
        pieces: list[Event | Rejected] = []
        at = 0
        while at < len(text):
            size = rng.choice((1, 5, 50, 500))
            pieces += chunked.feed(text[at : at + size])
            at += size
            assert len(chunked._rest) <= limit + 1
        assert pieces == got
        for item in got:
            check(item)
        return Counter(type(item).__name__ for item in got)

    return fuzzing.each(inputs, seed, lambda rng: mutated(rng, recorded), take)


if __name__ == "__main__":
    sys.exit(fuzzing.main(run, "Fuzz kegnet's codec."))
