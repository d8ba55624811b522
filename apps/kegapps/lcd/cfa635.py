"""Packets of the Crystalfontz CFA-635: commands to bytes, bytes to what the display says.

Knows type, length, checksum and the character table. Must not know ports or clocks. No input makes it raise;
damage is skipped and counted. Source: the vendor's published packet format.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from kegapps.kbsp import checksums
from kegapps.lcd.charset import ASCII
from kegapps.lcd.picture import Change, Light

DEFAULT_BAUD: Final = 115_200  # of the USB version; serial ones leave the factory at 19200
ROWS: Final = 4
COLUMNS: Final = 20
MAX_DATA_BYTES: Final = 22
MIN_PACKET_BYTES: Final = 4
MAX_PACKET_BYTES: Final = MIN_PACKET_BYTES + MAX_DATA_BYTES

CLEAR: Final = 6
CURSOR_STYLE: Final = 12
BACKLIGHT: Final = 14
WRITE: Final = 31
NO_CURSOR: Final = 0

# Not ASCII throughout: letters of Europe hold some of its places, and what was there is elsewhere, or nowhere.
CODES: Final[Mapping[str, int]] = {
    **{sign: code for sign, code in ASCII.items() if sign != "`"},
    "@": 0xA0, "$": 0xA2, "[": 0xFA, "\\": 0xFB, "]": 0xFC, "^": 0x1D, "_": 0xC4, "{": 0xFD, "|": 0xFE, "}": 0xFF,
    "~": 0xCE, "¡": 0x40, "¿": 0x60, "§": 0x5F, "¤": 0x24, "£": 0xA1, "¥": 0xA3, "¢": 0xB1, "°": 0x80, "±": 0x8C,
    "µ": 0x8F, "·": 0xDD, "¹": 0x81, "²": 0x82, "³": 0x83, "½": 0x8A, "¼": 0x8B, "«": 0x14, "»": 0x15,
    "Ä": 0x5B, "Ö": 0x5C, "Ñ": 0x5D, "Ü": 0x5E, "ä": 0x7B, "ö": 0x7C, "ñ": 0x7D, "ü": 0x7E, "à": 0x7F, "è": 0xA4,
    "é": 0xA5, "ù": 0xA6, "ì": 0xA7, "ò": 0xA8, "Ç": 0xA9, "Ø": 0xAB, "ø": 0xAC, "Å": 0xAE, "å": 0xAF, "Æ": 0xBC,
    "æ": 0xBD, "ß": 0xBE, "É": 0xBF, "È": 0xC5, "Ê": 0xC6, "ê": 0xC7, "ç": 0xC8, "Á": 0xE2, "Í": 0xE3, "Ó": 0xE4,
    "Ú": 0xE5, "Ý": 0xE6, "á": 0xE7, "í": 0xE8, "ó": 0xE9, "ú": 0xEA, "ý": 0xEB, "Ô": 0xEC, "ô": 0xED,
    "↑": 0xDE, "→": 0xDF, "↓": 0xE0, "←": 0xE1, "▶": 0x10, "◀": 0x11, "▲": 0x1A, "▼": 0x1B,
    # Columns of a progress bar, from the left.
    "▏": 0xD4, "▍": 0xD3, "▌": 0xD2, "▊": 0xD1, "█": 0xD0,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The display did what `command` asked."""

    command: int
    data: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The display does not want to do what `command` asked."""

    command: int
    data: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The display says something unasked; number 0: of its keys, 1..6 pressed, 7..12 released."""

    number: int
    data: bytes = b""


Message = Answer | Refusal | Report


def crc16(data: bytes | bytearray) -> int:
    """CRC-16/X-25 of `data`; of `123456789` it is 0x906E."""
    return checksums.crc16(data, start=0xFFFF) ^ 0xFFFF


def packet(command: int, data: bytes = b"") -> bytes:
    """The bytes of one command. Raises ValueError over 6 bits of command or 22 bytes of data."""
    if not 0 <= command <= 0x3F or len(data) > MAX_DATA_BYTES:
        raise ValueError(f"command {command} with {len(data)} bytes does not fit into a packet")
    body = bytes((command, len(data))) + data
    return body + crc16(body).to_bytes(2, "little")


def write(column: int, row: int, codes: bytes) -> bytes:
    """The packet that writes 1..20 character codes from `column`, `row`, both from 0."""
    return packet(WRITE, bytes((column, row)) + codes)


def change_packet(change: Change) -> bytes:
    """The packet that brings about `change`."""
    if isinstance(change, Light):
        return packet(BACKLIGHT, bytes((100 if change.on else 0,)))
    return write(0, change.index, change.codes)


class Decoder:
    """Takes bytes as they arrive and gives the messages they complete; how they are cut makes no difference.

    A packet counts when its length and checksum are right; otherwise the search goes on one byte later. It holds
    at most one unfinished packet (25 bytes).

    Counters, all from 0: `garbage_bytes` in no good packet, packets with `crc_errors`, and good ones that only
    a host would send (`echoes`).
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.garbage_bytes = 0
        self.crc_errors = 0
        self.echoes = 0

    @property
    def pending_bytes(self) -> int:
        """Bytes held back as the possible beginning of a packet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages completed by `data`, all of it taken in at once, even if nobody looks at them."""
        self._buffer += data
        found: list[Message] = []
        start = 0
        while len(self._buffer) - start >= MIN_PACKET_BYTES:
            end = start + MIN_PACKET_BYTES + self._buffer[start + 1]
            if end - start > MAX_PACKET_BYTES:
                start = self._skip(start)
            elif len(self._buffer) < end:
                break
            elif crc16(self._buffer[start : end - 2]) != int.from_bytes(
                self._buffer[end - 2 : end], "little"
            ):
                self.crc_errors += 1
                start = self._skip(start)
            else:
                found += self._open(self._buffer[start], bytes(self._buffer[start + 2 : end - 2]))
                start = end
        del self._buffer[:start]
        return iter(found)

    def settle(self) -> Iterator[Message]:
        """The line has gone quiet: give up an unfinished packet for good ones that came whole inside it.

        A stray byte can look like the beginning of a long packet, and the answer behind it like its data.
        """
        found: list[Message] = []
        while (start := self._later_packet()) is not None:
            del self._buffer[:start]
            self.garbage_bytes += start
            found += self.feed(b"")
        return iter(found)

    def _later_packet(self) -> int | None:
        """Where in what is held back a good packet begins."""
        for start in range(1, len(self._buffer)):
            if any(True for _ in Decoder().feed(bytes(self._buffer[start:]))):
                return start
        return None

    def _skip(self, start: int) -> int:
        self.garbage_bytes += 1
        return start + 1

    def _open(self, kind_and_number: int, data: bytes) -> Iterator[Message]:
        kind, number = kind_and_number >> 6, kind_and_number & 0x3F
        if kind == 0:
            self.echoes += 1
        elif kind == 1:
            yield Answer(command=number, data=data)
        elif kind == 2:
            yield Report(number=number, data=data)
        else:
            yield Refusal(command=number, data=data)
