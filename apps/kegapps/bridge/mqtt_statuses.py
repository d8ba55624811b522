"""How a board was, told again later: by either side of the bridge, which remembers what a daemon said of it.

Knows BoardStatus and time. Must not know machines or connections.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from kegapps.kegnet.events import BoardStatus

TOLD_FOR_S: Final = 25.0
"""So long a status holds: a daemon tells every 10 s how its boards are."""


def aged(status: BoardStatus, ago_s: float) -> BoardStatus:
    """`status` as it is to be told `ago_s` seconds after it came."""
    return replace(
        status,
        uptime_s=None if status.uptime_s is None else round(status.uptime_s + ago_s, 3),
        listened_s=None if status.listened_s is None else round(status.listened_s + ago_s, 3),
    )


def absent(status: BoardStatus, detail: str) -> BoardStatus:
    """The board of `status` with nobody to tell how it is; `detail` says why."""
    return replace(status, state="absent", detail=detail, uptime_s=None, listened_s=None)
