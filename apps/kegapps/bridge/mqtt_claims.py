"""Which machine's a board is: of two odometers of one name the core would make one that runs to and fro.

Knows names. Must not know connections, letters or clocks.
A board is the machine's that was the first to tell of it. The core's own machine tells the core itself, so its boards
are known from the core's report only.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

MAX_BOARDS: Final = 64
"""Of all machines: so many a core remembers of one connection."""

MAX_BOARDS_OF_ONE: Final = 16
"""Who sends junk leaves room for others."""

_CURE: Final = "give one of them another --kegboard_name"


class Claims:
    """The boards of all machines."""

    def __init__(self) -> None:
        self._owners: dict[str, str] = {}
        self._local: frozenset[str] = frozenset()

    def owner(self, board: str) -> str:
        """The machine that has that board, "" if none has."""
        return self._owners.get(board, "")

    def claim(self, machine: str, board: str) -> str:
        """`machine` tells of `board`: "" if it is its own, else why not."""
        owner = self._owners.get(board)
        if owner == machine:
            return ""
        if owner is not None:
            return f"machine {owner} has a board of that name; {_CURE}"
        if board in self._local:
            return f"the core's own machine has a board of that name; {_CURE}"
        if len(self._owners) >= MAX_BOARDS or [*self._owners.values()].count(machine) >= MAX_BOARDS_OF_ONE:
            return f"there are {len(self._owners)} boards already"
        self._owners[board] = machine
        return ""

    def release(self, machine: str) -> None:
        """`machine` is forgotten: its boards may be another's."""
        self._owners = {board: owner for board, owner in self._owners.items() if owner != machine}

    def use(self, online: Iterable[str]) -> None:
        """The core has these boards: those that no machine has told of are its own machine's."""
        self._local = frozenset(online) - self._owners.keys()
