"""What the display knows of the tap room: from what the core reports, and from what is heard of each flow.

Knows kegnet's events. Must not know sockets, screens or devices; the times are told. A core of 2012 reports nothing:
then the taps are those of a Kegbot Server, or that were heard of, and the last drink is what the last flow became.
"""

from __future__ import annotations

from typing import Final, TypeVar

from kegapps.kegnet.events import GUEST, CoreStatus, DrinkCreatedEvent, DrinkFacts, Event, FlowUpdate
from kegapps.kegnet.taproom import TapFacts, Taproom, taproom
from kegapps.lcd.screens import Pour

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

SILENT_S: Final = 150.0
"""A flow that is silent for so long is over, though its end was not heard: the longest idle limit is 120 s."""

MAX_FLOWS: Final = 32
MAX_HEARD_TAPS: Final = 16
"""Beyond these the oldest are forgotten; no bar has so many taps flowing at once."""


class Room:
    """Taps, flows and the last drink."""

    def __init__(self) -> None:
        self.connected = False
        self.last_drink: DrinkFacts | None = None
        self._report: Taproom | None = None  # the core's
        self._server: tuple[TapFacts, ...] = ()
        self._flows: dict[int, FlowUpdate] = {}  # those under way, in the order of their beginning
        self._heard_s: dict[int, float] = {}
        self._ended: dict[int, FlowUpdate] = {}  # those that may become a drink yet
        self._heard_taps: dict[str, TapFacts] = {}

    @property
    def taps(self) -> tuple[TapFacts, ...]:
        """The core's taps; of a core that reports none a server's, or else those that were heard of."""
        if self._report is not None:
            return self._report.taps
        return self._server or tuple(self._heard_taps.values())

    @property
    def guest(self) -> str:
        """What the core calls whoever pours without a token, as far as it tells."""
        return self._report.guest_username if self._report is not None else GUEST

    @property
    def pours(self) -> tuple[Pour, ...]:
        """The flows under way, the one that began first in front."""
        return tuple(map(self._pour, self._flows.values()))

    def connect(self) -> None:
        """There is a core; what the last one told holds until this one tells."""
        self.connected = True

    def disconnect(self) -> None:
        """The core is gone: how its flows went on is not known, and a new one tells of them at their next ticks."""
        self.connected = False
        for known in (self._flows, self._heard_s, self._ended):
            known.clear()

    def hear(self, event: Event, *, now_s: float, unix_s: float) -> bool:
        """Take in what the core says at these times; True if it is news of a pour."""
        match event:
            case FlowUpdate():
                self._hear_flow(event, now_s)
            case DrinkCreatedEvent():
                self._hear_drink(event, unix_s)
            case CoreStatus():
                self._report = taproom(event.report)
                self.last_drink = self._report.last_drink or self.last_drink
                return False
            case _:
                return False
        return True

    def learn(self, taps: tuple[TapFacts, ...]) -> None:
        """A Kegbot Server has these taps; what the core reports goes before."""
        self._server = taps

    def forget_silent(self, now_s: float) -> float | None:
        """Forget flows that are silent for too long; when to look again, None if nothing flows."""
        for flow_id, heard_s in tuple(self._heard_s.items()):
            if now_s >= heard_s + SILENT_S:
                self._end(flow_id)
        return min(self._heard_s.values()) + SILENT_S if self._heard_s else None

    def _hear_flow(self, flow: FlowUpdate, now_s: float) -> None:
        if flow.tap_name not in self._heard_taps:
            self._heard_taps[flow.tap_name] = TapFacts(name=flow.tap_name)
            _bound(self._heard_taps, MAX_HEARD_TAPS)
        if flow.state == "completed":
            self._end(flow.flow_id)
            self._ended[flow.flow_id] = flow
            _bound(self._ended, MAX_FLOWS)
            return
        # A tap has one flow at a time: another one means that the end of the first was missed.
        for other in [f.flow_id for f in self._flows.values() if f.tap_name == flow.tap_name]:
            if other != flow.flow_id:
                self._end(other)
        self._flows[flow.flow_id] = flow
        self._heard_s[flow.flow_id] = now_s
        if len(self._flows) > MAX_FLOWS:
            self._end(next(iter(self._flows)))

    def _hear_drink(self, drink: DrinkCreatedEvent, unix_s: float) -> None:
        """Its volume is that of the flow it was. The times in it are not used: those of an old core are hours off."""
        flow = self._ended.pop(drink.flow_id, None)
        if flow is None:
            return
        tap = self._tap(flow.tap_name)
        poured_s = max(0.0, (flow.last_activity_time - flow.start_time).total_seconds())
        self.last_drink = DrinkFacts(
            drink_id=drink.drink_id,
            uuid="",
            flow_id=flow.flow_id,
            tap_name=flow.tap_name,
            username=flow.username or (None if drink.username == self.guest else drink.username),
            ticks=flow.ticks,
            volume_ml=flow.volume_ml,
            start_unix_s=unix_s - poured_s,
            end_unix_s=unix_s,
            beverage=tap.beverage,
        )

    def _end(self, flow_id: int) -> None:
        self._flows.pop(flow_id, None)
        self._heard_s.pop(flow_id, None)

    def _pour(self, flow: FlowUpdate) -> Pour:
        tap = self._tap(flow.tap_name)
        return Pour(
            flow_id=flow.flow_id,
            title=tap.title,
            username=flow.username,
            volume_ml=flow.volume_ml,
            beverage=tap.beverage,
        )

    def _tap(self, name: str) -> TapFacts:
        return next((tap for tap in self.taps if tap.name == name), None) or TapFacts(name=name)


def _bound(known: dict[_Key, _Value], most: int) -> None:
    if len(known) > most:
        del known[next(iter(known))]
