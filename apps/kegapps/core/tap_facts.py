"""What is told of a tap to those who show it: how much its keg holds by now, and which sensor is its own.

Knows taps, sensors and flows. Must not know the store, sockets or clocks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from kegapps.core.model import Flow, Now, OnTap, SensorReading, Tap, board_of

STALE_S: Final = 600.0
"""An older temperature tells nothing of the beer any more."""


def tap_facts(
    tap: Tap, on_tap: OnTap, flow: Flow | None, sensors: Sequence[SensorReading], now: Now
) -> Mapping[str, Any]:
    """The keys of the report that are about what is on `tap`, while `flow` is poured there."""
    left_ml = on_tap.keg_left_ml
    if left_ml is not None:
        poured_ml = flow.ticks * tap.ml_per_tick if flow else 0.0
        left_ml = max(0.0, left_ml - poured_ml)
    sensor_name, celsius, unix_s = _temperature(tap.name, on_tap, sensors, now)
    return {
        "description": on_tap.description,
        "beverage": on_tap.beverage,
        "keg_volume_ml": on_tap.keg_volume_ml,
        "keg_left_ml": left_ml,
        "sensor_name": sensor_name,
        "temperature_c": celsius,
        "temperature_unix_s": unix_s,
    }


def _temperature(
    tap_name: str, on_tap: OnTap, sensors: Sequence[SensorReading], now: Now
) -> tuple[str, float | None, float | None]:
    """The tap's sensor, what it shows, and since when.

    A named sensor that we hear ourselves is fresher than what the Kegbot Server knows of it; a sensor that is only
    guessed is less than the server's word.
    """
    told_unix_s = on_tap.temperature_unix_s
    is_told = told_unix_s is not None and abs(now.unix_s - told_unix_s) <= STALE_S
    sensor_name = on_tap.sensor_name or ("" if is_told else only_sensor(tap_name, sensors))
    for reading in sensors:
        if reading.sensor_name == sensor_name and reading.age_s <= STALE_S:
            return sensor_name, reading.celsius, reading.unix_s
    if is_told:
        return sensor_name, on_tap.temperature_c, told_unix_s
    return sensor_name, None, None


def only_sensor(tap_name: str, sensors: Sequence[SensorReading]) -> str:
    """The sensor of a tap of which nobody said one: the only one of its board, else the only one at all, else none."""
    names = [sensor.sensor_name for sensor in sensors]
    of_board = [name for name in names if board_of(name) == board_of(tap_name)]
    candidates = of_board or names
    return candidates[0] if len(candidates) == 1 else ""
