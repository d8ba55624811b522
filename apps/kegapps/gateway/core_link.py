"""From the store's odometers to the core: what it has not counted yet, in words that it believes, and no more.

Knows kegnet's client, the store and both clocks. Must not know requests or boards' batches.
The core is asked where each meter stands for it before anything is told, so that whoever of the two was killed, or
restored from a backup, only what is missing is told, with its own time. A core of 2012 cannot be asked: it gets what it
was not known to be handed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from kegapps.daemon.loop import Loop, Timer
from kegapps.gateway.narrator import Narrator
from kegapps.gateway.records import Leg, Meter
from kegapps.gateway.store import Store
from kegapps.gateway.taps import Key, Taps
from kegapps.gateway.telling import DEFAULT_ML_PER_TICK
from kegapps.gateway.words import SPAN, placed, read_report, request, rounded, token, wire
from kegapps.kegnet.backlog import BacklogLimits
from kegapps.kegnet.client import Client
from kegapps.kegnet.events import (
    CoreStatus,
    DrinkCreatedEvent,
    Event,
    FlowRequest,
    FlowUpdate,
    MeterUpdate,
    SetRelayOutputEvent,
    StatusRequest,
)

log = logging.getLogger("gateway")

ANSWER_S: Final = 5.0
"""A core that has not said by then how it is, is none that can be asked."""
BARRIER: Final = 64
"""So many words are exchanged with the core before it is first asked. What an earlier gateway sent last may be unread
still, and each time the core answers us it has read some of that: no less than 256 bytes, of WINDOW messages."""
DRAIN_S: Final = 0.3
CONFIRM_S: Final = 60.0
WINDOW: Final = 100
"""So many messages may be on their way before the core is asked how far it is."""
UNTHINNED: Final = BacklogLimits(readings_per_meter=4096)
"""What waits in the client is bounded by WINDOW; thinned out, its steps would be more than the core believes."""
KEEP_S: Final = 30 * 86400.0
PRUNE_S: Final = 3600.0
LOOK_EVERY_S: Final = 55.0
"""So often at most the core is asked for no other reason than that a board is there; less than between heartbeats."""


class CoreLink:
    """One gateway's connection to the core. Call `feed` after every commit that added legs."""

    def __init__(
        self,
        loop: Loop,
        store: Store,
        taps: Taps,
        address: tuple[str, int],
        *,
        boot: str,
        token: str = "",
        on_change: Callable[[], None],
        on_tap: Callable[[str], None],
    ) -> None:
        """`boot` names the time for which the monotonic clock means something.

        `on_change` is called when the core came or went, `on_tap` with a board whose grants may be others now.
        """
        self._loop = loop
        self._store = store
        self._taps = taps
        self._boot = boot
        self._on_change = on_change
        self._on_tap = on_tap
        self._at: dict[str, int] = {}  # by meter: told up to this position
        self._readings: dict[str, int | None] | None = None  # where the core's meters stood; None: not known
        self._calibrations: dict[str, float] = {}
        self._barrier = BARRIER
        self._is_blind = False
        self._under_way = 0
        self._since_asked = 0
        self._asked_s = float("-inf")
        self._is_asking = False
        self._touched: set[str] = set()  # boards of which the core spoke while it was asked
        self._narrator = Narrator(taps)
        self._asking: Timer | None = None
        self._pruned_s = float("-inf")
        self.client = Client(
            loop,
            address,
            token=token,
            backlog=UNTHINNED,
            on_taken=self._taken,
            on_event=self._from_core,
            on_connected=self._connected,
            on_disconnected=self._disconnected,
        )

    @property
    def connected(self) -> bool:
        """The core is there."""
        return self.client.connected

    @property
    def knows(self) -> bool:
        """It is known where the core stands: what comes is passed on at once."""
        return self.client.connected and self._readings is not None

    def close(self) -> None:
        """Disconnect."""
        if self._asking is not None:
            self._asking.cancel()
        self.client.close()

    def tell(self, *events: Event) -> None:
        """Say this after all that was said so far."""
        self.client.send_together(*events)

    def show(self, meter: Meter, key: Key) -> None:
        """A token was put on the reader of a board: it is for each of its taps."""
        tap = self._taps.of(meter)
        events = [] if tap.holder == key else [token(meter.meter, key, "removed")]
        tap.show(key)
        self.tell(*events, token(meter.meter, key, "added"))

    def take_away(self, meter: Meter, key: Key) -> None:
        """The token was taken from the reader, which ends the flow if it is of a kind that lies there."""
        self.tell(token(meter.meter, key, "removed"))

    def end_flow(self, meter: Meter) -> None:
        """The board lets nothing more through: whoever's flow it is, it is over, and the token counts for nothing."""
        lying = self._taps.of(meter).lying
        events: list[Event] = [] if lying is None else [token(meter.meter, lying, "removed")]
        self.tell(*events, request(meter.meter, "stop_flow"))

    def finish(self, meter: Meter, pour_id: str) -> None:
        """A pour is over of which all ticks were told."""
        if self.knows:
            self.tell(*self._narrator.finish(meter, pour_id))

    def look(self, *, max_age_s: float = LOOK_EVERY_S) -> None:
        """Ask the core for its taps, if that was not done so lately: somebody may have given one another relay.

        What the core says of flows and valves in the meantime counts once it has answered.
        """
        if self.knows and not self._is_blind and self._loop.now_s() - self._asked_s >= max_age_s:
            self._ask()

    # Where the core stands

    def _connected(self) -> None:
        self._readings = None
        self._is_blind = False
        if self._barrier:
            self._exchange_words()
        else:
            self._ask()
        self._on_change()

    def _disconnected(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
        self._readings = None
        self._is_asking = False
        self._touched.clear()
        self._taps.core_lost()
        self._on_change()

    def _exchange_words(self) -> None:
        self.client.send(FlowRequest(tap_name="gateway", request="report_status"))  # which asks for nothing
        self._later(ANSWER_S, self._ask)

    def _taken(self, _took: int) -> None:
        self.client.expect_confirmation()
        if self._barrier:
            self._barrier -= 1
            self._exchange_words() if self._barrier else self._ask()

    def _ask(self) -> None:
        self.client.send(StatusRequest())
        self._since_asked, self._asked_s, self._is_asking = 0, self._loop.now_s(), True
        self._later(ANSWER_S, self._no_answer)

    def _later(self, seconds: float, what: Callable[[], None]) -> None:
        if self._asking is not None:
            self._asking.cancel()
        self._asking = self._loop.call_later(seconds, what)

    def _no_answer(self) -> None:
        if self._readings is not None:
            self._ask()
            return
        log.info("the core does not say how its meters stand; it is told what was not told yet")
        self._readings = {}
        self._is_blind = True
        self._is_asking = False
        for meter in self._store.meters().values():
            if (at := self._at.get(meter.meter)) is not None:
                # A core of 2012 that was started again counts nothing of the first reading.
                self.tell(MeterUpdate(tap_name=meter.meter, reading=wire(meter, at)))
        self.feed()

    def _from_core(self, event: Event) -> None:
        match event:
            case CoreStatus():
                self._learn(event.report)
            case DrinkCreatedEvent() if self._under_way and self.knows and not self._is_blind:
                self._ask()
            case FlowUpdate():
                is_over = event.state == "completed"
                board = self._taps.flow(
                    event.tap_name, event.username, event.start_time.timestamp(), is_over=is_over
                )
                if board is not None:
                    self._touch(board)
            case SetRelayOutputEvent():
                enabled = event.output_mode == "enabled"
                board = self._taps.relay(event.output_name, self._loop.now_s(), enabled=enabled)
                if board:
                    self._touch(board)

    def _touch(self, board: str) -> None:
        """What the core lets this board do is to be looked at, as soon as the taps' relays are known."""
        if self._is_asking:
            self._touched.add(board)
        else:
            self._on_tap(board)

    def _learn(self, report: Mapping[str, Any]) -> None:
        readings, relays, calibrations = read_report(report)
        self._calibrations = calibrations
        self._taps.know(relays)
        self._is_asking = False
        touched, self._touched = self._touched, set()
        for board in touched:
            self._on_tap(board)
        self._barrier = 0
        is_first, self._readings, self._is_blind = self._readings is None, readings, False
        if is_first:
            self._at.clear()
        for meter in self._store.meters().values():
            self._confirm(meter, readings.get(meter.meter))
        now_s = self._loop.now_s()
        if now_s - self._pruned_s > PRUNE_S:
            self._pruned_s = now_s
            self._store.prune(time.time() - KEEP_S)
        self._store.commit()
        self._under_way = self._since_asked  # the answer need not know of what was said after the question
        self._later(CONFIRM_S, self._confirm_later)
        self.feed()
        if is_first:
            self._on_change()

    def _confirm_later(self) -> None:
        if self._under_way:
            self._ask()

    def _confirm(self, meter: Meter, reading: int | None) -> None:
        """Note how far the core has counted, and its calibration."""
        told = meter.told
        if reading is not None and (position := placed(meter, reading)) is not None:
            told = position
        ml_per_tick = self._calibrations.get(meter.meter)
        if (told, ml_per_tick) != (meter.told, meter.core_ml_per_tick):
            self._store.keep_meter(replace(meter, told=told, core_ml_per_tick=ml_per_tick))

    def _place(self, meter: Meter) -> tuple[Meter, list[Event]]:
        """Find out from which position on this meter is to be told, and what has to be said before."""
        assert self._readings is not None
        reading = self._readings.get(meter.meter)
        if reading is not None and meter.shift is not None:
            position = placed(meter, reading)
            oldest = self._store.oldest_position(meter.meter)
            if position is not None and (
                position == meter.told or (oldest is not None and oldest <= position)
            ):
                self._at[meter.meter] = position
                return meter, []
            log.warning(
                "%s: the core stands at %d, which is none of our readings; counting on from there",
                meter.meter, reading,
            )  # fmt: skip
        if reading is not None or meter.shift is None:
            # Another board may have had this name, or an earlier store of ours: go on where the core is.
            shift = ((reading or 0) - meter.told) % SPAN
            if shift != meter.shift:
                meter = replace(meter, shift=shift)
                self._store.keep_meter(meter)
                self._store.commit()
        self._at[meter.meter] = meter.told
        if reading is not None:
            return meter, []
        # A core's first reading of a meter counts nothing.
        first = self._store.legs(meter.meter, meter.told, 1)
        age_s = self._age_s(first[0]) + first[0].duration_s if first else 0.0
        return meter, [
            MeterUpdate(tap_name=meter.meter, reading=wire(meter, meter.told), age_s=rounded(age_s))
        ]

    # Telling

    def feed(self) -> None:
        """Tell the core what it has not been told, as much as may be under way."""
        if not self.knows:
            return
        for meter in self._store.meters().values():
            events: list[Event] = []
            if meter.meter not in self._at:
                self._confirm(meter, None)
                self._store.commit()
                meter, events = self._place(self._store.meters()[meter.meter])
                if events:
                    self.tell(*events)
            while self._at[meter.meter] < meter.position and self._under_way < WINDOW:
                legs = self._store.legs(meter.meter, self._at[meter.meter], 8)
                if not legs:  # pruned or lost: the ticks are counted all the same
                    self._say_all(meter)
                for leg in legs:
                    if self._under_way < WINDOW:
                        self._tell_leg(meter, leg)
        if self._is_blind:
            self._later(DRAIN_S, self._told_blindly)
        elif self._under_way >= WINDOW:
            self._ask()

    def _told_blindly(self) -> None:
        if not self.client.drained:
            self._later(DRAIN_S, self._told_blindly)
            return
        self._under_way = 0
        for meter in self._store.meters().values():
            if self._at.get(meter.meter, 0) > meter.told:
                self._store.keep_meter(replace(meter, told=self._at[meter.meter]))
        self._store.commit()
        if self._behind():
            self.feed()

    def _behind(self) -> bool:
        return any(self._at.get(m.meter, m.position) < m.position for m in self._store.meters().values())

    def _say_all(self, meter: Meter) -> None:
        self._at[meter.meter] = meter.position
        self._send([MeterUpdate(tap_name=meter.meter, reading=wire(meter, meter.position))])

    def _tell_leg(self, meter: Meter, leg: Leg) -> None:
        ml_per_tick = self._calibrations.get(meter.meter, DEFAULT_ML_PER_TICK)
        events = self._narrator.tell(
            meter, leg, told=self._at[meter.meter], age_s=self._age_s(leg), ml_per_tick=ml_per_tick
        )
        self._at[meter.meter] = leg.end_ticks
        self._send(events)

    def _send(self, events: list[Event]) -> None:
        self.client.send_together(*events)
        self._under_way += len(events)
        self._since_asked += len(events)

    def _age_s(self, leg: Leg) -> float:
        if leg.boot == self._boot:
            return max(0.0, self._loop.now_s() - leg.mono_s)
        return max(0.0, time.time() - leg.unix_s)
