"""What waits for the Kegbot Server: a drink, how far its delivery is, and what became of it.

Knows values. Must not know the store, sockets, or when something is sent (`delivery`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from kegapps.server.calls import Pour
from kegapps.server.route import Way
from kegapps.server.url import ApiUrl

HOLD_FOR_LOOK_S: Final = 15.0
"""Nothing else is sent when a drink is to be looked for so soon: a server tells only of its latest drinks."""
LONGEST_WAIT_S: Final = 3600.0
"""No entry is ever to wait for longer."""


class State(StrEnum):
    """How far a delivery is."""

    WAITING = "waiting"
    """To be sent, at once or again."""
    HELD = "held"
    """Something must change on the server first: a keg, a meter. Tried now and then."""
    LOOKING = "looking"
    """It may be there already: the server is asked before it is sent again."""
    DEAD = "dead"
    """The server will never take it as it is: for a person to edit, retry or settle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A drink that the server has not, or may not have."""

    drink_id: int
    pour: Pour
    """As it is to be sent; people may have changed its user and its meter."""
    state: State = State.WAITING
    reason: str = ""
    """Why it is still here, for people."""
    attempts: int = 0
    """Failures in a row."""
    next_unix_s: float
    """When to try again."""
    without_user: bool = False
    """The server does not take it with its user: send it as a guest's."""
    errors: int = 0
    """How often in a row the server answered 500 to it."""
    sent_unix_s: float | None = None
    """When a request left whose outcome is not known; None: there is none. On disk before the request leaves."""
    sent_by: Way | None = None
    known_id: str | None = None
    """The server's newest drink that was known before that request."""
    repeats: int = 0
    """How often it was sent again because no look could tell whether the server had it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """The end of an entry: the server has the drink."""

    drink_id: int
    server_drink_id: str = ""
    """Empty if the server did not tell."""
    remark: str = ""
    """What is worth knowing: found when looking, delivered without its user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How much of the outbox of one server is in which state."""

    waiting: int = 0
    """Waiting or looking."""
    held: int = 0
    dead: int = 0
    oldest_unix_s: float | None = None
    """End of the oldest of all these drinks."""

    @property
    def total(self) -> int:
        """All of them."""
        return self.waiting + self.held + self.dead


def server_key(url: ApiUrl) -> str:
    """The server's own address, `http://bar:8000`: what is stored about it stays right under another API's path."""
    path = url.path
    for api in ("/api/v1/", "/api/"):
        if path.endswith(api):
            path = path.removesuffix(api)
            break
    return f"{url.origin}{path.rstrip('/')}"
