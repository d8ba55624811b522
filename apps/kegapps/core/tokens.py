"""Which token is on which tap's reader, and what its coming and going means.

Knows devices and tokens. Must not know flows, taps' calibration or the store.
Source: shared/kegnet-protocol.md, "Tokens". Mended on purpose: a token that belongs to nobody neither pushes
an accepted one away nor ends somebody's flow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from kegapps.core.effects import Effect, ForgetPresence, Keep
from kegapps.core.model import Now, Presence
from kegapps.core.rules import Rules

ONEWIRE: Final = "core.onewire"
RFID: Final = "core.rfid"


def is_captive(device: str, rules: Rules) -> bool:
    """True if taking the token away ends the flow."""
    return device not in rules.not_captive_devices


def idle_limit_s(device: str, rules: Rules) -> float:
    """How long a flow started by a token of `device` may be without ticks."""
    if device == ONEWIRE:
        return rules.onewire_idle_timeout_s
    if device == RFID:
        return rules.rfid_idle_timeout_s
    return rules.idle_timeout_s


def token_key(device: str, token: str) -> tuple[str, str]:
    """How (device, token) is stored and looked up: hexadecimal tokens in lower case."""
    return device, token.lower() if device in (ONEWIRE, RFID) else token


class Readers:
    """At most one token is present per tap."""

    def __init__(self, presences: Iterable[Presence] = ()) -> None:
        self._present = {presence.tap_name: presence for presence in presences}
        self._shown_mono_s: dict[str, float] = {}

    def present(self, tap_name: str) -> Presence | None:
        """What is on the reader of `tap_name`."""
        return self._present.get(tap_name)

    def all(self) -> tuple[Presence, ...]:
        """What is on all readers."""
        return tuple(self._present.values())

    def shown(self, tap_name: str, at: Now) -> None:
        """What is on the reader of `tap_name` was shown at this time."""
        self._shown_mono_s[tap_name] = at.mono_s

    def shown_mono_s(self, tap_name: str) -> float | None:
        """When that was; None: in an earlier run."""
        return self._shown_mono_s.get(tap_name)

    def put(self, presence: Presence, at: Now) -> Iterator[Effect]:
        """Remember this token, shown at this time, in place of any other."""
        self._present[presence.tap_name] = presence
        self.shown(presence.tap_name, at)
        yield Keep(record=presence)

    def take(self, presence: Presence) -> Iterator[Effect]:
        """Forget it."""
        del self._present[presence.tap_name]
        yield ForgetPresence(tap_name=presence.tap_name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A token was shown of which nobody here knows whose it is, and the server was asked."""

    device: str
    token: str
    at: Now
    """When it was shown."""
    gone: bool = False
    """It was taken away again, which of one that is only shown means nothing."""


class Questions:
    """At most one question per tap: the token that was shown last."""

    def __init__(self) -> None:
        self._by_tap: dict[str, Question] = {}

    def put(self, tap_name: str, question: Question) -> None:
        """Wait for the answer to this one."""
        self._by_tap[tap_name] = question

    def removed(self, tap_name: str, device: str, token: str, *, captive: bool) -> None:
        """The token was taken from the reader of this tap."""
        question = self._by_tap.get(tap_name)
        if question is None or (question.device, question.token) != (device, token):
            return
        if captive:
            del self._by_tap[tap_name]
        else:
            self._by_tap[tap_name] = replace(question, gone=True)

    def drop(self, tap_name: str) -> None:
        """Somebody else was let in."""
        self._by_tap.pop(tap_name, None)

    def take(self, device: str, token: str) -> list[tuple[str, Question]]:
        """The answer is there: the taps where it is waited for, which wait no more."""
        found = [(tap, q) for tap, q in self._by_tap.items() if (q.device, q.token) == (device, token)]
        for tap_name, _ in found:
            del self._by_tap[tap_name]
        return found
