"""What is to be published: while Redis is away, the latest of each flow and valve, and every drink.

Knows which event replaces which. Must not know Redis; time is an argument, monotonic seconds.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from kegapps.kegnet.events import CoreEvent, DrinkCreatedEvent, FlowUpdate, SetRelayOutputEvent

MAX_UNDER_WAY: Final = 64
MAX_KEPT: Final = 256  # flows and valves, the latest; drinks are counted by whoever adds them
RELAY_MAX_AGE_S: Final = 2.0  # the core repeats `enabled` each second: an older one may be over


@dataclass(frozen=True, slots=True)
class _Item:
    event: CoreEvent
    since_s: float

    @property
    def key(self) -> tuple[str, str | int]:
        """What it tells about: a later one with the same key says more."""
        event = self.event
        if isinstance(event, FlowUpdate):
            return "flow", event.flow_id
        if isinstance(event, DrinkCreatedEvent):
            return "drink", event.drink_id
        return "relay", event.output_name


class Outgoing:
    """A queue in which the latest word about a flow or valve replaces the one before, unless that is under way."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, str | int], _Item] = {}
        self._under_way: deque[_Item] = deque()

    def __len__(self) -> int:
        return len(self._waiting) + len(self._under_way)

    @property
    def under_way(self) -> int:
        """How many were taken and not answered yet."""
        return len(self._under_way)

    def add(self, event: CoreEvent, now_s: float) -> None:
        """`event` is to be published."""
        item = _Item(event, now_s)
        self._waiting.pop(item.key, None)
        self._waiting[item.key] = item
        if len(self._waiting) > MAX_KEPT:
            oldest = next((key for key in self._waiting if key[0] != "drink"), None)
            if oldest is not None:
                del self._waiting[oldest]

    def take(self, now_s: float) -> list[CoreEvent]:
        """What is to be sent now, in order; it is under way from then on."""
        taken: list[CoreEvent] = []
        while self._waiting and len(self._under_way) < MAX_UNDER_WAY:
            item = self._waiting.pop(next(iter(self._waiting)))
            if not _is_stale(item, now_s):
                self._under_way.append(item)
                taken.append(item.event)
        return taken

    def answered(self) -> CoreEvent | None:
        """The oldest under way was published: it is returned. None if none was under way."""
        return self._under_way.popleft().event if self._under_way else None

    def lost(self) -> None:
        """Nobody knows what became of those under way: they go again, unless there is a later word."""
        again = {item.key: item for item in self._under_way}
        self._under_way.clear()
        self._waiting = {key: item for key, item in again.items() if key not in self._waiting} | self._waiting


def _is_stale(item: _Item, now_s: float) -> bool:
    event = item.event
    return (
        isinstance(event, SetRelayOutputEvent)
        and event.output_mode == "enabled"
        and now_s - item.since_s > RELAY_MAX_AGE_S
    )
