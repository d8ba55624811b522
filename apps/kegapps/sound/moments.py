"""Which events are worth a sound, and which sounds there are to choose from.

Knows the table, and flows as far as they were heard. Must not know files, players, sockets or clocks.
Source of the rule for volumes: shared/kegbot-server-api.md, "sound-events": an update plays a sound of the highest
threshold that it crosses. A flow crosses each once, whatever the core sends again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from kegapps.kegnet.events import GUEST, DrinkCreatedEvent, Event, FlowUpdate
from kegapps.sound.table import Row, Trigger

MAX_FLOWS: Final = 256  # are remembered, the latest that were heard of

Sounds = tuple[str, ...]


@dataclass(slots=True)
class _Flow:
    volume_ml: float  # the most that was heard; -1: nothing at all
    username: str | None = None
    had_drink: bool = False


class Moments:
    """Goes by `rows`."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows: dict[Trigger, list[Row]] = {}
        for row in rows:
            self._rows.setdefault(row.trigger, []).append(row)
        # Highest first.
        self._thresholds_ml = sorted((key for key in self._rows if isinstance(key, float)), reverse=True)
        self._flows: dict[int, _Flow] = {}

    def heard(self, event: Event) -> Iterator[Sounds]:
        """For each sound to be played now, in this order: one of which."""
        if isinstance(event, FlowUpdate):
            yield from self._updated(event)
        elif isinstance(event, DrinkCreatedEvent):
            yield from self._drunk(event)

    def _updated(self, update: FlowUpdate) -> Iterator[Sounds]:
        flow = self._recall(update.flow_id)
        if flow is None:
            # One that does not begin under our eyes passed what it passed before we listened.
            begins = update.state == "initial"
            flow = _Flow(-1.0 if begins else update.volume_ml, None if begins else update.username)
            self._remember(update.flow_id, flow)
        names = {update.username or GUEST}
        if update.username is not None and update.username != flow.username:
            yield from self._sounds("user", names, update.tap_name) or ()
        flow.username = update.username
        before_ml, flow.volume_ml = flow.volume_ml, max(flow.volume_ml, update.volume_ml)
        for threshold_ml in self._thresholds_ml:
            if before_ml < threshold_ml <= flow.volume_ml:
                sounds = self._sounds(threshold_ml, names, update.tap_name)
                if sounds is not None:
                    yield from sounds
                    return

    def _drunk(self, drink: DrinkCreatedEvent) -> Iterator[Sounds]:
        flow = self._recall(drink.flow_id)
        # An anonymous drink bears the name that the core or the server has for guests.
        names = {drink.username, GUEST} if flow is not None and flow.username is None else {drink.username}
        flow = flow or _Flow(0.0, drink.username)
        self._remember(drink.flow_id, flow)
        if not flow.had_drink:
            flow.had_drink = True
            yield from self._sounds("drink", names, drink.tap_name) or ()

    def _sounds(self, trigger: Trigger, names: set[str], tap_name: str) -> tuple[Sounds, ...] | None:
        """The choice that the rows give, none if it is silence; None if no row is for this."""
        fitting = [
            row
            for row in self._rows.get(trigger, ())
            if (not row.users or row.users & names) and (not row.taps or tap_name in row.taps)
        ]
        if not fitting:
            return None
        weight = max(row.weight for row in fitting)
        sounds = tuple(sound for row in fitting if row.weight == weight for sound in row.sounds)
        return (sounds,) if sounds else ()

    def _recall(self, flow_id: int) -> _Flow | None:
        flow = self._flows.pop(flow_id, None)
        if flow is not None:
            self._flows[flow_id] = flow  # it is the latest now
        return flow

    def _remember(self, flow_id: int, flow: _Flow) -> None:
        self._flows[flow_id] = flow
        if len(self._flows) > MAX_FLOWS:
            del self._flows[next(iter(self._flows))]
