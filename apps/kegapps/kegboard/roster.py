"""Which board is which: a name for each, the same over unplugging and other sockets, and no name twice.

Knows hellos, serial numbers and names. Must not know ports, sockets or clocks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from kegapps.kbsp.messages import Hello
from kegapps.kegboard.conversation import Conversation
from kegapps.kegnet.events import BoardState

MAX_NAME: Final = 56
"""With `.thermo-` and more behind it a name still fits into the 64 characters that a core takes for a meter."""
MAX_BOARDS: Final = 64
_NAME: Final = re.compile(r"[A-Za-z0-9_:-][A-Za-z0-9_.:-]*")
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9_:-]")
TAIL: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """How boards get their names.

    name    of the one board if `single`; else of a board without a serial number, and with `-` and the last eight
            characters of the serial number in lower case of those that have one
    given   names by serial number, in lower case, or by device path; these go first
    """

    name: str
    single: bool
    given: Mapping[str, str] = field(default_factory=dict)

    def name_of(self, serial_number: str, paths: Iterable[str]) -> str:
        """The name of a board with this serial number ("": none) on a device with these paths."""
        for key in (serial_number.lower(), *paths):
            if key and key in self.given:
                return self.given[key]
        if self.single or not serial_number:
            return self.name
        return f"{self.name}-{_NOT_IN_NAMES.sub('_', serial_number[-TAIL:].lower())}"


@dataclass(slots=True, kw_only=True)
class Board:
    """One board, over all the times that it comes and goes, on whatever device."""

    name: str
    conversation: Conversation
    device: str = ""
    """The path on which it is, or was last."""
    state: BoardState | None = None
    """None: not known yet."""
    detail: str = ""
    firmware_version: int | None = None
    serial_number: str = ""
    booted_s: float | None = None
    """When it booted, in the loop's seconds; None if it does not tell."""
    listened_since_s: float | None = None
    """From then on nothing that it said was missed, and it has not booted; in the loop's seconds."""
    line: object | None = None
    """What talks to it now."""
    switched_on: set[int] = field(default_factory=set)
    """Outputs that the core had switched on and not off again."""
    to_switch_off: set[int] = field(default_factory=set)
    """Outputs that were on when we last heard of the board, and are to be off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A board that cannot have the name it should have, and why, with what to do."""

    name: str
    reason: str


class Roster:
    """All boards that were heard, or that somebody gave a name."""

    def __init__(self, naming: Naming, *, required_firmware: int) -> None:
        self._naming = naming
        self._required_firmware = required_firmware
        self._boards: dict[tuple[str, str], Board] = {}  # by name and serial number
        if naming.single:
            self.only = self._board(naming.name, "")
        else:
            for name in naming.given.values():
                self._expect(name)

    @property
    def boards(self) -> list[Board]:
        """All of them, one of each name."""
        boards: dict[str, Board] = {}
        for board in self._boards.values():
            if board.name not in boards or board.line is not None:
                boards[board.name] = board
        return list(boards.values())

    def claim(self, hello: Hello, line: object, paths: Iterable[str]) -> Board | Refusal:
        """The board that says this on `line`, which has it from now on."""
        serial_number = hello.serial_number or ""
        name = self._naming.name_of(serial_number, paths)
        holder = next((board for board in self._boards.values() if board.name == name and board.line), None)
        if holder is not None and holder.line is not line:
            return Refusal(name=name, reason=_taken(name, serial_number, holder))
        if (name, self._key(serial_number)) not in self._boards and len(self._boards) >= MAX_BOARDS:
            return Refusal(name=name, reason=f"there are {MAX_BOARDS} boards already")
        board = self._board(name, serial_number)
        board.line = line
        return board

    def miss(self) -> None:
        """By now they should have been here: what is still not known is absent."""
        for board in self._boards.values():
            if board.state is None and board.line is None:
                board.state, board.detail = "absent", "not seen since the daemon started"

    def _key(self, serial_number: str) -> str:
        return "" if self._naming.single else serial_number

    def _board(self, name: str, serial_number: str) -> Board:
        key = (name, self._key(serial_number))
        if key not in self._boards:
            # It takes the place of one that was only expected.
            self._boards.pop((name, "expected"), None)
            talk = Conversation(name=name, required_firmware=self._required_firmware)
            self._boards[key] = Board(name=name, conversation=talk, serial_number=serial_number)
        return self._boards[key]

    def _expect(self, name: str) -> None:
        talk = Conversation(name=name, required_firmware=self._required_firmware)
        self._boards[name, "expected"] = Board(name=name, conversation=talk)


def _taken(name: str, serial_number: str, holder: Board) -> str:
    cure = (
        "give one of them another name with --kegboard_names"
        if serial_number
        else "give it a serial number with kegboard_monitor.py --set_serial_number=new"
    )
    return f"another board on {holder.device} is {name} already; {cure}"


def parse_names(words: Iterable[str]) -> dict[str, str]:
    """`SERIAL=NAME` or `PATH=NAME`, as Naming.given. Raises ValueError, for a person to read."""
    given: dict[str, str] = {}
    for word in filter(None, words):
        key, equals, name = word.rpartition("=")
        if not equals or not key:
            raise ValueError(f"{word!r}: expected SERIAL=NAME or DEVICE=NAME")
        check_name(name)
        if name in given.values():
            raise ValueError(f"{word!r}: the name {name} is given twice")
        key = key if key.startswith("/") else key.lower()
        if key in given:
            raise ValueError(f"{word!r}: {key} has a name already, {given[key]}")
        given[key] = name
    return given


def check_name(name: str) -> None:
    """Raises ValueError, for a person to read, unless boards may have this name."""
    if len(name) > MAX_NAME or not _NAME.fullmatch(name):
        raise ValueError(
            f"{name!r}: expected a short name such as kegboard, of letters, digits and the signs _ - : ."
        )
