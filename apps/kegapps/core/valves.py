"""The valves of owned flows: opened, fed every second, closed; and closed while their board is lost.

Knows taps' relay names, boards' names and time. Must not know flows' ticks, tokens, the store or the wire.
Source: shared/kegnet-protocol.md, "Relays": a board closes a valve 10 s after the last `enabled` for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from kegapps.core.effects import Announce
from kegapps.core.model import Now, board_of
from kegapps.core.rules import Rules
from kegapps.kegnet.events import OutputMode, SetRelayOutputEvent

NOBODY: Final = frozenset[str]()


class Valves:
    """One valve a tap, for taps that have a relay. Every method returns the orders in their order."""

    def __init__(self, rules: Rules, *, relay_name: Callable[[str], str]) -> None:
        """`relay_name` tells the relay of a tap, "" if it has none."""
        self._rules = rules
        self._relay_name = relay_name
        self._fed_mono_s: dict[str, float] = {}  # by tap, of owned flows
        self._lost_boards = NOBODY
        self._held = NOBODY

    def own(self, tap_name: str, now: Now) -> None:
        """The flow of this tap has an owner: feed its valve from now on, for the first time in a second."""
        self._fed_mono_s[tap_name] = now.mono_s

    def open(self, tap_name: str) -> Iterator[Announce]:
        """Open it, unless its board is lost or it is held."""
        if not self._is_shut(tap_name):
            yield from self._order(tap_name, "enabled")

    def close(self, tap_name: str) -> Iterator[Announce]:
        """Close it, whoever had it open, and feed it no more."""
        self._fed_mono_s.pop(tap_name, None)
        yield from self._order(tap_name, "disabled")

    def connect(self, tap_name: str, relay_before: str, now: Now) -> Iterator[Announce]:
        """The tap of an owned flow may have another relay now: close the one before, feed the new one in a second."""
        relay_name = self._relay_name(tap_name)
        if tap_name in self._fed_mono_s and relay_name == relay_before:
            return
        if relay_before and relay_before != relay_name:
            yield Announce(event=SetRelayOutputEvent(output_name=relay_before, output_mode="disabled"))
        self.own(tap_name, now)

    def disconnect(self, tap_name: str) -> Iterator[Announce]:
        """The tap of an owned flow is no more: close its valve, and feed it no more."""
        if tap_name in self._fed_mono_s:
            yield from self.close(tap_name)

    def close_all(self) -> Iterator[Announce]:
        """Close those of owned flows, which stay owned."""
        for tap_name in self._fed_mono_s:
            yield from self._order(tap_name, "disabled")

    def lose(
        self, boards: frozenset[str], now: Now, *, may_feed: Callable[[str], bool]
    ) -> Iterator[Announce]:
        """These boards are lost from now on, and no others: close what they had open, open again what is back."""
        yield from self._shut(boards, self._held, now, may_feed)

    def hold(
        self, tap_names: frozenset[str], now: Now, *, may_feed: Callable[[str], bool]
    ) -> Iterator[Announce]:
        """The owners of these taps, and of no others, may have gone: close what is open, and open what is not held."""
        yield from self._shut(self._lost_boards, tap_names, now, may_feed)

    def _shut(
        self, boards: frozenset[str], held: frozenset[str], now: Now, may_feed: Callable[[str], bool]
    ) -> Iterator[Announce]:
        before = {tap_name for tap_name in self._fed_mono_s if self._is_shut(tap_name)}
        self._lost_boards, self._held = boards, held
        for tap_name in self._fed_mono_s:
            shut = self._is_shut(tap_name)
            if shut and tap_name not in before:
                yield from self._order(tap_name, "disabled")
            elif not shut and tap_name in before:
                yield from self._feed(tap_name, now, may_feed)

    def wake(self, now: Now, *, may_feed: Callable[[str], bool]) -> Iterator[Announce]:
        """Feed what is due, if `may_feed` says that the flow of that tap lives."""
        for tap_name, fed_mono_s in self._fed_mono_s.items():
            if now.mono_s - fed_mono_s >= self._rules.relay_repeat_s:
                yield from self._feed(tap_name, now, may_feed)

    def next_feeds(self) -> Iterator[tuple[str, float]]:
        """(tap, when it is due to be fed, monotonic) of each valve that is to be kept open."""
        for tap_name, fed_mono_s in self._fed_mono_s.items():
            if self._relay_name(tap_name) and not self._is_shut(tap_name):
                yield tap_name, fed_mono_s + self._rules.relay_repeat_s

    def _feed(self, tap_name: str, now: Now, may_feed: Callable[[str], bool]) -> Iterator[Announce]:
        self._fed_mono_s[tap_name] = now.mono_s
        if may_feed(tap_name):
            yield from self.open(tap_name)

    def _is_shut(self, tap_name: str) -> bool:
        return tap_name in self._held or self._is_lost(tap_name)

    def _is_lost(self, tap_name: str) -> bool:
        return board_of(self._relay_name(tap_name)) in self._lost_boards

    def _order(self, tap_name: str, mode: OutputMode) -> Iterator[Announce]:
        output_name = self._relay_name(tap_name)
        if output_name:
            yield Announce(event=SetRelayOutputEvent(output_name=output_name, output_mode=mode))
