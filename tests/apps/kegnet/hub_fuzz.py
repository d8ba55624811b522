"""Throws mutated and random streams at the hub's real socket: `python -m tests.apps.kegnet.hub_fuzz --inputs=100000`.

Several clients send them in pieces, come, leave, reset, and mostly do not read; there is one too many of them, and
one sleeps. Every other seed wants a token.
Whatever they send: no exception, only sound events of apps reach the core, no more is kept of anybody than the
limits allow, and a well-behaved client beside them is served all the time.
"""

from __future__ import annotations

import contextlib
import logging
import random
import socket
import struct
import sys
import time
from collections import Counter

from kegapps.daemon.loop import Loop
from kegapps.kegnet.codec import Decoder, encode
from kegapps.kegnet.events import APP_EVENTS, APP_PINGS, CoreStatus, Credentials, Event, FlowRequest
from kegapps.kegnet.hub import Hub, HubLimits
from tests.apps import fuzzing
from tests.apps.kegnet.fuzz import check, mutated, seeds

TOKEN = "0123456789abcdef"
CROWD = 4
POLITE_EVERY = 20
LIMITS = HubLimits(
    max_clients=CROWD + 1, max_message_bytes=2000, max_queued_bytes=20_000, messages_per_s=300, messages_at_once=500,
    max_strangers=4,
)  # fmt: skip
MAX_TURNS = 500
LONG = CoreStatus(report={"": "x" * 1500})


class Bench:
    """A hub, a crowd that behaves in no way, and one client that does."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.token = TOKEN if seed % 2 else ""
        self.outcomes: Counter[str] = Counter()
        self._ahead_s = 0.0
        self.loop = Loop(lambda: time.monotonic() + self._ahead_s)
        self.hub = Hub(
            self.loop, ("127.0.0.1", 0), on_event=self._take, limits=LIMITS, token=self.token, confirms=True
        )
        self._asked = 0
        self._heard = Decoder()
        self._polite = self._client(receive_bytes=1 << 20)
        self._sleeper = self._client()
        self._dropped = 0
        self._crowd: list[socket.socket] = []

    def throw(self, text: bytes) -> None:
        """Have one of the crowd send `text`; sometimes one leaves."""
        rng = self.rng
        if self.hub.counts.dropped > self._dropped:  # one of the crowd, or the one that sleeps
            self._dropped = self.hub.counts.dropped
            self._sleeper.close()
            self._sleeper = self._client()
        while len(self._crowd) < CROWD:
            self._crowd.append(self._connect())
            if self.token and rng.random() < 0.8:
                text = encode(Credentials(token=TOKEN)) + text
        sock = rng.choice(self._crowd)
        for piece in _pieces(rng, text):
            try:
                sock.send(piece)
            except BlockingIOError:
                break  # it is read slowly
            except OSError:
                self._leave(sock)
                self.outcomes["thrown out"] += 1
                break
            self.loop.run_once(0)
        if rng.random() < 0.01:
            self._ahead_s += rng.choice((0.1, 3.0, 60.0))
        if rng.random() < 0.02 and sock in self._crowd:
            self._leave(sock)
        elif rng.random() < 0.1:
            with contextlib.suppress(OSError):
                sock.recv(4096)
        self._check_memory()

    def ask_politely(self) -> None:
        """Raise AssertionError if the well-behaved client is not heard and answered, soon."""
        self._asked += 1
        self._polite.sendall(encode(FlowRequest(tap_name=f"polite {self._asked}", request="report_status")))
        for turn in range(MAX_TURNS):
            self.loop.run_once(0 if turn < MAX_TURNS // 2 else 0.02)
            self._ahead_s += 0.002
            with contextlib.suppress(BlockingIOError):
                data = self._polite.recv(65536)
                assert data, "the well-behaved client was thrown out"
                for event in self._heard.feed(data):
                    if getattr(event, "tap_name", "") == f"polite {self._asked}":
                        return
        raise AssertionError("the well-behaved client waits in vain")

    def close(self) -> None:
        """Everybody leaves."""
        self.hub.close()
        for sock in (self._polite, self._sleeper, *self._crowd):
            sock.close()
        self.loop.close()

    def _take(self, event: Event, _peer: str) -> None:
        assert isinstance(event, APP_EVENTS + APP_PINGS), event
        check(event)
        self.outcomes[type(event).__name__] += 1
        self.hub.stored()
        self.hub.broadcast(event, LONG)  # who does not read is soon behind

    def _check_memory(self) -> None:
        assert self.hub.clients <= LIMITS.max_clients
        for peer in self.hub._peers.values():
            assert len(peer.decoder._rest) <= LIMITS.max_message_bytes + 1
            assert peer.queued_bytes <= LIMITS.max_queued_bytes
        if self.hub._strangers is not None:
            assert len(self.hub._strangers) <= LIMITS.max_strangers

    def _connect(self, receive_bytes: int = 4096) -> socket.socket:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        sock.connect(self.hub.address)
        sock.setblocking(False)
        self._turn()
        return sock

    def _client(self, receive_bytes: int = 4096) -> socket.socket:
        """A connection that shows the token if one is wanted."""
        sock = self._connect(receive_bytes)
        sock.sendall(encode(Credentials(token=TOKEN)) if self.token else b"")
        self._turn()
        return sock

    def _leave(self, sock: socket.socket) -> None:
        self._crowd.remove(sock)
        if self.rng.random() < 0.5:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
        self._turn()

    def _turn(self) -> None:
        for _ in range(3):
            self.loop.run_once(0)


def _pieces(rng: random.Random, text: bytes) -> list[bytes]:
    if rng.random() < 0.7:
        return [text]
    cuts = sorted(rng.randrange(len(text) + 1) for _ in range(rng.randint(1, 4)))
    return [text[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True) if end > begin]


def run(inputs: int, seed: int) -> Counter[str]:
    """How many of each event reached the core. Raises AssertionError, naming seed and input."""
    logging.getLogger("kegnet").setLevel(logging.CRITICAL)  # what it complains of is bounded by other tests
    bench = Bench(seed)
    recorded = seeds()
    text = b""
    try:
        for number in range(inputs):
            text = mutated(bench.rng, recorded)
            try:
                bench.throw(text)
                if number % POLITE_EVERY == 0:
                    bench.ask_politely()
            except Exception as error:
                raise AssertionError(f"input {number} of seed {seed}: {text!r}") from error
        bench.outcomes["rejected"] = bench.hub.counts.rejected
        bench.outcomes["dropped"] = bench.hub.counts.dropped
        return bench.outcomes
    finally:
        logging.getLogger("kegnet").setLevel(logging.NOTSET)
        bench.close()


if __name__ == "__main__":
    sys.exit(fuzzing.main(run, "Fuzz the hub's socket."))
