"""What servers of all generations tell of a keg and its temperature, and what is made of nonsense there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kegapps.server import form_api
from kegapps.server.on_tap import OnServerTap, read_on_tap
from tests.apps.server.emulators import Emulator, Site, Tap
from tests.apps.server.support import ask, pour

SENSOR = "kegboard.thermo-cd08001234561028"
TAP = Tap(
    id=1, name="Main Tap", meter_name="kegboard.flow0", beverage="Füchschen Alt", keg_volume_ml=30_000.0,
    sensor_name=SENSOR,
)  # fmt: skip
OLD_KEG: dict[str, Any] = {
    "id": 9, "type": {"name": "Anchor Steam"}, "size": {"volume_ml": 58673.9}, "size_volume_ml": 58673.9,
    "volume_ml_remain": 15109.9, "percent_full": 25.75,
}  # fmt: skip
NEW_KEG: dict[str, Any] = {
    "id": 9, "beverage": {"name": "Anchor Steam"}, "full_volume_ml": 50_000.0, "served_volume_ml": 10_000.0,
}  # fmt: skip
LOG: dict[str, Any] = {"id": 1, "temperature_c": 4.25, "time": "2026-11-20T23:28:00+00:00"}
LOG_UNIX_S = 1795217280.0


def keg(**changes: object) -> OnServerTap:
    return read_on_tap({"current_keg": {**OLD_KEG, **changes}})


@pytest.mark.parametrize("generation", ["2012", "1.x", "today"])
def test_every_generation_tells_what_is_in_the_keg_and_what_is_left_of_it(generation: str) -> None:
    with Emulator(generation, site=Site(taps=[TAP])) as emulator:
        emulator.memory.add_temperature(SENSOR, int(LOG_UNIX_S) // 60, 4.25)
        (first,) = ask(emulator.url, emulator.key, form_api.get_taps())
        drink = pour(1100, ended_s_ago=5.0)
        ask(emulator.url, emulator.key, form_api.post_drink(drink, now_unix_s=drink.end_unix_s + 5))
        (second,) = ask(emulator.url, emulator.key, form_api.get_taps())
    (before,), (after,) = form_api.read_taps(first.body), form_api.read_taps(second.body)
    assert before.on == OnServerTap(
        beverage="Füchschen Alt", keg_volume_ml=30_000.0, keg_left_ml=30_000.0,
        sensor_name="" if generation == "2012" else SENSOR, temperature_c=4.25, temperature_unix_s=LOG_UNIX_S,
    )  # fmt: skip
    assert after.on.keg_left_ml == pytest.approx(29_500.0)


def test_a_tap_of_which_nothing_is_told_has_nothing_on() -> None:
    assert read_on_tap({}) == OnServerTap()
    assert (
        read_on_tap({"current_keg": None, "last_temperature": None, "thermo_sensor": None}) == OnServerTap()
    )


def test_without_what_is_left_it_is_what_was_served_or_the_percentage_that_tells() -> None:
    assert read_on_tap({"current_keg": NEW_KEG}).keg_left_ml == 40_000.0
    assert read_on_tap({"current_keg": NEW_KEG | {"spilled_volume_ml": 500}}).keg_left_ml == 39_500.0
    assert read_on_tap({"current_keg": NEW_KEG | {"served_volume_ml": 60_000}}).keg_left_ml == 0.0
    assert keg(volume_ml_remain=None, percent_full=50.0).keg_left_ml == pytest.approx(58673.9 / 2)
    assert keg(volume_ml_remain=None, percent_full=700.0).keg_left_ml == pytest.approx(58673.9)
    assert keg(volume_ml_remain=None, percent_full=None).keg_left_ml is None


@pytest.mark.parametrize("nonsense", [None, "much", True, [], {}, 1e300, "x" * 5000])
def test_a_size_or_rest_that_makes_no_sense_is_unknown(nonsense: object) -> None:
    broken = keg(volume_ml_remain=nonsense, percent_full=nonsense, size=nonsense, size_volume_ml=nonsense)
    assert (broken.keg_volume_ml, broken.keg_left_ml) == (None, None)
    assert broken.beverage == "Anchor Steam"


def test_more_than_nothing_is_never_missing_from_a_keg_and_a_keg_of_no_size_is_none() -> None:
    assert keg(volume_ml_remain=-300).keg_left_ml == 0.0
    assert keg(size_volume_ml=0, size=None).keg_volume_ml is None


@pytest.mark.parametrize(
    ("kind", "beverage"),
    [
        ({"name": "a\nb\x1b[2J"}, "a b?[2J"),
        ({"name": "x" * 5000}, "x" * 157 + "..."),
        ({"name": 5}, ""),
        ("beer", ""),
    ],
)
def test_what_a_beverage_is_called_is_made_fit_to_show(kind: object, beverage: str) -> None:
    assert keg(type=kind).beverage == beverage


@pytest.mark.parametrize(
    "broken",
    [{"temperature_c": 85}, {"temperature_c": None}, {"temperature_c": "cold"}, {"time": "now"}, {"time": None},
     {"time": "1066-10-14T09:00:00Z"}],
)  # fmt: skip
def test_a_temperature_that_no_sensor_showed_or_nobody_knows_when_is_none(broken: dict[str, Any]) -> None:
    assert read_on_tap({"last_temperature": LOG}).temperature_c == 4.25
    told = read_on_tap({"last_temperature": LOG | broken})
    assert (told.temperature_c, told.temperature_unix_s) == (None, None)


def test_whatever_is_told_of_its_keg_a_tap_is_used_all_the_same() -> None:
    tap = {"id": 1, "name": "Main", "meter_name": "kegboard.flow0", "ml_per_tick": 0.5, "current_keg_id": 3}
    odds: tuple[object, ...] = (
        None,
        True,
        7,
        "x",
        [],
        {},
        [{}],
        {"type": 5, "size": [], "volume_ml_remain": {}},
    )
    for odd in odds:
        told = tap | {"current_keg": odd, "thermo_sensor": odd, "last_temperature": odd}
        (read,) = form_api.read_taps(json.dumps({"objects": [told]}).encode())
        assert read.has_meter
        assert read.on == OnServerTap()
