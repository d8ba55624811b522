"""What the queue holds, as records: messages before and after they are in it.

Knows names and types. Must not know files, networks or drinks.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMessage:
    """A message for each destination, not yet in the queue."""

    drink_key: str
    username: str | None
    text: str
    poured_unix_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A row: `state` is `waiting`, `sending`, `sent`, `given_up` or `withdrawn`; `reason` why, if that needs saying."""

    id: int
    destination: str
    label: str
    username: str | None
    text: str
    poured_unix_s: float
    state: str
    attempts: int
    reason: str
    changed_unix_s: float
