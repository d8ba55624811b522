"""What waits for the disk: changes to be stored in one commit, and what may be announced after it.

Knows effects and which of them supersede others. Must not know the store, sockets or clocks.
While the disk takes nothing, this holds the core's work in bounded memory: of what is superseded anyway only the
last is kept. Drinks are never dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from kegapps.core.effects import Announce, Effect, EndFlow, ForgetPresence, Keep
from kegapps.core.model import Drink, Flow, Meter, Presence, Tap, Temperature, TokenAnswer
from kegapps.kegnet.events import DrinkCreatedEvent, Event, FlowUpdate, SetRelayOutputEvent

MAX_TEMPERATURES: Final = 10_000
MAX_ANNOUNCEMENTS: Final = 20_000


@dataclass(slots=True, kw_only=True)
class Changes:
    """What one commit writes, the last state of each thing."""

    taps: dict[str, Tap] = field(default_factory=dict)
    meters: dict[str, Meter] = field(default_factory=dict)
    flows: dict[str, Flow] = field(default_factory=dict)
    """Open flows by uuid."""
    ended: dict[str, Drink | None] = field(default_factory=dict)
    """Flows that are open no more, by uuid, and what became of them."""
    presences: dict[str, Presence | None] = field(default_factory=dict)
    """By tap; None: no token is there any more."""
    temperatures: dict[tuple[str, int], Temperature] = field(default_factory=dict)
    """By sensor and minute."""
    token_answers: dict[tuple[str, str], TokenAnswer] = field(default_factory=dict)
    """By device and token."""
    sessions: dict[str, int | None] = field(default_factory=dict)
    """How far each app's messages came that led to all this; None: forget it. Alone it is no reason to write."""
    last_flow_id: int = 0

    def __bool__(self) -> bool:
        return any(
            (
                self.taps, self.meters, self.flows, self.ended, self.presences, self.temperatures,
                self.token_answers,
            )
        )  # fmt: skip


class Pending:
    """Changes and announcements since the last commit that went through."""

    def __init__(self, open_flows: Iterable[Flow] = ()) -> None:
        """`open_flows` are those in the store already."""
        self.changes = Changes()
        self._stored_flows = {flow.uuid for flow in open_flows}
        self.left_out = 0
        """Announcements that were given up because too many waited for the disk."""
        self._announcements: list[Announce] = []
        self._tidy_at = MAX_ANNOUNCEMENTS // 2

    def add(self, effects: Iterable[Effect]) -> None:
        """Take what has to be stored and announced; lines for the log are not looked at."""
        for effect in effects:
            match effect:
                case Keep():
                    self._keep(effect.record)
                case EndFlow():
                    self._end(effect)
                case ForgetPresence():
                    self.changes.presences[effect.tap_name] = None
                case Announce():
                    self._announcements.append(effect)
        if len(self._announcements) > self._tidy_at:
            self._tidy()

    @property
    def drinks(self) -> int:
        """How many drinks wait to be stored."""
        return sum(drink is not None for drink in self.changes.ended.values())

    def stored(self, drink_ids: Mapping[str, int]) -> list[Event]:
        """All is on disk now, drinks (by uuid) under these numbers: what to announce, in order."""
        events: list[Event] = []
        for announcement in self._announcements:
            event = announcement.event
            if isinstance(event, DrinkCreatedEvent):
                event = replace(event, drink_id=drink_ids[announcement.drink_uuid])
            events.append(event)
        self._stored_flows |= self.changes.flows.keys()
        self._stored_flows -= self.changes.ended.keys()
        self.changes = Changes()
        self._announcements = []
        self._tidy_at = MAX_ANNOUNCEMENTS // 2
        return events

    def take_relay_orders(self) -> list[SetRelayOutputEvent]:
        """The orders to relays, in order; they are not pending any more."""
        orders = [a.event for a in self._announcements if isinstance(a.event, SetRelayOutputEvent)]
        if orders:
            self._announcements = [
                a for a in self._announcements if not isinstance(a.event, SetRelayOutputEvent)
            ]
        return orders

    def _keep(self, record: Tap | Meter | Flow | Presence | Temperature | TokenAnswer) -> None:
        changes = self.changes
        match record:
            case Meter():
                changes.meters[record.name] = record
            case Flow():
                changes.flows[record.uuid] = record
                changes.last_flow_id = max(changes.last_flow_id, record.flow_id)
            case Tap():
                changes.taps[record.name] = record
            case Presence():
                changes.presences[record.tap_name] = record
            case TokenAnswer():
                changes.token_answers[record.device, record.token] = record
            case Temperature() if len(changes.temperatures) < MAX_TEMPERATURES:
                changes.temperatures[record.sensor_name, record.unix_minute] = record

    def _end(self, effect: EndFlow) -> None:
        uuid = effect.flow.uuid
        self.changes.flows.pop(uuid, None)
        # What was never stored and is no drink leaves no trace: such flows cost nothing while the disk is away.
        if effect.drink is not None or uuid in self._stored_flows:
            self.changes.ended[uuid] = effect.drink

    def _tidy(self) -> None:
        """Keep of each flow's `active` updates, and of each relay's orders, the last; then bound the rest."""
        kept: list[Announce] = []
        later: set[object] = set()
        for announcement in reversed(self._announcements):
            event = announcement.event
            key: object = None
            if isinstance(event, SetRelayOutputEvent):
                key = event.output_name
            elif isinstance(event, FlowUpdate) and event.state in ("initial", "active"):
                key = event.flow_id
            if key is None or key not in later:
                kept.append(announcement)
                later.add(key)
        kept.reverse()
        self.left_out += max(0, len(kept) - MAX_ANNOUNCEMENTS)
        self._announcements = kept[-MAX_ANNOUNCEMENTS:]
        self._tidy_at = len(self._announcements) + MAX_ANNOUNCEMENTS // 2
