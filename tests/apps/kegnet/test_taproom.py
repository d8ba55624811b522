"""What a display takes from a core's report, whatever is in it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from kegapps.kegnet.events import DrinkFacts
from kegapps.kegnet.taproom import SensorFacts, TapFacts, Taproom, taproom
from tests.apps.kegnet.strategies import reports

TAP: dict[str, Any] = {
    "name": "kegboard.flow0", "ml_per_tick": 0.45, "description": "left", "beverage": "Märzen",
    "keg_volume_ml": 50_000.0, "keg_left_ml": 12_500.0, "relay_name": "kegboard.relay0",
    "sensor_name": "kegboard.thermo-1", "temperature_c": 4.5, "temperature_unix_s": 1795216330.0,
}  # fmt: skip
DRINK: dict[str, Any] = {
    "drink_id": 3, "uuid": "0b1c", "flow_id": 9, "tap_name": "kegboard.flow0", "username": "alice", "ticks": 1000,
    "volume_ml": 454.5, "start_unix_s": 1795216330.0, "end_unix_s": 1795216340.5, "beverage": "Märzen",
}  # fmt: skip


def the_tap(**changes: object) -> TapFacts:
    (tap,) = taproom({"taps": [{**TAP, **changes}]}).taps
    return tap


def test_everything_that_a_core_tells_of_its_tap_room_is_taken() -> None:
    told = taproom(
        {
            "version": "1", "taps": [TAP], "boards": [], "last_drink": DRINK,
            "sensors": [{"sensor_name": "kegboard.thermo-1", "temperature_c": 4.5, "unix_s": 1795216330.0}],
        }
    )  # fmt: skip
    assert told == Taproom(
        taps=(TapFacts(**{key: value for key, value in TAP.items() if key != "ml_per_tick"}),),
        sensors=(SensorFacts(sensor_name="kegboard.thermo-1", temperature_c=4.5, unix_s=1795216330.0),),
        last_drink=DrinkFacts(**DRINK),
    )
    assert told.tap("kegboard.flow0") == told.taps[0]
    assert told.tap("kegboard.flow1") is None


def test_an_older_core_tells_of_taps_only_how_they_are_called() -> None:
    told = taproom(
        {"taps": [{"name": "kegboard.flow0", "ml_per_tick": 0.45, "relay_name": ""}], "server": None}
    )
    assert told == Taproom(taps=(TapFacts(name="kegboard.flow0"),))


@pytest.mark.parametrize(
    ("beverage", "taken"),
    [("می\u200cخواهم", "می\u200cخواهم"), ("a\u202eb", ""), ("\u200d", ""), ("a\u200d\u200db", "")],
)
def test_what_a_beverage_is_called_may_have_joiners_but_nothing_else_that_is_not_seen(
    beverage: str, taken: str
) -> None:
    assert the_tap(beverage=beverage).beverage == taken


def test_a_tap_is_called_what_people_call_it() -> None:
    assert the_tap().title == "left"
    assert the_tap(description="").title == "kegboard.flow0"


@pytest.mark.parametrize(
    ("volume_ml", "left_ml", "fraction"),
    [
        (50_000, 12_500, 0.25),
        (50_000, 60_000, 1.0),
        (50_000, 0, 0.0),
        (0, 0, None),
        (None, 5, None),
        (5, None, None),
    ],
)
def test_how_full_a_keg_is(volume_ml: float | None, left_ml: float | None, fraction: float | None) -> None:
    assert the_tap(keg_volume_ml=volume_ml, keg_left_ml=left_ml).left_fraction == fraction


@pytest.mark.parametrize(
    ("field", "nonsense", "unknown"),
    [
        ("description", 5, ""),
        ("description", "x" * 201, ""),
        ("beverage", "two\nlines", ""),
        ("keg_volume_ml", "much", None),
        ("keg_volume_ml", -1, None),
        ("keg_left_ml", float("nan"), None),
        ("keg_left_ml", 1e300, None),
        ("relay_name", None, ""),
        ("sensor_name", "", ""),
        ("temperature_c", True, None),
        ("temperature_c", float("inf"), None),
        ("temperature_unix_s", [], None),
    ],
)
def test_a_field_that_makes_no_sense_is_unknown_and_costs_only_itself(
    field: str, nonsense: object, unknown: object
) -> None:
    told = the_tap(**{field: nonsense})
    assert getattr(told, field) == unknown
    assert told.name == TAP["name"]


@pytest.mark.parametrize("row", [None, 5, "tap", [], {}, {"name": ""}, {"name": 5}, {"name": "x" * 129}])
def test_a_tap_without_a_name_is_left_out_and_the_others_are_not(row: object) -> None:
    assert [tap.name for tap in taproom({"taps": [row, TAP]}).taps] == ["kegboard.flow0"]


@pytest.mark.parametrize(
    "row",
    [
        None,
        {"sensor_name": "s"},
        {"sensor_name": "s", "temperature_c": "4", "unix_s": 1.0},
        {"temperature_c": 4.0},
    ],
)
def test_a_sensor_that_does_not_say_what_it_shows_is_left_out(row: object) -> None:
    assert taproom({"sensors": [row]}).sensors == ()


@pytest.mark.parametrize("value", [None, [], 3, {}, {**DRINK, "ticks": None}])
def test_a_last_drink_that_is_none_is_no_drink(value: object) -> None:
    assert taproom({"last_drink": value}).last_drink is None


def test_no_more_taps_and_sensors_are_taken_than_a_core_can_have() -> None:
    sensor = {"sensor_name": "s", "temperature_c": 4.0, "unix_s": 1.0}
    told = taproom({"taps": [TAP] * 3000, "sensors": [sensor] * 3000})
    assert (len(told.taps), len(told.sensors)) == (1000, 1000)


@given(reports)
def test_no_report_is_too_odd(report: dict[str, object]) -> None:
    taproom(report)
    taproom({"taps": [report], "sensors": [report], "last_drink": report})
    taproom({"taps": report, "sensors": report, "last_drink": [report]})
