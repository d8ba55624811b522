"""Which topic is for what: names only.

Knows the prefix and the names of taps, boards, relays and machines. Must not know payloads or connections.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PREFIX: Final = re.compile(r"[A-Za-z0-9_-]{1,64}(/[A-Za-z0-9_-]{1,64}){0,7}")
_SAFE: Final = re.compile(r"[A-Za-z0-9.:-]")
_PLAIN: Final = re.compile(
    r"(?!.*_[0-9a-f]+_)[A-Za-z0-9._:-]+"
)  # and looks like nothing that was written otherwise


def is_name(text: str) -> bool:
    """True for what may name a machine: it becomes part of topics and of a client's id."""
    return _NAME.fullmatch(text) is not None


def is_prefix(text: str) -> bool:
    """True for what all topics may begin with."""
    return _PREFIX.fullmatch(text) is not None


def part(name: str) -> str:
    """`name` as one level of a topic. Two names never become the same."""
    if _PLAIN.fullmatch(name):
        return name
    return "".join(char if _SAFE.match(char) else f"_{ord(char):x}_" for char in name)


def object_id(name: str) -> str:
    """`name` as Home Assistant wants ids: letters, digits, `_` and `-` alone. Two names never become the same."""
    return "".join(char if char.isascii() and char.isalnum() else f"_{ord(char):x}_" for char in name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Topics:
    """All topics below `prefix`."""

    prefix: str = "kegbot"

    @property
    def core(self) -> str:
        """`online` while a bridge stands between the broker and a core that it reaches, else `offline`; retained."""
        return f"{self.prefix}/core/availability"

    @property
    def drinks(self) -> str:
        """Every drink, once or, after a loss, more often with the same uuid."""
        return f"{self.prefix}/drinks"

    def tap(self, name: str) -> str:
        """All that is known of a tap; retained."""
        return f"{self.prefix}/taps/{part(name)}"

    def relay(self, name: str) -> str:
        """`ON` or `OFF`: what the core ordered last; retained."""
        return f"{self.prefix}/relays/{part(name)}"

    def board(self, name: str) -> str:
        """How a board is; retained."""
        return f"{self.prefix}/boards/{part(name)}"

    def sensor(self, name: str) -> str:
        """What a thermometer showed last; retained."""
        return f"{self.prefix}/sensors/{part(name)}"

    # Between the two bridges

    def client_id(self, machine: str = "") -> str:
        """By what the broker knows the bridge of `machine`, or the core's. Neither prefixes nor names have a colon."""
        prefix = object_id(self.prefix)  # an access list with %c takes no slash
        return f"{prefix}:boards:{machine}" if machine else f"{prefix}:core"

    def machine(self, name: str, what: str) -> str:
        """What a machine with boards says (`up`, `status`, `beat`, `availability`), or is told (`taken`, `down`)."""
        return f"{self.prefix}/machines/{name}/{what}"

    def who(self, topic: str) -> tuple[str, str] | None:
        """(name, what) of a topic that `machine` made; None for any other."""
        head, _, rest = topic.rpartition(f"{self.prefix}/machines/")
        name, _, what = rest.partition("/")
        return (name, what) if not head and rest and is_name(name) and "/" not in what else None
