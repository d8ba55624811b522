"""Between one reader and the core: each tag that comes or goes is told once.

Knows the reader, the kegnet client and the loop. Which of the things a reader sees is a coming or a going is
`presence`'s business. Must not know flags.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from kegapps.daemon.loop import Timer
from kegapps.daemon.service import Service
from kegapps.kegnet.address import shown_address
from kegapps.kegnet.client import Client
from kegapps.kegnet.events import TokenAuthEvent
from kegapps.kegnet.ratelimit import RateLimit
from kegapps.rfid.presence import Change, Presence
from kegapps.rfid.reader import Listener, Reader

FAREWELL_S: Final = 0.4  # a program has to end within a second
LOOK_AGAIN_S: Final = 0.05

log = logging.getLogger("rfid")


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Under which names tokens are told: of the reader, and of the tap or taps that it is for."""

    auth_device: str
    tap_name: str


class Bridge:
    """One reader, one core, one loop."""

    def __init__(
        self,
        service: Service,
        *,
        reader: Callable[[Listener], Reader],
        core: tuple[str, int],
        token: str,
        names: Names,
        hold_off_s: float,
        ready_at_once: bool,
    ) -> None:
        """`ready_at_once`: the program serves while it waits for its reader, too."""
        self._service = service
        self._loop = service.loop
        self._names = names
        self._presence = Presence(hold_off_s)
        self._timer: Timer | None = None
        self._trouble = RateLimit(5, 60.0)
        self._changes = RateLimit(100, 60.0)
        self._given_up = RateLimit(1, 60.0)
        self._given_up_told = 0
        self._ready = False
        self._ready_at_once = ready_at_once
        self._ended = False
        self._told_here = False  # of what lies there, on a connection that was open then
        self._reader = reader(self)
        self._core = Client(
            self._loop,
            core,
            on_connected=self._met_core,
            on_disconnected=self.changed,
            on_failed=lambda _problem: self.changed(),
            token=token,
        )

    def start(self) -> None:
        """Try the reader, and say that the program serves; the rest is the loop's. Raises StartError."""
        self._reader.open()
        if self._ready_at_once:
            self._become_ready()

    def farewell(self) -> None:
        """The loop has stopped: what lies on the reader has gone; send what can still be sent within 0.4 s."""
        self._reader.close()
        self.take_off()
        until_s = self._loop.now_s() + FAREWELL_S
        while self._core.connected and not self._core.drained and (now_s := self._loop.now_s()) < until_s:
            self._loop.run_once(min(LOOK_AGAIN_S, until_s - now_s))
        if self._core.dropped != self._given_up_told:
            self._tell_given_up()
        if not self._core.drained:
            log.warning("%d tokens could not be sent to the core", self._core.waiting)
        self._core.close()

    # -- what the reader says ------------------------------------------------------------------------------

    def seen(self, token: str, *, stays: bool = False) -> None:
        """A tag is there; see `reader.Listener`."""
        self._tell(self._presence.seen(token, self._loop.now_s(), stays=stays))

    def lost(self, token: str) -> None:
        """A tag that stays has gone, perhaps to come back at once."""
        self._tell(self._presence.lost(token, self._loop.now_s()))

    def take_off(self, token: str | None = None) -> None:
        """Whatever lies there, or this token only, has gone for certain."""
        self._tell(self._presence.take_off(token))

    def changed(self) -> None:
        """The reader, or the connection to the core, has come or gone."""
        if self._ready:
            self._service.status(self._status())
        elif self._reader.is_there:
            self._become_ready()

    def complain(self, text: str) -> None:
        """Log it, unless there was too much of that lately."""
        unsaid = self._trouble.admit(self._loop.now_s())
        if unsaid is not None:
            log.warning("%s%s", text, f" ({unsaid} lines like this left out)" if unsaid else "")

    def ended(self) -> None:
        """No tag will ever come again: end as soon as the core has been told of all."""
        self.take_off()
        self._ended = True
        self.changed()
        self._end_if_done()

    # -- telling -------------------------------------------------------------------------------------------

    def _tell(self, changes: Iterable[Change]) -> None:
        for change in changes:
            unsaid = self._changes.admit(self._loop.now_s())
            if unsaid is not None:
                more = f" ({unsaid} lines like this left out)" if unsaid else ""
                log.info("%s %s %s%s", self._names.auth_device, change.token, change.status, more)
            self._send(change)
            self._reader.show(present=change.status == "added")
        self._come_back()

    def _send(self, change: Change) -> None:
        self._told_here = self._core.connected
        self._core.send(
            TokenAuthEvent(
                tap_name=self._names.tap_name,
                auth_device_name=self._names.auth_device,
                token_value=change.token,
                status=change.status,
            )
        )
        if self._core.dropped != self._given_up_told and self._given_up.admit(self._loop.now_s()) is not None:
            self._tell_given_up()

    def _tell_given_up(self) -> None:
        self._given_up_told = self._core.dropped
        log.warning(
            "%d comings and goings were given up so far: too many, or too old, for the core",
            self._given_up_told,
        )

    def _come_back(self) -> None:
        """See that `presence` is woken when it wants to be."""
        due_s = self._presence.next_s
        if self._timer is not None and not self._timer.cancelled:
            if due_s is not None and self._timer.due_s <= due_s:
                return  # it comes early, looks, and sets out again: a reader may repeat a tag very often
            self._timer.cancel()
        if due_s is not None:
            self._timer = self._loop.call_later(max(0.0, due_s - self._loop.now_s()), self._wake)

    def _wake(self) -> None:
        self._tell(self._presence.wake(self._loop.now_s()))

    def _met_core(self) -> None:
        # What was told on an earlier connection may have been told to a core that knows nothing any more, or that
        # believes the tag gone because nobody listened to its reader.
        if self._presence.token is not None and self._told_here:
            self._send(Change(token=self._presence.token, status="added"))
        self.changed()
        self._end_if_done()

    def _end_if_done(self) -> None:
        if self._ended and self._core.connected:
            if self._core.drained:
                self._loop.stop()
            else:
                self._loop.call_later(LOOK_AGAIN_S, self._end_if_done)

    # -- telling people ------------------------------------------------------------------------------------

    def _become_ready(self) -> None:
        self._ready = True
        self._service.ready(self._status())

    def _status(self) -> str:
        if self._core.connected:
            return self._reader.status
        return f"{self._reader.status}; core not reached at {shown_address(*self._core.address)}"
