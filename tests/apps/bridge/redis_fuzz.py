"""Broken input for what Redis sends and what is published there: `python -m tests.apps.bridge.redis_fuzz`.

Prints counts; exit status 1 at the first input that raises anything but RespError, holds too much, gives other replies
when cut differently, or makes an event of a message that its own words do not carry.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from typing import Final

from kegapps.bridge import redis_dialect
from kegapps.bridge.redis_dialect import Refused
from kegapps.bridge.redis_resp import MAX_TEXT_BYTES, Decoder, Reply, RespError, command
from kegapps.kegnet.events import APP_EVENTS
from tests.apps import fuzzing

MESSAGES: Final = (
    b'{\n  "event": "MeterUpdate",\n  "data": {\n    "meter_name": "kegboard.flow0",\n    "reading": 250\n  }\n}',
    b'{"event": "TokenAuthEvent", "data": {"meter_name": "", "auth_device_name": "core.rfid", "token_value": "deadbeef00", "status": "added"}}',
    b'{"event": "ThermoEvent", "data": {"sensor_name": "a.thermo-1", "sensor_value": 4.25}}',
    b'{"event": "FlowRequest", "data": {"meter_name": "a.flow0", "request": "stop_flow"}}',
    b'{"event": "SetRelayOutputEvent", "data": {"output_name": "a.relay0", "output_mode": "enabled"}}',
    b'{"event": "Ping", "data": {"board_name": "a", "board_state": "online"}}',
)  # fmt: skip
REPLIES: Final = (
    b"+PONG\r\n", b"-NOAUTH Authentication required.\r\n", b":17\r\n", b"$-1\r\n", b"*0\r\n", b"$3\r\na\r\n\r\n",
    *(command("message", "kegnet", text) for text in MESSAGES),
)  # fmt: skip


class ViolationError(AssertionError):
    """Something was done that a description excludes."""


def broken(rng: random.Random, data: bytes) -> bytes:
    """A few bytes of it changed, gone or doubled."""
    text = bytearray(data)
    for _ in range(rng.randrange(4)):
        at = rng.randrange(len(text) + 1)
        wrong = rng.randrange(4)
        if wrong == 0 and at < len(text):
            text[at] = rng.randrange(256)
        elif wrong == 1:
            del text[at : at + rng.randrange(1, 9)]
        elif wrong == 2:
            text[at:at] = rng.choice((b"\r\n", b"$", b"*3\r\n", b"-1", b"9", b'"', b"{", rng.randbytes(3)))
        else:
            text += text[at : at + 40]
    return bytes(text)


def _all(*pieces: bytes) -> tuple[list[Reply | str], Decoder]:
    decoder, got = Decoder(), list[Reply | str]()
    try:
        for piece in pieces:
            for value in decoder.feed(piece):
                got.append(value)
    except RespError as error:
        got.append(f"refused: {error}")
    return got, decoder


def check(rng: random.Random, data: bytes) -> int:
    """How many replies there are in `data`. Raises ViolationError."""
    cut = rng.randrange(len(data) + 1)
    got, decoder = _all(data)
    if _all(data[:cut], data[cut:])[0] != got:
        raise ViolationError(f"cut at {cut} it gives other replies")
    if len(vars(decoder)["_buffer"]) > MAX_TEXT_BYTES + 2:
        raise ViolationError("too much is held back")
    return len(got)


def check_message(text: bytes) -> int:
    """1 if `text` is passed on to the core. Raises ViolationError."""
    event = redis_dialect.read(text)
    if isinstance(event, Refused):
        if "\n" in event.reason + event.excerpt:
            raise ViolationError("a reason of several lines")
        return 0
    if not isinstance(event, APP_EVENTS) or event.age_s:
        raise ViolationError(f"{event} is passed on")
    if type(event).__name__.encode() not in text and b"\\u" not in text:
        raise ViolationError(f"{event} was not said")
    return 1


def make_input(rng: random.Random) -> tuple[bytes, bytes]:
    """What Redis might send, and what might be published there."""
    return broken(rng, rng.choice(REPLIES) + rng.choice(REPLIES)), broken(rng, rng.choice(MESSAGES))


def run(inputs: int, seed: int) -> Counter[str]:
    """Counts of `inputs` inputs. Raises ViolationError, or whatever the code under test let out."""

    def take(made: tuple[bytes, bytes], rng: random.Random, _number: int) -> dict[str, int]:
        data, text = made
        return {"replies": check(rng, data), "events": check_message(text)}

    return fuzzing.each(inputs, seed, make_input, take)


if __name__ == "__main__":
    sys.exit(fuzzing.main(run, __doc__))
