"""Commands of Matrix Orbital's LK204 and its relatives, as bytes. It answers none of them.

Knows the command set and the character table. Must not know ports or clocks. Source: the vendor's published commands.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kegapps.lcd.charset import ASCII
from kegapps.lcd.picture import Change, Light

DEFAULT_BAUD: Final = 19_200
ROWS: Final = 4
COLUMNS: Final = 20

PREFIX: Final = 0xFE
CLEAR: Final = b"\xfe\x58"
LIGHT_ON: Final = b"\xfe\x42\x00"  # for good; other numbers are minutes
LIGHT_OFF: Final = b"\xfe\x46"
NO_WRAP: Final = b"\xfe\x44"
NO_SCROLL: Final = b"\xfe\x52"
NO_UNDERLINE: Final = b"\xfe\x4b"
NO_BLINKING: Final = b"\xfe\x54"

# As in the HD44780's ROM A00: a yen sign for the backslash, an arrow for the tilde, and of Europe's letters these few.
CODES: Final[Mapping[str, int]] = {
    **{sign: code for sign, code in ASCII.items() if sign not in "\\~"},
    "¥": 0x5C, "→": 0x7E, "←": 0x7F, "°": 0xDF, "ä": 0xE1, "ö": 0xEF, "ü": 0xF5, "ñ": 0xEE, "ß": 0xE2, "µ": 0xE4,
    "¢": 0xEC, "£": 0xED, "Ω": 0xF4, "÷": 0xFD,
}  # fmt: skip


def write(column: int, row: int, codes: bytes) -> bytes:
    """The bytes that write these character codes from `column`, `row`, both from 0; the display counts from 1.

    Raises ValueError for a code that would begin a command.
    """
    if PREFIX in codes:
        raise ValueError(f"code 0x{PREFIX:02x} begins a command")
    return bytes((PREFIX, 0x47, column + 1, row + 1)) + codes


def change_bytes(change: Change) -> bytes:
    """The bytes that bring about `change`."""
    if isinstance(change, Light):
        return LIGHT_ON if change.on else LIGHT_OFF
    return write(0, change.index, change.codes)
