from __future__ import annotations

import itertools

import pytest

from kegapps.kbsp.codec import encode
from kegapps.kbsp.messages import AuthToken, Hello, MeterStatus, OutputStatus, Ping, TemperatureReading
from kegapps.kbsp.thermo import parse_address
from kegapps.kegboard.board import Board, BoardConfig
from tests.apps.kbsp.vectors import FRAMES
from tests.apps.kegboard.bench import ON, Bench, flow, set_output

PING = encode(Ping())
THERMO = parse_address("28105634120008cd")


# boot, hello, heartbeat


def test_a_board_says_hello_once_after_bootloader_and_tune() -> None:
    bench = Bench(booted=False)
    assert bench.wait(1.999) == []
    hello = Hello(firmware_version=18, serial_number="", uptime_ms=500, uptime_days=0)
    assert bench.wait(0.001) == [hello]


def test_the_hello_of_an_unnamed_board_is_the_recorded_one_but_for_the_uptime() -> None:
    board = Board(BoardConfig(boot_tune_s=2.738))
    board.reset(0.0)
    assert board.run(1.5 + 2.738) == FRAMES["hello_firmware_18"]


def test_the_leds_are_lit_during_the_boot_tune_and_nobody_is_told() -> None:
    bench = Bench(booted=False)
    bench.wait(1.6)
    assert bench.board.outputs_enabled == (False, False, False, False, True, True)
    assert [type(message) for message in bench.wait(0.4)] == [Hello]
    assert not any(bench.board.outputs_enabled)


def test_a_hello_follows_every_ten_seconds() -> None:
    bench = Bench()
    bench.wait(30.1)
    assert bench.times_s(Hello) == [12.001, 22.002, 32.003]


@pytest.mark.parametrize(
    ("version", "hello"),
    [
        (3, Hello(firmware_version=3)),
        (15, Hello(firmware_version=15, serial_number="KB-1")),
        (17, Hello(firmware_version=17, serial_number="KB-1")),
    ],
)
def test_old_firmware_has_no_heartbeat_and_says_less(version: int, hello: Hello) -> None:
    bench = Bench(BoardConfig(firmware_version=version, serial_number="KB-1"), booted=False)
    assert bench.wait(60) == [hello]


def test_the_uptime_counts_days() -> None:
    bench = Bench()
    bench.board.run(100.0 + 1.5 + 2 * 86400 + 3.25)
    bench.now_s += 2 * 86400
    bench.tell(PING)
    (hello,) = bench.wait(0.3)
    assert isinstance(hello, Hello)
    assert hello.uptime_days == 2


def test_a_ping_is_answered_after_the_tune() -> None:
    bench = Bench()
    bench.tell(PING)
    bench.wait(1)
    assert bench.times_s(Hello) == [2.26]


def test_a_board_without_power_says_and_hears_nothing() -> None:
    bench = Bench()
    bench.board.power_off()
    bench.tell(PING)
    assert bench.pour(0, 10) == 0
    assert bench.wait(60) == []
    assert bench.board.wake_s is None


def test_a_reset_clears_meters_and_outputs_and_uptime() -> None:
    bench = Bench()
    bench.pour(0, 10)
    bench.tell(set_output(0, ON))
    bench.wait(1)
    bench.board.reset(bench.now_s)
    assert bench.wait(2) == [Hello(firmware_version=18, serial_number="", uptime_ms=500, uptime_days=0)]
    assert bench.board.meter_ticks == (0, 0)
    assert not any(bench.board.outputs_enabled)


# meters


def test_a_meter_is_reported_within_101_ms_and_only_when_it_changed() -> None:
    bench = Bench()
    bench.pour(0, 45)
    assert bench.wait(0.101) == [flow(0, 45)]
    assert bench.wait(5) == []


def test_a_flowing_meter_is_reported_every_101_ms() -> None:
    bench = Bench()
    for _ in range(100):
        bench.pour(0, 1)
        bench.wait(0.01)
    times_s = bench.times_s(MeterStatus)
    assert len(times_s) in (9, 10)
    assert {round(later - earlier, 3) for earlier, later in itertools.pairwise(times_s)} == {0.101}


def test_all_meters_that_changed_are_reported_in_one_round() -> None:
    bench = Bench(BoardConfig(meters=6))
    for meter in (5, 0, 3):
        bench.pour(meter, meter + 1)
    assert bench.wait(0.101) == [flow(0, 1), flow(3, 4), flow(5, 6)]
    assert len(set(bench.times_s(MeterStatus))) == 1


def test_a_meter_wraps_at_32_bits() -> None:
    bench = Bench()
    bench.board.set_odometer(0, 2**32 - 6, bench.now_s)
    assert bench.wait(0.2) == [flow(0, 2**32 - 6)]
    bench.pour(0, 9)
    assert bench.wait(0.2) == [flow(0, 3)]


def test_ticks_in_the_bootloader_are_lost_and_those_in_the_tune_are_reported_after_the_hello() -> None:
    bench = Bench(booted=False)
    assert bench.pour(0, 7) == 0
    bench.wait(1.6)
    assert bench.pour(0, 5) == 5
    hello, reading = bench.wait(0.6)
    assert isinstance(hello, Hello)
    assert reading == flow(0, 5)


@pytest.mark.parametrize("meters", [0, 7])
def test_a_board_has_one_to_six_meters(meters: int) -> None:
    with pytest.raises(ValueError, match="expected 1 to 6"):
        Board(BoardConfig(meters=meters))


# thermometers


def test_a_lone_thermometer_answers_every_two_seconds() -> None:
    bench = Bench(BoardConfig(thermometers=(THERMO,)))
    bench.board.temperatures_c[THERMO] = 4.25
    assert bench.wait(6)[0] == TemperatureReading(sensor_name="thermo-cd08001234561028", sensor_c=4.25)
    assert bench.times_s(TemperatureReading) == [3.0, 5.0, 7.0]


@pytest.mark.parametrize(
    ("address", "celsius", "sent"),
    [
        ("28105634120008", 4.26, 4.25),
        ("28105634120008", -0.06, -0.0625),
        ("28105634120008", 85.0, 85.0),
        ("10800008001234", 4.26, 4.5),
        ("10800008001234", -3.5, -3.5),
    ],
)
def test_a_reading_comes_in_the_steps_of_its_sensor(address: str, celsius: float, sent: float) -> None:
    sensor = parse_address(address)
    bench = Bench(BoardConfig(thermometers=(sensor,)))
    bench.board.temperatures_c[sensor] = celsius
    assert bench.wait(1.5) == [TemperatureReading(sensor_name=sensor.name, sensor_c=sent)]


def test_a_failed_reading_is_not_sent() -> None:
    bench = Bench(BoardConfig(thermometers=(THERMO,)))
    bench.board.temperatures_c[THERMO] = None
    assert bench.wait(9) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("28", "16 hex digits"),
        ("spam", "16 hex digits"),
        ("2810563412000800", "checksum should be cd"),
        ("01105634120008cd", "family 01"),
        ("thermo-cd080012345610", "16 hex digits"),
    ],
)
def test_a_wrong_address_is_refused_with_a_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_address(text)


@pytest.mark.parametrize("text", ["28105634120008cd", "28105634120008", "thermo-cd08001234561028"])
def test_an_address_may_be_given_in_wire_order_or_by_name(text: str) -> None:
    assert parse_address(text) == THERMO


# tokens

IBUTTON = bytes.fromhex("010203040506070f")
TAG = bytes.fromhex("c396ab1504")


def token(device: str, value: bytes, status: int) -> AuthToken:
    return AuthToken(device_name=device, token=value, status=status)


def test_a_contactless_tag_comes_and_goes_around_the_tone() -> None:
    bench = Bench()
    bench.board.swipe(TAG, bench.now_s)
    assert bench.wait(1) == [token("core.rfid", TAG, 1), token("core.rfid", TAG, 0)]
    assert bench.times_s(AuthToken) == [2.0, 2.18]


def test_two_tags_at_once_are_read_one_after_the_other() -> None:
    bench = Bench()
    bench.board.swipe(TAG, bench.now_s)
    bench.board.swipe(b"\1\2\3\4\5", bench.now_s)
    bench.wait(1)
    assert bench.times_s(AuthToken) == [2.0, 2.18, 2.38, 2.56]


def test_a_board_hears_nothing_during_the_tone_and_the_reset_of_the_reader() -> None:
    bench = Bench()
    bench.board.swipe(TAG, bench.now_s)
    bench.wait(0.01)
    bench.tell(set_output(0, ON))
    bench.wait(1)
    assert bench.times_s(OutputStatus) == [2.38]


def test_an_ibutton_is_there_until_it_is_lifted() -> None:
    bench = Bench()
    bench.board.touch(IBUTTON, bench.now_s)
    assert bench.wait(9) == [token("onewire", IBUTTON, 1)]
    assert bench.board.lift(IBUTTON, bench.now_s)
    assert bench.wait(0.05) == [token("onewire", IBUTTON, 0)]
    assert not bench.board.lift(IBUTTON, bench.now_s)


def test_an_ibutton_that_is_back_before_it_was_missed_never_left() -> None:
    bench = Bench()
    bench.board.touch(IBUTTON, bench.now_s)
    bench.board.lift(IBUTTON, bench.now_s)
    bench.board.touch(IBUTTON, bench.now_s)
    assert bench.wait(5) == [token("onewire", IBUTTON, 1)]


def test_an_ibutton_on_the_bus_is_found_again_after_a_reset() -> None:
    bench = Bench()
    bench.board.touch(IBUTTON, bench.now_s)
    bench.wait(1)
    bench.board.reset(bench.now_s)
    assert bench.wait(2)[-1] == token("onewire", IBUTTON, 1)
