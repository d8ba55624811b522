"""A bar for tests: the pure engine with a clock that is moved by hand, and the wire as short lines."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from kegapps.core.effects import Announce, Effect, EndFlow, Keep, Say
from kegapps.core.engine import Engine
from kegapps.core.model import Drink, Memory, Meter, Now, Setup, Tap, Temperature
from kegapps.core.rules import Rules
from kegapps.kegnet.events import (
    ALL_TAPS,
    DrinkCreatedEvent,
    Event,
    FlowRequest,
    FlowRequestKind,
    FlowUpdate,
    MeterUpdate,
    SetRelayOutputEvent,
    ThermoEvent,
    TokenAuthEvent,
    TokenStatus,
)

START_UNIX_S = 1_795_216_330.0
FLOW0, FLOW1 = "kegboard.flow0", "kegboard.flow1"
ML_PER_TICK = 1000 / 2200
TAPS = (
    Tap(name=FLOW0, ml_per_tick=ML_PER_TICK, relay_name="kegboard.relay0"),
    Tap(name=FLOW1, ml_per_tick=ML_PER_TICK, relay_name="kegboard.relay1"),
)
USERS = {
    ("core.onewire", "0000000000000001"): "alice",
    ("core.onewire", "0000000000000002"): "bob",
    ("core.rfid", "0415ab96c3"): "alice",
    ("core.rfid", "deadbeef00"): "bob",
    ("turnstile", "Card7"): "carol",
}
ALICE = ("core.onewire", "0000000000000001")
BOB = ("core.onewire", "0000000000000002")
ALICE_RFID = ("core.rfid", "0415ab96c3")
BOB_RFID = ("core.rfid", "deadbeef00")
CAROL = ("turnstile", "Card7")
STRANGE_NAMES = ("", ALL_TAPS, "a b", "flow\n0", "../x", "x" * 65, "Zapfhahn-ä", "\x1b[2J")


class Bar:
    """An engine, its clock, and everything it said so far."""

    def __init__(
        self,
        *,
        rules: Rules | None = None,
        taps: Iterable[Tap] = TAPS,
        memory: Memory | None = None,
        mono_s: float = 1000.0,
        unix_s: float = START_UNIX_S,
    ) -> None:
        self.now = Now(mono_s=mono_s, unix_s=unix_s)
        self.setup = Setup(taps={tap.name: tap for tap in taps}, users=USERS)
        ids = itertools.count(1)
        self.engine = Engine(
            rules or Rules(),
            self.setup,
            memory or Memory(),
            now=self.now,
            new_uuid=lambda: f"uuid-{next(ids)}",
        )
        self.effects: list[Effect] = []
        self._shown = 0

    def send(self, *events: Event, peer: str = "board") -> list[str]:
        """Give the engine these events; what it put on the wire for them."""
        for event in events:
            self.effects += self.engine.handle(event, self.now, peer=peer)
        return self.new_lines()

    def leave(self, peer: str) -> list[str]:
        """This connection ends; what the engine put on the wire for it."""
        self.effects += self.engine.leave(peer, self.now)
        return self.new_lines()

    def use(self, setup: Setup) -> list[str]:
        """People have edited taps, users or tokens; what the engine put on the wire for it."""
        self.effects += self.engine.use(setup, self.now)
        return self.new_lines()

    def wait(self, seconds: float, *, step_s: float = 0.125) -> list[str]:
        """Let time pass, waking the engine when it asked for it; what it put on the wire."""
        end_s = self.now.mono_s + seconds
        while self.now.mono_s < end_s:
            self._move(min(step_s, end_s - self.now.mono_s))
            wake_s = self.engine.next_wake_mono_s()
            if wake_s is not None and wake_s <= self.now.mono_s:
                self.effects += self.engine.wake(self.now)
        return self.new_lines()

    def new_lines(self) -> list[str]:
        """What went on the wire since the last look, in the words of the protocol page's section 7."""
        new, self._shown = self.effects[self._shown :], len(self.effects)
        return [line(effect.event) for effect in new if isinstance(effect, Announce)]

    def events(self) -> list[FlowUpdate | SetRelayOutputEvent | DrinkCreatedEvent]:
        return [effect.event for effect in self.effects if isinstance(effect, Announce)]

    def updates(self) -> list[FlowUpdate]:
        return [event for event in self.events() if isinstance(event, FlowUpdate)]

    def drinks(self) -> list[Drink]:
        return [e.drink for e in self.effects if isinstance(e, EndFlow) and e.drink is not None]

    def said(self) -> list[str]:
        return [effect.text for effect in self.effects if isinstance(effect, Say)]

    def temperatures(self) -> list[Temperature]:
        return [e.record for e in self.effects if isinstance(e, Keep) and isinstance(e.record, Temperature)]

    def meter(self, name: str = FLOW0) -> Meter:
        """The last kept state of a meter."""
        kept = [e.record for e in self.effects if isinstance(e, Keep) and isinstance(e.record, Meter)]
        return next(meter for meter in reversed(kept) if meter.name == name)

    def _move(self, seconds: float) -> None:
        self.now = Now(mono_s=self.now.mono_s + seconds, unix_s=self.now.unix_s + seconds)


def line(event: Event) -> str:
    """One event as the protocol page's section 7 writes it."""
    match event:
        case FlowUpdate():
            return f"FU {event.state} {event.username} {event.ticks}"
        case SetRelayOutputEvent():
            return f"{event.output_name.removeprefix('kegboard.')} {event.output_mode}"
        case DrinkCreatedEvent():
            return f"drink {event.username}"
    return type(event).__name__


def reading(
    ticks: int, *, tap: str = FLOW0, age_s: float = 0.0, gap_s: float = 0.0, board_uptime_s: float = 0.0
) -> MeterUpdate:
    return MeterUpdate(tap_name=tap, reading=ticks, age_s=age_s, gap_s=gap_s, board_uptime_s=board_uptime_s)


def token(
    who: tuple[str, str], status: TokenStatus, *, tap: str = FLOW0, age_s: float = 0.0
) -> TokenAuthEvent:
    device, value = who
    return TokenAuthEvent(
        tap_name=tap, auth_device_name=device, token_value=value, status=status, age_s=age_s
    )


def added(who: tuple[str, str], *, tap: str = FLOW0, age_s: float = 0.0) -> TokenAuthEvent:
    return token(who, "added", tap=tap, age_s=age_s)


def removed(who: tuple[str, str], *, tap: str = FLOW0) -> TokenAuthEvent:
    return token(who, "removed", tap=tap)


def request(kind: FlowRequestKind, *, tap: str = FLOW0) -> FlowRequest:
    return FlowRequest(tap_name=tap, request=kind)


def temperature(celsius: float, *, sensor: str = "kegboard.thermo-f800080012345610") -> ThermoEvent:
    return ThermoEvent(sensor_name=sensor, sensor_value=celsius)
