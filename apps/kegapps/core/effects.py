"""What the deciding part of the core wants done: stored, then announced, and said in the log.

Knows the kinds of effects. Must not know who carries them out.
"""

from __future__ import annotations

from dataclasses import dataclass

from kegapps.core.model import Drink, Flow, Meter, Presence, Tap, Temperature, TokenAnswer
from kegapps.kegnet.events import DrinkCreatedEvent, FlowUpdate, SetRelayOutputEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """Store this; it replaces what is stored of the same thing."""

    record: Tap | Meter | Flow | Presence | Temperature | TokenAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class EndFlow:
    """The flow is over: it leaves the open flows and, in the same commit, becomes `drink` if there is one."""

    flow: Flow
    drink: Drink | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetPresence:
    """No token is on this tap's reader any more."""

    tap_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Announce:
    """Broadcast this once everything before it is stored.

    For a drink, `drink_uuid` is set and the event's drink_id is still 0: the store gives the number.
    """

    event: FlowUpdate | SetRelayOutputEvent | DrinkCreatedEvent
    drink_uuid: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Say:
    """One line for the log; `level` as in the standard `logging` module."""

    level: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AskToken:
    """Ask the Kegbot Server whose token this is; what it says goes to `Engine.answer`."""

    device: str
    token: str


Effect = Keep | EndFlow | ForgetPresence | Announce | AskToken | Say
