"""Which boards are there, by what their daemons tell; and so, of which relays nobody knows whether they obey.

Knows board statuses, connections, time, and the names of boards that have taps. Must not know flows, relays or sockets.

A board is lost

* while somebody connected says that it is silent, or too old. It is unsafe then, whatever others claim: a lie closes
  valves until the liar leaves, and never keeps one open;
* if it was online in this run, and nobody connected says that it is: its daemon says that it is absent, or has gone.

Otherwise it is not. Of a board that was never online nothing is known: the daemon of 2012 tells nothing, and neither
does a program that pours for a test; if that daemon has gone nobody passes on the core's commands, and the board
closes its valves by itself after 10 s. What somebody said who never saw a board online is forgotten when they leave.
And a board is not gone with the one who told of it if others go on to tell of its meters.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from kegapps.core.model import Now
from kegapps.core.report import HeardBoard
from kegapps.kegnet.events import BoardStatus

MAX_BOARDS: Final = 64
"""In all, beside those that have taps: further ones are not remembered, or any client could fill the memory."""

MAX_BOARDS_TOLD: Final = 64
"""By one connection; a daemon has no more."""

REFUSED_FOR_S: Final = 25.0
"""A daemon repeats every 10 s that it refuses a board; a refusal not repeated for so long is over."""

GONE: Final = "the daemon that told of it has gone"

UNSAFE: Final = frozenset({"silent", "too_old"})


class Boards:
    """All boards that are told of, and those that were online in this run."""

    def __init__(self) -> None:
        self._told: dict[str, dict[str, HeardBoard]] = {}  # by connection, by board
        self._refused: dict[tuple[str, str, str], HeardBoard] = {}  # by connection, board and device
        self._were_online: dict[str, HeardBoard] = {}  # by board, the first first; what was said of it last
        self._told_otherwise: set[str] = set()  # gone, but others tell of their meters
        self._with_taps: frozenset[str] = frozenset()

    @property
    def lost(self) -> frozenset[str]:
        """Names of the boards that are unsafe, or were there and are not."""
        told = [
            (name, board.status.state) for boards in self._told.values() for name, board in boards.items()
        ]
        online = {name for name, state in told if state == "online"}
        unsafe = {name for name, state in told if state in UNSAFE}
        return frozenset((self._were_online.keys() - online - self._told_otherwise) | unsafe)

    def use(self, with_taps: Iterable[str]) -> None:
        """The boards of these names have taps: there is always room for them."""
        self._with_taps = frozenset(with_taps)

    def tell(self, status: BoardStatus, peer: str, now: Now) -> bool:
        """Take what the connection `peer` says of a board; False if there is no room to remember it."""
        name, heard = status.board_name, HeardBoard(status=status, heard_mono_s=now.mono_s)
        if status.state == "refused":
            # It is another board that would like the name of one; that one is none the worse for it.
            key = (peer, name, status.device)
            has_room = key in self._refused or len(self._refused) < MAX_BOARDS
            if has_room:
                self._refused[key] = heard
            return has_room
        boards = self._told.setdefault(peer, {})
        if name not in boards and (len(boards) >= MAX_BOARDS_TOLD or not self._has_room_for(name)):
            return False
        boards[name] = heard
        self._told_otherwise.discard(name)
        if status.state == "online" or name in self._were_online:
            self._were_online[name] = heard
        return True

    def read(self, name: str) -> bool:
        """Somebody tells what a meter of this board shows now; True if that makes `lost` another."""
        if name not in self._were_online or name in self._told_otherwise:
            return False
        if any(name in boards for boards in self._told.values()):
            return False
        self._told_otherwise.add(name)
        return True

    def leave(self, peer: str) -> None:
        """The connection `peer` has ended, and with it what is known of its boards."""
        self._told.pop(peer, None)
        for key in [key for key in self._refused if key[0] == peer]:
            del self._refused[key]

    def heard(self, now: Now) -> tuple[HeardBoard, ...]:
        """What there is to say of each board now, those with taps first and the refused ones last."""
        boards = {name: _after(board) for name, board in self._were_online.items()}
        for told in self._told.values():
            for name, board in told.items():
                if name not in boards or _weight(board) >= _weight(boards[name]):
                    boards[name] = board
        refused = [b for b in self._refused.values() if now.mono_s - b.heard_mono_s <= REFUSED_FOR_S]
        return (*sorted(boards.values(), key=lambda b: b.status.board_name not in self._with_taps), *refused)

    def _has_room_for(self, name: str) -> bool:
        """Make room if need be: those that have gone, and have no taps, are forgotten."""
        told = {name for boards in self._told.values() for name in boards}
        known = (told | self._were_online.keys()) - self._with_taps
        if name in self._with_taps or name in known or len(known) < MAX_BOARDS:
            return True
        gone = next((n for n in self._were_online if n not in told and n not in self._with_taps), None)
        if gone is None:
            return False
        del self._were_online[gone]
        self._told_otherwise.discard(gone)
        return True


def _weight(board: HeardBoard) -> int:
    """Of two that tell of one board the one is believed that says more of it."""
    return 2 if board.status.state in UNSAFE else int(board.status.state == "online")


def _after(board: HeardBoard) -> HeardBoard:
    """What is left to say of a board that nobody tells of any more."""
    return replace(board, status=replace(board.status, state="absent", detail=GONE, uptime_s=None))
