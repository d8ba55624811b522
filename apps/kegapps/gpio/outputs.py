"""The relays of the header and the watchdog that closes a valve of which nobody speaks any more.

Knows names and time. Must not know pins or sockets. Source: shared/kbsp-protocol.md, section 7: an output goes off
10 s after it was asked for last, as it would on a board.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

WATCHDOG_S: Final = 10.0
RETRY_S: Final = 1.0


class Outputs:
    """All off at first. What may change something returns the relays that did, and if they are on now."""

    def __init__(self, names: Iterable[str]) -> None:
        self._fed_s: dict[str, float | None] = dict.fromkeys(names)  # of those that are on

    @property
    def on(self) -> tuple[str, ...]:
        """Those that are on."""
        return tuple(name for name, fed_s in self._fed_s.items() if fed_s is not None)

    @property
    def bites_s(self) -> float | None:
        """When the watchdog next has something to switch off; None if everything is off."""
        fed_s = [fed_s for fed_s in self._fed_s.values() if fed_s is not None]
        return min(fed_s) + WATCHDOG_S if fed_s else None

    def command(self, name: str, *, enabled: bool, now_s: float) -> dict[str, bool]:
        """Somebody wants `name` on, or off; others' names are nobody's business here."""
        if name not in self._fed_s:
            return {}
        was_on = self._fed_s[name] is not None
        self._fed_s[name] = now_s if enabled else None
        return {name: enabled} if was_on != enabled else {}

    def bite(self, now_s: float) -> dict[str, bool]:
        """Switch off what nobody asked for during the last 10 s."""
        late = [
            name for name, fed_s in self._fed_s.items() if fed_s is not None and fed_s + WATCHDOG_S <= now_s
        ]
        return self._switch_off(late)

    def all_off(self) -> dict[str, bool]:
        """Switch off what is on."""
        return self._switch_off(self.on)

    def failed(self, name: str, *, on: bool, now_s: float) -> None:
        """It could not be switched: on, that is left to the next command; off, it is tried again after a second."""
        self._fed_s[name] = None if on else now_s - WATCHDOG_S + RETRY_S

    def _switch_off(self, names: Iterable[str]) -> dict[str, bool]:
        off = dict.fromkeys(names, False)
        self._fed_s |= dict.fromkeys(off)
        return off
