"""What a server tells of a tap for show: what is in its keg, how much of it, and how warm it is.

Knows the shapes of a tap's keg and temperature in all generations of the API. Must not know sockets, clocks or what
is made of it. All of it can be done without: what makes no sense is unknown, and spoils nothing else.
Source: shared/kegbot-server-api.md, sections 3 and 5; 2012 has `type` and `size`, 1.x also and later only `beverage`,
`full_volume_ml` and, of what is left, `remaining_volume_ml` or just what was served.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from kegapps.server import answers
from kegapps.server.answers import Data

MAX_KEG_ML: Final = 1e7
MIN_C, MAX_C = -20.0, 80.0
"""What a server takes as a temperature; anything else it never had from a sensor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnServerTap:
    """What a server says is on a tap; None is unknown, and texts are empty then."""

    beverage: str = ""
    """Fit to show."""
    keg_volume_ml: float | None = None
    keg_left_ml: float | None = None
    sensor_name: str = ""
    """Of its temperature, as the server has it."""
    temperature_c: float | None = None
    temperature_unix_s: float | None = None
    """Both or none, the time by the server's clock."""


def read_on_tap(tap: Data) -> OnServerTap:
    """What `tap`, one of a list of taps, tells; raises nothing."""
    keg = answers.nested_in(tap, "current_keg")
    full_ml = _first(
        _volume(keg, "full_volume_ml"),
        _volume(keg, "size_volume_ml"),
        _volume(answers.nested_in(keg, "size"), "volume_ml"),
    )
    celsius, unix_s = _temperature(answers.nested_in(tap, "last_temperature"))
    return OnServerTap(
        beverage=_label(keg, "beverage") or _label(keg, "type"),
        keg_volume_ml=full_ml or None,
        keg_left_ml=_left_ml(keg, full_ml),
        sensor_name=answers.if_sane(answers.text_in, answers.nested_in(tap, "thermo_sensor"), "sensor_name")
        or "",
        temperature_c=celsius,
        temperature_unix_s=unix_s,
    )


def _label(keg: Data, field: str) -> str:
    return answers.label_in(answers.nested_in(keg, field), "name")


def _left_ml(keg: Data, full_ml: float | None) -> float | None:
    told = _first(_volume(keg, "remaining_volume_ml"), _volume(keg, "volume_ml_remain"))
    if told is not None or full_ml is None:
        return told
    served_ml = _volume(keg, "served_volume_ml")
    if served_ml is not None:
        return max(0.0, full_ml - served_ml - (_volume(keg, "spilled_volume_ml") or 0.0))
    percent = answers.if_sane(answers.number_in, keg, "percent_full")
    return None if percent is None else full_ml * min(max(percent, 0.0), 100.0) / 100.0


def _volume(data: Data, field: str) -> float | None:
    """None for what no keg holds; a keg that gave more than it held is empty."""
    volume_ml = answers.if_sane(answers.number_in, data, field)
    return None if volume_ml is None or volume_ml > MAX_KEG_ML else max(0.0, volume_ml)


def _temperature(log: Data) -> tuple[float, float] | tuple[None, None]:
    celsius = answers.if_sane(answers.number_in, log, "temperature_c")
    unix_s = answers.if_sane(answers.time_in, log, "time")
    if celsius is None or unix_s is None or not MIN_C <= celsius <= MAX_C or unix_s < 0:
        return None, None
    return celsius, unix_s


def _first(*volumes_ml: float | None) -> float | None:
    known: Iterable[float] = (volume_ml for volume_ml in volumes_ml if volume_ml is not None)
    return next(iter(known), None)
