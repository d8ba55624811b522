"""Stored drinks for the apps that ask: one page after another, whoever asks, with pauses in which beer may flow.

Knows the loop and the part of the store that is for showing. Must not know sockets, flows or what drinks are for.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from kegapps.core.database import StoreError
from kegapps.core.tap_room_store import TapRoomStore
from kegapps.daemon.loop import Loop, Timer
from kegapps.kegnet.events import Drinks, DrinksRequest

log = logging.getLogger("core")

PAUSE_S: Final = 0.02
"""A page takes some 2 ms: however many ask for however much, it is a tenth of the core's time."""
RETRY_S: Final = 1.0
"""While the store cannot be read, so often it is tried."""


class DrinkPages:
    """Answers each app's question, in the order of asking; of several questions of an app only the last."""

    def __init__(self, loop: Loop, store: TapRoomStore, *, send: Callable[[str, Drinks], None]) -> None:
        """`send(peer, drinks)` hands an answer to the app `peer`."""
        self._loop = loop
        self._store = store
        self._send = send
        self._asked: dict[str, DrinksRequest] = {}  # by peer
        self._timer: Timer | None = None
        self._not_before_s = 0.0

    def ask(self, peer: str, request: DrinksRequest) -> None:
        """`peer` wants drinks; it gets them soon, and after all that is announced in this turn."""
        self._asked[peer] = request
        self._serve_later()

    def forget(self, peer: str) -> None:
        """`peer` has gone."""
        self._asked.pop(peer, None)

    def close(self) -> None:
        """Answer nobody any more."""
        self._asked.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _serve_later(self) -> None:
        if self._asked and self._timer is None:
            self._timer = self._loop.call_later(
                max(0.0, self._not_before_s - self._loop.now_s()), self._serve
            )

    def _serve(self) -> None:
        self._timer = None
        if not self._asked:
            return
        peer, request = next(iter(self._asked.items()))
        pause_s = PAUSE_S
        try:
            self._send(peer, self._store.drinks(request))
            del self._asked[peer]
        except StoreError as error:
            # What is wrong with the store is said elsewhere.
            log.debug("a question for drinks waits: %s", error)
            pause_s = RETRY_S
        self._not_before_s = self._loop.now_s() + pause_s
        self._serve_later()
