"""What displays are told of a tap: its keg while beer flows, and the sensor that is most likely its own."""

from __future__ import annotations

from typing import Any

import pytest

from kegapps.core.model import Flow, Now, OnTap, SensorReading, Tap
from kegapps.core.tap_facts import STALE_S, only_sensor, tap_facts
from tests.apps.core.bar import FLOW0, START_UNIX_S

NOW = Now(mono_s=1000.0, unix_s=START_UNIX_S)
TAP = Tap(name=FLOW0, ml_per_tick=0.5)
COLD, WARM = "kegboard.thermo-1", "kegboard.thermo-2"
KEG = OnTap(description="left one", beverage="Alt", keg_volume_ml=30_000.0, keg_left_ml=10_000.0)


def shown(sensor_name: str = COLD, celsius: float = 4.5, age_s: float = 3.0) -> SensorReading:
    return SensorReading(sensor_name=sensor_name, celsius=celsius, unix_s=NOW.unix_s - age_s, age_s=age_s)


def told(on_tap: OnTap = KEG, *sensors: SensorReading, ticks: int = 0) -> dict[str, Any]:
    flow = Flow(
        uuid="u", flow_id=1, tap_name=FLOW0, username=None, idle_limit_s=10, start_unix_s=1.0, last_unix_s=1.0,
        last_mono_s=1.0, ticks=ticks,
    )  # fmt: skip
    return dict(tap_facts(TAP, on_tap, flow if ticks else None, sensors, NOW))


def test_a_tap_with_a_keg_and_a_sensor_tells_of_both() -> None:
    assert told(KEG, shown()) == {
        "description": "left one", "beverage": "Alt", "keg_volume_ml": 30_000.0, "keg_left_ml": 10_000.0,
        "sensor_name": COLD, "temperature_c": 4.5, "temperature_unix_s": NOW.unix_s - 3.0,
    }  # fmt: skip


def test_what_flows_just_now_is_not_in_the_keg_any_more() -> None:
    assert told(ticks=1000)["keg_left_ml"] == 9_500.0


@pytest.mark.parametrize(("left_ml", "ticks"), [(-5.0, 0), (10.0, 1000)])
def test_a_keg_holds_no_less_than_nothing(left_ml: float, ticks: int) -> None:
    assert told(OnTap(keg_volume_ml=30_000.0, keg_left_ml=left_ml), ticks=ticks)["keg_left_ml"] == 0.0


def test_without_a_keg_nothing_is_left_of_it_even_while_somebody_pours() -> None:
    assert told(OnTap(), ticks=1000)["keg_left_ml"] is None


@pytest.mark.parametrize(("age_s", "celsius"), [(0.0, 4.5), (STALE_S, 4.5), (STALE_S + 1, None)])
def test_a_temperature_is_told_for_ten_minutes(age_s: float, celsius: float | None) -> None:
    facts = told(KEG, shown(age_s=age_s))
    assert facts["temperature_c"] == celsius
    assert (facts["temperature_unix_s"] is None) == (celsius is None)
    assert facts["sensor_name"] == COLD


def test_the_sensor_that_somebody_named_is_the_taps_own_whatever_others_there_are() -> None:
    named = OnTap(sensor_name="cellar.thermo-9")
    assert told(named, shown(), shown("cellar.thermo-9", 12.0))["temperature_c"] == 12.0
    assert told(named, shown())["temperature_c"] is None
    assert told(named, shown())["sensor_name"] == "cellar.thermo-9"


def of_server(sensor_name: str = "", age_s: float = 60.0) -> OnTap:
    return OnTap(sensor_name=sensor_name, temperature_c=7.0, temperature_unix_s=NOW.unix_s - age_s)


@pytest.mark.parametrize(
    ("on_tap", "sensors", "expected"),
    [
        (of_server(), (), ("", 7.0)),
        (of_server(), (shown(),), ("", 7.0)),  # it is only guessed that the sensor is this tap's
        (of_server(COLD), (shown(),), (COLD, 4.5)),  # the same sensor, heard since
        (of_server(COLD), (shown(age_s=900.0),), (COLD, 7.0)),
        (of_server(COLD), (shown(WARM),), (COLD, 7.0)),
        (of_server(age_s=900.0), (shown(),), (COLD, 4.5)),
        (of_server(age_s=-900.0), (), ("", None)),  # the server's clock is wrong, or ours
        (of_server(COLD, age_s=900.0), (), (COLD, None)),
    ],
)
def test_the_temperature_that_the_server_tells_of_its_tap_counts_until_we_know_better(
    on_tap: OnTap, sensors: tuple[SensorReading, ...], expected: tuple[str, float | None]
) -> None:
    facts = told(on_tap, *sensors)
    assert (facts["sensor_name"], facts["temperature_c"]) == expected


@pytest.mark.parametrize(
    ("sensors", "expected"),
    [
        ((), ""),
        ((COLD,), COLD),
        ((COLD, "other.thermo-3"), COLD),
        ((COLD, "other.thermo-3", "other.thermo-4"), COLD),
        (("other.thermo-3",), "other.thermo-3"),
        (("other.thermo-3", "other.thermo-4"), ""),
        ((COLD, WARM), ""),
        ((COLD, WARM, "other.thermo-3"), ""),
    ],
)
def test_a_sensor_that_nobody_named_is_taken_only_if_there_is_no_doubt(
    sensors: tuple[str, ...], expected: str
) -> None:
    assert only_sensor(FLOW0, [shown(name) for name in sensors]) == expected
