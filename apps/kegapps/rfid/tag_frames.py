"""What ID-12, ID-20 and RDM6300 readers send: bytes in, tokens out.

Knows the frame and its checksum. Must not know ports or clocks. No input makes it raise; damage is skipped and counted.
Source: data sheets of ID Innovations' ID-2/12/20 and of the RDM6300 (9600 baud, 8N1)::

    STX (02)  10 hexadecimal digits  2 hexadecimal digits: their five bytes, XOR  [CR LF, not of an RDM6300]  ETX (03)
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from operator import xor
from typing import Final

STX: Final = 0x02
ETX: Final = 0x03
DATA_DIGITS: Final = 10
_BODY_BYTES: Final = DATA_DIGITS + 2
_HEX: Final = frozenset(b"0123456789ABCDEFabcdef")
_LINE_END: Final = b"\r\n"


class TagDecoder:
    """Takes bytes as they arrive and gives the tokens they complete; how they are cut makes no difference.

    A token is the ten digits in lower case: `0415ab96c3`. It holds at most one unfinished frame (15 bytes).
    Counters, all from 0: `tags`; `bad_checksums` and `malformed` frames, which give no token; `garbage_bytes`.
    """

    def __init__(self) -> None:
        self._frame: bytearray | None = None  # since an STX; None: waiting for one
        self.tags = 0
        self.bad_checksums = 0
        self.malformed = 0
        self.garbage_bytes = 0

    @property
    def damage(self) -> str:
        """What came besides good frames, for a person; empty if nothing did."""
        if not (self.bad_checksums or self.malformed or self.garbage_bytes):
            return ""
        return (
            f"noise on the line: {self.bad_checksums} wrong checksums, {self.malformed} broken frames, "
            f"{self.garbage_bytes} bytes of garbage, beside {self.tags} good frames"
        )

    def feed(self, data: bytes) -> Iterator[str]:
        """The tokens completed by `data`, all of it taken in at once, even if nobody looks at them."""
        found: list[str] = []
        for byte in data:
            if byte == STX:
                self._give_up()
                self._frame = bytearray()
            elif self._frame is None:
                self.garbage_bytes += 1
            elif byte == ETX:
                if (token := self._open(bytes(self._frame))) is not None:
                    found.append(token)
                self._frame = None
            else:
                self._frame.append(byte)
                if not _may_go_on(self._frame):
                    self._give_up()
        return iter(found)

    def _open(self, frame: bytes) -> str | None:
        body = frame.removesuffix(_LINE_END)
        if len(body) != _BODY_BYTES:
            self.malformed += 1
            return None
        if reduce(xor, bytes.fromhex(body.decode("ascii"))) != 0:
            self.bad_checksums += 1
            return None
        self.tags += 1
        return body[:DATA_DIGITS].decode("ascii").lower()

    def _give_up(self) -> None:
        if self._frame is not None:
            self.malformed += 1
            self._frame = None


def _may_go_on(frame: bytearray) -> bool:
    """True if `frame`, up to its last byte, is the beginning of a good one."""
    size = len(frame)
    return (
        frame[-1] in _HEX if size <= _BODY_BYTES else frame[_BODY_BYTES:] == _LINE_END[: size - _BODY_BYTES]
    )
