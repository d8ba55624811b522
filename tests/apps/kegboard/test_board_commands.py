"""What the emulated board makes of commands: outputs, serial number, and the parser's quirks."""

from __future__ import annotations

import pytest

from kegapps.kbsp import codec, payloads
from kegapps.kbsp.codec import encode
from kegapps.kbsp.messages import Hello, OutputStatus, Ping, SetSerialNumber
from tests.apps.kbsp.vectors import FRAMES
from tests.apps.kegboard.bench import OFF, ON, Bench, relay, set_output

PING = encode(Ping())


# outputs


def test_an_output_tells_only_of_changes() -> None:
    bench = Bench()
    for mode in (ON, ON, OFF, OFF):
        bench.tell(set_output(1, mode))
    assert bench.wait(1) == [relay(1, on=True), relay(1, on=False)]


def test_an_output_goes_off_ten_seconds_after_the_last_command_for_it() -> None:
    bench = Bench()
    bench.tell(set_output(0, ON))
    bench.wait(6)
    bench.tell(set_output(0, ON))
    bench.tell(set_output(4, ON))
    bench.wait(6)
    bench.tell(set_output(4, ON))
    bench.wait(20)
    said = [(round(time_s - 100, 3), m) for time_s, m in bench.heard if isinstance(m, OutputStatus)]
    assert said == [
        (2.0, relay(0, on=True)),
        (8.0, relay(4, on=True)),
        (18.001, relay(0, on=False)),
        (24.001, relay(4, on=False)),
    ]


def test_another_mode_changes_nothing_but_feeds_the_watchdog() -> None:
    bench = Bench()
    bench.tell(set_output(2, ON))
    bench.wait(9)
    bench.tell(set_output(2, 7))
    bench.wait(9)
    assert bench.board.outputs_enabled[2]
    bench.wait(2)
    assert not bench.board.outputs_enabled[2]


@pytest.mark.parametrize("output", [6, 15, 255])
def test_outputs_from_six_on_do_not_exist(output: int) -> None:
    bench = Bench()
    bench.tell(set_output(output, ON))
    assert bench.wait(1) == []


@pytest.mark.parametrize(
    ("payload", "on"),
    [
        (b"\x01\x01\x00\x02\x01\x01", True),
        (b"\x01\x01\x00\x02\x02\x01\x00", True),
        (b"\x01\x01\x00\x02\x02\x00\x01", False),
        (b"\x02\x01\x01\x01\x01\x00", True),
        (b"\x63\x03abc\x01\x01\x00\x02\x01\x01", True),
        (b"\x01\x01\x00\x02\x01\x01\x02\x01\x00", True),
        (b"\x01\x01\x00", False),
        (b"\x02\x01\x01", False),
        (b"\x01\x01\x00\x02\x09\x01", False),
        (b"\x01\x00\x02\x01\x01", False),
    ],
    ids=[
        "one byte", "two bytes", "the first byte only", "reversed tags", "an unknown tag",
        "the first of two tags", "no mode", "no id", "a length too long", "an empty id",
    ],
)  # fmt: skip
def test_a_set_output_is_read_as_the_firmware_reads_it(payload: bytes, on: bool) -> None:
    bench = Bench()
    bench.tell(codec.frame(payloads.SET_OUTPUT, payload))
    bench.wait(0.1)
    assert bench.board.outputs_enabled[0] is on


# serial number


@pytest.mark.parametrize("name", ["set_serial_with_nul", "set_serial_without_nul"])
def test_a_serial_number_is_stored_once_answered_and_kept_over_power_loss(name: str) -> None:
    bench = Bench()
    bench.tell(FRAMES[name])
    (hello,) = bench.wait(0.1)
    assert isinstance(hello, Hello)
    number = hello.serial_number
    assert number in ("KB-1", "KB-0000-0000-deadbeef")
    bench.tell(encode(SetSerialNumber(serial_number="KB-2")))
    assert bench.wait(0.1) == []
    bench.board.power_off()
    bench.board.reset(bench.now_s)
    bench.wait(2)
    assert bench.board.serial_number == number


@pytest.mark.parametrize("number", ["", "x" * 30])
def test_a_serial_number_of_0_or_more_than_29_bytes_is_ignored(number: str) -> None:
    bench = Bench()
    bench.tell(encode(SetSerialNumber(serial_number=number)))
    assert bench.wait(0.1) == []
    assert bench.board.serial_number == ""


# what the parser makes of odd frames

GOOD = set_output(0, ON)


@pytest.mark.parametrize(
    ("data", "obeyed"),
    [
        (GOOD, True),
        (b"K" + GOOD, True),
        (b"garbage\x00\xffKBSP v" + GOOD, True),
        (GOOD[:-4] + b"\xff\xff\r\n", True),
        (GOOD[:-1] + b"\r", False),
        (GOOD[:-1] + b"\r" + GOOD, True),
        (GOOD[:-2] + GOOD, False),
        (GOOD[:-2] + GOOD + GOOD, True),
        (GOOD[:11] + b"\x01" + GOOD[12:], True),
        (GOOD[:10] + b"\x71\x00" + GOOD, True),
        (GOOD[:9] + b"\x01" + GOOD[10:], False),
        (codec.frame(0x86, b""), False),
        (codec.frame(payloads.METER_STATUS, b"\x01\x01\x00\x02\x01\x01"), False),
    ],
    ids=[
        "a good one", "a K before it", "garbage before it", "a wrong CRC", "a wrong trailer",
        "a frame behind a wrong trailer", "no trailer costs the next", "but not the one after",
        "a length of 0x0106", "a length of 113 is thrown away at once", "an id of 0x0184", "an unknown id",
        "a message of a board",
    ],
)  # fmt: skip
def test_a_command_is_obeyed_exactly_when_the_firmware_would(data: bytes, obeyed: bool) -> None:
    for pieces in ([data], [data[at : at + 1] for at in range(len(data))]):
        bench = Bench()
        for piece in pieces:
            bench.tell(piece)
        bench.wait(0.1)
        assert bench.board.outputs_enabled[0] is obeyed


def test_a_ping_ignores_its_payload() -> None:
    bench = Bench()
    bench.tell(codec.frame(payloads.PING, b"what ever"))
    assert [type(message) for message in bench.wait(1)] == [Hello]


def test_the_third_command_behind_a_ping_is_lost_to_the_receive_buffer() -> None:
    bench = Bench()
    bench.tell(PING + set_output(0, ON) + set_output(1, ON) + set_output(2, ON))
    assert bench.wait(1)[1:] == [relay(0, on=True), relay(1, on=True)]
    assert bench.board.overrun_bytes == 3


def test_six_commands_in_one_write_all_arrive() -> None:
    bench = Bench()
    bench.tell(b"".join(set_output(output, ON) for output in range(6)))
    assert bench.wait(1) == [relay(output, on=True) for output in range(6)]


def test_what_comes_during_the_tune_waits_for_its_end_and_what_comes_in_the_bootloader_is_lost() -> None:
    bench = Bench(booted=False)
    bench.tell(set_output(0, ON))
    bench.wait(1.7)
    bench.tell(set_output(1, ON))
    hello, status = bench.wait(1)
    assert isinstance(hello, Hello)
    assert status == relay(1, on=True)


def test_the_heartbeat_waits_for_the_end_of_a_tune() -> None:
    bench = Bench()
    bench.wait(9.9)
    bench.tell(PING)
    bench.wait(1)
    assert bench.times_s(Hello) == [12.16, 12.16]
