"""Which temperatures are worth keeping: in range, one per sensor and clock minute; who has fallen silent.

Knows sensors, degrees Celsius and time. Must not know taps, flows or the store.
Source: shared/kegnet-protocol.md, "Temperatures".
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping

from kegapps.core.effects import Effect, Keep, Say
from kegapps.core.model import Now, Temperature
from kegapps.core.rules import Rules


class Sensors:
    """All temperature sensors that were ever heard."""

    def __init__(self, rules: Rules, sensor_minutes: Mapping[str, int]) -> None:
        self._rules = rules
        self._minutes = dict(sensor_minutes)
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
        minute = math.floor((now.unix_s - age_s) / 60)
        # "Not the same" rather than "later": after the clock was set back, temperatures go on being kept.
        if self._minutes.get(sensor_name) != minute:
            self._minutes[sensor_name] = minute
            yield Keep(record=Temperature(sensor_name=sensor_name, unix_minute=minute, celsius=celsius))

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
