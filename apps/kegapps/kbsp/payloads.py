"""Payloads of the Kegboard Serial Protocol: tag, length and value lists, and the messages made of them.

Knows message ids, tags and value types (sections 4 to 6 of the protocol page). Must not know frames,
checksums or ports. Strings: NULs at either end are stripped; a rest that is not printable ASCII is refused
and the whole message with it, because names travel on into logs, file names and other programs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeVar

from kegapps.kbsp import messages as m

MAX_PAYLOAD_BYTES: Final = 112
SERIAL_NUMBER_BYTES: Final = 30
MICRO: Final = 1_000_000

HELLO: Final = 0x01
BOARD_CONFIGURATION: Final = 0x02
METER_STATUS: Final = 0x10
TEMPERATURE_READING: Final = 0x11
OUTPUT_STATUS: Final = 0x12
ONEWIRE_PRESENCE: Final = 0x13
AUTH_TOKEN: Final = 0x14
PING: Final = 0x81
SET_OUTPUT: Final = 0x84
SET_SERIAL_NUMBER: Final = 0x85

T = TypeVar("T")


class MalformedPayloadError(ValueError):
    """A payload whose checksum is right and whose content makes no sense; the text says why."""


def tags(payload: bytes) -> Iterator[tuple[int, bytes]]:
    """(tag, value) in wire order. Raises MalformedPayloadError where a length points behind the end."""
    at = 0
    while at < len(payload):
        if at + 2 > len(payload):
            raise MalformedPayloadError(f"tag {payload[at]} has no length")
        tag, length = payload[at], payload[at + 1]
        value = payload[at + 2 : at + 2 + length]
        if len(value) < length:
            raise MalformedPayloadError(f"tag {tag} announces {length} bytes, {len(value)} are left")
        yield tag, value
        at += 2 + length


def text(value: bytes) -> str:
    """A string value without its NULs. Raises MalformedPayloadError unless the rest is printable ASCII."""
    stripped = value.strip(b"\0")
    if not all(0x20 <= byte < 0x7F for byte in stripped):
        raise MalformedPayloadError(f"{stripped[:40]!r} is not printable ASCII")
    return stripped.decode("ascii")


def decode(message_id: int, payload: bytes) -> m.Message | None:
    """The message of a payload; None if no message has this id.

    Unknown tags are skipped, the order is free, and a tag that occurs twice counts with its last value, as in
    the host library. Raises MalformedPayloadError if a needed tag is missing or a value has the wrong size.
    """
    if message_id == PING:
        return m.Ping()  # whatever its payload holds is ignored (section 6)
    reader = _READERS.get(message_id)
    return reader(_Values(payload)) if reader else None


def encode(message: m.Message) -> tuple[int, bytes]:
    """(message id, payload) of a message. Raises ValueError if a field does not fit its place on the wire."""
    message_id, fields = _fields(message)
    payload = b"".join(_tag(tag, value) for tag, value in fields if value is not None)
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise ValueError(
            f"{type(message).__name__}: {len(payload)} bytes of payload, {MAX_PAYLOAD_BYTES} fit"
        )
    return message_id, payload


class _Values:
    """The values of one payload by tag, each checked for its type when it is asked for."""

    def __init__(self, payload: bytes) -> None:
        self._by_tag = dict(tags(payload))

    def uint(self, tag: int, size: int) -> int:
        return _needed(tag, self.maybe_uint(tag, size))

    def maybe_uint(self, tag: int, size: int) -> int | None:
        value = self._sized(tag, (size,))
        return None if value is None else int.from_bytes(value, "little")

    def int32(self, tag: int) -> int:
        return int.from_bytes(_needed(tag, self._sized(tag, (4,))), "little", signed=True)

    def string(self, tag: int) -> str:
        return _needed(tag, self.maybe_string(tag))

    def maybe_string(self, tag: int) -> str | None:
        value = self._by_tag.get(tag)
        return None if value is None else text(value)

    def raw(self, tag: int) -> bytes:
        return _needed(tag, self._by_tag.get(tag))

    def output(self, tag: int) -> bytes:
        """1 or 2 bytes, of which boards read the first only (section 4, output_t)."""
        return _needed(tag, self._sized(tag, (1, 2)))

    def _sized(self, tag: int, sizes: tuple[int, ...]) -> bytes | None:
        value = self._by_tag.get(tag)
        if value is not None and len(value) not in sizes:
            raise MalformedPayloadError(
                f"tag {tag} has {len(value)} bytes, expected {' or '.join(map(str, sizes))}"
            )
        return value


def _needed(tag: int, value: T | None) -> T:
    if value is None:
        raise MalformedPayloadError(f"tag {tag} is missing")
    return value


def _read_hello(values: _Values) -> m.Hello:
    return m.Hello(
        firmware_version=values.uint(1, 2),
        protocol_version=values.maybe_uint(2, 2),
        serial_number=values.maybe_string(3),
        uptime_ms=values.maybe_uint(4, 4),
        uptime_days=values.maybe_uint(5, 4),
    )


def _read_board_configuration(values: _Values) -> m.BoardConfiguration:
    return m.BoardConfiguration(
        board_name=values.maybe_string(1),
        baud_rate=values.maybe_uint(2, 2),
        update_interval_ms=values.maybe_uint(3, 2),
        watchdog_timeout=values.maybe_uint(4, 2),
    )


def _read_meter_status(values: _Values) -> m.MeterStatus:
    return m.MeterStatus(meter_name=values.string(1), reading_ticks=values.uint(2, 4))


def _read_temperature_reading(values: _Values) -> m.TemperatureReading:
    return m.TemperatureReading(sensor_name=values.string(1), sensor_c=values.int32(2) / MICRO)


def _read_output_status(values: _Values) -> m.OutputStatus:
    return m.OutputStatus(output_name=values.string(1), enabled=values.output(2)[0] != 0)


def _read_onewire_presence(values: _Values) -> m.OneWirePresence:
    return m.OneWirePresence(device_id=values.uint(1, 8), status=values.maybe_uint(2, 1))


def _read_auth_token(values: _Values) -> m.AuthToken:
    return m.AuthToken(device_name=values.string(1), token=values.raw(2), status=values.uint(3, 1))


def _read_set_output(values: _Values) -> m.SetOutput:
    mode = values.output(2)
    return m.SetOutput(output_id=values.uint(1, 1), output_mode=mode[0], mode_bytes=len(mode))


def _read_set_serial_number(values: _Values) -> m.SetSerialNumber:
    return m.SetSerialNumber(serial_number=values.string(1), nul_terminated=values.raw(1)[-1:] == b"\0")


_READERS: Final[Mapping[int, Callable[[_Values], m.Message]]] = {
    HELLO: _read_hello,
    BOARD_CONFIGURATION: _read_board_configuration,
    METER_STATUS: _read_meter_status,
    TEMPERATURE_READING: _read_temperature_reading,
    OUTPUT_STATUS: _read_output_status,
    ONEWIRE_PRESENCE: _read_onewire_presence,
    AUTH_TOKEN: _read_auth_token,
    SET_OUTPUT: _read_set_output,
    SET_SERIAL_NUMBER: _read_set_serial_number,
}


def _fields(message: m.Message) -> tuple[int, tuple[tuple[int, bytes | None], ...]]:
    """The id and the (tag, value) list of a message; None leaves a tag out."""
    match message:
        case m.Hello():
            serial = message.serial_number
            return HELLO, (
                (1, _uint(message.firmware_version, 2)),
                (2, _maybe_uint(message.protocol_version, 2)),
                (
                    3,
                    None
                    if serial is None
                    else _ascii(serial, SERIAL_NUMBER_BYTES).ljust(SERIAL_NUMBER_BYTES, b"\0"),
                ),
                (4, _maybe_uint(message.uptime_ms, 4)),
                (5, _maybe_uint(message.uptime_days, 4)),
            )
        case m.BoardConfiguration():
            return BOARD_CONFIGURATION, (
                (1, None if message.board_name is None else _ascii(message.board_name)),
                (2, _maybe_uint(message.baud_rate, 2)),
                (3, _maybe_uint(message.update_interval_ms, 2)),
                (4, _maybe_uint(message.watchdog_timeout, 2)),
            )
        case m.MeterStatus():
            return METER_STATUS, ((1, _ascii(message.meter_name)), (2, _uint(message.reading_ticks, 4)))
        case m.TemperatureReading():
            return TEMPERATURE_READING, (
                (1, _ascii(message.sensor_name)),
                (2, _temperature(message.sensor_c)),
            )
        case m.OutputStatus():
            return OUTPUT_STATUS, ((1, _ascii(message.output_name)), (2, bytes((message.enabled, 0))))
        case m.OneWirePresence():
            return ONEWIRE_PRESENCE, ((1, _uint(message.device_id, 8)), (2, _maybe_uint(message.status, 1)))
        case m.AuthToken():
            fields = ((1, _ascii(message.device_name)), (2, message.token), (3, _uint(message.status, 1)))
            return AUTH_TOKEN, fields
        case m.Ping():
            return PING, ()
        case m.SetOutput():
            if message.mode_bytes not in (1, 2):
                raise ValueError(f"mode_bytes = {message.mode_bytes}: expected 1 or 2")
            mode = _uint(message.output_mode, 1).ljust(message.mode_bytes, b"\0")
            return SET_OUTPUT, ((1, _uint(message.output_id, 1)), (2, mode))
        case m.SetSerialNumber():
            return SET_SERIAL_NUMBER, ((1, _ascii(message.serial_number) + b"\0" * message.nul_terminated),)


def _tag(tag: int, value: bytes) -> bytes:
    if len(value) > MAX_PAYLOAD_BYTES:
        raise ValueError(f"tag {tag}: {len(value)} bytes, {MAX_PAYLOAD_BYTES} fit into a payload")
    return bytes((tag, len(value))) + value


def _uint(value: int, size: int) -> bytes:
    try:
        return value.to_bytes(size, "little")
    except OverflowError:
        raise ValueError(f"{value} does not fit into {size * 8} unsigned bits") from None


def _maybe_uint(value: int | None, size: int) -> bytes | None:
    return None if value is None else _uint(value, size)


def _temperature(celsius: float) -> bytes:
    try:
        return round(celsius * MICRO).to_bytes(4, "little", signed=True)
    except (OverflowError, ValueError):
        raise ValueError(f"{celsius} degrees C do not fit: expected -2147 to 2147") from None


def _ascii(value: str, limit: int = MAX_PAYLOAD_BYTES) -> bytes:
    if not all(" " <= char <= "~" for char in value):
        raise ValueError(f"{value!r} is not printable ASCII")
    if len(value) > limit:
        raise ValueError(f"{value!r}: {len(value)} characters, {limit} fit")
    return value.encode("ascii")
