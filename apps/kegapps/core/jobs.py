"""The kinds of calls to the Kegbot Server, and what an answer may mean for the core.

Knows values only. Must not know in which order calls are made (`dispatch`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from kegapps.core import delivery
from kegapps.core.effects import Say
from kegapps.core.model import Now, TokenAnswer
from kegapps.core.outbox import Entry
from kegapps.server import form_api
from kegapps.server.calls import Answer, Call
from kegapps.server.form_api import ServerTap
from kegapps.server.verdicts import Kind, Verdict


class Purpose(Enum):
    """What a call is for."""

    PROBE = "probe"
    """Is it there, is it the API that is expected, is the key right?"""
    TAPS = "taps"
    TOKEN = "token"
    LOOK = "look"
    DRINK = "drink"
    EVENT = "event"
    """A drink, by `kegboard-event`."""
    PAIR = "pair"
    """May a board use `kegboard-event`?"""
    TEMPERATURE = "temperature"
    READINGS = "readings"
    """Temperatures, by `kegboard-event`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A call, and what it is about."""

    purpose: Purpose
    call: Call
    entry: Entry | None = None
    """LOOK, DRINK and EVENT: the drink; as it has to be on disk before the call is made, if that sends it."""
    look: int = 0
    """LOOK: which of them."""
    later: bool = False
    """LOOK: an earlier one could not tell, but may another time."""
    again: bool = False
    """LOOK: after the server said that it took it. EVENT: it was sent before, with unknown outcome."""
    key: tuple[str, str] = ("", "")
    """TOKEN: device and token. TEMPERATURE: the sensor. EVENT, PAIR, READINGS: the board."""

    @property
    def sends_drink(self) -> bool:
        """The call is to be made only when `entry` is on disk."""
        return self.purpose in (Purpose.DRINK, Purpose.EVENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an answer means."""

    result: delivery.Result | None = None
    taps: tuple[ServerTap, ...] | None = None
    token: TokenAnswer | None = None
    board_tokens: Mapping[str, str | None] = field(default_factory=dict)
    """By board: its token for `kegboard-event`, to be kept; None: it has none any more."""
    says: tuple[Say, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Why the server is left alone."""

    reason: str
    since_unix_s: float
    tried_mono_s: float
    next_mono_s: float


def look_for(entry: Entry, number: int, *, again: bool = False, later: bool = False) -> Job:
    """The look `number` for this drink, which has to exist."""
    call = delivery.look_at(number)
    assert call is not None
    return Job(purpose=Purpose.LOOK, call=call, entry=entry, look=number, again=again, later=later)


def token_answer(job: Job, answer: Answer, verdict: Verdict, now: Now) -> TokenAnswer | None:
    """What the answer to a TOKEN says; None: not whose it is. Raises AnswerError."""
    device, token = job.key
    if answer.status == 404:
        return TokenAnswer(device=device, token=token, username=None, asked_unix_s=now.unix_s)
    if verdict.kind is not Kind.DONE:
        return None
    told = form_api.read_token(answer.body)
    return TokenAnswer(
        device=device,
        token=token,
        username=told.username,
        enabled=told.enabled,
        expires_unix_s=told.expires_unix_s,
        asked_unix_s=now.unix_s,
    )
