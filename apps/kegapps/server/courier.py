"""The one thread that talks HTTP: performs calls one after another and hands each answer back to the loop.

Knows sockets, http.client and deadlines. Must not know what a call is for, or what its answer means.
"""

from __future__ import annotations

from collections.abc import Callable

from kegapps.daemon.loop import Loop
from kegapps.server.calls import Answer, Call
from kegapps.server.url import ApiUrl


class Courier:
    """Performs calls on the Kegbot Server at `url`, one at a time, in a thread that begins with the first one.

    `api_key`: None sends none. Neither it nor a header of a call is ever logged or shown.
    """

    def __init__(self, loop: Loop, url: ApiUrl, api_key: str | None) -> None:
        raise NotImplementedError

    @property
    def waiting(self) -> int:
        """Calls whose answers were not handed back yet."""
        raise NotImplementedError

    def perform(self, call: Call, on_answer: Callable[[Answer], None]) -> None:
        """Perform `call` after those given before; `on_answer` is called in the loop, exactly once. Never blocks."""
        raise NotImplementedError

    def close(self) -> None:
        """Hand back no more answers. The thread ends with the call under way, and never holds up the process."""
        raise NotImplementedError
