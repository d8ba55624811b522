"""What the core answers to the question how it is."""

from __future__ import annotations

import json
from typing import Any

from kegapps.core.boards import MAX_BOARDS, Boards
from kegapps.core.model import Flow, Meter, Now, OnTap, SensorReading, Tap
from kegapps.core.report import HeardBoard, StoreState, core_report
from kegapps.core.rules import Rules
from kegapps.kegnet.codec import decode, encode
from kegapps.kegnet.events import BoardStatus, CoreStatus, DrinkFacts
from kegapps.kegnet.taproom import taproom
from tests.apps.core.bar import FLOW0, FLOW1, START_UNIX_S

NOW = Now(mono_s=1000.0, unix_s=START_UNIX_S)
RULES = Rules()
NOTHING_ON = {
    "description": "", "beverage": "", "keg_volume_ml": None, "keg_left_ml": None, "sensor_name": "",
    "temperature_c": None, "temperature_unix_s": None,
}  # fmt: skip


def report(**changes: object) -> dict[str, Any]:
    facts: dict[str, object] = {
        "version": "1", "pid": 7, "rules": RULES, "taps": (), "meters": {}, "open_flows": (), "boards": (),
        "store": StoreState(path="/kegbot.sqlite"), "clients": 1, "now": NOW, "on_taps": {}, "sensors": (), "last_drink": None,
    }  # fmt: skip
    return core_report(**{**facts, **changes})  # type: ignore[arg-type]


def test_a_tap_is_told_with_its_last_reading_its_flow_and_whether_anybody_ever_calibrated_it() -> None:
    told = report(
        taps=(Tap(name=FLOW0, ml_per_tick=0.5), Tap(name=FLOW1, ml_per_tick=RULES.default_ml_per_tick)),
        meters={FLOW0: Meter(name=FLOW0, last_reading=90, read_unix_s=5.0, read_mono_s=1.0, counted_ticks=80)},
        open_flows=(
            Flow(
                uuid="u", flow_id=1, tap_name=FLOW0, username=None, idle_limit_s=10, start_unix_s=1.0,
                last_unix_s=1.0, last_mono_s=1.0, ticks=42,
            ),
        ),
    )["taps"]  # fmt: skip
    assert told == [
        {
            "name": FLOW0, "ml_per_tick": 0.5, "source": "set", "relay_name": "", "last_reading": 90,
            "read_unix_s": 5.0, "counted_ticks": 80, "dropped_ticks": 0, "open_flow_ticks": 42,
            **NOTHING_ON,
        },
        {
            "name": FLOW1, "ml_per_tick": RULES.default_ml_per_tick, "source": "default", "relay_name": "",
            "last_reading": None, "read_unix_s": None, "counted_ticks": 0, "dropped_ticks": 0,
            "open_flow_ticks": None, **NOTHING_ON,
        },
    ]  # fmt: skip


def test_a_calibration_of_the_server_is_told_as_such_whatever_it_is() -> None:
    (told,) = report(taps=(Tap(name=FLOW0, ml_per_tick=RULES.default_ml_per_tick, source="server"),))["taps"]
    assert told["source"] == "server"


def test_a_boards_uptime_and_the_time_since_it_was_heard_go_on_while_nothing_is_said_of_it() -> None:
    status = BoardStatus(board_name="kegboard", state="online", firmware_version=18, uptime_s=60.0)
    (board,) = report(boards=[HeardBoard(status=status, heard_mono_s=NOW.mono_s - 7.5)])["boards"]
    assert (board["uptime_s"], board["heard_age_s"], board["state"]) == (67.5, 7.5, "online")


def test_without_a_server_there_is_neither_server_nor_outbox() -> None:
    told = report()
    assert (told["server"], told["outbox"]) == (None, None)


def test_apps_are_told_what_guests_are_called() -> None:
    assert taproom(report()).guest_username == "guest"
    assert taproom(report(rules=Rules(guest_username="Gast"))).guest_username == "Gast"


def test_the_largest_report_that_the_core_allows_still_travels() -> None:
    names = [f"board{number:03}.{'f' * 56}" for number in range(1000)]
    told = report(
        taps=[Tap(name=name, ml_per_tick=0.123456789, relay_name=name) for name in names],
        meters={
            name: Meter(
                name=name, last_reading=2**32 - 1, read_unix_s=1e9, read_mono_s=1.0, counted_ticks=2**40
            )
            for name in names
        },
    )
    assert decode(encode(CoreStatus(report=told)).rstrip()) == CoreStatus(report=json.loads(json.dumps(told)))


def test_what_is_told_for_displays_has_the_room_that_is_left_and_the_first_taps_get_it() -> None:
    names = [f"board{number:03}.{'f' * 56}" for number in range(1000)]
    sensors = [
        SensorReading(sensor_name=f"s{number:03}.{'f' * 56}", celsius=1 / 3, unix_s=1e9, age_s=1.0)
        for number in range(1000)
    ]
    told = report(
        taps=[Tap(name=name, ml_per_tick=0.123456789) for name in names],
        on_taps={name: OnTap(description="\U0001f37a" * 200, beverage="\U0001f37a" * 200) for name in names},
        sensors=sensors,
        last_drink=DrinkFacts(
            drink_id=1, uuid="u", flow_id=1, tap_name="t" * 128, username="\U0001f37a" * 128, ticks=1, volume_ml=1.0,
            start_unix_s=1.0, end_unix_s=1.0, beverage="\U0001f37a" * 200,
        ),
    )  # fmt: skip
    encode(CoreStatus(report=told))
    room = taproom(told)
    assert [tap.name for tap in room.taps] == names
    assert room.taps[0].beverage == "\U0001f37a" * 200
    assert room.taps[999].beverage == ""
    assert 100 < len(room.sensors) < 1000
    assert room.last_drink is not None


def test_boards_of_many_words_do_not_keep_those_who_ask_from_their_answer() -> None:
    boards = Boards()
    boards.use(["kegboard"])
    words = "ä" * 512
    for number in range(MAX_BOARDS):
        status = BoardStatus(
            board_name=f"x{number}", state="online", detail=words, serial_number=words, device=words
        )
        boards.tell(status, "stranger", NOW)
    boards.tell(BoardStatus(board_name="kegboard", state="online"), "daemon", NOW)
    told = report(boards=boards.heard(NOW))
    assert told["boards"][0]["board_name"] == "kegboard"
    assert len(encode(CoreStatus(report=told))) < 110_000
