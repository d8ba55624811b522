"""A Kegboard with firmware 18, as an object: host bytes, beer, cold and time in; board bytes out.

Knows what the firmware does and when (protocol page, sections 5 to 8). Must not know clocks, ports or files:
time is an argument, monotonic seconds, and `wake_s` tells when the board next has something to do.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from kegapps.kbsp import payloads
from kegapps.kbsp.codec import encode
from kegapps.kbsp.messages import (
    MS_PER_DAY,
    AuthToken,
    FromBoard,
    Hello,
    MeterStatus,
    OutputStatus,
    TemperatureReading,
)
from kegapps.kbsp.thermo import ThermoAddress
from kegapps.kegboard.outputs import Outputs
from kegapps.kegboard.receiver import CommandReceiver, first_values
from kegapps.kegboard.tally import Tally

MAX_METERS: Final = 6
METER_WRAP: Final = 2**32
RECEIVE_BUFFER_BYTES: Final = 63
SERIAL_NUMBER_LIMIT: Final = 29

PING_TUNE_S: Final = 0.26
TOKEN_TONE_S: Final = 0.18
READER_RESET_S: Final = 0.2
HEARTBEAT_S: Final = 10.001
METER_ROUND_S: Final = 0.101
CONVERSION_S: Final = 1.0
EMPTY_SEARCHES_S: Final = 0.02

IBUTTON: Final = "onewire"
CONTACTLESS: Final = "core.rfid"
FIRMWARE_WITH_SERIAL_NUMBER: Final = 15
FIRMWARE_WITH_HEARTBEAT: Final = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardConfig:
    """What is soldered and flashed. Defaults: an Uno with firmware 18, no thermometer, no serial number.

    `bootloader_s`: nothing is heard or counted; `boot_tune_s`: meters count, commands wait (section 7).
    Firmware before 18 has no heartbeat and tells no uptime, before 15 no serial number.
    """

    meters: int = 2
    thermometers: tuple[ThermoAddress, ...] = ()
    serial_number: str = ""
    firmware_version: int = 18
    bootloader_s: float = 1.5
    boot_tune_s: float = 0.5


def _nothing(_: float) -> None:
    return


class Board:
    """One board. It starts without power; EEPROM, temperatures and the tokens on its bus outlive power.

    Call `run(now_s)` when `wake_s` has come and after anything was done to it; it returns the bytes to send.
    """

    def __init__(self, config: BoardConfig) -> None:
        if not 1 <= config.meters <= MAX_METERS:
            raise ValueError(f"{config.meters} meters: expected 1 to {MAX_METERS}")
        self.config = config
        self.temperatures_c: dict[ThermoAddress, float | None] = dict.fromkeys(config.thermometers, 4.0)
        self.overrun_bytes = 0
        self.tally = Tally(config.meters)
        self._serial_number = config.serial_number.encode("ascii")
        self._on_bus: list[bytes] = []
        self._started_s: float | None = None
        self._clear(0.0)

    def _clear(self, now_s: float) -> None:
        """Forget what is in RAM."""
        self._time_s = now_s
        self._out = bytearray()
        self._waiting = bytearray()
        self._receiver = CommandReceiver()
        # What the processor is tied up with: (when done, what then). Until this is empty it hears nothing.
        self._tied_up: deque[tuple[float, Callable[[float], None]]] = deque()
        self._outputs = Outputs()
        self._ticks = [0] * self.config.meters
        self._reported = [0] * self.config.meters
        self._round_s: float | None = None
        self._heartbeat_s = now_s
        self._conversion_s = now_s
        self._bus_position = 0
        self._leaving: dict[bytes, float] = {}

    # -- power and time ------------------------------------------------------------------------------------

    def reset(self, now_s: float) -> None:
        """Power on or reset: RAM is lost, the bootloader runs, then the boot tune, then one hello."""
        self.tally.forget()
        self._started_s = now_s + self.config.bootloader_s
        self._clear(self._started_s)
        self._tied_up.append((self._started_s, lambda _: self._outputs.light_leds(on=True)))
        self._tied_up.append((self._started_s + self.config.boot_tune_s, self._booted))

    def power_off(self) -> None:
        """Nothing is sent, heard or counted until `reset`."""
        self.tally.forget()
        self._clear(0.0)
        self._started_s = None

    @property
    def powered(self) -> bool:
        """True between `reset` and `power_off`."""
        return self._started_s is not None

    def booted(self, now_s: float) -> bool:
        """True once the boot hello was due."""
        return self._started_s is not None and now_s >= self._started_s + self.config.boot_tune_s

    def uptime_s(self, now_s: float) -> float:
        """Seconds since the firmware started (behind the bootloader); 0 without power."""
        return 0.0 if self._started_s is None else max(0.0, now_s - self._started_s)

    @property
    def wake_s(self) -> float | None:
        """When `run` has something to do, possibly in the past; None without power."""
        if self._started_s is None:
            return None
        if self._tied_up:
            return self._tied_up[0][0]
        return min(due_s for due_s, _ in self._appointments())

    def run(self, now_s: float) -> bytes:
        """Do what is due by `now_s`; the bytes that the board sends meanwhile."""
        while (due_s := self.wake_s) is not None and due_s <= now_s:
            # An appointment that came while the processor was tied up is kept when it is free again.
            self._time_s = max(self._time_s, due_s)
            if self._tied_up:
                self._tied_up.popleft()[1](self._time_s)
                self._hear(self._time_s)
            else:
                min(self._appointments(), key=lambda appointment: appointment[0])[1](self._time_s)
        sent = bytes(self._out)
        self._out.clear()
        return sent

    def _appointments(self) -> Iterator[tuple[float, Callable[[float], None]]]:
        if self.config.firmware_version >= FIRMWARE_WITH_HEARTBEAT:
            yield self._heartbeat_s, self._heartbeat
        if self.temperatures_c:
            yield self._conversion_s, self._convert
        if self._round_s is not None:
            yield self._round_s, self._report_meters
        yield from ((due_s, self._search_bus) for due_s in self._leaving.values())
        if (bites_s := self._outputs.bites_s) is not None:
            yield bites_s, lambda now_s: self._tell_outputs(self._outputs.bite(now_s))
        yield math.inf, _nothing

    def _booted(self, now_s: float) -> None:
        self._outputs.light_leds(on=False)
        self._heartbeat(now_s)
        self._conversion_s = now_s + CONVERSION_S
        for token in self._on_bus:
            self._send(AuthToken(device_name=IBUTTON, token=token, status=1))

    # -- host ----------------------------------------------------------------------------------------------

    def receive(self, data: bytes, now_s: float) -> None:
        """Bytes from the host. The bootloader loses them; a board tied up keeps 63 and loses the rest."""
        if self._started_s is None or now_s < self._started_s:
            return
        self._time_s = max(self._time_s, now_s)
        if not self._tied_up:
            # The loop empties the buffer faster than 115200 baud fill it, until a command ties it up.
            data = self._obey(data, now_s)
        room = RECEIVE_BUFFER_BYTES - len(self._waiting)
        self._waiting += data[:room]
        self.overrun_bytes += len(data[room:])

    def _hear(self, now_s: float) -> None:
        if not self._tied_up:
            self._waiting[:] = self._obey(bytes(self._waiting), now_s)

    def _obey(self, data: bytes, now_s: float) -> bytes:
        """Read until a command ties the board up; what is left unread then."""
        for at, byte in enumerate(data, start=1):
            command = self._receiver.push(byte)
            if command is not None:
                self._perform(*command, now_s)
                if self._tied_up:
                    return data[at:]
        return b""

    def _perform(self, message_id: int, payload: bytes, now_s: float) -> None:
        """Section 6. Anything else is swallowed."""
        values = first_values(payload)
        if message_id == payloads.PING:
            self._tied_up.append((now_s + PING_TUNE_S, self._hello))
        elif message_id == payloads.SET_OUTPUT and values.get(1) and values.get(2):
            self._tell_outputs(self._outputs.command(values[1][0], values[2][0], now_s))
        elif message_id == payloads.SET_SERIAL_NUMBER:
            number = values.get(1, b"")
            if number and len(number) <= SERIAL_NUMBER_LIMIT and not self._serial_number:
                self._serial_number = number.rstrip(b"\0")
                self._hello(now_s)

    def _tell_outputs(self, changed: list[int]) -> None:
        for output in changed:
            self._send(OutputStatus(output_name=f"relay{output}", enabled=self._outputs.enabled[output]))

    def _heartbeat(self, now_s: float) -> None:
        self._heartbeat_s = now_s + HEARTBEAT_S
        self._hello(now_s)

    def _hello(self, now_s: float) -> None:
        version = self.config.firmware_version
        days, uptime_ms = divmod(round(self.uptime_s(now_s) * 1000), MS_PER_DAY)
        knows_uptime = version >= FIRMWARE_WITH_HEARTBEAT
        self._send(
            Hello(
                firmware_version=version,
                serial_number=self.serial_number if version >= FIRMWARE_WITH_SERIAL_NUMBER else None,
                uptime_ms=uptime_ms if knows_uptime else None,
                uptime_days=days if knows_uptime else None,
            )
        )

    def _send(self, message: FromBoard) -> None:
        self._out += encode(message)

    # -- the world -----------------------------------------------------------------------------------------

    def tick(self, meter: int, count: int, now_s: float) -> int:
        """`count` pulses on a meter's pin (0..5); how many were counted: none while no firmware runs."""
        self.tally.meters[meter].passed += count
        if self._started_s is None or now_s < self._started_s or count <= 0:
            return 0
        self.tally.count(meter, count)
        self.set_odometer(meter, self._ticks[meter] + count, now_s)
        return count

    def set_odometer(self, meter: int, ticks: int, now_s: float) -> None:
        """Let a meter stand at `ticks` (taken modulo 2**32); a change is reported within 101 ms.

        The firmware looks at all meters in rounds, strictly more than 100 ms apart (section 5).
        """
        self._ticks[meter] = ticks % METER_WRAP
        if self._round_s is None and self._started_s is not None:
            rounds = math.floor((now_s - self._started_s) / METER_ROUND_S + 1e-6)
            self._round_s = self._started_s + (rounds + 1) * METER_ROUND_S

    def _report_meters(self, _: float) -> None:
        self._round_s = None
        for meter, ticks in enumerate(self._ticks):
            if ticks != self._reported[meter]:
                self._reported[meter] = ticks
                self.tally.report(meter)
                self._send(MeterStatus(meter_name=f"flow{meter}", reading_ticks=ticks))

    def _convert(self, now_s: float) -> None:
        """A second for each sensor and one for the search that finds no more: a lone one answers every 2 s.

        A sensor without a temperature (None) fails, and a failed reading is not sent.
        """
        self._conversion_s = now_s + CONVERSION_S
        sensors = list(self.temperatures_c.items())
        if self._bus_position < len(sensors):
            address, celsius = sensors[self._bus_position]
            if celsius is not None:
                self._send(TemperatureReading(sensor_name=address.name, sensor_c=address.measured_c(celsius)))
        self._bus_position = (self._bus_position + 1) % (len(sensors) + 1)

    def swipe(self, token: bytes, now_s: float) -> None:
        """A contactless tag, least significant byte first: present, tone, removed, reset of the reader."""
        if not self.booted(now_s):
            return

        def present(then_s: float) -> None:
            self._send(AuthToken(device_name=CONTACTLESS, token=token, status=1))
            self._tied_up.appendleft((then_s + TOKEN_TONE_S + READER_RESET_S, _nothing))
            self._tied_up.appendleft((then_s + TOKEN_TONE_S, removed))

        def removed(_: float) -> None:
            self._send(AuthToken(device_name=CONTACTLESS, token=token, status=0))

        self._tied_up.append((max([now_s, *(done_s for done_s, _ in self._tied_up)]), present))

    def touch(self, token: bytes, now_s: float) -> None:
        """An iButton, wire order, is put on the presence bus."""
        if token in self._on_bus:
            self._leaving.pop(token, None)
            return
        self._on_bus.append(token)
        if self.booted(now_s):
            self._send(AuthToken(device_name=IBUTTON, token=token, status=1))

    def lift(self, token: bytes, now_s: float) -> bool:
        """The iButton is taken away; noticed after four empty searches. False if it was not there."""
        if token not in self._on_bus:
            return False
        self._leaving[token] = now_s + EMPTY_SEARCHES_S
        if not self.booted(now_s):
            self._on_bus.remove(token)
            self._leaving.clear()
        return True

    def _search_bus(self, now_s: float) -> None:
        for token in [token for token, due_s in self._leaving.items() if due_s <= now_s]:
            del self._leaving[token]
            self._on_bus.remove(token)
            self._send(AuthToken(device_name=IBUTTON, token=token, status=0))

    # -- what a person with the board in hand can see ------------------------------------------------------

    @property
    def meter_ticks(self) -> tuple[int, ...]:
        """Ticks counted since the board booted, by meter."""
        return tuple(self._ticks)

    @property
    def meters_told(self) -> bool:
        """True when the host was told of every tick counted."""
        return self._ticks == self._reported

    @property
    def outputs_enabled(self) -> tuple[bool, ...]:
        """Relays 0..3, then the flow LEDs."""
        return self._outputs.enabled

    @property
    def serial_number(self) -> str:
        """What the EEPROM holds, "" if nothing; what is not printable ASCII shows as a question mark."""
        return "".join(chr(byte) if 0x20 <= byte < 0x7F else "?" for byte in self._serial_number)

    @property
    def tokens_on_bus(self) -> Iterable[bytes]:
        """The iButtons on the presence bus, wire order."""
        return tuple(self._on_bus)
