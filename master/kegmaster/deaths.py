"""News from the keeper: how processes ended whose parent it had become.

Knows the pipe between keeper and watchdog.
"""

from __future__ import annotations

import os
import select
import time
from collections import OrderedDict

from .lean import Final, dataclass
from .restart import Exit, from_wait_status

_WAIT_S: Final = 0.1
_MAX_KEPT: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeper:
    """Our parent, which gets our orphans when we die: its pid (0: there is none), and the pipe on which it tells.

    `young`: it has had no other watchdog than us, so no app can have been its child.
    """

    pid: int = 0
    deaths_r: int = -1
    young: bool = True
    deaths_w: int = -1
    """Where it writes: to be handed on with the rest."""

    @property
    def alive(self) -> bool:
        """It is still our parent."""
        return self.pid != 0 and os.getppid() == self.pid

    @property
    def lost(self) -> bool:
        """There was one."""
        return self.pid != 0 and not self.alive


class Deaths:
    """What the keeper told and nobody has asked for yet, bounded."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._known: OrderedDict[int, Exit] = OrderedDict()
        self.keeper_version = ""
        """What a keeper that was replaced has said it is."""

    def take(self) -> None:
        """Take in what has been told."""
        try:
            news = os.read(self._keeper.deaths_r, 65536)
        except BlockingIOError:  # taken already, by another callback of the same turn
            return
        for line in news.splitlines():
            pid, status = line.split()
            if pid == b"keeper":
                self.keeper_version = status.decode()
                continue
            self._known[int(pid)] = from_wait_status(int(status))
        while len(self._known) > _MAX_KEPT:
            self._known.popitem(last=False)

    def of(self, pid: int) -> Exit | None:
        """How `pid` ended, if it was the keeper's child. It has ended already, so the keeper is about to tell."""
        until_s = time.monotonic() + _WAIT_S
        while pid not in self._known and self._keeper.alive and not self._keeper.young:
            wait_s = until_s - time.monotonic()
            if wait_s <= 0 or not select.select([self._keeper.deaths_r], [], [], wait_s)[0]:
                return None
            self.take()
        return self._known.pop(pid, None)
