"""Real sockets and the real loop, in one thread: nothing sleeps, everything waits for what it is about."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from kegapps.daemon.loop import READ, Loop
from kegapps.kegnet.codec import Decoder, Rejected, encode
from kegapps.kegnet.events import Event, Session
from kegapps.kegnet.hub import Hub, HubLimits

DEADLINE_S = 20.0


def turn_until(loop: Loop, condition: Callable[[], object], what: str = "") -> None:
    """Serve until `condition()`; fails the test after DEADLINE_S."""
    end_s = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > end_s:
            pytest.fail(f"waited {DEADLINE_S} s in vain {what}")
        loop.run_once(0.05)


class Clock:
    """Time that passes by itself and can be turned forward."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead_s


class RawPeer:
    """A socket that speaks any bytes and collects what it reads; `closed` once the other side has closed."""

    def __init__(self, loop: Loop, sock: socket.socket) -> None:
        self.loop = loop
        self.sock = sock
        self.got: list[Event | Rejected] = []
        self.greetings: list[Event | Rejected] = []  # what an app of ours begins with; not in `got`
        self.bytes = b""
        self.closed = False
        self._decoder = Decoder()
        sock.setblocking(False)
        loop.watch(sock, READ, self._read)

    def _read(self, _ready: int) -> None:
        try:
            data = self.sock.recv(65536)
        except OSError:
            data = b""
        if not data:
            self.closed = True
            self.loop.unwatch(self.sock)
            return
        self.bytes += data
        for item in self._decoder.feed(data):
            (self.greetings if isinstance(item, Session) else self.got).append(item)

    def say(self, *what: bytes | Event) -> None:
        """Send all of it, while the loop serves the other side."""
        data = b"".join(item if isinstance(item, bytes) else encode(item) for item in what)
        while data and not self.closed:
            try:
                data = data[self.sock.send(data) :]
            except BlockingIOError:
                self.loop.run_once(0.05)
            except OSError:
                return  # it has had enough

    def close(self) -> None:
        self.loop.unwatch(self.sock)
        self.sock.close()


class Core:
    """A hub that notes what it gets, and RawPeers connected to it."""

    def __init__(self, loop: Loop, limits: HubLimits, token: str = "") -> None:
        self.loop = loop
        self.got: list[Event] = []
        self.from_peers: list[str] = []
        self.gone: list[str] = []
        self.got_when_gone: list[int] = []  # how many events had come by then
        self.on_event: Callable[[Event], None] = lambda _event: None
        self.hub = Hub(
            loop, ("127.0.0.1", 0), on_event=self._note, on_gone=self._note_gone, limits=limits, token=token
        )
        self._sockets: list[socket.socket] = []

    def _note(self, event: Event, peer: str) -> None:
        self.got.append(event)
        self.from_peers.append(peer)
        self.on_event(event)

    def _note_gone(self, peer: str) -> None:
        self.gone.append(peer)
        self.got_when_gone.append(len(self.got))

    def socket(self, receive_bytes: int = 0) -> socket.socket:
        """A connected socket that nobody reads."""
        sock = socket.socket()
        if receive_bytes:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self._sockets.append(sock)
        accepted = self.hub.counts.accepted
        sock.connect(self.hub.address)
        turn_until(self.loop, lambda: self.hub.counts.accepted > accepted, "to be accepted")
        return sock

    def app(self) -> RawPeer:
        return RawPeer(self.loop, self.socket())

    def turn_until(self, condition: Callable[[], object], what: str = "") -> None:
        turn_until(self.loop, condition, what)

    def close(self) -> None:
        self.hub.close()
        for sock in self._sockets:
            sock.close()


@contextmanager
def running_core(
    limits: HubLimits | None = None, token: str = "", clock: Callable[[], float] = time.monotonic
) -> Iterator[Core]:
    """A core on a port of its own, with a loop to turn."""
    loop = Loop(clock)
    core = Core(loop, limits or HubLimits(), token)
    try:
        yield core
    finally:
        core.close()
        loop.close()
