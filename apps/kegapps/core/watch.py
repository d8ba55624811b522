"""Whether a token that was put on a reader must still be there: only if its board was listened to ever since.

Knows board statuses, connections and time. Must not know tokens, taps, flows or sockets.
A board tells once that a token has come, and once that it has gone: what it told while nobody listened nobody knows,
and after a boot it begins anew. Its daemon tells for how long it has listened without a break; a daemon that does not
(the one of 2012) is taken at its word. A core that was away has missed nothing: daemons keep what they hear for it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from kegapps.core.model import Now
from kegapps.kegnet.events import BoardStatus

MAX_BOARDS: Final = 64
"""The oldest is forgotten for a new one, or any client could fill the memory."""

TOLERANCE_S: Final = 0.1
"""So much later than it was said a status may be read; no board or daemon is back within that time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Heard:
    peer: str
    listened_s: float
    since_mono_s: float


class Watch:
    """Since when each board has been listened to without a break."""

    def __init__(self) -> None:
        self._heard: dict[str, _Heard] = {}

    def tell(self, status: BoardStatus, peer: str, now: Now) -> None:
        """Take what the connection `peer` says of a board."""
        listened_s, before = status.listened_s, self._heard.get(status.board_name)
        if status.state == "absent" and before is not None and before.peer == peer:
            # Whatever is heard from now on is another time, however long it will have lasted when it is told of.
            self._heard[status.board_name] = replace(before, listened_s=float("inf"))
        if status.state != "online" or listened_s is None:
            return
        since_mono_s = now.mono_s - listened_s
        if before is not None and before.peer == peer and before.listened_s <= listened_s:
            # What was read late seems to be a later time.
            since_mono_s = min(since_mono_s, before.since_mono_s)
        elif before is None and len(self._heard) >= MAX_BOARDS:
            del self._heard[next(iter(self._heard))]
        self._heard[status.board_name] = _Heard(peer=peer, listened_s=listened_s, since_mono_s=since_mono_s)

    def was_broken(self, board_name: str, since_mono_s: float) -> bool:
        """True if nobody listened to the board for a while after `since_mono_s`, as far as is known."""
        heard = self._heard.get(board_name)
        return heard is not None and heard.since_mono_s > since_mono_s + TOLERANCE_S
