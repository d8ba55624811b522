"""Which temperatures are worth keeping: in range, one per sensor and clock minute; which sensors are there now.

Knows sensors, degrees Celsius and time. Must not know taps, flows or the store.
Source: shared/kegnet-protocol.md, "Temperatures".
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from kegapps.core.effects import Effect, Keep, Say
from kegapps.core.model import Now, SensorReading, Temperature
from kegapps.core.rules import Rules

GONE_S: Final = 86400.0
"""A sensor that said nothing for a day was taken away: what is left on its board may be the only one there."""


class Sensors:
    """All temperature sensors that were ever heard."""

    def __init__(self, rules: Rules, last: Iterable[Temperature], now: Now) -> None:
        """`last` are the last temperatures of the sensors known from before `now`."""
        self._rules = rules
        self._minutes = {temperature.sensor_name: temperature.unix_minute for temperature in last}
        self._shown = {
            temperature.sensor_name: SensorReading(
                sensor_name=temperature.sensor_name,
                celsius=temperature.celsius,
                unix_s=temperature.unix_minute * 60.0,
                # One from the future was kept by another clock: how old it is, nobody knows.
                age_s=abs(now.unix_s - temperature.unix_minute * 60.0),
            )
            for temperature in last
        }
        """What each showed last; `age_s` is that at `_shown_mono_s`."""
        self._shown_mono_s = dict.fromkeys(self._shown, now.mono_s)
        self._heard_mono_s: dict[str, float] = {}
        self._refused: set[str] = set()
        self._full = False

    def read(self, sensor_name: str, celsius: float, *, age_s: float, now: Now) -> Iterator[Effect]:
        """Take one reading that was made `age_s` seconds ago."""
        if not self._rules.temperature_min_c <= celsius <= self._rules.temperature_max_c:
            if sensor_name not in self._refused and len(self._refused) < self._rules.max_sensors:
                self._refused.add(sensor_name)
                yield Say(level=logging.WARNING, text=self._out_of_range(sensor_name, celsius))
            return
        self._refused.discard(sensor_name)
        if sensor_name not in self._minutes:
            if len(self._minutes) >= self._rules.max_sensors:
                if not self._full:
                    self._full = True
                    text = f"{sensor_name}: refused, there are enough sensors already (--max_sensors)"
                    yield Say(level=logging.WARNING, text=text)
                return
            yield Say(level=logging.INFO, text=f"New temperature sensor: {sensor_name}")
        self._heard_mono_s[sensor_name] = now.mono_s
        shown = SensorReading(
            sensor_name=sensor_name, celsius=celsius, unix_s=now.unix_s - age_s, age_s=age_s
        )
        before = self._now_shown(sensor_name, now)
        if before is None or age_s <= before.age_s:
            self._shown[sensor_name] = shown
            self._shown_mono_s[sensor_name] = now.mono_s
        minute = math.floor((now.unix_s - age_s) / 60)
        # "Not the same" rather than "later": after the clock was set back, temperatures go on being kept.
        if self._minutes.get(sensor_name) != minute:
            self._minutes[sensor_name] = minute
            yield Keep(record=Temperature(sensor_name=sensor_name, unix_minute=minute, celsius=celsius))

    def present(self, now: Now) -> tuple[SensorReading, ...]:
        """What the sensors that are there showed last, by name."""
        shown = (self._now_shown(name, now) for name in sorted(self._shown))
        return tuple(reading for reading in shown if reading is not None and reading.age_s <= GONE_S)

    def _now_shown(self, sensor_name: str, now: Now) -> SensorReading | None:
        reading = self._shown.get(sensor_name)
        if reading is None:
            return None
        return replace(reading, age_s=reading.age_s + now.mono_s - self._shown_mono_s[sensor_name])

    def wake(self, now: Now) -> Iterator[Effect]:
        """Say once of each sensor that it has fallen silent."""
        limit_s = self._rules.temperature_silence_s
        for name in [name for name, heard in self._heard_mono_s.items() if now.mono_s - heard > limit_s]:
            del self._heard_mono_s[name]
            yield Say(level=logging.WARNING, text=f"{name}: no temperature for {limit_s:g} s")

    def next_wake_mono_s(self) -> float | None:
        """When `wake` has something to say at the earliest."""
        first = min(self._heard_mono_s.values(), default=None)
        return None if first is None else first + self._rules.temperature_silence_s

    def _out_of_range(self, sensor_name: str, celsius: float) -> str:
        rules = self._rules
        return (
            f"{sensor_name}: {celsius:g} degrees C is outside {rules.temperature_min_c:g} .. "
            f"{rules.temperature_max_c:g} and not kept (a sensor just powered on says 85)"
        )
