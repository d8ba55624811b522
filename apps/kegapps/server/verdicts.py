"""What an answer means for what was asked: done, try again and when, look first, stop, or never.

Knows the HTTP statuses and error codes of every Kegbot Server. Must not know sockets, clocks or the store.
Source: shared/kegbot-server-api.md, section 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from kegapps.server.calls import Answer


class Asked(Enum):
    """What the call was for."""

    DRINK = "drink"
    TEMPERATURE = "temperature"
    READING = "reading"
    """Anything that changes nothing on the server."""


class Kind(Enum):
    """What becomes of a delivery. None of them loses it."""

    DONE = "done"
    """The server has it."""
    RETRY = "retry"
    """Try again with a growing delay."""
    LOOK = "look"
    """It was sent and no answer that makes sense came: as RETRY, but ask for it before posting again."""
    HOLD = "hold"
    """Something must change on the server (a keg, a meter): keep it and try rarely. Others go on."""
    STOP = "stop"
    """Key, URL or site are wrong: say it once, pause all deliveries, probe now and then."""
    WITHOUT_USER = "without_user"
    """The server cannot take this drink with its user: post it once as a guest's, and say so."""
    DEAD = "dead"
    """The server will never take it as it is: list it with the reason, for a person to edit, retry or export."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What becomes of a delivery, and why."""

    kind: Kind
    reason: str
    """For people, one line, printable, bounded. Empty for DONE."""
    may_be_stored: bool = False
    """The server may have stored it all the same: before posting it again, look (also with RETRY and WITHOUT_USER)."""
    retry_after_s: float | None = None
    """The server asked for at least this pause."""


def judge(answer: Answer, asked: Asked, *, username: str | None = None, server_errors: int = 0) -> Verdict:
    """What `answer` means.

    `username`: the user sent with a drink. `server_errors`: how often in a row the server answered 500 to this
    very drink with this user before (repeated ones are the sign of a user it does not know).
    """
    raise NotImplementedError


def delay_s(kind: Kind, failures: int, jitter: float, retry_after_s: float | None = None) -> float | None:
    """Seconds until the next attempt after `failures` (1 or more) verdicts in a row; None: not by itself.

    `jitter` is a random number from 0 to 1 that the caller draws. For STOP: the delay until the next probe.
    """
    raise NotImplementedError
