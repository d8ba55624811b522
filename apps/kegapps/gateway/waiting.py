"""Requests with tokens, whose answers wait for the core to let their owners in.

Knows the loop, the taps and how long to wait. Must not know batches, the store, or what an answer holds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from kegapps.daemon.loop import Loop, Timer
from kegapps.gateway.server import Answer, Reply
from kegapps.gateway.taps import Key, Taps

GATHER_S: Final = 0.03
"""The core lets somebody in on all taps of a board at once: the others' news are right behind the first."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Request:
    board: str
    keys: tuple[Key, ...]
    reply: Reply
    timer: Timer


class Waiting:
    """All that wait. `answer` makes the answer for a board, once what is not let in was denied."""

    def __init__(self, loop: Loop, taps: Taps, *, decision_s: float, answer: Callable[[str], Answer]) -> None:
        """`decision_s`: so long an answer waits for the core."""
        self._loop = loop
        self._taps = taps
        self._decision_s = decision_s
        self._answer = answer
        self._requests: list[_Request] = []

    def add(self, board: str, keys: tuple[Key, ...], reply: Reply) -> None:
        """A board has shown these tokens to the core and waits for `reply`."""
        timer = self._loop.call_later(self._decision_s, lambda: self._decide(request))
        request = _Request(board=board, keys=keys, reply=reply, timer=timer)
        self._requests.append(request)

    def look(self, board: str) -> None:
        """The core let somebody in on this board, or out."""
        for request in self._requests:
            if request.board == board and self._taps.is_wanted(board, request.keys, self._loop.now_s()):
                request.timer.cancel()
                request.timer = self._loop.call_later(GATHER_S, partial(self._decide, request))

    def _decide(self, request: _Request) -> None:
        self._requests.remove(request)
        now_s = self._loop.now_s()
        for key in request.keys:
            if not self._taps.is_wanted(request.board, [key], now_s):
                self._taps.deny(request.board, key, "not known here", now_s)
        request.reply(self._answer(request.board))
