"""One connection to Redis: made, kept, made again for ever; what is said on it is others' business.

Knows one socket, the greeting and the times between attempts. Must not know kegnet.
"""

from __future__ import annotations

import errno
import random
import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from kegapps.bridge import redis_resp
from kegapps.bridge.name_lookup import NameLookup, Place
from kegapps.bridge.redis_address import RedisAddress
from kegapps.bridge.redis_resp import Decoder, Failure, Reply, RespError
from kegapps.daemon.loop import READ, WRITE, Loop, Timer
from kegapps.kegnet.sockets import begin_connecting, check_connected, why

ANSWER_S: Final = 5.0  # for connecting and the greeting
_RETRY_FIRST_S, _RETRY_MAX_S = 0.5, 5.0
_STABLE_S: Final = 5.0  # a connection that lived this long was a real one: the next retry is soon again
_TURN_BYTES: Final = 16_384
_MAX_UNSENT_BYTES: Final = 262_144


class RedisLink:
    """Connects to `address` at once and again whenever it is lost; `greeting` goes first, each word of it answered.

    `on_ready()` when Redis took all of it; then `on_reply` gets whatever it says; `on_gone()` when the connection, or
    an attempt, failed: `problem` says why. Callbacks come from the loop only.
    """

    def __init__(
        self,
        loop: Loop,
        address: RedisAddress,
        greeting: Sequence[bytes],
        *,
        on_ready: Callable[[], None],
        on_reply: Callable[[Reply], None],
        on_gone: Callable[[], None],
    ) -> None:
        self.ready = False
        self.problem = ""
        self._loop = loop
        self._address = address
        login = (address.username, address.password) if address.username else (address.password,)
        self._greeting = [*([redis_resp.command("AUTH", *login)] if address.password else []), *greeting]
        self._on_ready = on_ready
        self._on_reply = on_reply
        self._on_gone = on_gone
        self._sock: socket.socket | None = None
        self._lookup: NameLookup | None = None
        self._decoder = Decoder()
        self._unanswered = 0  # of the greeting
        self._out = bytearray()
        self._failures = 0
        self._ready_s = 0.0
        self._timer: Timer | None = loop.call_later(0.0, self._begin)

    def send(self, data: bytes) -> None:
        """Send without waiting; dropped while it is not ready. A peer that takes too little is given up."""
        if self.ready and self._sock is not None:
            self._out += data
            self._flush(self._sock)

    def give_up(self, problem: str) -> None:
        """Drop the connection, and arrange the next."""
        if self.ready and self._loop.now_s() - self._ready_s >= _STABLE_S:
            self._failures = 0
        self._release()
        self.problem = problem
        delay_s = min(_RETRY_MAX_S, _RETRY_FIRST_S * 2 ** min(self._failures, 10)) * random.uniform(0.8, 1.2)
        self._failures += 1
        self._set_timer(delay_s, self._begin)
        self._on_gone()

    def close(self) -> None:
        """Disconnect for good."""
        self._set_timer(None)
        self._release()

    # Connecting

    def _begin(self) -> None:
        self._set_timer(ANSWER_S, lambda: self.give_up(f"no answer for {ANSWER_S:g} s"))
        host = self._address.host
        if self._address.path:
            self._connect(socket.AF_UNIX, self._address.path)
        elif host == "localhost" or host.replace(".", "").isdigit():
            self._connect(socket.AF_INET, ("127.0.0.1" if host == "localhost" else host, self._address.port))
        elif ":" in host:
            self._connect(socket.AF_INET6, (host, self._address.port))
        else:
            self._lookup = NameLookup(self._loop, host, self._address.port, self._on_looked_up)

    def _on_looked_up(self, found: Place | str) -> None:
        if isinstance(found, str):
            self.give_up(found)
        else:
            self._connect(*found)

    def _connect(self, family: int, place: object) -> None:
        try:
            sock = begin_connecting(family, place)
        except OSError as error:
            self.give_up(_reason(error))
            return
        self._sock = sock
        self._loop.watch(sock, WRITE, partial(self._on_attempt_over, sock))

    def _on_attempt_over(self, sock: socket.socket, _ready: int) -> None:
        try:
            check_connected(sock)
        except OSError as error:
            self.give_up(_reason(error))
            return
        self._decoder = Decoder()
        self._unanswered = len(self._greeting)
        self._out = bytearray(b"".join(self._greeting))
        self._flush(sock)

    # Connected

    def _on_event(self, sock: socket.socket, ready: int) -> None:
        if ready & READ:
            self._receive(sock)
        if ready & WRITE and self._sock is sock:
            self._flush(sock)

    def _receive(self, sock: socket.socket) -> None:
        try:
            data = sock.recv(_TURN_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self.give_up(_reason(error))
            return
        if not data:
            self.give_up("it closed the connection")
            return
        try:
            for reply in self._decoder.feed(data):
                self._take(reply)
                if self._sock is not sock:
                    return
        except RespError as error:
            self.give_up(f"it does not speak Redis' protocol: {error}")

    def _take(self, reply: Reply) -> None:
        if self.ready:
            self._on_reply(reply)
            return
        if isinstance(reply, Failure):
            self.give_up(_refusal(reply))
            return
        self._unanswered -= 1
        if not self._unanswered:
            self._set_timer(None)
            self.ready = True
            self.problem = ""
            self._ready_s = self._loop.now_s()
            self._on_ready()

    def _flush(self, sock: socket.socket) -> None:
        try:
            sent = sock.send(self._out) if self._out else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            sent = len(self._out)  # reading tells the same, and is called from the loop
        del self._out[:sent]
        if len(self._out) > _MAX_UNSENT_BYTES:
            self._loop.call_later(0.0, partial(self._give_up_if, sock, "it takes no more"))
        self._loop.watch(sock, READ | WRITE if self._out else READ, partial(self._on_event, sock))

    def _give_up_if(self, sock: socket.socket, problem: str) -> None:
        if self._sock is sock:
            self.give_up(problem)

    def _release(self) -> None:
        self.ready = False
        self._out.clear()
        if self._lookup is not None:
            self._lookup.cancel()
            self._lookup = None
        sock, self._sock = self._sock, None
        if sock is not None:
            self._loop.unwatch(sock)
            sock.close()

    def _set_timer(self, delay_s: float | None, callback: Callable[[], None] = lambda: None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if delay_s is None else self._loop.call_later(delay_s, callback)


def _reason(error: OSError) -> str:
    if isinstance(error, socket.gaierror):  # whose numbers are not those of the system
        return str(error.strerror or error).lower()
    return "no such socket" if error.errno == errno.ENOENT else why(error).lower()


def _refusal(failure: Failure) -> str:
    """Redis' own words, and what to do about the most frequent ones."""
    kind = failure.text.partition(" ")[0]
    if kind in ("NOAUTH", "WRONGPASS"):
        return f"it refused us: {failure.text[:200]}; give a user and password in --redis_url"
    return f"it refused us: {failure.text[:200]}"
