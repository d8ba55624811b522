"""Which token is on which tap's reader, and what its coming and going means.

Knows devices and tokens. Must not know flows, taps' calibration or the store.
Source: shared/kegnet-protocol.md, "Tokens". Mended on purpose: a token that belongs to nobody neither pushes
an accepted one away nor ends somebody's flow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from kegapps.core.effects import Effect, ForgetPresence, Keep
from kegapps.core.model import Presence
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

    def present(self, tap_name: str) -> Presence | None:
        """What is on the reader of `tap_name`."""
        return self._present.get(tap_name)

    def put(self, presence: Presence) -> Iterator[Effect]:
        """Remember this token in place of any other."""
        self._present[presence.tap_name] = presence
        yield Keep(record=presence)

    def take(self, presence: Presence) -> Iterator[Effect]:
        """Forget it."""
        del self._present[presence.tap_name]
        yield ForgetPresence(tap_name=presence.tap_name)
