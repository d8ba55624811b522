"""What a Kegboard and its host say to each other, as plain values.

Knows the messages of the Kegboard Serial Protocol and the units of their fields. Must not know bytes, ports
or clocks. Source: the protocol page, sections 4 to 6; ids and tags stand in `payloads`.
"""

from __future__ import annotations

from dataclasses import dataclass

PRESENT = 1
MS_PER_DAY = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """Board -> host: after boot, after a ping, and every 10 s from firmware 18 on.

    `serial_number` is None before firmware 15 and "" on a board that was never given one. `uptime_ms` counts
    within the day (0..86399999) and `uptime_days` the days before it; both are None before firmware 18.
    No firmware sends `protocol_version`.
    """

    firmware_version: int
    protocol_version: int | None = None
    serial_number: str | None = None
    uptime_ms: int | None = None
    uptime_days: int | None = None

    @property
    def uptime_s(self) -> float | None:
        """Seconds since the board booted; None if it does not tell (firmware before 18)."""
        if self.uptime_ms is None:
            return None
        return (self.uptime_days or 0) * (MS_PER_DAY / 1000) + self.uptime_ms / 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardConfiguration:
    """Board -> host: published (`watchdog_timeout` without a unit), but no firmware sends it."""

    board_name: str | None = None
    baud_rate: int | None = None
    update_interval_ms: int | None = None
    watchdog_timeout: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterStatus:
    """Board -> host: `reading_ticks` of a meter (`flow0`..`flow5`) since the board booted; wraps at 2**32."""

    meter_name: str
    reading_ticks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TemperatureReading:
    """Board -> host: a sensor (`thermo-` and 16 hex digits) reads `sensor_c` degrees C, exact to a millionth.

    85.0 is also what a sensor answers that was powered on a moment ago.
    """

    sensor_name: str
    sensor_c: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputStatus:
    """Board -> host: an output (`relay0`..`relay5`, the last two are the flow LEDs) has just changed."""

    output_name: str
    enabled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OneWirePresence:
    """Board -> host, before firmware 6: an iButton. `status` 1 while it is there, None if left out."""

    device_id: int
    status: int | None = None

    @property
    def present(self) -> bool:
        """True if it arrived; any status but 1 means that it is gone."""
        return self.status == PRESENT


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthToken:
    """Board -> host: a token came (`status` 1) or went (0); `token` least significant byte first."""

    device_name: str
    token: bytes
    status: int

    @property
    def present(self) -> bool:
        """True if it arrived; any status but 1 means that it is gone."""
        return self.status == PRESENT

    @property
    def token_hex(self) -> str:
        """The token as hosts write it: lower-case hex, most significant byte first."""
        return self.token[::-1].hex()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping:
    """Host -> board: play the tune (0.25 s, deaf meanwhile) and say hello."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetOutput:
    """Host -> board: output 0..3 (relays) or 4..5 (LEDs) on (`output_mode` 1) or off (0); feeds its watchdog.

    Boards look at the first byte only; `mode_bytes` says how many are sent: 2 as the host libraries do, or 1
    as the published description has it.
    """

    output_id: int
    output_mode: int
    mode_bytes: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class SetSerialNumber:
    """Host -> board: keep this serial number if none is stored; up to 29 bytes, with any terminating NUL."""

    serial_number: str
    nul_terminated: bool = False


FromBoard = (
    Hello | BoardConfiguration | MeterStatus | TemperatureReading | OutputStatus | OneWirePresence | AuthToken
)
ToBoard = Ping | SetOutput | SetSerialNumber
Message = FromBoard | ToBoard
