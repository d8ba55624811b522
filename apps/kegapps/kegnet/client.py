"""An app's side of kegnet: connects, comes back after every loss, and keeps what it could not send.

Knows one socket, the backlog and the times between attempts. Must not know what the events are for.

TCP tells when the kernel took bytes, not when the core read them. A core that confirms what it stored (see
`delivery`) gets the rest again after a reconnect, and knows what of it is stored. Of what another left unread when it
died, only the last reading of each meter is sent again (an odometer; harmless to repeat), so that no tick is lost; a
token or request is.
"""

from __future__ import annotations

import logging
import os
import random
import socket
from collections.abc import Callable
from functools import partial
from typing import Final

from kegapps.daemon.loop import READ, WRITE, Loop, Timer
from kegapps.kegnet.address import shown_address
from kegapps.kegnet.backlog import Backlog, BacklogLimits, Stored
from kegapps.kegnet.codec import MAX_ANSWER_BYTES, Decoder, Rejected, encode
from kegapps.kegnet.delivery import Sent
from kegapps.kegnet.events import (
    APP_PINGS,
    CORE_EVENTS,
    CoreStatus,
    Credentials,
    Drinks,
    Event,
    MeterUpdate,
    Ping,
    Refusal,
    Taken,
)
from kegapps.kegnet.ratelimit import RateLimit
from kegapps.kegnet.sockets import begin_connecting, check_connected, family, why

log = logging.getLogger("kegnet")

_CONNECT_TIMEOUT_S: Final = 5.0
_RETRY_FIRST_S, _RETRY_MAX_S = 0.5, 5.0
_STABLE_S: Final = 5.0  # a connection that lived this long was a real one: the next retry is soon again
_TURN_BYTES: Final = 16384
_BATCH: Final = 64
_MAX_METERS: Final = 256
_ACCEPTED: Final = frozenset((*CORE_EVENTS, CoreStatus, Drinks))
_DEFAULT_BACKLOG: Final = BacklogLimits()


class Client:
    """Connects to the core at `address`, an IP address and a port, at once and again whenever it is lost.

    A `token` is shown to it first. `on_event` gets CORE_EVENTS, and CoreStatus and Drinks if those were asked for;
    `on_failed` why an attempt to connect failed (it tries on). Callbacks come from the loop only.
    """

    def __init__(
        self,
        loop: Loop,
        address: tuple[str, int],
        *,
        on_event: Callable[[Event], None] | None = None,
        on_connected: Callable[[], None] | None = None,
        on_disconnected: Callable[[], None] | None = None,
        on_failed: Callable[[str], None] | None = None,
        backlog: BacklogLimits = _DEFAULT_BACKLOG,
        token: str = "",
        session: tuple[str, int] | None = None,
        on_taken: Callable[[int], None] | None = None,
    ) -> None:
        """`session`: one of an app that we speak for, and the number of the first message of it that we send.

        `on_taken` gets the number below which the core has stored what came of its messages; as long as only what
        `is_free` at that moment is sent, each message has the number that the app gave it.
        """
        self.address = ("127.0.0.1", address[1]) if address[0] == "localhost" else address
        self.connected = False
        self.problem = ""  # why it is not connected, once that is known
        self.refusal = ""  # why the core wants nothing of us, if that is what it said last
        self._loop = loop
        self._on_event = on_event
        self._on_connected = on_connected
        self._on_disconnected = on_disconnected
        self._on_failed = on_failed
        self._backlog = Backlog(backlog)
        self._greeting = encode(Credentials(token=token)) if token else b""
        # A core that wants a token is one of ours.
        name, first = session or (os.urandom(16).hex(), 0)
        self._sent = Sent(name, core_confirms=bool(token or session), first=first)
        self._on_taken = on_taken
        self._last_readings: dict[str, Stored] = {}  # of each meter, what the kernel took last
        self._again: list[Stored] = []  # to be repeated before all else on the next connection, or this one
        self._sock: socket.socket | None = None
        self._decoder = Decoder(MAX_ANSWER_BYTES)
        self._out = memoryview(b"")  # begun to be sent; the events in it, with where each ends:
        self._out_events: list[tuple[int, Stored]] = []
        self._wants_room = False  # in the kernel
        self._timer: Timer | None = None
        self._failures = 0
        self._connected_s = 0.0
        self._lost_s: float | None = None  # when the last connection ended
        self._rejections = RateLimit(5, 10.0)
        self._connect()

    @property
    def drained(self) -> bool:
        """True if everything given to `send` was handed to the kernel (or given up, see `dropped`)."""
        return not (self._out or self._backlog or (self.connected and self._again))

    @property
    def is_free(self) -> bool:
        """True if what is sent now goes out at once, as the next message of the session."""
        return self.connected and self.drained and not self._sent.is_full

    @property
    def waiting(self) -> int:
        """How many events are kept to be sent."""
        return len(self._backlog) + len(self._out_events) + len(self._again)

    @property
    def dropped(self) -> int:
        """How many events were given up: too many were kept, or a token or request was too old to be sent."""
        return self._backlog.dropped

    def send(self, event: Event) -> None:
        """Send `event` now if that is possible, else keep it; never blocks.

        BoardStatus and what is asked are about the present: without a connection they are not kept.
        Raises ValueError for an event that cannot be encoded.
        """
        data = encode(event)
        if not self.connected and isinstance(event, APP_PINGS):
            return
        stored = Stored(event=event, since_s=self._loop.now_s())
        if self._sock is None or not self.connected or not self.drained or self._sent.is_full:
            self._backlog.add(event, stored.since_s)
            return
        self._out = memoryview(data)
        self._out_events = [(len(data), stored)]
        self._send_out(self._sock)

    def send_together(self, *events: Event) -> None:
        """As `send` for each, in one piece as far as the kernel takes it: what belongs together comes or stays away."""
        for event in events:
            encode(event)
        for event in events:
            if self.connected or not isinstance(event, APP_PINGS):
                self._backlog.add(event, self._loop.now_s())
        if self._sock is not None and self.connected and not self._out:
            self._send_out(self._sock)

    def expect_confirmation(self) -> None:
        """Take the core for one that confirms, also if it is lost before it can say so again."""
        self._sent.expect_confirmation()

    def close(self) -> None:
        """Disconnect for good, without `on_disconnected`. What is kept is lost: look at `drained` first."""
        if self._timer is not None:
            self._timer.cancel()
        was_connected, self.connected = self.connected, False
        self._release(was_connected=was_connected)

    # Connecting

    def _connect(self) -> None:
        try:
            sock = begin_connecting(family(self.address[0]), self.address)
        except OSError as error:
            self._give_up(why(error))
            return
        self._sock = sock
        self._loop.watch(sock, WRITE, partial(self._on_attempt_over, sock))
        self._timer = self._loop.call_later(
            _CONNECT_TIMEOUT_S, lambda: self._give_up(f"no answer for {_CONNECT_TIMEOUT_S:g} s")
        )

    def _on_attempt_over(self, sock: socket.socket, _ready: int) -> None:
        assert self._timer is not None
        self._timer.cancel()
        try:
            check_connected(sock)
        except OSError as error:
            self._give_up(why(error))
            return
        self._begin(sock)

    def _begin(self, sock: socket.socket) -> None:
        self.connected = True
        self.problem = self.refusal = ""
        self._connected_s = self._loop.now_s()
        self._decoder = Decoder(MAX_ANSWER_BYTES)
        log.info("connected to the core at %s%s", shown_address(*self.address), self._told())
        self._loop.watch(sock, READ, self._on_ready)
        self._wants_room = False
        self._out = memoryview(self._greeting + encode(self._sent.begin()))
        self._send_out(sock)
        if self._sock is sock and self._on_connected is not None:
            self._on_connected()

    def _told(self) -> str:
        told = f"; {self.waiting} events kept for it" if self.waiting else ""
        if self.dropped:
            told += f"; {self.dropped} were given up so far"
        if self._lost_s is not None:
            away_s = self._loop.now_s() - self._lost_s
            told += f"; what it told during {away_s:.1f} s, and perhaps shortly before, was missed"
        return told

    def _give_up(self, problem: str) -> None:
        """Drop the connection, or the attempt, and arrange the next."""
        was_connected, self.connected = self.connected, False
        self._release(was_connected=was_connected)
        if was_connected and self._loop.now_s() - self._connected_s >= _STABLE_S:
            self._failures = 0
        if was_connected:
            self._lost_s = self._loop.now_s()
            log.warning("lost the core at %s: %s", shown_address(*self.address), problem)
        elif problem != self.problem:
            log.warning("cannot connect to %s: %s; trying on", shown_address(*self.address), problem)
        self._retry_later(problem)
        if not was_connected and self._on_failed is not None:
            self._loop.call_later(0.0, partial(self._on_failed, problem))
        if was_connected and self._on_disconnected is not None:
            self._on_disconnected()

    def _retry_later(self, problem: str) -> None:
        self.problem = problem
        # The spread keeps the apps of a restarted core from coming all at once.
        delay_s = min(_RETRY_MAX_S, _RETRY_FIRST_S * 2 ** min(self._failures, 10)) * random.uniform(0.8, 1.2)
        self._failures += 1
        self._timer = self._loop.call_later(delay_s, self._connect)

    def _release(self, *, was_connected: bool) -> None:
        sock, self._sock = self._sock, None
        if sock is not None:
            self._loop.unwatch(sock)
            sock.close()
        cut_off = [stored for _, stored in self._out_events]
        self._out = memoryview(b"")
        self._out_events = []
        if sock is None or not was_connected:
            return
        lost = self._sent.lose()
        if lost is not None:
            self._again = [*lost, *cut_off, *self._again]
            return
        self._again = list(self._last_readings.values())
        repeated = {id(stored) for stored in self._again}
        self._backlog.put_back(stored for stored in cut_off if id(stored) not in repeated)

    # Connected

    def _on_ready(self, ready: int) -> None:
        sock = self._sock
        if sock is not None and ready & READ:
            self._receive(sock)
        if sock is not None and sock is self._sock and ready & WRITE:
            self._send_out(sock)

    def _receive(self, sock: socket.socket) -> None:
        try:
            data = sock.recv(_TURN_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._give_up(why(error))
            return
        if not data:
            self._give_up("it closed the connection")
            return
        for message in self._decoder.feed(data):
            if type(message) in _ACCEPTED:
                if self._on_event is not None:
                    self._on_event(message)  # type: ignore[arg-type] # not a Rejected
                if self._sock is not sock:
                    return  # the callback closed us
            elif isinstance(message, Taken):
                self._sent.confirm(message)
                if self._on_taken is not None:
                    self._on_taken(message.took)
                    if self._sock is not sock:
                        return
                if not self.drained and not self._wants_room:
                    self._send_out(sock)  # more may be under way now
            elif isinstance(message, Refusal):
                self.refusal = message.reason or "it does not say why"
                self._give_up(f"it refused us: {self.refusal}")
                return
            elif isinstance(message, Rejected):
                unsaid = self._rejections.admit(self._loop.now_s())
                if unsaid is not None:
                    more = f" ({unsaid} more like it were not logged)" if unsaid else ""
                    log.warning("skipped a message: %s: %s%s", message.reason, message.excerpt, more)

    def _send_out(self, sock: socket.socket) -> None:
        """Send as much as the kernel takes of what was begun and of what is kept."""
        while True:
            if not self._out and (self._sent.is_full or not self._fill_out()):
                self._want_room(sock, False)
                return
            try:
                sent = sock.send(self._out)
            except BlockingIOError:
                sent = 0
            except OSError as error:
                # Later, from the loop: whoever calls `send` does not expect to be called back.
                self._loop.call_later(0.0, partial(self._on_broken, sock, why(error)))
                self._want_room(sock, False)
                return
            self._account(sent)
            if self._out:
                self._want_room(sock, True)
                return

    def _on_broken(self, sock: socket.socket, problem: str) -> None:
        if self._sock is sock:
            self._give_up(problem)

    def _want_room(self, sock: socket.socket, wanted: bool) -> None:
        if wanted != self._wants_room:
            self._wants_room = wanted
            self._loop.watch(sock, READ | WRITE if wanted else READ, self._on_ready)

    def _fill_out(self) -> bool:
        now_s = self._loop.now_s()
        data = b""
        batch, self._again = self._again, []
        for stored in batch or self._backlog.take(now_s, _BATCH):
            # Nothing is left out of what goes again: the messages are counted. What is about the present is not told
            # after it, nor asked: the answer would be about the middle of what goes again.
            is_past = isinstance(stored.event, APP_PINGS) and stored.since_s < self._connected_s
            is_past = is_past or (bool(batch) and self._backlog.is_stale(stored, now_s))
            event = Ping() if is_past else stored.aged(now_s)
            data += encode(event)
            self._out_events.append((len(data), stored))
        self._out = memoryview(data)
        return bool(data)

    def _account(self, sent: int) -> None:
        """Forget the first `sent` bytes of `_out` and the events that end within them."""
        self._out = self._out[sent:]
        unsent: list[tuple[int, Stored]] = []
        for end, stored in self._out_events:
            if end > sent:
                unsent.append((end - sent, stored))
                continue
            self._sent.add(stored)
            if isinstance(stored.event, MeterUpdate):
                self._last_readings.pop(stored.event.tap_name, None)
                self._last_readings[stored.event.tap_name] = stored
                if len(self._last_readings) > _MAX_METERS:
                    del self._last_readings[next(iter(self._last_readings))]
        self._out_events = unsent
