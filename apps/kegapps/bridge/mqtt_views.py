"""What is published of the tap room, as it stands: one JSON object a tap, and words for relays and boards.

Knows kegnet's events and facts, and topics. Must not know connections or clocks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from kegapps.bridge.mqtt_topics import Topics
from kegapps.kegnet.events import BoardState, DrinkFacts, FlowUpdate, SetRelayOutputEvent
from kegapps.kegnet.taproom import TapFacts, Taproom

MAX_RELAYS: Final = 256
MAX_BOARDS: Final = 256


def drink_payload(drink: DrinkFacts) -> bytes:
    """A drink: the fields of DrinkFacts. `uuid` is the same if it is ever told twice."""
    return _json(_drink(drink))


class TapRoom:
    """The last that is known of everything; `payloads` is what the broker should hold."""

    def __init__(self, topics: Topics) -> None:
        self._topics = topics
        self._facts = Taproom()
        self._flows: dict[str, FlowUpdate] = {}  # the last of each tap
        self._drinks: dict[str, DrinkFacts] = {}  # the last of each tap
        self._relays: dict[str, bool] = {}
        self._boards: dict[str, BoardState] = {}

    @property
    def taps(self) -> tuple[TapFacts, ...]:
        """All taps."""
        return self._facts.taps

    @property
    def relays(self) -> tuple[str, ...]:
        """All relays that taps have."""
        return tuple(sorted({tap.relay_name for tap in self._facts.taps if tap.relay_name}))

    @property
    def boards(self) -> tuple[str, ...]:
        """All boards that were told of."""
        return tuple(sorted(self._boards))

    def use(self, facts: Taproom, boards: Mapping[str, BoardState]) -> None:
        """What the core's report tells."""
        if facts.last_drink is not None:
            self.pour(facts.last_drink)
        self._facts = facts
        names = {tap.name for tap in facts.taps}
        self._flows = {name: flow for name, flow in self._flows.items() if name in names}
        self._drinks = {name: drink for name, drink in self._drinks.items() if name in names}
        relays = set(self.relays)
        self._relays = {name: is_on for name, is_on in self._relays.items() if name in relays}
        self._boards = dict(list(boards.items())[:MAX_BOARDS])

    def flow(self, update: FlowUpdate) -> None:
        """A flow goes on, or ends."""
        if any(tap.name == update.tap_name for tap in self._facts.taps):
            self._flows[update.tap_name] = update

    def pour(self, drink: DrinkFacts) -> None:
        """A drink was stored; of several the one with the highest number is the last."""
        before = self._drinks.get(drink.tap_name)
        if before is None or before.drink_id <= drink.drink_id:
            self._drinks[drink.tap_name] = drink

    def order(self, order: SetRelayOutputEvent) -> None:
        """The core opens or closes a valve."""
        if order.output_name in self._relays or len(self._relays) < MAX_RELAYS:
            self._relays[order.output_name] = order.output_mode == "enabled"

    def lose(self) -> None:
        """The core is away: no flow is known to go on, and nobody keeps a valve open."""
        self._flows.clear()
        self._relays = dict.fromkeys(self._relays, False)

    def payloads(self) -> dict[str, bytes]:
        """By topic: what the broker should hold."""
        topics = self._topics
        found = {topics.tap(tap.name): _json(self._tap(tap)) for tap in self._facts.taps}
        for name in self.relays:
            found[topics.relay(name)] = b"ON" if self._relays.get(name) else b"OFF"
        for name, state in self._boards.items():
            found[topics.board(name)] = state.encode()
        for sensor in self._facts.sensors:
            found[topics.sensor(sensor.sensor_name)] = _json(asdict(sensor))
        return found

    def _tap(self, tap: TapFacts) -> dict[str, Any]:
        flow, drink = self._flows.get(tap.name), self._drinks.get(tap.name)
        fraction = tap.left_fraction
        is_pouring = flow is not None and flow.state in ("initial", "active", "idle")
        return {
            "tap_name": tap.name,
            "title": tap.title,
            "beverage": tap.beverage,
            "state": "pouring" if is_pouring else "idle",
            "flow_id": flow.flow_id if flow else None,
            "username": flow.username if flow else None,
            "ticks": flow.ticks if flow else None,
            "volume_ml": round(flow.volume_ml, 1) if flow else 0.0,
            "keg_volume_ml": _rounded(tap.keg_volume_ml),
            "keg_left_ml": _rounded(tap.keg_left_ml),
            "keg_left_percent": None if fraction is None else round(100 * fraction, 1),
            "temperature_c": _rounded(tap.temperature_c, 2),
            "relay_name": tap.relay_name or None,
            "last_drink": _drink(drink) if drink else None,
        }


def _drink(drink: DrinkFacts) -> dict[str, Any]:
    return {**asdict(drink), "volume_ml": round(drink.volume_ml, 1)}


def _rounded(value: float | None, digits: int = 0) -> float | None:
    return None if value is None else round(value, digits)


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
