"""One app connected to the hub: its incoming bytes, its unsent ones, and how much of a turn it may take.

Knows one socket. Must not know the other clients, events, or the loop.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable
from typing import Final

from kegapps.kegnet.codec import Decoder
from kegapps.kegnet.delivery import Received
from kegapps.kegnet.ratelimit import Allowance, RateLimit
from kegapps.kegnet.sockets import why

# How much is read in one turn is fitted to how long handling it takes, so that neither a flood of tiny
# messages nor slow handling delays the other clients more than an endless message would.
_TURN_S: Final = 0.0004
_MESSAGE_BYTES: Final = 256  # long ones count as several
_TURN_BYTES_MIN, _TURN_BYTES_FIRST, _TURN_BYTES_MAX = 256, 2048, 65536


class Peer:
    """One connected app, called `name` in logs; at most `max_queued_bytes` wait for it."""

    def __init__(
        self,
        sock: socket.socket,
        name: str,
        *,
        max_message_bytes: int,
        max_queued_bytes: int,
        logged_rejections: int,
        allowance: Allowance,
    ) -> None:
        self.sock = sock
        self.name = name
        self.decoder = Decoder(max_message_bytes)
        self.on_ready: Callable[[int], None]
        self.open = True
        self.queue: deque[bytes | memoryview] = deque()  # references: the clients share the bytes
        self.queued_bytes = 0
        self.paused = False  # not read for a while: it sends too much
        self.watched = 0  # what the loop waits for
        self.rejected = 0
        self.rejections = RateLimit(logged_rejections, 10.0)
        self.received: Received | None = None  # if it told its session
        self.turn_bytes = _TURN_BYTES_FIRST
        self._max_queued_bytes = max_queued_bytes
        self._allowance = allowance

    def account(self, data: bytes, begin_s: float, end_s: float) -> float:
        """Note that `data` came from it and what handling that took; returned is for how long it must not be read."""
        took_s = end_s - begin_s
        if took_s > _TURN_S:
            self.turn_bytes = max(_TURN_BYTES_MIN, self.turn_bytes // 2)
        elif took_s < _TURN_S / 4 and len(data) == self.turn_bytes:
            self.turn_bytes = min(_TURN_BYTES_MAX, self.turn_bytes * 2)
        return self._allowance.take(data.count(b"\n") / 2 + len(data) / _MESSAGE_BYTES, end_s)

    def send(self, data: bytes) -> str:
        """Send or queue; what is returned is why the client has to go, or empty."""
        sent = 0
        if not self.queue:
            try:
                sent = self.sock.send(data)
            except BlockingIOError:
                pass
            except OSError as error:
                return why(error)
            if sent == len(data):
                return ""
        self.queue.append(memoryview(data)[sent:] if sent else data)
        self.queued_bytes += len(data) - sent
        if self.queued_bytes > self._max_queued_bytes:
            return f"does not read, {self.queued_bytes} bytes wait for it"
        return ""

    def send_queued(self) -> str:
        """Send what the kernel has room for; returns as `send` does."""
        while self.queue:
            data = self.queue[0]
            try:
                sent = self.sock.send(data)
            except BlockingIOError:
                return ""
            except OSError as error:
                return why(error)
            self.queued_bytes -= sent
            if sent < len(data):
                self.queue[0] = memoryview(data)[sent:]
                return ""
            self.queue.popleft()
        return ""
