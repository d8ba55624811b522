"""A small HTTP server on the loop: no threads, every connection and every wait bounded.

Knows sockets, limits and how an answer looks. Must not know what the requests are for.
A client that is slow, silent or sends without end costs one of a few places for a few seconds. Where all places are
taken, who is not being answered has to give way: first the oldest that never sent a whole request. Some places are kept
for the addresses of those who are known.
"""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from kegapps.daemon.loop import READ, WRITE, Loop, Timer
from kegapps.gateway.request import Refused, Request, RequestReader
from kegapps.kegnet.ratelimit import RateLimit
from kegapps.kegnet.sockets import family, out_of_resources, tune, why

log = logging.getLogger("gateway")

_TURN_BYTES: Final = 16384
_ACCEPTS_PER_TURN: Final = 8
_ACCEPT_PAUSE_S: Final = 1.0
_LINGER_BYTES: Final = 262_144
_WORDS: Final = {
    100: "Continue", 200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 405: "Method Not Allowed",
    408: "Request Timeout", 413: "Content Too Large", 415: "Unsupported Media Type",
    431: "Request Header Fields Too Large", 503: "Service Unavailable",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a request is answered: a JSON object."""

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLimits:
    """What one client, and all together, may cost."""

    max_connections: int = 64
    max_connections_of_one: int = 16
    """From one address."""
    kept_for_known: int = 16
    """So many of all places strangers cannot take."""
    first_byte_s: float = 5.0
    """For who has just connected: a board does that when it has something to say."""
    request_s: float = 10.0
    """From the first byte of a request to its last, however steadily they drip."""
    idle_s: float = 90.0
    """Between two requests of a connection: a board's heartbeat comes every minute."""
    write_s: float = 10.0
    linger_s: float = 2.0
    """For the rest of a request that was refused before it was read: without, its sender would not see the answer."""


Reply = Callable[[Answer], None]
Handler = Callable[[Request, str, Reply], None]
IsKnown = Callable[[str], bool]


def _nobody(_host: str) -> bool:
    return False


class HttpServer:
    """Listens on `address` (IP address and port) and calls `handler(request, host, reply)`.

    `host` is the client's IP address; `reply` is to be called once, at once or later. Raises OSError if it cannot
    listen.
    """

    def __init__(
        self,
        loop: Loop,
        address: tuple[str, int],
        handler: Handler,
        *,
        limits: ServerLimits = ServerLimits(),
        is_known: IsKnown = _nobody,
    ) -> None:
        """`is_known` says of an IP address whether somebody is there who may ask."""
        self._loop = loop
        self._handler = handler
        self._is_known = is_known
        self.limits = limits
        self._connections: dict[_Connection, None] = {}  # the longest unused first
        self._pause: Timer | None = None
        self._talk = RateLimit(5, 60.0)
        self._listener = socket.create_server(address, family=family(address[0]), backlog=64)
        self._listener.setblocking(False)
        self.address: tuple[str, int] = self._listener.getsockname()[:2]
        loop.watch(self._listener, READ, self._accept)

    @property
    def connections(self) -> int:
        """How many there are now."""
        return len(self._connections)

    def close(self) -> None:
        """Hang up on everybody and stop listening."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.unwatch(self._listener)
        self._listener.close()
        for connection in tuple(self._connections):
            connection.close()

    def _accept(self, _ready: int) -> None:
        for _ in range(_ACCEPTS_PER_TURN):
            try:
                sock, remote = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if out_of_resources(error):
                    self._say(f"cannot accept a connection now: {why(error)}")
                    self._loop.unwatch(self._listener)
                    self._pause = self._loop.call_later(
                        _ACCEPT_PAUSE_S, lambda: self._loop.watch(self._listener, READ, self._accept)
                    )
                    return
                continue  # it left before it was served
            try:
                tune(sock)
            except OSError:
                sock.close()
                continue
            host = str(remote[0])
            if not self._has_room_for(host):
                self._say(f"turned away {host}: too many connections")
                sock.close()
                continue
            connection = _Connection(
                self._loop, sock, host, self.limits, self._handler, self._used, self._gone
            )
            self._connections[connection] = None
            connection.begin()

    def _has_room_for(self, host: str) -> bool:
        """There is a place, or one who is not being answered is hung up on to make one.

        Of this host, if it has all of its own; else a stranger, and one who is known only for another.
        """
        limits, crowd = self.limits, list(self._connections)
        own = [connection for connection in crowd if connection.host == host]
        strangers = [connection for connection in crowd if not self._is_known(connection.host)]
        if len(own) >= limits.max_connections_of_one:
            return _one_gives_way(own)
        if self._is_known(host):
            return len(crowd) < limits.max_connections or _one_gives_way(strangers) or _one_gives_way(crowd)
        is_room = len(strangers) < limits.max_connections - limits.kept_for_known
        return (is_room and len(crowd) < limits.max_connections) or _one_gives_way(strangers)

    def _used(self, connection: _Connection) -> None:
        if self._connections.pop(connection, connection) is None:
            self._connections[connection] = None

    def _gone(self, connection: _Connection) -> None:
        self._connections.pop(connection, None)

    def _say(self, text: str) -> None:
        unsaid = self._talk.admit(self._loop.now_s())
        if unsaid is not None:
            log.warning("%s%s", text, f" ({unsaid} lines like this left out)" if unsaid else "")


def _one_gives_way(crowd: list[_Connection]) -> bool:
    """Hang up on one of these, who are sorted by when they were last of use; False: all are being answered."""
    waiting = [connection for connection in crowd if connection.waits]
    for connection in sorted(waiting, key=lambda connection: connection.was_served)[:1]:
        connection.close()
    return bool(waiting)


class _Connection:
    """One client. It is read only while nothing of it is being answered."""

    def __init__(
        self,
        loop: Loop,
        sock: socket.socket,
        host: str,
        limits: ServerLimits,
        handler: Handler,
        on_used: Callable[[_Connection], None],
        on_gone: Callable[[_Connection], None],
    ) -> None:
        self.host = host
        self.was_served = False
        """It has sent a whole request."""
        self._loop = loop
        self._sock = sock
        self._limits = limits
        self._handler = handler
        self._on_used = on_used
        self._on_gone = on_gone
        self._reader = RequestReader()
        self._out = b""
        self._answering = False
        self._keep_alive = True
        self._lingers = False
        self._lingered = 0
        self._timer: Timer | None = None
        self._open = True

    @property
    def waits(self) -> bool:
        """Nothing that it sent is being answered."""
        return not self._answering and (self._lingers or not self._out)

    def begin(self) -> None:
        """Wait for a request."""
        self._wait(self._limits.first_byte_s, self.close)
        self._loop.watch(self._sock, READ, self._ready)

    def close(self) -> None:
        """Hang up."""
        if self._open:
            self._open = False
            if self._timer is not None:
                self._timer.cancel()
            self._loop.unwatch(self._sock)
            self._sock.close()
            self._on_gone(self)

    def _wait(self, seconds: float, then: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, then)

    def _ready(self, ready: int) -> None:
        if ready & WRITE and self._out:
            self._write()
        if ready & READ and self._open and not self._answering and not self._out:
            self._read()

    def _read(self) -> None:
        try:
            data = self._sock.recv(_TURN_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        if not data:
            self.close()
            return
        if self._lingers:
            self._lingered += len(data)
            if self._lingered > _LINGER_BYTES:
                self.close()
            return
        was_idle = not self._reader.begun
        self._reader.feed(data)
        if was_idle and self._reader.begun and self._reader.request is None:
            # From its first byte on: who drips a byte now and then is cut all the same.
            self._wait(self._limits.request_s, self._too_slow)
        self._serve()

    def _too_slow(self) -> None:
        self._refuse(Refused(408, "timeout"))

    def _serve(self) -> None:
        if self._reader.refused is not None:
            self._refuse(self._reader.refused)
        elif (request := self._reader.request) is not None:
            self._on_used(self)
            self._answering = self.was_served = True
            self._keep_alive = request.keep_alive
            if self._timer is not None:
                self._timer.cancel()
            # Until it is answered; what it sends meanwhile waits in the kernel.
            self._loop.unwatch(self._sock)
            self._handler(request, self.host, partial(self._answer, self._reader))
        elif self._reader.wants_continue:
            self._reader.wants_continue = False
            self._out = b"HTTP/1.1 100 Continue\r\n\r\n"
            self._write()

    def _refuse(self, refused: Refused) -> None:
        self._keep_alive = False
        self._answering = True
        body = {"error": refused.error} | ({"detail": refused.detail} if refused.detail else {})
        self._answer(self._reader, Answer(status=refused.status, body=body))

    def _answer(self, _reader: RequestReader, answer: Answer) -> None:
        if not self._open or not self._answering:
            return
        self._answering = False
        self._out = encode(answer, keep_alive=self._keep_alive)
        self._wait(self._limits.write_s, self.close)
        self._write()

    def _write(self) -> None:
        try:
            sent = self._sock.send(self._out)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close()
            return
        self._out = self._out[sent:]
        if self._out:
            self._loop.watch(self._sock, READ | WRITE, self._ready)
            return
        self._loop.watch(self._sock, READ, self._ready)
        if not self._keep_alive:
            self._linger()
        elif self._reader.request is not None:
            self._wait(self._limits.idle_s, self.close)
            self._reader.next()
            if self._reader.begun:
                self._wait(self._limits.request_s, self._too_slow)
            # From the loop: a queue of requests must not become a queue of calls.
            self._loop.call_later(0.0, self._serve_next)

    def _serve_next(self) -> None:
        if self._open and not self._answering and not self._out:
            self._serve()

    def _linger(self) -> None:
        self._lingers = True
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.close()
            return
        self._wait(self._limits.linger_s, self.close)


def encode(answer: Answer, *, keep_alive: bool) -> bytes:
    """The answer's bytes."""
    body = json.dumps(answer.body, separators=(",", ":")).encode()
    lines = [
        f"HTTP/1.1 {answer.status} {_WORDS.get(answer.status, 'Unknown')}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        *(f"{name}: {value}" for name, value in answer.headers.items()),
        f"Connection: {'keep-alive' if keep_alive else 'close'}",
    ]
    return "\r\n".join(lines).encode("ascii") + b"\r\n\r\n" + body
