"""What a board's messages mean to the core, and when the board needs attention.

Knows kbsp messages, kegnet events and the rules between them (protocol page, sections 9 and 12). Must not know
ports, sockets or clocks: time is an argument, monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from kegapps.kbsp.messages import AuthToken, Hello, Message, MeterStatus, OneWirePresence, TemperatureReading
from kegapps.kbsp.thermo import COLDEST_C, HOTTEST_C, POWER_ON_C
from kegapps.kegnet.events import (
    ALL_TAPS,
    AppEvent,
    MeterUpdate,
    SetRelayOutputEvent,
    ThermoEvent,
    TokenAuthEvent,
    TokenStatus,
)

HEARTBEAT_FIRMWARE: Final = 18
SILENCE_S: Final = 25.0
PINGS_AFTER_S: Final = (0.0, 3.0, 8.0, 18.0)
NEAR_C: Final = 5.0
OUTPUTS: Final = 6
HELLO_S: Final = 1.0
"""So long a board that is asked for its hello may take: its tune alone is 0.26 s."""
MAX_EARLY: Final = 64
MAX_NAMES: Final = 64  # a board has 6 meters and a few sensors; a line gone mad must not fill the memory
LONGEST_UPTIME_S: Final = 3e9  # 95 years; the number of days on the wire could be any
# Before its first heartbeat a board says hello at the end of its boot, and 0.26 s after it was asked: two hellos closer
# than this are of two boots, however late they were read. Boards boot in always the same time.
BETWEEN_HELLOS_S: Final = 0.2
FIRST_HEARTBEAT_S: Final = 9.0
# A board's resonator and our clock may differ by this much over a long absence.
CLOCK_TOLERANCE: Final = 0.98


@dataclass(frozen=True, slots=True)
class Remark:
    """Something for the log instead of an event."""

    text: str


class Conversation:
    """One board, over all the times that it comes and goes.

    Odometers: a board counts from 0 after every boot. Only a boot that we know to lie behind the last reading we
    passed on makes the core's last reading obsolete; then 0 is sent before the next reading, so that the first
    ticks count in full. Guessed wrongly, the same 0 would count a whole beer twice. So what comes on a fresh line
    before the hello waits for it, though not for long: a board that lost its power meanwhile, and stands beyond the
    core's last reading already, would look as if it had gone on counting.
    """

    def __init__(self, *, name: str, required_firmware: int) -> None:
        """`listened_since_s`: from then on nothing it said was missed, and it has not booted."""
        self.name = name
        self.hello: Hello | None = None
        self.too_old = False
        self._required_firmware = required_firmware
        self._opened_s = 0.0
        self._heard_s = 0.0
        self._listening_since_s = 0.0
        self.listened_since_s = 0.0
        self._absent_since_s = 0.0
        self._pings = 0
        self._uptime_s: float | None = None
        self._booted_s: float | None = None
        self._not_booted_before_s: float | None = None
        self._read_s: dict[str, float] = {}
        self._first_opened_s: float | None = None
        self._blind_s = 0.0
        self._blind_since_s: float | None = None
        self._blind_before_s: dict[str, float] = {}
        self._celsius: dict[str, float] = {}
        # What came before the hello of this line, and what was still waiting when an earlier line was lost.
        self._early: list[tuple[Message, float]] = []
        self._left: list[tuple[Message, float]] = []

    def opened(self, now_s: float) -> None:
        """The line is open; nothing was heard on it yet."""
        # Without an earlier line, only a boot under our eyes is known to be one.
        self._absent_since_s = now_s if self._first_opened_s is None else self._heard_s
        if self._first_opened_s is None:
            self._first_opened_s = now_s
        elif self._blind_since_s is None:
            self._blind_since_s = self._heard_s
        self._opened_s = self._heard_s = self._listening_since_s = self.listened_since_s = now_s
        self._pings = 0
        self.hello = None
        self._celsius.clear()  # a thermometer that was without power shows 85.0, however warm it was before
        # The hello to come says nothing about these: the board may be another by then.
        self._left, self._early = [*self._left, *self._early][-MAX_EARLY:], []

    def heard(self, message: Message, now_s: float) -> Iterator[AppEvent | Remark]:
        """What to tell the core. Nothing while the firmware is too old."""
        self._heard_s = now_s
        if self._blind_since_s is not None:
            self._blind_s += now_s - self._blind_since_s
            self._blind_since_s = None
        left, self._left = self._left, []
        for earlier, then_s in left:
            yield from self._told_late(earlier, then_s, now_s)
        if self._may_wait(message):
            self._early.append((message, now_s))
            if now_s < self._opened_s + HELLO_S and len(self._early) < MAX_EARLY:
                return
        if isinstance(message, Hello):
            self._hello(message, now_s)
        early, self._early = self._early or [(message, now_s)], []
        for earlier, then_s in early:
            yield from self._told_late(earlier, then_s, now_s)

    def _told_late(self, message: Message, then_s: float, now_s: float) -> Iterator[AppEvent | Remark]:
        for event in self._told(message, then_s):
            if now_s > then_s and not isinstance(event, Remark):
                yield replace(event, age_s=round(now_s - then_s, 3))
            else:
                yield event

    def _may_wait(self, message: Message) -> bool:
        """A reading whose boot is not known yet, or what came behind one."""
        if self.hello is not None or self.too_old or isinstance(message, Hello):
            return False
        return isinstance(message, MeterStatus) or bool(self._early)

    def _told(self, message: Message, now_s: float) -> Iterator[AppEvent | Remark]:
        if self.too_old:
            return
        if isinstance(message, MeterStatus):
            yield from self._meter(message, now_s)
        elif isinstance(message, TemperatureReading):
            yield from self._temperature(message)
        elif isinstance(message, AuthToken):
            device = "core.onewire" if message.device_name == "onewire" else message.device_name
            if device and message.token:
                yield _token(device, message.token_hex, present=message.present)
        elif isinstance(message, OneWirePresence):
            yield _token("core.onewire", f"{message.device_id:016x}", present=message.present)

    def take_ping(self, now_s: float) -> bool:
        """True when it is time to ask for a hello: at once, and a few times more while none came."""
        next_s = self.next_ping_s
        if next_s is None or now_s < next_s:
            return False
        self._pings += 1
        return True

    @property
    def next_ping_s(self) -> float | None:
        """When to ask next; None if that is over."""
        if self.hello is not None or self._pings >= len(PINGS_AFTER_S):
            return None
        return self._opened_s + PINGS_AFTER_S[self._pings]

    @property
    def silent_s(self) -> float | None:
        """When the line is to be given up unless something is heard; None for firmware that may keep silent."""
        if self.hello is not None and self.hello.firmware_version < HEARTBEAT_FIRMWARE:
            return None
        return max(self._heard_s, self._listening_since_s) + SILENCE_S

    def listen_anew(self, now_s: float) -> None:
        """Nobody listened until now: it cannot be said that the board was silent."""
        self._listening_since_s = now_s

    def output(self, event: SetRelayOutputEvent) -> tuple[int, bool] | None:
        """(output 0..5, on or off) if the event is for this board; None if it is not.

        The last character of the name is the number; what stands before the last dot names the board.
        """
        board, dot, _ = event.output_name.rpartition(".")
        if dot and board != self.name:
            return None
        last = event.output_name[-1:]
        if not (last.isascii() and last.isdigit() and int(last) < OUTPUTS):
            return None
        return int(last), event.output_mode == "enabled"

    def _hello(self, hello: Hello, now_s: float) -> None:
        first = self.hello is None
        self.too_old = hello.firmware_version < self._required_firmware
        self.hello = hello
        uptime_s = hello.uptime_s
        if uptime_s is None or uptime_s > LONGEST_UPTIME_S:
            return
        if first:
            # It was said after the line was opened, however late we read it.
            self._not_booted_before_s = self._opened_s - uptime_s
        if self._booted_since(uptime_s, now_s, first_hello=first):
            self._booted_s = now_s - uptime_s
            if not first:
                self.listened_since_s = now_s
        self._uptime_s = uptime_s

    def _booted_since(self, uptime_s: float, now_s: float, *, first_hello: bool) -> bool:
        """True if the board provably booted after the last hello, or while we were away from it."""
        if self._uptime_s is not None:
            since_s = uptime_s - self._uptime_s
            if since_s < 0 or (since_s < BETWEEN_HELLOS_S and uptime_s < FIRST_HEARTBEAT_S):
                return True
        # At the first hello of a line only: later, a process that was stopped for a while would read old hellos
        # late and take their uptimes for small.
        return first_hello and uptime_s < (now_s - self._absent_since_s) * CLOCK_TOLERANCE

    def _meter(self, message: MeterStatus, now_s: float) -> Iterator[AppEvent]:
        meter = f"{self.name}.{message.meter_name}"
        read_s = self._read_s.get(meter, self._first_opened_s)
        if not message.meter_name or (meter not in self._read_s and len(self._read_s) >= MAX_NAMES):
            return
        uptime_s = 0.0
        if self._booted_s is not None and read_s is not None and read_s < self._booted_s:
            # That it has booted is said, too: a counter that wraps shows 0 as well.
            since_s = max(0.001, now_s - self._booted_s)
            yield MeterUpdate(tap_name=meter, reading=0, board_uptime_s=round(since_s, 3))
        elif meter not in self._read_s and self._not_booted_before_s is not None:
            # What an earlier daemon passed on the core knows, and when; so it can tell if the board booted since.
            uptime_s = now_s - self._not_booted_before_s
        self._read_s[meter] = now_s
        # All the time that the board was away, as far as it lies after the last reading of this meter.
        gap_s = self._blind_s - self._blind_before_s.get(meter, 0.0)
        self._blind_before_s[meter] = self._blind_s
        yield MeterUpdate(
            tap_name=meter,
            reading=message.reading_ticks,
            gap_s=round(gap_s, 3),
            board_uptime_s=round(uptime_s, 3),
        )

    def _temperature(self, message: TemperatureReading) -> Iterator[AppEvent | Remark]:
        sensor, celsius = f"{self.name}.{message.sensor_name}", message.sensor_c
        if not COLDEST_C <= celsius <= HOTTEST_C:
            yield Remark(f"{sensor} reads {celsius:g} degrees C, which no such sensor can; not passed on")
            return
        last = self._celsius.get(sensor)
        if celsius == POWER_ON_C and (last is None or abs(last - celsius) > NEAR_C):
            yield Remark(f"{sensor} reads 85 degrees C, as after its power came on; not passed on")
            return
        if sensor in self._celsius or len(self._celsius) < MAX_NAMES:
            self._celsius[sensor] = celsius
            yield ThermoEvent(sensor_name=sensor, sensor_value=celsius)


def _token(device: str, value: str, *, present: bool) -> TokenAuthEvent:
    status: TokenStatus = "added" if present else "removed"
    return TokenAuthEvent(tap_name=ALL_TAPS, auth_device_name=device, token_value=value, status=status)
