"""Which boards are there, by what their daemons tell; and so, of which relays nobody knows whether they obey.

Knows board statuses, connections and time. Must not know taps, flows, relays or sockets.

A board is lost if a daemon of this run told of it and no connected one says now that it is online: because it said
so, or because its connection has ended. Of a board that no daemon ever told of nothing is known: the daemon of 2012
tells nothing, and neither does a program that pours for a test. It is never lost; if its daemon has gone, nobody
passes on the core's commands, and the board closes its valves by itself after 10 s. So a connection that only sent
readings, or only claimed that a board is absent, closes the valve of no board that somebody else tells of.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from kegapps.core.model import Now
from kegapps.core.report import HeardBoard
from kegapps.kegnet.events import BoardStatus

MAX_BOARDS: Final = 64
"""Of one connection, and in all: further ones are not remembered, or any client could fill the memory."""

REFUSED_FOR_S: Final = 25.0
"""A daemon repeats every 10 s that it refuses a board; a refusal not repeated for so long is over."""

GONE: Final = "the daemon that told of it has gone"


class Boards:
    """All boards that were told of in this run."""

    def __init__(self) -> None:
        self._told: dict[str, dict[str, HeardBoard]] = {}  # by connection, by board
        self._refused: dict[tuple[str, str, str], HeardBoard] = {}  # by connection, board and device
        self._last: dict[str, HeardBoard] = {}  # by board; said when it was there to be told of

    @property
    def lost(self) -> frozenset[str]:
        """Names of the boards that were there, or expected, and are not."""
        there = {
            name
            for boards in self._told.values()
            for name, board in boards.items()
            if board.status.state == "online"
        }
        return frozenset(self._last.keys() - there)

    def tell(self, status: BoardStatus, peer: str, now: Now) -> None:
        """Take what the connection `peer` says of a board."""
        name, heard = status.board_name, HeardBoard(status=status, heard_mono_s=now.mono_s)
        if status.state == "refused":
            # It is another board that would like the name of one; that one is none the worse for it.
            key = (peer, name, status.device)
            if key in self._refused or len(self._refused) < MAX_BOARDS:
                self._refused[key] = heard
            return
        boards = self._told.setdefault(peer, {})
        if (name in boards or len(boards) < MAX_BOARDS) and (
            name in self._last or len(self._last) < MAX_BOARDS
        ):
            boards[name] = self._last[name] = heard

    def leave(self, peer: str) -> None:
        """The connection `peer` has ended, and with it what is known of its boards."""
        self._told.pop(peer, None)
        for key in [key for key in self._refused if key[0] == peer]:
            del self._refused[key]

    def heard(self, now: Now) -> tuple[HeardBoard, ...]:
        """What there is to say of each board now, the refused ones last."""
        boards = {name: _after(board) for name, board in self._last.items()}
        for told in self._told.values():
            for name, board in told.items():
                if boards[name].status.state != "online" or board.status.state == "online":
                    boards[name] = board
        refused = [b for b in self._refused.values() if now.mono_s - b.heard_mono_s <= REFUSED_FOR_S]
        return (*boards.values(), *refused)


def _after(board: HeardBoard) -> HeardBoard:
    """What is left to say of a board that nobody tells of any more."""
    return replace(board, status=replace(board.status, state="absent", detail=GONE, uptime_s=None))
