"""One machine with boards, as the core's bridge sees it: its numbered events in order into the core, each once.

Knows letters, a kegnet connection in that machine's name, and stamps. Must not know the broker.
The core itself remembers, in the commit that stores what came of an event, how far each session came. So nothing is
remembered here: what is missing is asked for again, and what came twice the core skips.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from kegapps.bridge.mqtt_letters import Took, Up
from kegapps.bridge.mqtt_orders import Stamps
from kegapps.bridge.mqtt_transit import Transit
from kegapps.daemon.loop import Loop, Timer
from kegapps.kegnet.client import Client
from kegapps.kegnet.events import AppEvent, BoardStatus, FlowRequest
from kegapps.kegnet.fields import MAX_AGE_S

_ASK_EVERY_S: Final = 0.2
_NOTHING: Final = FlowRequest(tap_name="refused", request="report_status")
"""Asks for nothing, and is confirmed at once."""
_MAX_SESSION_CHARS: Final = 40
_JITTER_S: Final = 0.05  # letters that took no longer than this came at once


class Machine:
    """`tell` passes on what is to be told to it; `check` says why an event of it must not reach the core, or ""."""

    def __init__(
        self,
        loop: Loop,
        name: str,
        core: tuple[str, int],
        *,
        token: str,
        tell: Callable[[Took], None],
        check: Callable[[AppEvent], str],
    ) -> None:
        self.name = name
        self.is_online = False
        self.boards: dict[str, tuple[BoardStatus, float]] = {}
        """How each is, and when that was told."""
        self.stamps = Stamps()
        self._loop = loop
        self._core = core
        self._token = token
        self._tell = tell
        self._check = check
        self._transit = Transit()
        self._session = ""
        self._expected: int | None = None  # the number that goes to the core next
        self._took = 0  # the core has stored all below
        self._client: Client | None = None
        self._asking: Timer | None = None
        self._answering = False

    def take(self, letter: Up) -> None:
        """An event came."""
        now_s = self._loop.now_s()
        transit_s = self._transit.took_s(letter.run, letter.sent_s, now_s)
        is_ahead = self._expected is not None and letter.first > self._expected
        # Ahead: what we wait for the core has had already, from a bridge before us, and the machine knows it.
        if letter.session != self._session or is_ahead:
            self._begin(letter.session)
        if self._expected is None:
            # Anything but the first that is not stored would make the core forget those before it.
            if letter.number != letter.first:
                self._ask()
                return
            self._connect(letter.number)
        assert self._expected is not None
        if letter.number < self._expected:
            self._answer()
        elif letter.number > self._expected:
            self._ask()
        elif self._client is not None and self._client.is_free:
            self._expected += 1
            problem = self._check(letter.event)
            # What is refused is counted all the same.
            self._client.send(_NOTHING if problem else _aged(letter.event, transit_s))
        else:
            self._ask()

    def close(self) -> None:
        """Disconnect from the core."""
        if self._asking is not None:
            self._asking.cancel()
        if self._client is not None:
            self._client.close()
            self._client = None
        self._session, self._expected = "", None

    def _begin(self, session: str) -> None:
        self.close()
        self._session = session
        self._took = 0

    def _connect(self, first: int) -> None:
        self._expected = self._took = first
        self._client = Client(
            self._loop,
            self._core,
            # Nobody can go on in the session of an app of the core's own machine.
            session=(f"mqtt {self.name} {self._session[:_MAX_SESSION_CHARS]}", first),
            token=self._token,
            on_connected=self._ask,
            on_taken=self._on_taken,
        )

    def _on_taken(self, took: int) -> None:
        self._took = max(self._took, took)
        self._answer()

    def _answer(self) -> None:
        """Tell how far the core is, once for all that came in this round of the loop."""
        if not self._answering:
            self._answering = True
            self._loop.call_later(0.0, self._answer_now)

    def _answer_now(self) -> None:
        self._answering = False
        if self._session:
            self._tell(Took(session=self._session, took=self._took))

    def _ask(self) -> None:
        """Have all sent again that did not go to the core, soon, and not for each single one that is missing."""
        if self._asking is None or self._asking.cancelled:
            self._asking = self._loop.call_later(_ASK_EVERY_S, self._ask_now)

    def _ask_now(self) -> None:
        if self._client is not None and not self._client.is_free:
            if self._client.connected:
                self._ask()
            return  # when it is connected it asks
        if self._session:
            self._tell(Took(session=self._session, took=self._took, again=self._expected or 0))


def _aged(event: AppEvent, transit_s: float) -> AppEvent:
    if transit_s <= _JITTER_S:
        return event
    return replace(event, age_s=min(round(event.age_s + transit_s, 3), MAX_AGE_S))
