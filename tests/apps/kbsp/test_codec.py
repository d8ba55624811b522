from __future__ import annotations

import pytest

from kegapps.kbsp import codec, payloads
from kegapps.kbsp.checksums import crc16
from kegapps.kbsp.codec import MAX_FRAME_BYTES, Decoder, encode
from kegapps.kbsp.messages import (
    AuthToken,
    Hello,
    Message,
    MeterStatus,
    OneWirePresence,
    OutputStatus,
    Ping,
    SetOutput,
    SetSerialNumber,
    TemperatureReading,
)
from tests.apps.kbsp.vectors import FRAMES, MESSAGES

FRAME = FRAMES["meter_flow0_45"]
MESSAGE = MESSAGES["meter_flow0_45"]


def decode(data: bytes) -> list[Message]:
    return list(Decoder().feed(data))


def test_every_recorded_frame_has_its_message() -> None:
    assert FRAMES.keys() == MESSAGES.keys()


@pytest.mark.parametrize("name", FRAMES)
def test_a_recorded_frame_decodes_to_its_message(name: str) -> None:
    assert decode(FRAMES[name]) == [MESSAGES[name]]


@pytest.mark.parametrize("name", FRAMES)
def test_a_message_encodes_to_the_recorded_bytes(name: str) -> None:
    assert encode(MESSAGES[name]) == FRAMES[name]


@pytest.mark.parametrize(
    ("data", "crc"),
    [
        (b"", 0),
        (b"123456789", 0x2189),
        (b"KBSP v1:", 0xE3AF),
        (b"KBSP v1:" + bytes.fromhex("81000000"), 0xC7D4),
        (b"KBSP v1:" + bytes.fromhex("0100040001020300"), 0x542E),
    ],
)
def test_the_checksum_is_crc_16_kermit(data: bytes, crc: int) -> None:
    assert crc16(data) == crc
    assert crc16(data + crc.to_bytes(2, "little")) == 0


def test_a_checksum_may_be_continued_behind_the_prefix() -> None:
    assert crc16(bytes.fromhex("81000000"), start=0xE3AF) == 0xC7D4


def flipped(frame: bytes, at: int) -> bytes:
    return frame[:at] + bytes((frame[at] ^ 1,)) + frame[at + 1 :]


@pytest.mark.parametrize(
    ("before", "garbage_bytes"),
    [
        (bytes.fromhex("67617262616765 00ff4b"), 10),
        (b"K", 1),
        (b"KBSP v1", 7),
        (b"KBSP v1:", 8),
        (b"KBSP v1:\x99", 9),
        (flipped(FRAME, 20), len(FRAME)),
        (FRAME[:10] + b"\xff\x7f" + FRAME[12:], len(FRAME)),
        (FRAME[:-2], len(FRAME) - 2),
        (FRAME[:-1], len(FRAME) - 1),
        (FRAME[:15], 15),
    ],
    ids=[
        "text", "one letter", "most of a prefix", "a prefix", "a truncated header", "a flipped bit",
        "a huge length", "no trailer", "half a trailer", "half a frame",
    ],
)  # fmt: skip
def test_a_good_frame_right_behind_damage_is_found(before: bytes, garbage_bytes: int) -> None:
    decoder = Decoder()
    assert list(decoder.feed(before + FRAME)) == [MESSAGE]
    assert decoder.garbage_bytes == garbage_bytes
    assert decoder.pending_bytes == 0


def test_a_flipped_bit_is_one_crc_error() -> None:
    decoder = Decoder()
    assert list(decoder.feed(flipped(FRAME, 20) + FRAME)) == [MESSAGE]
    assert (decoder.crc_errors, decoder.bad_trailers, decoder.bad_lengths) == (1, 0, 0)


def test_a_missing_trailer_and_a_huge_length_are_counted_as_such() -> None:
    decoder = Decoder()
    list(decoder.feed(FRAME[:-2] + FRAME + FRAME[:10] + b"\xff\x7f" + FRAME[12:]))
    assert (decoder.crc_errors, decoder.bad_trailers, decoder.bad_lengths) == (0, 1, 1)


@pytest.mark.parametrize("cut", range(len(FRAME)))
def test_half_a_frame_then_the_other_half_is_one_frame(cut: int) -> None:
    decoder = Decoder()
    assert list(decoder.feed(FRAME[:cut])) == []
    assert list(decoder.settle()) == []
    assert list(decoder.feed(FRAME[cut:])) == [MESSAGE]
    assert decoder.garbage_bytes == 0


def test_no_single_flipped_bit_gets_a_wrong_message_through() -> None:
    for bit in range(len(FRAME) * 8):
        damaged = bytearray(FRAME)
        damaged[bit // 8] ^= 1 << bit % 8
        assert decode(bytes(damaged)) == []


def test_input_is_taken_in_even_if_nobody_looks_at_the_messages() -> None:
    decoder = Decoder()
    decoder.feed(FRAME[:9])
    assert list(decoder.feed(FRAME[9:])) == [MESSAGE]


def test_the_buffer_never_outgrows_one_frame() -> None:
    decoder = Decoder()
    long_frame = codec.frame(0x7F, b"\x01\x6e" + b"x" * 110)
    for piece in (long_frame[:-1], b"K" * 10_000, b"KBSP v1:" * 1000, bytes(100_000)):
        list(decoder.feed(piece))
        assert decoder.pending_bytes < MAX_FRAME_BYTES


def test_a_quiet_line_frees_the_good_frame_swallowed_by_a_truncated_one() -> None:
    truncated = codec.frame(payloads.METER_STATUS, b"\x07\x6e" + bytes(110))[:20]
    decoder = Decoder()
    assert list(decoder.feed(truncated + FRAME)) == []
    assert list(decoder.settle()) == [MESSAGE]
    assert (decoder.garbage_bytes, decoder.pending_bytes) == (20, 0)


@pytest.mark.parametrize(
    ("message_id", "payload", "message"),
    [
        (0x10, b"\x02\x04\x2d\0\0\0" + b"\x01\x05flow0", MESSAGE),
        (0x10, b"\x63\x02ab" + b"\x01\x05flow0" + b"\x02\x04\x2d\0\0\0" + b"\x64\0", MESSAGE),
        (0x10, b"\x02\x04\1\0\0\0" + b"\x01\x05flow0" + b"\x02\x04\x2d\0\0\0", MESSAGE),
        (0x10, b"\x01\x06flow0\0" + b"\x02\x04\x2d\0\0\0", MESSAGE),
        (0x12, b"\x01\x06relay0" + b"\x02\x01\x01", OutputStatus(output_name="relay0", enabled=True)),
        (0x12, b"\x01\x06relay0" + b"\x02\x02\x00\x01", OutputStatus(output_name="relay0", enabled=False)),
        (0x13, b"\x01\x08" + bytes(8), OneWirePresence(device_id=0)),
        (0x13, b"\x01\x08\x01" + bytes(7) + b"\x02\x01\x01", OneWirePresence(device_id=1, status=1)),
        (0x81, b"any thing", Ping()),
    ],
    ids=[
        "reversed tags", "unknown tags", "the last of two tags", "a terminated name", "a one-byte output",
        "the first byte of an output", "an old presence", "a presence with status", "a ping with a payload",
    ],
)  # fmt: skip
def test_payloads_are_read_with_the_tolerance_of_the_host_library(
    message_id: int, payload: bytes, message: Message
) -> None:
    assert decode(codec.frame(message_id, payload)) == [message]


@pytest.mark.parametrize(
    ("message_id", "payload"),
    [
        (0x01, b""),
        (0x01, b"\x01\x01\x12"),
        (0x10, b"\x01\x05flow0"),
        (0x10, b"\x01\x05flow0\x02\x02\x2d\0"),
        (0x10, b"\x01\x05flow0\x02\x04\x2d\0"),
        (0x10, b"\x01\x05flow0\x02\x04\x2d\0\0\0\x03"),
        (0x10, b"\x01\x05fl\xf6w0\x02\x04\x2d\0\0\0"),
        (0x10, b"\x01\x05fl\0w0\x02\x04\x2d\0\0\0"),
        (0x10, b"\x01\x05flow\n\x02\x04\x2d\0\0\0"),
        (0x12, b"\x01\x06relay0\x02\x00"),
        (0x14, b"\x01\x07onewire\x03\x01\x01"),
    ],
    ids=[
        "no firmware version", "a short firmware version", "no reading", "a short reading", "a value cut off",
        "a tag without length", "a name beyond ASCII", "a NUL inside a name", "a newline in a name",
        "an empty output", "no token",
    ],
)  # fmt: skip
def test_a_payload_that_makes_no_sense_is_dropped_and_counted(message_id: int, payload: bytes) -> None:
    decoder = Decoder()
    assert list(decoder.feed(codec.frame(message_id, payload) + FRAME)) == [MESSAGE]
    assert (decoder.malformed, decoder.garbage_bytes) == (1, 0)


@pytest.mark.parametrize("message_id", [0x00, 0x03, 0x15, 0x80, 0x86, 0x0110, 0xFFFF])
def test_an_unknown_message_is_dropped_and_counted(message_id: int) -> None:
    decoder = Decoder()
    assert list(decoder.feed(codec.frame(message_id, b"\xff") + FRAME)) == [MESSAGE]
    assert (decoder.unknown_messages, decoder.malformed, decoder.garbage_bytes) == (1, 0, 0)


@pytest.mark.parametrize(
    "message",
    [
        MeterStatus(meter_name="flow0", reading_ticks=-1),
        MeterStatus(meter_name="flow0", reading_ticks=2**32),
        MeterStatus(meter_name="flöw0", reading_ticks=0),
        MeterStatus(meter_name="x" * 105, reading_ticks=0),
        MeterStatus(meter_name="x" * 300, reading_ticks=0),
        TemperatureReading(sensor_name="t", sensor_c=2148.0),
        TemperatureReading(sensor_name="t", sensor_c=float("nan")),
        TemperatureReading(sensor_name="t", sensor_c=float("inf")),
        Hello(firmware_version=18, serial_number="x" * 31),
        AuthToken(device_name="onewire", token=bytes(200), status=1),
        SetOutput(output_id=256, output_mode=1),
        SetOutput(output_id=1, output_mode=1, mode_bytes=3),
        SetSerialNumber(serial_number="a\nb"),
    ],
    ids=str,
)
def test_what_does_not_fit_the_wire_is_refused_when_encoding(message: Message) -> None:
    with pytest.raises(ValueError, match=r"fit|ASCII|expected"):
        encode(message)


@pytest.mark.parametrize(("message_id", "payload"), [(0x10000, b""), (-1, b""), (1, bytes(113))])
def test_a_frame_takes_sixteen_bits_of_id_and_112_bytes_of_payload(message_id: int, payload: bytes) -> None:
    with pytest.raises(ValueError, match="fit"):
        codec.frame(message_id, payload)


def test_the_uptime_spans_days() -> None:
    assert Hello(firmware_version=18, uptime_ms=1500, uptime_days=2).uptime_s == 2 * 86400 + 1.5
    assert Hello(firmware_version=17).uptime_s is None


def test_token_hex_is_the_wire_order_reversed() -> None:
    token = MESSAGES["token_rfid_present"]
    assert isinstance(token, AuthToken)
    assert token.token_hex == "0415ab96c3"
