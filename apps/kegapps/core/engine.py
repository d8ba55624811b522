"""All that kegbot_core decides: kegnet events and the time go in, effects come out.

Knows taps, meters, flows, tokens and sensors. Must not know sockets, clocks, files or the store.
Source: shared/kegnet-protocol.md, sections 4 and 9.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from kegapps.core.admission import Admission
from kegapps.core.boards import Boards
from kegapps.core.effects import Effect, EndFlow, Keep, Say
from kegapps.core.flows import Flows, earlier
from kegapps.core.model import Flow, Memory, Meter, Now, SensorReading, Setup, Tap, TokenAnswer, board_of
from kegapps.core.odometers import Odometers
from kegapps.core.report import HeardBoard
from kegapps.core.rules import Rules
from kegapps.core.thermo import Sensors
from kegapps.kegnet.events import (
    ALL_TAPS,
    BoardStatus,
    Event,
    FlowRequest,
    MeterUpdate,
    ThermoEvent,
    TokenAuthEvent,
)
from kegapps.kegnet.ratelimit import RateLimit

NAME: Final = re.compile(r"(?!__)[A-Za-z0-9_.:-]{1,64}")
"""Names of meters and sensors that may be stored and shown; ALL_TAPS is none."""

MAX_NEW_METERS: Final = (24, 60.0)
"""Of one connection in so many seconds: four boards with all theirs. Who sends junk leaves room for others."""


class Engine:
    """The core's decisions. Every public method returns its effects in the order they have to happen."""

    def __init__(
        self,
        rules: Rules,
        setup: Setup,
        memory: Memory,
        *,
        now: Now,
        new_uuid: Callable[[], str],
        asks_server: bool = False,
    ) -> None:
        """`asks_server`: there is a Kegbot Server that can be asked about tokens."""
        self._rules = rules
        self._setup = setup
        self._odometers = Odometers(rules, memory.meters)
        self._refused: set[str] = set()
        self._new_meters: dict[str, RateLimit] = {}  # by connection
        self._flows = Flows(
            rules,
            flows=memory.flows,
            taps=setup.taps,
            first_flow_id=max(int(now.unix_s), memory.last_flow_id + 1),
            now=now,
            new_uuid=new_uuid,
        )
        self._admission = Admission(rules, setup, memory, flows=self._flows, asks_server=asks_server)
        self._sensors = Sensors(rules, memory.temperatures, now)
        self._boards = Boards()
        self._boards.use(_boards_of(setup))
        self._lost_boards: frozenset[str] = frozenset()
        self._said_too_many_boards = False

    @property
    def taps(self) -> tuple[Tap, ...]:
        """The taps known now."""
        return tuple(self._setup.taps.values())

    @property
    def meters(self) -> Mapping[str, Meter]:
        """The meters that were ever heard, by name."""
        return self._odometers.meters

    @property
    def open_flows(self) -> tuple[Flow, ...]:
        """The flows under way now."""
        return self._flows.open_flows()

    def sensors(self, now: Now) -> tuple[SensorReading, ...]:
        """The temperature sensors that are there, by name."""
        return self._sensors.present(now)

    def boards(self, now: Now) -> tuple[HeardBoard, ...]:
        """What there is to say of each board that a daemon told of in this run."""
        return self._boards.heard(now)

    def use(self, setup: Setup, now: Now) -> list[Effect]:
        """Go by this setup from now on; who may not pour any more has their flow ended."""
        return list(self._account(self._use(setup, now)))

    def handle(self, event: Event, now: Now, *, peer: str) -> list[Effect]:
        """Take an event from the connection `peer` (any text, another one for each connection).

        Events that only a core may send, and events about unknown taps, have no effect.
        """
        return list(self._account(self._handle(event, now, peer)))

    def leave(self, peer: str, now: Now) -> list[Effect]:
        """The connection `peer` has ended."""
        self._new_meters.pop(peer, None)
        self._boards.leave(peer)
        return list(self._look_after_boards(now))

    def wake(self, now: Now) -> list[Effect]:
        """Do what is due; see `next_wake_mono_s`."""
        return list(self._account(self._wake(now)))

    def answer(self, device: str, token: str, answer: TokenAnswer | None, now: Now) -> list[Effect]:
        """Take what the Kegbot Server said of a token that `AskToken` asked for; None: there was no answer."""
        return list(self._account(self._admission.answer(device, token, answer, now)))

    def next_wake_mono_s(self) -> float | None:
        """When to call `wake` even if no event comes; None: not at all."""
        due = [self._flows.next_wake_mono_s(), self._sensors.next_wake_mono_s()]
        return min((mono_s for mono_s in due if mono_s is not None), default=None)

    def close_valves(self) -> list[Effect]:
        """What to announce before the core ends: nobody would keep watch over an open valve."""
        return list(self._flows.close_valves())

    def _use(self, setup: Setup, now: Now) -> Iterator[Effect]:
        self._setup = setup
        self._boards.use(_boards_of(setup))
        yield from self._flows.use(setup.taps, now)
        yield from self._admission.use(setup)

    def _handle(self, event: Event, now: Now, peer: str) -> Iterator[Effect]:
        match event:
            case MeterUpdate():
                yield from self._read(event, now, peer)
            case FlowRequest(request="start_flow") if event.tap_name in self._setup.taps:
                yield from self._flows.request(
                    event.tap_name, self._flows.when(event.tap_name, event.age_s, now), now
                )
            case FlowRequest(request="stop_flow") if event.tap_name in self._setup.taps:
                yield from self._flows.end(event.tap_name)
            case TokenAuthEvent():
                yield from self._admission.shown(self._taps_meant(event.tap_name), event, now)
            case ThermoEvent():
                if NAME.fullmatch(event.sensor_name):
                    age_s = now.unix_s - earlier(now, event.age_s).unix_s
                    yield from self._sensors.read(event.sensor_name, event.sensor_value, age_s=age_s, now=now)
            case BoardStatus():
                if not self._boards.tell(event, peer, now) and not self._said_too_many_boards:
                    self._said_too_many_boards = True
                    text = f"Board {event.board_name} is not remembered: apps tell of too many boards"
                    yield Say(level=logging.WARNING, text=text)
                yield from self._admission.listened(event, peer, now)
                yield from self._look_after_boards(now)

    def _look_after_boards(self, now: Now) -> Iterator[Effect]:
        lost, before = self._boards.lost, self._lost_boards
        if lost == before:
            return
        self._lost_boards = lost
        for name in sorted(lost ^ before):
            if name in lost:
                yield Say(
                    level=logging.WARNING,
                    text=f"Board {name} is lost: its valves are closed until it is back",
                )
            else:
                yield Say(level=logging.INFO, text=f"Board {name} is back")
        yield from self._flows.lose_boards(lost, now)

    def _wake(self, now: Now) -> Iterator[Effect]:
        yield from self._flows.wake(now)
        yield from self._sensors.wake(now)

    def _taps_meant(self, tap_name: str) -> tuple[str, ...]:
        if tap_name == ALL_TAPS:
            return tuple(self._setup.taps)
        return (tap_name,) if tap_name in self._setup.taps else ()

    def _read(self, event: MeterUpdate, now: Now, peer: str) -> Iterator[Effect]:
        name = event.tap_name
        if name not in self._setup.taps:
            yield from self._meet(name, now, peer)
        tap = self._setup.taps.get(name)
        if tap is None:
            return
        at = self._flows.when(name, event.age_s, now)
        if at == now and self._boards.read(board_of(name)):
            yield from self._look_after_boards(now)
        before = self._odometers.counted_ticks(name)
        yield from self._odometers.read(
            tap,
            event.reading,
            gap_s=event.gap_s,
            board_uptime_s=event.board_uptime_s,
            at=at,
            now=now,
            peer=peer,
        )
        ticks = self._odometers.counted_ticks(name) - before
        if ticks:
            yield from self._flows.pour(name, ticks, at, now)

    def _meet(self, name: str, now: Now, peer: str) -> Iterator[Effect]:
        """Make a tap of a meter that is heard for the first time, unless that would be silly."""
        reason = self._why_no_tap(name, now, peer)
        if reason:
            if name not in self._refused and len(self._refused) < self._rules.max_taps:
                self._refused.add(name)
                yield Say(level=logging.WARNING, text=f"Refused meter {name[:64]!r}: {reason}")
            return
        tap = Tap(name=name, ml_per_tick=self._rules.default_ml_per_tick)
        yield from self._use(replace(self._setup, taps={**self._setup.taps, name: tap}), now)
        yield Say(
            level=logging.INFO, text=f"New tap: {name}, {tap.ml_per_tick:.4g} mL per tick until it is set"
        )
        yield Keep(record=tap)

    def _why_no_tap(self, name: str, now: Now, peer: str) -> str:
        if not NAME.fullmatch(name):
            return "not a meter's name"
        if len(self._setup.taps) >= self._rules.max_taps:
            return "there are enough taps already (--max_taps)"
        if self._new_meters.setdefault(peer, RateLimit(*MAX_NEW_METERS)).admit(now.mono_s) is None:
            return "one app tells of too many new ones at once; it is taken in a minute, if it is heard then"
        return ""

    def _account(self, effects: Iterator[Effect]) -> Iterator[Effect]:
        """Write the ticks of flows that became no drink to their meter's account."""
        for effect in effects:
            yield effect
            if isinstance(effect, EndFlow) and effect.drink is None and effect.flow.ticks:
                yield from self._odometers.too_few(effect.flow.tap_name, effect.flow.ticks)


def _boards_of(setup: Setup) -> set[str]:
    """The names of the boards that have a meter or a relay of a tap."""
    return {board_of(name) for tap in setup.taps.values() for name in (tap.name, tap.relay_name) if name}
