from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kegapps.kbsp.messages import AuthToken, Hello, Message, MeterStatus, OneWirePresence, TemperatureReading
from kegapps.kegboard.conversation import MAX_NAMES, Conversation, Remark
from kegapps.kegnet.codec import encode
from kegapps.kegnet.events import (
    ALL_TAPS,
    AppEvent,
    MeterUpdate,
    OutputMode,
    SetRelayOutputEvent,
    ThermoEvent,
    TokenAuthEvent,
)
from tests.apps.kbsp.strategies import messages
from tests.apps.kbsp.vectors import MESSAGES

OPENED = 1000.0


def conversation(name: str = "kegboard") -> Conversation:
    talk = Conversation(name=name, required_firmware=7)
    talk.opened(OPENED)
    return talk


def hello(uptime_s: float | None, version: int = 18) -> Hello:
    if uptime_s is None:
        return Hello(firmware_version=version)
    days, rest_s = divmod(uptime_s, 86400)
    return Hello(
        firmware_version=version, serial_number="", uptime_ms=round(rest_s * 1000), uptime_days=int(days)
    )


def flow0(ticks: int) -> MeterStatus:
    return MeterStatus(meter_name="flow0", reading_ticks=ticks)


def told(talk: Conversation, *history: tuple[float, Message | None]) -> list[int]:
    """The readings passed on in a history of (seconds after opening, message; None: unplugged, opened again)."""
    readings = []
    for after_s, message in history:
        if message is None:
            talk.opened(OPENED + after_s)
            continue
        for event in talk.heard(message, OPENED + after_s):
            assert isinstance(event, MeterUpdate)
            readings.append(event.reading)
    return readings


@pytest.mark.parametrize(
    ("history", "readings"),
    [
        ([(0.1, flow0(5)), (0.2, flow0(9))], []),
        ([(0.1, flow0(5)), (0.2, flow0(9)), (1.1, flow0(12)), (1.2, flow0(13))], [5, 9, 12, 13]),
        ([(2.0, hello(0.5)), (3.0, flow0(5)), (4.0, flow0(9))], [0, 5, 9]),
        ([(0.3, hello(5000.0)), (1.0, flow0(405)), (2.0, flow0(409))], [405, 409]),
        ([(0.3, hello(0.31)), (1.0, flow0(5))], [5]),
        ([(0.3, hello(70.0)), (1, flow0(405)), (9, hello(0.5)), (10, flow0(3))], [405, 0, 3]),
        ([(2, hello(0.5)), (3, flow0(5)), (12, hello(10.5)), (13, flow0(9)), (22, hello(20.5)), (23, flow0(12))],
         [0, 5, 9, 12]),
        ([(2, hello(0.5)), (3, flow0(5)), (10, None), (12, hello(0.5)), (13, flow0(4))], [0, 5, 0, 4]),
        ([(2, hello(0.5)), (3, flow0(5)), (10, None), (10.3, hello(8.8)), (11, flow0(9))], [0, 5, 9]),
        ([(2, hello(0.5)), (3, flow0(50)), (99, None), (99.1, flow0(7)), (99.3, hello(1.0)), (99.4, flow0(9))],
         [0, 50, 0, 7, 9]),
        ([(2, hello(0.5)), (3, flow0(50)), (99, None), (99.1, flow0(57)), (99.3, hello(98.0)), (99.4, flow0(59))],
         [0, 50, 57, 59]),
        ([(2, hello(0.5)), (3, flow0(50)), (90, None), (90.1, flow0(57)), (99, None), (99.3, hello(0.5)), (99.4, flow0(9))],
         [0, 50, 57, 0, 9]),
        ([(0.3, hello(5.0)), (1, flow0(50)), (3600, None), (3600.3, hello(60.0)), (3601, flow0(9))], [50, 0, 9]),
        ([(0.3, hello(5.0)), (1, flow0(50)), (3600, None), (3600.3, hello(3590.0)), (3601, flow0(59))], [50, 59]),
        ([(2, hello(0.5)), (3, flow0(5)), (4, hello(0.5)), (5, flow0(9))], [0, 5, 0, 9]),
        ([(2, hello(0.5)), (3, flow0(5)), (4, hello(0.503)), (5, flow0(9))], [0, 5, 0, 9]),
        ([(2, hello(0.5)), (3, flow0(5)), (4, hello(0.76)), (5, flow0(9))], [0, 5, 9]),
        ([(2, hello(0.5)), (3, flow0(50)), (60, hello(10.5)), (60, hello(20.5)), (60, flow0(55))], [0, 50, 55]),
        ([(2, hello(None, 17)), (3, flow0(5))], [5]),
    ],
    ids=[
        "no hello yet", "no hello at all", "booted because we opened the port", "ran long before we came",
        "booted just before we came", "reset while we listened", "heartbeats are no boots",
        "unplugged and back with a fresh boot", "unplugged with power of its own",
        "a reading after the boot and before its hello", "a reading before the hello of a board that kept its power",
        "a line lost before its hello", "swapped power during a long absence",
        "a slow clock over a long absence", "reset soon after a boot", "reset soon after a boot, a little slower",
        "asked soon after a boot", "heartbeats read late by a stopped process",
        "old firmware tells no uptime",
    ],
)  # fmt: skip
def test_a_zero_is_sent_before_the_first_reading_of_a_boot_that_is_proven(
    history: list[tuple[float, Message | None]], readings: list[int]
) -> None:
    assert told(conversation(), *history) == readings


def test_how_long_the_board_was_not_heard_is_told_once_to_each_meter_and_however_often_the_line_was_opened() -> (
    None
):
    talk = conversation()
    gaps = []
    history: tuple[tuple[float, Message | None], ...] = (
        (0.3, hello(5000.0)), (1, flow0(10)), (9, hello(5009.0)), (12, None), (20, None), (20.5, hello(5020.5)),
        (25, flow0(2010)), (26, flow0(2020)), (30, None), (31, flow0(2030)),
    )  # fmt: skip
    for after_s, message in history:
        if message is None:
            talk.opened(OPENED + after_s)
            continue
        gaps += [
            (event.reading, event.gap_s)
            for event in talk.heard(message, OPENED + after_s)
            if isinstance(event, MeterUpdate)
        ]
    assert gaps == [(10, 0.0), (2010, 11.5), (2020, 0.0), (2030, 5.0)]


def test_the_first_reading_of_a_meter_says_how_long_the_board_may_be_running_by_then() -> None:
    talk = conversation()
    events: list[AppEvent | Remark] = []
    history: tuple[tuple[float, Message], ...] = ((0.5, hello(7.0)), (41.0, flow0(500)), (42.0, flow0(520)))
    for after_s, message in history:
        events += talk.heard(message, OPENED + after_s)
    uptimes = [(e.reading, e.board_uptime_s) for e in events if isinstance(e, MeterUpdate)]
    assert uptimes == [(500, 48.0), (520, 0.0)]


def test_a_hello_that_is_read_late_makes_the_board_no_younger() -> None:
    talk = conversation()
    list(talk.heard(hello(5000.0), OPENED + 900.0))
    (event,) = talk.heard(flow0(500), OPENED + 901.0)
    assert isinstance(event, MeterUpdate)
    assert event.board_uptime_s == 5901.0


def test_every_meter_of_a_booted_board_begins_at_zero() -> None:
    talk = conversation("left")
    list(talk.heard(hello(0.5), OPENED + 2))
    events = [
        event
        for number in (1, 0, 1)
        for event in talk.heard(MeterStatus(meter_name=f"flow{number}", reading_ticks=9), OPENED + 3)
    ]
    assert events == [
        MeterUpdate(tap_name="left.flow1", reading=0, board_uptime_s=1.5),
        MeterUpdate(tap_name="left.flow1", reading=9),
        MeterUpdate(tap_name="left.flow0", reading=0, board_uptime_s=1.5),
        MeterUpdate(tap_name="left.flow0", reading=9),
        MeterUpdate(tap_name="left.flow1", reading=9),
    ]


@pytest.mark.parametrize(
    ("message", "device", "value", "status"),
    [
        (MESSAGES["token_onewire_present"], "core.onewire", "0f07060504030201", "added"),
        (MESSAGES["token_onewire_removed"], "core.onewire", "0f07060504030201", "removed"),
        (MESSAGES["token_rfid_present"], "core.rfid", "0415ab96c3", "added"),
        (AuthToken(device_name="magstripe", token=b"\1\2", status=7), "magstripe", "0201", "removed"),
        (OneWirePresence(device_id=0xAB, status=1), "core.onewire", "00000000000000ab", "added"),
        (OneWirePresence(device_id=0), "core.onewire", "0000000000000000", "removed"),
    ],
)
def test_a_token_is_for_all_taps_in_the_words_of_the_core(
    message: Message, device: str, value: str, status: str
) -> None:
    (event,) = conversation().heard(message, OPENED)
    assert isinstance(event, TokenAuthEvent)
    shown = (event.tap_name, event.auth_device_name, event.token_value, event.status)
    assert shown == (ALL_TAPS, device, value, status)


@pytest.mark.parametrize(
    ("readings_c", "passed_on"),
    [
        ([4.25, -3.5, 0.0], [4.25, -3.5, 0.0]),
        ([-55.0, 125.0], [-55.0, 125.0]),
        ([-55.1, 125.1, 2000.0], []),
        ([85.0, 4.0, 85.0], [4.0]),
        ([84.0, 85.0, 85.5], [84.0, 85.0, 85.5]),
    ],
    ids=["ordinary", "the ends of the range", "beyond it", "just powered on", "really that hot"],
)
def test_a_temperature_no_sensor_can_mean_is_not_passed_on(
    readings_c: list[float], passed_on: list[float]
) -> None:
    talk = conversation()
    events: list[AppEvent | Remark] = []
    for celsius in readings_c:
        events += talk.heard(TemperatureReading(sensor_name="thermo-1", sensor_c=celsius), OPENED)
    sent = [event for event in events if not isinstance(event, Remark)]
    assert sent == [ThermoEvent(sensor_name="kegboard.thermo-1", sensor_value=c) for c in passed_on]
    assert len(events) == len(readings_c)


def test_firmware_that_is_too_old_is_not_listened_to_until_a_newer_one_says_hello() -> None:
    talk = conversation()
    assert told(talk, (0.3, hello(None, 6)), (1, flow0(5)), (5, None), (5.1, flow0(6))) == []
    assert talk.too_old
    assert told(talk, (5.3, hello(None, 7)), (6, flow0(7))) == [7]
    assert not talk.too_old


@given(st.lists(messages | st.none(), max_size=20))
def test_whatever_a_board_says_can_be_told_to_the_core(said: list[Message | None]) -> None:
    talk = conversation()
    for after_s, message in enumerate(said):
        if message is None:
            talk.opened(OPENED + after_s)
            continue
        for event in talk.heard(message, OPENED + after_s):
            if not isinstance(event, Remark):
                assert encode(event)


def test_a_line_gone_mad_does_not_fill_the_memory() -> None:
    talk = conversation()
    passed_on = 0
    for number in range(3 * MAX_NAMES):
        passed_on += len(list(talk.heard(MeterStatus(meter_name=f"m{number}", reading_ticks=1), OPENED)))
        reading = TemperatureReading(sensor_name=f"t{number}", sensor_c=1.0)
        passed_on += len(list(talk.heard(reading, OPENED)))
    assert passed_on == 2 * MAX_NAMES


@pytest.mark.parametrize(
    ("name", "mode", "command"),
    [
        ("kegboard.relay0", "enabled", (0, True)),
        ("kegboard.relay3", "disabled", (3, False)),
        ("relay1", "enabled", (1, True)),
        ("5", "enabled", (5, True)),
        ("other.relay0", "enabled", None),
        ("kegboard.relay6", "enabled", None),
        ("kegboard.valve", "enabled", None),
        ("kegboard.relay²", "enabled", None),
        ("", "enabled", None),
        (".relay1", "enabled", None),
    ],
)
def test_a_relay_event_is_a_command_if_it_is_for_this_board(
    name: str, mode: OutputMode, command: tuple[int, bool] | None
) -> None:
    assert conversation().output(SetRelayOutputEvent(output_name=name, output_mode=mode)) == command


def test_a_hello_is_asked_for_at_once_and_a_few_times_more() -> None:
    talk = conversation()
    asked = [tenth / 10 for tenth in range(400) if talk.take_ping(OPENED + tenth / 10)]
    assert asked == [0.0, 3.0, 8.0, 18.0]


def test_nothing_is_asked_once_a_hello_came() -> None:
    talk = conversation()
    assert talk.take_ping(OPENED)
    list(talk.heard(hello(0.5), OPENED + 2))
    assert talk.next_ping_s is None


@pytest.mark.parametrize(("version", "silent_s"), [(18, OPENED + 27), (17, None)])
def test_silence_for_25_s_is_a_fault_only_with_firmware_that_has_a_heartbeat(
    version: int, silent_s: float | None
) -> None:
    talk = conversation()
    assert talk.silent_s == OPENED + 25
    list(talk.heard(hello(0.5 if version == 18 else None, version), OPENED + 2))
    assert talk.silent_s == silent_s
