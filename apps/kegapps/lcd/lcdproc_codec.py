"""LCDproc's client language: commands as bytes, and what LCDd answers.

Knows words, quoting and answers. Must not know sockets, clocks or what is shown. Source: the LCDproc developer's
guide, chapter "The LCDproc client language"; LCDd 0.5.9, which answers each option of a command by itself, so a command
of ours has one. Texts are ISO-8859-1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

MAX_LINE_BYTES: Final = 4096
"""LCDd says nothing that long; a peer that does is another program."""

CODES: Final[Mapping[str, int]] = {chr(code): code for code in (*range(0x20, 0x7F), *range(0xA0, 0x100))}

SCREEN: Final = "kegmaster"
HELLO: Final = b"hello\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome:
    """LCDd is there; `columns` and `rows` are its display's."""

    columns: int
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """LCDd did what it was told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """LCDd did not do what it was told, and why."""

    reason: str


Answer = Welcome | Done | Refused


class NotLcdError(Exception):
    """What came is not from an LCDd; the text says why."""


class Answers:
    """What LCDd says, in any pieces."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Answer]:
        """Each answer that `data` completes. Raises NotLcdError.

        Left out is what LCDd says unasked: `listen` and `ignore`, when our screen comes and goes, and keys.
        """
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if (answer := _answer(line.decode("iso-8859-1"))) is not None:
                yield answer
        if len(self._rest) > MAX_LINE_BYTES:
            raise NotLcdError("it says things that LCDd does not say")


def _answer(line: str) -> Answer | None:
    match line.split():
        case ["connect", *words]:
            return Welcome(columns=_size(words, "wid"), rows=_size(words, "hgt"))
        case ["success", *_]:
            return Done()
        case ["huh?", *words]:
            return Refused(reason=" ".join(words)[:200])
    return None


def _size(words: list[str], name: str) -> int:
    """The number behind `name`; a display has 1 to 256 rows and columns."""
    try:
        size = int(words[words.index(name) + 1])
    except (ValueError, IndexError):
        raise NotLcdError(f"it does not say how large its display is ({name})") from None
    if not 1 <= size <= 256:
        raise NotLcdError(f"its display would be {size} ({name})")
    return size


def setup(rows: int) -> list[bytes]:
    """The commands that make a screen of so many rows, shown before all others."""
    return [
        _command("client_set", "-name", SCREEN),
        _command("screen_add", SCREEN),
        _command("screen_set", SCREEN, "-priority", "foreground"),
        _command("screen_set", SCREEN, "-heartbeat", "off"),
        *(_command("widget_add", SCREEN, f"row{row}", "string") for row in range(rows)),
    ]


def write(row: int, codes: bytes) -> bytes:
    """The command that shows these codes in row `row`, from 0."""
    return f"widget_set {SCREEN} row{row} 1 {row + 1} ".encode() + _quoted(codes) + b"\n"


def light(on: bool) -> bytes:
    """The command for the backlight."""
    return _command("screen_set", SCREEN, "-backlight", "on" if on else "off")


def _command(*words: str) -> bytes:
    return " ".join(words).encode() + b"\n"


def _quoted(codes: bytes) -> bytes:
    return b'"' + codes.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
