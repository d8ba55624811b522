"""What readers send, for tests: frames of an ID-12 and an RDM6300, and the keys of a wedge."""

from __future__ import annotations

from functools import reduce
from operator import xor
from typing import Final

from kegapps.rfid.key_events import EV_KEY, EV_SYN, EVENT

ALICES: Final = "0415ab96c3"
BOBS: Final = "deadbeef00"
ENTER: Final = 28
_KEYS: Final = {char: 2 + at for at, char in enumerate("1234567890")} | {
    "a": 30, "b": 48, "c": 46, "d": 32, "e": 18, "f": 33, ",": 51, "q": 16, "\n": ENTER,
}  # fmt: skip


def id12(token: str) -> bytes:
    """As an ID-12 or ID-20 sends it, once."""
    return b"\x02" + _body(token) + b"\r\n\x03"


def rdm6300(token: str) -> bytes:
    """As an RDM6300 sends it, again and again."""
    return b"\x02" + _body(token) + b"\x03"


def _body(token: str) -> bytes:
    return f"{token.upper()}{reduce(xor, bytes.fromhex(token)):02X}".encode()


def key(code: int, value: int = 1, time_s: float = 0.0) -> bytes:
    """A key goes down (1), up (0) or repeats (2), with the report that follows each."""
    at = (int(time_s), int(time_s % 1 * 1e6))
    scan = EVENT.pack(*at, 4, 4, 0x70000 + code)
    return scan + EVENT.pack(*at, EV_KEY, code, value) + EVENT.pack(*at, EV_SYN, 0, 0)


def typed(text: str, time_s: float = 0.0, *, enter: bool = True) -> bytes:
    """The keys that type `text`, down and up."""
    codes = [_KEYS[char] for char in text + "\n" * enter]
    return b"".join(key(code, 1, time_s) + key(code, 0, time_s) for code in codes)
