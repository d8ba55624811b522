"""The bytes of both serial displays: recorded ones, and those that a display answers."""

from __future__ import annotations

import pytest

from kegapps.lcd import cfa635, mtxorb
from kegapps.lcd.cfa635 import CODES, Answer, Decoder, Message, Refusal, Report
from kegapps.lcd.charset import fitted
from kegapps.lcd.picture import Light, Row
from tests.apps.lcd import fuzz
from tests.apps.lcd.emulators import cfa_packet, x25


def row(index: int, text: str) -> Row:
    return Row(index=index, codes=fitted(text, 20, CODES))


TITLE = " ================== "
COMMANDS = [
    (cfa635.packet(cfa635.CLEAR), "06 00 97 5b"),
    (cfa635.change_packet(Light(on=True)), "0e 01 64 2d ea"),
    (cfa635.change_packet(Light(on=False)), "0e 01 00 0f cf"),
    (cfa635.packet(11, b"\x03\x01"), "0b 02 03 01 92 b2"),
    (cfa635.write(2, 1, b"Hi"), "1f 04 02 01 48 69 6d b0"),
    (
        cfa635.change_packet(row(0, TITLE)),
        "1f 16 00 00 20 3d 3d 3d 3d 3d 3d 3d 3d 3d 3d 3d 3d 3d 3d 3d 3d 3d 3d 20 ab 15",
    ),
    (
        cfa635.change_packet(row(2, "|oz: 15.37")),
        "1f 16 00 02 fe 6f 7a 3a 20 31 35 2e 33 37 20 20 20 20 20 20 20 20 20 20 75 3e",
    ),
]
ANSWERS: list[tuple[str, Message]] = [
    ("46 00 f1 1d", Answer(command=6)),
    ("5f 00 78 5f", Answer(command=31)),
    ("df 00 b4 d3", Refusal(command=31)),
    ("80 01 05 55 84", Report(number=0, data=b"\x05")),
]
STREAM = b"".join(bytes.fromhex(text) for text, _ in ANSWERS)
MESSAGES = [message for _, message in ANSWERS]


@pytest.mark.parametrize(("packet", "recorded"), COMMANDS, ids=[text[:11] for _, text in COMMANDS])
def test_commands_of_the_cfa635_are_the_recorded_bytes(packet: bytes, recorded: str) -> None:
    assert packet.hex(" ") == recorded


@pytest.mark.parametrize(("recorded", "message"), ANSWERS, ids=[text for text, _ in ANSWERS])
def test_what_the_cfa635_says_is_understood(recorded: str, message: Message) -> None:
    assert list(Decoder().feed(bytes.fromhex(recorded))) == [message]


def test_the_checksum_is_x25_and_the_judges_own_agrees() -> None:
    assert cfa635.crc16(b"123456789") == x25(b"123456789") == 0x906E


@pytest.mark.parametrize("step", [1, 2, 3, 5, 7])
def test_how_the_bytes_are_cut_makes_no_difference(step: int) -> None:
    decoder = Decoder()
    got = [message for at in range(0, len(STREAM), step) for message in decoder.feed(STREAM[at : at + step])]
    assert got == MESSAGES
    assert decoder.pending_bytes == decoder.garbage_bytes == 0


@pytest.mark.parametrize(
    "noise",
    [b"\x00", b"\xff\xff", b"\x46\x17", b"CFA635 ready\r\n", bytes(100), bytes.fromhex("46 00 f1 1c")],
    ids=lambda noise: noise.hex(),
)
def test_noise_before_and_between_packets_costs_the_noise_only(noise: bytes) -> None:
    decoder = Decoder()
    got = list(decoder.feed(noise + STREAM + noise + STREAM))
    got += decoder.settle()
    assert got == MESSAGES * 2


def test_an_answer_inside_what_looks_like_a_long_packet_is_found_when_the_line_is_quiet() -> None:
    decoder = Decoder()
    assert list(decoder.feed(bytes.fromhex("41 10 46 00 f1 1d"))) == []
    assert list(decoder.settle()) == [Answer(command=6)]
    assert decoder.pending_bytes == 0


def test_what_only_a_host_says_is_no_answer() -> None:
    decoder = Decoder()
    assert list(decoder.feed(cfa635.packet(6))) == []
    assert decoder.echoes == 1


def test_a_packet_of_full_length_is_taken_and_a_longer_one_is_noise() -> None:
    assert list(Decoder().feed(cfa_packet(0x40, bytes(22)))) == [Answer(command=0, data=bytes(22))]
    assert list(Decoder().feed(cfa_packet(0x40, bytes(23)))) == []
    with pytest.raises(ValueError, match="does not fit"):
        cfa635.packet(0, bytes(23))
    with pytest.raises(ValueError, match="does not fit"):
        cfa635.packet(64)


def test_ten_thousand_broken_inputs_do_no_harm() -> None:
    assert fuzz.run(10_000, seed=1)["messages"] > 1000


def test_commands_of_the_matrix_orbital_are_the_recorded_bytes() -> None:
    start = mtxorb.CLEAR + mtxorb.change_bytes(Light(on=True))
    assert start.hex(" ") == "fe 58 fe 42 00"
    first = mtxorb.change_bytes(Row(index=0, codes=fitted(TITLE, 20, mtxorb.CODES)))
    second = mtxorb.change_bytes(Row(index=1, codes=fitted("       kegbot!", 20, mtxorb.CODES)))
    assert first.hex(" ") == "fe 47 01 01 20 3d 3d 3d 3d 3d 3d 3d 3d 3d 3d 3d 3d 3d 3d 3d 3d 3d 3d 20"
    assert second.hex(" ") == "fe 47 01 02 20 20 20 20 20 20 20 6b 65 67 62 6f 74 21 20 20 20 20 20 20"
    assert mtxorb.change_bytes(Light(on=False)).hex(" ") == "fe 46"


def test_text_for_the_matrix_orbital_never_begins_a_command() -> None:
    with pytest.raises(ValueError, match="begins a command"):
        mtxorb.write(0, 0, b"ab\xfe")
