"""The core's side of kegnet: apps connect, what they send is checked, what the core says goes to all.

Knows sockets, limits and who may send what. Must not know taps, flows or drinks.
It never waits for a client: each has a bounded queue, and is dropped with a reason when it does not read.
"""

from __future__ import annotations

import errno
import logging
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from kegapps.daemon.loop import READ, WRITE, Loop, Timer
from kegapps.kegnet.address import is_loopback, shown_address
from kegapps.kegnet.codec import MAX_MESSAGE_BYTES, Rejected, encode
from kegapps.kegnet.delivery import Sessions
from kegapps.kegnet.events import APP_EVENTS, APP_PINGS, Credentials, Event, Ping, Refusal, Session
from kegapps.kegnet.peer import Peer
from kegapps.kegnet.ratelimit import Allowance, RateLimit
from kegapps.kegnet.sockets import family, out_of_resources, reset, tune, why
from kegapps.kegnet.strangers import STRANGER_BYTES, Strangers

log = logging.getLogger("kegnet")

_BACKLOG: Final = 128
_ACCEPTS_PER_TURN: Final = 16
_ACCEPT_PAUSE_S: Final = 1.0  # without descriptors the listener stays readable: trying at once would spin
_KERNEL_QUEUE_BYTES: Final = 262144  # left alone, the kernel would keep 4 MB for a client that never reads
_ACCEPTED: Final = frozenset(APP_EVENTS + APP_PINGS)
_OF_NO_CONCERN: Final = frozenset({Ping, Credentials})


@dataclass(frozen=True, slots=True, kw_only=True)
class HubLimits:
    """What one client, and all together, may cost."""

    max_clients: int = 256
    max_message_bytes: int = MAX_MESSAGE_BYTES
    max_queued_bytes: int = 1 << 20  # unsent, a client; beyond it the client is dropped
    logged_rejections: int = 5  # a client and 10 s; the others are counted
    messages_per_s: float = 2000.0  # a client; one that sends more is read more slowly
    messages_at_once: float = 20_000.0  # before that: an app that comes back with all that it kept
    max_strangers: int = 32  # who have not shown the token yet
    stranger_patience_s: float = 5.0


@dataclass(slots=True, kw_only=True)
class HubCounts:
    """What happened since the start."""

    accepted: int = 0
    turned_away: int = 0  # there were max_clients already
    dropped: int = 0  # went, or had to go, before all that was meant for them could be sent
    events: int = 0  # given to the core
    rejected: int = 0  # messages that were no event, or not an app's to send


class Hub:
    """Listens on `address`, an IP address and a port (0: any free one), and calls `on_event(event, peer)`.

    Only APP_EVENTS and APP_PINGS reach `on_event`; `peer` is `host:port`, no two connections have the same.
    `on_gone(peer)` is called when a connection has ended, after its last event and perhaps from within a broadcast;
    not by `close`. With a `token`, only those are clients whose first message shows it. If it `confirms`, apps may
    tell their session (see `delivery`), and `stored` has to be called again and again. Raises OSError if it cannot
    listen, and, without a `token`, for an address that other machines can reach.
    """

    def __init__(
        self,
        loop: Loop,
        address: tuple[str, int],
        *,
        on_event: Callable[[Event, str], None],
        on_gone: Callable[[str], None] = lambda _peer: None,
        limits: HubLimits = HubLimits(),
        token: str = "",
        confirms: bool = False,
    ) -> None:
        host, port = ("127.0.0.1", address[1]) if address[0] == "localhost" else address
        if not token and not is_loopback(host):
            raise OSError(
                errno.EADDRNOTAVAIL,
                f"{shown_address(host, port)} can be reached from other machines, and whoever reaches it "
                "can pour and open valves; use localhost, or a token",
            )
        self._loop = loop
        self._on_event = on_event
        self._on_gone = on_gone
        self._limits = limits
        self._peers: dict[str, Peer] = {}  # by their names
        self._gathered: list[bytes] = []
        self._gathering = False
        self._pause: Timer | None = None
        self._comings = RateLimit(20, 10.0)
        self.counts = HubCounts()
        self._sessions = Sessions(2 * limits.max_clients) if confirms else None
        self._strangers: Strangers | None = None
        if token:
            self._strangers = Strangers(
                loop,
                token,
                most=limits.max_strangers,
                patience_s=limits.stranger_patience_s,
                on_known=self._on_known,
            )
        self._listener = socket.create_server((host, port), family=family(host), backlog=_BACKLOG)
        self._listener.setblocking(False)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KERNEL_QUEUE_BYTES)
        self.address: tuple[str, int] = self._listener.getsockname()[:2]
        loop.watch(self._listener, READ, self._accept)

    @property
    def clients(self) -> int:
        """How many are connected."""
        return len(self._peers)

    def broadcast(self, *events: Event) -> None:
        """Send `events`, in order, to every client. Inside `on_event` they leave when the sender's turn ends.

        Raises ValueError, and sends nothing, if one of them cannot be encoded.
        """
        self._gathered += [encode(event) for event in events]
        if not self._gathering:
            self._send_gathered()

    def resume(self, sessions: Mapping[str, int]) -> None:
        """Go on where an earlier core ended, by what it stored of `session_changes`; before anybody comes."""
        if self._sessions is not None:
            self._sessions.resume(sessions)

    def session_changes(self) -> dict[str, int | None]:
        """How far each app's messages came, to be stored in one commit with what came of them; None: forget it."""
        return self._sessions.changes() if self._sessions is not None else {}

    def stored(self) -> None:
        """What came of all events so far is stored: apps that told their session need not keep them any more."""
        if self._sessions is None:
            return
        self._sessions.store()
        for peer in tuple(self._peers.values()):
            self._tell_taken(peer)

    def send_to(self, name: str, event: Event) -> None:
        """Send `event` to the one client of that name, after what was broadcast before; if it is gone, to nobody.

        Raises ValueError if it cannot be encoded.
        """
        data = encode(event)
        if self._gathered:
            self._send_gathered()
        if (peer := self._peers.get(name)) is not None:
            self._after_sending(peer, peer.send(data))

    def close(self) -> None:
        """Disconnect everybody and stop listening; a second call does nothing."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.unwatch(self._listener)
        self._listener.close()
        if self._strangers is not None:
            self._strangers.close()
        for peer in tuple(self._peers.values()):
            self._forget(peer)
            peer.sock.close()

    # Coming

    def _accept(self, _ready: int) -> None:
        for _ in range(_ACCEPTS_PER_TURN):
            try:
                sock, remote = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if out_of_resources(error):
                    self._pause_accepting(error)
                    return
                continue  # the client left before it was served
            try:
                tune(sock)
            except OSError:
                sock.close()
                continue
            peer = self._peer(sock, _name(remote))
            if self._strangers is not None:
                peer.decoder.max_bytes = STRANGER_BYTES
                self._strangers.add(peer)
            else:
                self._welcome(peer)

    def _peer(self, sock: socket.socket, name: str) -> Peer:
        limits = self._limits
        return Peer(
            sock,
            name,
            max_message_bytes=limits.max_message_bytes,
            max_queued_bytes=limits.max_queued_bytes,
            logged_rejections=limits.logged_rejections,
            allowance=Allowance(limits.messages_per_s, limits.messages_at_once),
        )

    def _on_known(self, peer: Peer, messages: Iterator[Event | Rejected]) -> None:
        peer.decoder.max_bytes = self._limits.max_message_bytes
        self._welcome(peer)
        if peer.open:
            self._take(peer, messages)
            if self._gathered:
                self._send_gathered()

    def _welcome(self, peer: Peer) -> None:
        if len(self._peers) >= self._limits.max_clients:
            self.counts.turned_away += 1
            self._say("turned away %s: %d are connected already", peer.name, len(self._peers))
            peer.send(encode(Refusal(reason=f"{len(self._peers)} are connected already")))
            peer.open = False
            peer.sock.close()
            return
        self.counts.accepted += 1
        self._peers[peer.name] = peer
        peer.on_ready = partial(self._serve, peer)
        self._watch(peer)
        self._say("%s connected; clients: %d", peer.name, len(self._peers))

    def _pause_accepting(self, error: OSError) -> None:
        self._say("cannot accept a client now (%s), trying again in %g s", why(error), _ACCEPT_PAUSE_S)
        self._loop.unwatch(self._listener)
        self._pause = self._loop.call_later(
            _ACCEPT_PAUSE_S, lambda: self._loop.watch(self._listener, READ, self._accept)
        )

    # Serving

    def _serve(self, peer: Peer, ready: int) -> None:
        if ready & WRITE:
            self._after_sending(peer, peer.send_queued())
        if ready & READ and peer.open:
            try:
                data = peer.sock.recv(peer.turn_bytes)
            except BlockingIOError:
                return
            except OSError as error:
                self._part(peer, why(error))
                return
            if not data:
                self._part(peer, "closed by it")
                return
            begin_s = self._loop.now_s()
            self._take(peer, peer.decoder.feed(data))
            end_s = self._loop.now_s()
            if self._gathered:
                self._send_gathered()
            pause_s = peer.account(data, begin_s, end_s)
            if pause_s and peer.open:
                self._pause_reading(peer, pause_s)

    def _take(self, peer: Peer, messages: Iterator[Event | Rejected]) -> None:
        self._gathering = True
        try:
            for message in messages:
                if peer.received is not None and type(message) is not Session and not peer.received.is_new():
                    continue
                if type(message) in _ACCEPTED:
                    self.counts.events += 1
                    self._on_event(message, peer.name)  # type: ignore[arg-type] # not a Rejected
                elif type(message) is Session:
                    self._begin_session(peer, message)
                elif type(message) not in _OF_NO_CONCERN:
                    self._reject(peer, message)
                if not peer.open:
                    break
        finally:
            self._gathering = False

    def _begin_session(self, peer: Peer, told: Session) -> None:
        if self._sessions is not None:
            peer.received = self._sessions.begin(told)
            self._tell_taken(peer)

    def _tell_taken(self, peer: Peer) -> None:
        if peer.received is not None and (taken := peer.received.tell()) is not None:
            self.send_to(peer.name, taken)

    def _pause_reading(self, peer: Peer, pause_s: float) -> None:
        """Nothing is lost: it can send no more when the kernel's buffers are full."""
        self._say(
            "%s sends more than %g messages/s; read more slowly", peer.name, self._limits.messages_per_s
        )
        peer.paused = True
        self._watch(peer)
        self._loop.call_later(pause_s, partial(self._go_on_reading, peer))

    def _go_on_reading(self, peer: Peer) -> None:
        peer.paused = False
        if peer.open:
            self._watch(peer)

    def _reject(self, peer: Peer, message: Event | Rejected) -> None:
        self.counts.rejected += 1
        peer.rejected += 1
        unsaid = peer.rejections.admit(self._loop.now_s())
        if unsaid is None:
            return
        if isinstance(message, Rejected):
            reason, excerpt = message.reason, message.excerpt
        else:
            reason, excerpt = f"{type(message).__name__} is not an app's to send", ""
        more = f" ({unsaid} more like it were not logged)" if unsaid else ""
        log.warning("%s: skipped a message: %s: %s%s", peer.name, reason, excerpt, more)

    # Sending

    def _send_gathered(self) -> None:
        data = b"".join(self._gathered)
        self._gathered.clear()
        for peer in tuple(self._peers.values()):
            problem = peer.send(data)
            if problem or peer.queue:
                self._after_sending(peer, problem)

    def _after_sending(self, peer: Peer, problem: str) -> None:
        if problem:
            self._part(peer, problem)
        else:
            self._watch(peer)

    def _watch(self, peer: Peer) -> None:
        wanted = (0 if peer.paused else READ) | (WRITE if peer.queue else 0)
        if wanted == peer.watched:
            return
        peer.watched = wanted
        if wanted:
            self._loop.watch(peer.sock, wanted, peer.on_ready)
        else:
            self._loop.unwatch(peer.sock)

    # Going

    def _part(self, peer: Peer, reason: str) -> None:
        self._forget(peer)
        if peer.queue:
            self.counts.dropped += 1
            reset(peer.sock)
        else:
            peer.sock.close()
        skipped = f"; {peer.rejected} messages of it were skipped" if peer.rejected else ""
        self._say("%s disconnected: %s%s; clients: %d", peer.name, reason, skipped, len(self._peers))
        self._on_gone(peer.name)

    def _forget(self, peer: Peer) -> None:
        peer.open = False
        del self._peers[peer.name]
        self._loop.unwatch(peer.sock)

    def _say(self, text: str, *args: object) -> None:
        unsaid = self._comings.admit(self._loop.now_s())
        if unsaid is not None:
            log.info(text + (f" ({unsaid} lines like this left out)" if unsaid else ""), *args)


def _name(remote: tuple[str, int]) -> str:
    return f"{remote[0]}:{remote[1]}"
