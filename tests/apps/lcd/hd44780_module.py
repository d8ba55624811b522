"""An HD44780 with a PCF8574 on an I2C bus, as its data sheet has it: what is written to the bus becomes a screen.

Source: Hitachi's data sheet of the HD44780U, tables 6 (instructions) and 12 (4-bit operation).
"""

from __future__ import annotations

import errno
import os
import threading

RS, RW, ENABLE, LIGHT = 0x01, 0x02, 0x04, 0x08


class Hd44780Module:
    """The module at `address`. `unplugged` makes it answer nothing, `stuck` makes the bus wait until it is cleared."""

    def __init__(self, *, address: int = 0x27, columns: int = 20, rows: int = 4) -> None:
        self.address = address
        self.columns = columns
        self.rows = rows
        self.unplugged = False
        self.no_bus = False
        self.defect: Exception | None = None  # what the library raises instead of writing
        self.free = threading.Event()  # cleared: whoever writes waits
        self.free.set()
        self.looks = 0
        self.opened = 0
        self.closed = 0
        self.written = 0
        self.cleared = 0
        self.power_up()

    def power_up(self) -> None:
        """As after its power was cut: eight bits wide, one line, and anything in its memory."""
        self.eight_bits = True
        self.two_lines = self.shown = False
        self.lit = True  # all pins of a PCF8574 are high at first
        self._port = 0xFF
        self._high: int | None = None
        self._memory = bytearray(b"#" * 0x80)
        self._at = 0
        self._custom = False

    def open(self) -> Hd44780Module:
        self.looks += 1
        if self.no_bus:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        self.opened += 1
        return self

    def close(self) -> None:
        self.closed += 1

    def write_byte(self, address: int, value: int) -> None:
        assert self.free.wait(30)
        if self.defect is not None:
            raise self.defect
        if self.unplugged or address != self.address:
            raise OSError(errno.EREMOTEIO, os.strerror(errno.EREMOTEIO))
        assert not value & RW, "nobody reads from it"
        self.written += 1
        self.lit = bool(value & LIGHT)
        if self._port & ENABLE and not value & ENABLE:
            self._latch(value >> 4, data=bool(value & RS))
        self._port = value

    @property
    def codes(self) -> list[bytes]:
        """The codes on each row; a display that is off or has lost its mode shows none."""
        if not self.shown or (self.rows > 1 and not self.two_lines):
            return [b""] * self.rows
        starts = [0x00, 0x40, self.columns, 0x40 + self.columns][: self.rows]
        return [bytes(self._memory[start : start + self.columns]) for start in starts]

    @property
    def text(self) -> list[str]:
        return [codes.decode("iso-8859-1").rstrip() for codes in self.codes]

    def _latch(self, nibble: int, *, data: bool) -> None:
        if self.eight_bits:
            self._take(nibble << 4, data=data)  # the four lower pins are not connected
        elif self._high is None:
            self._high = nibble
        else:
            value, self._high = self._high << 4 | nibble, None
            self._take(value, data=data)

    def _take(self, value: int, *, data: bool) -> None:
        if data:
            if not self._custom:
                self._memory[self._at] = value
            self._at = (self._at + 1) % 0x80
        elif value & 0x80:
            self._at, self._custom = value & 0x7F, False
        elif value & 0x40:
            self._custom = True
        elif value & 0x20:
            self.eight_bits, self.two_lines = bool(value & 0x10), bool(value & 0x08)
            self._high = None
        elif value & 0x10:
            raise AssertionError("nobody shifts it")
        elif value & 0x08:
            self.shown = bool(value & 0x04)
        elif value & 0x04:
            assert value == 0x06, "from left to right, and nothing moves"
        elif value & 0x02:
            self._at = 0
        elif value & 0x01:
            self._memory[:] = b" " * 0x80
            self.cleared += 1
