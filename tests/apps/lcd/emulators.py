"""Both serial displays at the byte level, for tests: strict, and written from the vendors' commands alone.

They share nothing with the drivers. A glass takes bytes, keeps a screen of codes and a light, and writes down in
`violations` whatever a real display would not like. A `Plug` is a glass on a pseudo terminal with a name.
"""

from __future__ import annotations

import os
import select
import tty
from pathlib import Path
from typing import Final, Protocol

from kegapps.daemon.loop import READ, Loop

ROWS, COLUMNS = 4, 20


class Glass(Protocol):
    """What hangs on a line."""

    def take(self, data: bytes) -> bytes:
        """What it says to `data`."""


class Screen:
    """4 rows of 20 codes, a light, a cursor; `changed` counts what was written to each row."""

    def __init__(self) -> None:
        self.codes = [bytearray(b" " * COLUMNS) for _ in range(ROWS)]
        self.light: bool | None = None
        self.written = [0] * ROWS
        self.violations: list[str] = []

    @property
    def text(self) -> list[str]:
        """The rows; what is no ASCII is a dot."""
        return ["".join(chr(code) if 0x20 <= code < 0x7F else "." for code in row) for row in self.codes]

    def blank(self) -> None:
        for row in self.codes:
            row[:] = b" " * COLUMNS

    def put(self, column: int, row: int, code: int) -> None:
        self.codes[row][column] = code


def x25(data: bytes) -> int:
    """CRC-16/X-25 bit by bit from its definition: 0x1021, bits reversed in and out, start and end inverted."""
    register = 0xFFFF
    for byte in data:
        for bit in range(8):
            top = register >> 15 ^ (byte >> bit & 1)
            register = register << 1 & 0xFFFF
            if top:
                register ^= 0x1021
    return int(f"{register ^ 0xFFFF:016b}"[::-1], 2)


# Command: the lengths its data may have.
_CFA_LENGTHS: Final = {
    0: range(17), 1: (0,), 2: (16,), 3: (0,), 4: (0,), 5: (3,), 6: (0,), 9: (9,), 11: (2,), 12: (1,), 13: (1,),
    14: (1, 2), 22: (2,), 23: (2,), 24: (0,), 31: range(3, 23), 33: (1,), 34: (2, 3),
}  # fmt: skip


class CfaGlass(Screen):
    """A CFA-635. It answers at once, unless a fault is set: so many of its next answers suffer it.

    lose      are never sent
    refuse    are errors, and the command is not obeyed
    spoil     have a wrong checksum
    hold      True: are kept, until `release`; a packet that comes meanwhile is a violation, unless it is the same again
    before    bytes sent before each answer, such as a key's report
    """

    def __init__(self) -> None:
        super().__init__()
        self.lose = self.refuse = self.spoil = 0
        self.hold = False
        self.before = b""
        self.packets: list[bytes] = []
        self.cursor_style = 1
        self._buffer = b""
        self._held: list[tuple[bytes, bytes]] = []

    def take(self, data: bytes) -> bytes:
        self._buffer += data
        said = b""
        while len(self._buffer) >= 4:
            end = self._buffer[1] + 4
            if self._buffer[1] > 22:
                self.violations.append(f"length {self._buffer[1]}")
                self._buffer = b""
                break
            if len(self._buffer) < end:
                break
            packet, self._buffer = self._buffer[:end], self._buffer[end:]
            if x25(packet[:-2]) != packet[-2] | packet[-1] << 8:
                self.violations.append(f"checksum of {packet.hex(' ')}")
                continue
            said += self._answer(packet)
        return said

    def release(self) -> bytes:
        """The answers that were held."""
        held, self._held = self._held, []
        self.hold = False
        return b"".join(answer for _, answer in held)

    def _answer(self, packet: bytes) -> bytes:
        self.packets.append(packet)
        if self._held and self._held[-1][0] != packet:
            self.violations.append(
                f"{packet.hex(' ')} came before the answer to {self._held[-1][0].hex(' ')}"
            )
        if self.lose:  # the command was obeyed, only the answer gets lost
            self.lose -= 1
            self._obey(packet)
            return b""
        if self.refuse or (why := self._obey(packet)):
            if self.refuse:
                self.refuse -= 1
            else:
                self.violations.append(why)
            return self.before + cfa_packet(0xC0 | packet[0])
        answer = self.before + cfa_packet(0x40 | packet[0], self._data(packet))
        if self.spoil:
            self.spoil -= 1
            answer = answer[:-1] + bytes((answer[-1] ^ 1,))
        if self.hold:
            self._held.append((packet, answer))
            return b""
        return answer

    def _data(self, packet: bytes) -> bytes:
        command, data = packet[0], packet[2:-2]
        return {0: data, 1: b"CFA635:h1.0,v1.5", 24: bytes(3)}.get(command, b"")

    def _obey(self, packet: bytes) -> str:
        """What is wrong with it, or nothing."""
        command, data = packet[0], packet[2:-2]
        if len(data) not in _CFA_LENGTHS.get(command, ()):
            return f"command {command} with {len(data)} bytes"
        if command == 6:
            self.blank()
        elif command == 12:
            self.cursor_style = data[0]
        elif command == 14:
            if max(data) > 100:
                return f"light {data.hex(' ')}"
            self.light = data[0] > 0
        elif command == 31:
            column, row, codes = data[0], data[1], data[2:]
            if row >= ROWS or column + len(codes) > COLUMNS:
                return f"{len(codes)} characters at column {column}, row {row}"
            self.codes[row][column : column + len(codes)] = codes
            self.written[row] += 1
        return ""


def cfa_packet(kind: int, data: bytes = b"") -> bytes:
    body = bytes((kind, len(data))) + data
    return body + x25(body).to_bytes(2, "little")


# Inquiries, not on our page of the protocol, and what is answered: type, firmware, serial number.
_INQUIRIES: Final = {0x37: b"\x09", 0x36: b"\x19", 0x35: b"\x01\x02"}
# Command: how many bytes follow it.
_MATRIX_LENGTHS: Final = {
    **dict.fromkeys(_INQUIRIES, 0),
    0x42: 1, 0x43: 0, 0x44: 0, 0x46: 0, 0x47: 2, 0x48: 0, 0x4A: 0, 0x4B: 0, 0x4E: 9, 0x50: 1, 0x51: 0, 0x52: 0,
    0x53: 0, 0x54: 0, 0x56: 0, 0x57: 0, 0x58: 0, 0x99: 1,
}  # fmt: skip


class MatrixGlass(Screen):
    """An LK204: line wrap, scroll and both cursors on, as another program may have left it."""

    def __init__(self) -> None:
        super().__init__()
        self.wrap = self.scroll = self.underline = self.blinking = True
        self.brightness = 255
        self.commands: list[bytes] = []
        self._said = b""
        self._column = self._row = 0
        self._begun = b""

    def take(self, data: bytes) -> bytes:
        for byte in data:
            if self._begun or byte == 0xFE:
                self._begun += bytes((byte,))
                self._command()
            else:
                self._text(byte)
        said, self._said = self._said, b""
        return said

    def _command(self) -> None:
        if len(self._begun) < 2:
            return
        code = self._begun[1]
        if code not in _MATRIX_LENGTHS:
            self.violations.append(f"command 0x{code:02x}")
            self._begun = b""
        elif len(self._begun) == 2 + _MATRIX_LENGTHS[code]:
            command, self._begun = self._begun, b""
            self.commands.append(command)
            self._obey(code, command[2:])

    def _obey(self, code: int, data: bytes) -> None:
        if code in (0x58, 0x48):
            self._column = self._row = 0
        if code == 0x58:
            self.blank()
        elif code in _INQUIRIES:
            self._said += _INQUIRIES[code]
        elif code in (0x42, 0x46):
            self.light = code == 0x42
        elif code == 0x99:
            self.brightness = data[0]
        elif code in (0x43, 0x44):
            self.wrap = code == 0x43
        elif code in (0x51, 0x52):
            self.scroll = code == 0x51
        elif code in (0x4A, 0x4B):
            self.underline = code == 0x4A
        elif code in (0x53, 0x54):
            self.blinking = code == 0x53
        elif code == 0x47:
            if not (1 <= data[0] <= COLUMNS and 1 <= data[1] <= ROWS):
                self.violations.append(f"cursor to {data.hex(' ')}")
                return
            self._column, self._row = data[0] - 1, data[1] - 1
            self.written[self._row] += 1

    def _text(self, code: int) -> None:
        if self._column == COLUMNS:
            if not self.wrap:
                self.violations.append(f"code 0x{code:02x} beyond the end of row {self._row}")
                return
            self._column, self._row = 0, self._row + 1
            if self._row == ROWS:
                self._row = ROWS - 1 if self.scroll else 0
                if self.scroll:
                    self.codes = [*self.codes[1:], bytearray(b" " * COLUMNS)]
        self.codes[self._row][self._column] = code
        self._column += 1


class Plug:
    """A pseudo terminal called `path` for one glass after another."""

    def __init__(self, loop: Loop, path: Path) -> None:
        self.path = path
        self.heard = b""
        self.mute = False  # the glass does not even hear
        self._loop = loop
        self._master = -1
        self._slave = -1
        self._glass: Glass | None = None

    def plug(self, glass: Glass) -> None:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self._glass = glass
        self._loop.watch(self._master, READ, self._read)
        self.path.symlink_to(os.ttyname(self._slave))

    def unplug(self) -> None:
        if self._master >= 0:
            self.path.unlink()
            self._loop.unwatch(self._master)
            os.close(self._master)
            os.close(self._slave)
            self._master = -1

    def deaf(self) -> None:
        """From now on nobody reads: the line fills up."""
        self._loop.unwatch(self._master)

    def say(self, data: bytes) -> None:
        """What the display sends by itself; what nobody reads is lost, as on a wire."""
        if data and select.select([], [self._master], [], 0)[1]:
            os.write(self._master, data)

    def _read(self, _ready: int) -> None:
        try:
            data = os.read(self._master, 4096)
        except OSError:
            return
        self.heard += data
        if self._glass is not None and not self.mute:
            self.say(self._glass.take(data))
