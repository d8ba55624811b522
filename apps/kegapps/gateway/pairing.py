"""Who may tell: a board without a token knocks, a person lets it in, it fetches its token once; and who asks too much.

Knows the store's boards, tokens and time. Must not know batches, the core or how answers travel.
Source: shared/kegbot-server-api.md, section 6, "Header" and "answer".
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from typing import Final

from kegapps.daemon.loop import Loop
from kegapps.gateway import tokens
from kegapps.gateway.records import Device
from kegapps.gateway.store import Store
from kegapps.kegnet.ratelimit import RateLimit

STRANGERS: Final = (30, 10.0)
"""Requests without a valid token from one address, in so many seconds."""
REQUESTS: Final = (100, 10.0)
"""Requests of one board."""
MAX_LIMITS: Final = 512
NOTE_EVERY_S: Final = 10.0
"""A stranger must not keep the disk busy: that it was here is noted so often."""

Say = Callable[[int, str], None]


class Pairing:
    """The door. `say` logs a line; `on_knock` is called when a board is new. Methods raise StoreError."""

    def __init__(self, loop: Loop, store: Store, *, say: Say, on_knock: Callable[[], None]) -> None:
        self._loop = loop
        self._store = store
        self._say = say
        self._on_knock = on_knock
        self._limits: dict[str, RateLimit] = {}

    def known(self, name: str, authorization: str) -> Device | None:
        """The board of this name, if `authorization` (a header) shows its token."""
        device = self._store.device(name)
        scheme, _, token = authorization.partition(" ")
        # Compared also for a board that is not known: an answer's time tells nothing.
        kept = device.token_hash if device is not None and device.state == "allowed" else ""
        is_its = tokens.matches(token.strip(), kept or "-" * 64)
        return device if is_its and scheme.lower() == "bearer" else None

    def is_too_much_of(self, device: Device) -> bool:
        """The board asks too often."""
        return self._is_too_much(f"device {device.device}", REQUESTS)

    def is_too_much_from(self, host: str) -> bool:
        """Somebody at this address, whoever it is, asks too often."""
        return self._is_too_much(f"host {host}", STRANGERS)

    def knock(self, name: str, host: str) -> dict[str, str]:
        """What a board is told that has no valid token."""
        device, now_unix_s = self._store.device(name), time.time()
        if device is None:
            self._meet(name, host, now_unix_s)
            return {"state": "pending"}
        if device.state == "allowed" and device.fresh:
            token = tokens.new_token()
            self._store.give_token(name, tokens.digest(token))
            self._store.commit()
            self._say(logging.INFO, f"{host}: board {name!r} was given its token")
            return {"state": "allowed", "token": token}
        if device.state == "allowed" and device.asks_unix_s is None:
            self._say(
                logging.WARNING,
                f"{host}: a board called {name!r} comes without the token that it was given; if it is the right "
                f"one, and lost it: kegboard_gateway.py allow {typed(name)}",
            )
        last_unix_s = device.heard_unix_s if device.state == "pending" else device.asks_unix_s or 0.0
        if abs(now_unix_s - last_unix_s) > NOTE_EVERY_S:
            self._store.asks(name, host, now_unix_s)
            self._store.commit()
        return {"state": "denied" if device.state == "denied" else "pending"}

    def _meet(self, name: str, host: str, now_unix_s: float) -> None:
        device = self._store.meet(name, host, now_unix_s)
        self._store.commit()
        if device is None:
            text = f"{host}: board {name!r} is not noted: too many wait to be allowed"
            self._say(logging.WARNING, text)
            return
        text = f"{host}: board {name!r} wants to be let in: kegboard_gateway.py allow {typed(name)}"
        self._say(logging.WARNING, text)
        self._on_knock()

    def _is_too_much(self, who: str, most: tuple[int, float]) -> bool:
        limit = self._limits.pop(who, None) or RateLimit(*most)
        self._limits[who] = limit  # the least recent are in front
        if len(self._limits) > MAX_LIMITS:
            del self._limits[next(iter(self._limits))]
        return limit.admit(self._loop.now_s()) is None


def typed(name: str) -> str:
    """A name as it is typed in a shell."""
    return name if re.fullmatch(r"[A-Za-z0-9_.:-]+", name) else "'" + name.replace("'", "'\\''") + "'"
