"""Connections that have not shown the token yet: few, small, and not for long.

Knows sockets, the token and the time. Must not know what is said to those who showed it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from kegapps.daemon.loop import READ, Loop, Timer
from kegapps.kegnet.codec import Rejected, encode
from kegapps.kegnet.events import Credentials, Event, Ping, Refusal
from kegapps.kegnet.peer import Peer
from kegapps.kegnet.ratelimit import RateLimit
from kegapps.kegnet.sockets import why

log = logging.getLogger("kegnet")

STRANGER_BYTES: Final = 1024
"""A message with the longest token has fewer. As no more are read at once, nothing that follows it is cut."""


class Strangers:
    """Those whom the hub does not serve yet. `on_known(peer, messages)` gets each that showed the token.

    `messages` are those that came along with it. The hub watches the peer from then on.
    """

    def __init__(
        self,
        loop: Loop,
        token: str,
        *,
        most: int,
        patience_s: float,
        on_known: Callable[[Peer, Iterator[Event | Rejected]], None],
    ) -> None:
        self._loop = loop
        self._token = token.encode("ascii")
        self._most = most
        self._patience_s = patience_s
        self._on_known = on_known
        self._peers: dict[Peer, float] = {}  # the oldest first, and until when each may wait
        self._timer: Timer | None = None
        self._refusals = RateLimit(20, 10.0)

    def __len__(self) -> int:
        return len(self._peers)

    def add(self, peer: Peer) -> None:
        """Wait for its token. If too many are waited for, the oldest has to go: an honest one is quick."""
        if len(self._peers) >= self._most:
            self._refuse(next(iter(self._peers)), "too many others came without showing a token")
        self._peers[peer] = self._loop.now_s() + self._patience_s
        self._loop.watch(peer.sock, READ, partial(self._read, peer))
        self._set_timer()

    def close(self) -> None:
        """Disconnect all of them."""
        if self._timer is not None:
            self._timer.cancel()
        for peer in tuple(self._peers):
            self._forget(peer)
            peer.sock.close()

    def _read(self, peer: Peer, _ready: int) -> None:
        try:
            data = peer.sock.recv(STRANGER_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            log.debug("%s: %s", peer.name, why(error))
            self._forget(peer)
            peer.sock.close()
            return
        messages = peer.decoder.feed(data)
        # A Ping says nothing: by one a watchdog finds out whether we read.
        first = next((message for message in messages if type(message) is not Ping), None)
        if isinstance(first, Credentials):
            # Only here: it brings OpenSSL along, 3 MB, and most hubs want no token.
            import hmac

            if hmac.compare_digest(first.token.encode("ascii"), self._token):
                self._forget(peer)
                self._on_known(peer, messages)
            else:
                self._refuse(peer, "it showed another token than the one in --kegnet_token_file")
        elif first is not None:
            # Not an excerpt of it: there may be a token in it, mistyped.
            self._refuse(peer, "its first message shows no token (--kegnet_token_file)")
        elif not data:
            self._forget(peer)  # somebody looked whether we serve
            peer.sock.close()

    def _refuse(self, peer: Peer, reason: str) -> None:
        self._forget(peer)
        peer.send(encode(Refusal(reason=reason)))
        peer.sock.close()
        unsaid = self._refusals.admit(self._loop.now_s())
        if unsaid is not None:
            more = f" ({unsaid} refusals before it were not logged)" if unsaid else ""
            log.warning("refused %s: %s%s", peer.name, reason, more)

    def _forget(self, peer: Peer) -> None:
        del self._peers[peer]
        self._loop.unwatch(peer.sock)

    def _set_timer(self) -> None:
        if self._peers and (self._timer is None or self._timer.cancelled):
            due_s = next(iter(self._peers.values()))
            self._timer = self._loop.call_later(max(0.0, due_s - self._loop.now_s()), self._on_time)

    def _on_time(self) -> None:
        now_s = self._loop.now_s()
        for peer, until_s in tuple(self._peers.items()):
            if until_s <= now_s:
                self._refuse(peer, f"it showed no token within {self._patience_s:g} s")
        self._set_timer()
