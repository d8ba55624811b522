"""What the core's report tells of the tap room: taps with what is on them, sensors, the last drink.

Knows the keys of CoreStatus.report that displays and publishers want (docs/kegnet.rst). Must not know sockets or
clocks. A report is taken from whoever answers at the core's address, perhaps an older core: what is missing or makes
no sense is unknown, and a tap or sensor without a name is left out.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from kegapps.kegnet import fields
from kegapps.kegnet.drink_facts import read_drink
from kegapps.kegnet.events import GUEST, DrinkFacts
from kegapps.kegnet.fields import Data, Kind, RefusedError

_Facts = TypeVar("_Facts")

MAX_TAPS: Final = 1000
MAX_SENSORS: Final = 1000
"""As many as have room in a report; what comes after them is left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TapFacts:
    """A tap, what is on it, and how warm that is; None is unknown, texts are empty then."""

    name: str
    """Its meter's: the `tap_name` of all events."""
    description: str = ""
    beverage: str = ""
    keg_volume_ml: float | None = None
    keg_left_ml: float | None = None
    relay_name: str = ""
    sensor_name: str = ""
    temperature_c: float | None = None
    temperature_unix_s: float | None = None

    @property
    def title(self) -> str:
        """What people call it."""
        return self.description or self.name

    @property
    def left_fraction(self) -> float | None:
        """How full the keg is, 0 to 1; None if that is unknown or there is none."""
        if self.keg_left_ml is None or not self.keg_volume_ml:
            return None
        return min(max(self.keg_left_ml / self.keg_volume_ml, 0.0), 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorFacts:
    """What a sensor showed last, and when."""

    sensor_name: str
    temperature_c: float
    unix_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Taproom:
    """All there is to show while nobody pours, in the report's order."""

    taps: tuple[TapFacts, ...] = ()
    sensors: tuple[SensorFacts, ...] = ()
    last_drink: DrinkFacts | None = None
    guest_username: str = GUEST
    """What the core calls whoever pours without a token."""

    def tap(self, name: str) -> TapFacts | None:
        """The tap of that meter, if the core has one."""
        return next((tap for tap in self.taps if tap.name == name), None)


def taproom(report: Mapping[str, Any]) -> Taproom:
    """What a CoreStatus' `report` tells; raises nothing, whatever is in it."""
    return Taproom(
        taps=tuple(_each(report.get("taps"), _tap, MAX_TAPS)),
        sensors=tuple(_each(report.get("sensors"), _sensor, MAX_SENSORS)),
        last_drink=next(_each([report.get("last_drink")], read_drink, 1), None),
        guest_username=_told(dict(report), "guest_username", fields.NAME, GUEST),
    )


def _each(rows: object, read: Callable[[object], _Facts], most: int) -> Iterator[_Facts]:
    for row in rows[:most] if type(rows) is list else ():
        with contextlib.suppress(RefusedError):
            yield read(row)


def _tap(row: object) -> TapFacts:
    known = _object(row)
    return TapFacts(
        name=fields.NAME.read(known, "name"),
        description=_told(known, "description", fields.LABEL, ""),
        beverage=_told(known, "beverage", fields.LABEL, ""),
        keg_volume_ml=_told(known, "keg_volume_ml", fields.MILLILITRES, None),
        keg_left_ml=_told(known, "keg_left_ml", fields.MILLILITRES, None),
        relay_name=_told(known, "relay_name", fields.NAME, ""),
        sensor_name=_told(known, "sensor_name", fields.NAME, ""),
        temperature_c=_told(known, "temperature_c", fields.CELSIUS, None),
        temperature_unix_s=_told(known, "temperature_unix_s", fields.UNIX_S, None),
    )


def _sensor(row: object) -> SensorFacts:
    known = _object(row)
    return SensorFacts(
        sensor_name=fields.NAME.read(known, "sensor_name"),
        temperature_c=fields.CELSIUS.read(known, "temperature_c"),
        unix_s=fields.UNIX_S.read(known, "unix_s"),
    )


def _object(row: object) -> Data:
    if type(row) is not dict:
        raise RefusedError("expected an object")
    return row


def _told(row: Data, field: str, kind: Kind, unknown: Any) -> Any:
    try:
        return kind.read(row, field)
    except RefusedError:
        return unknown
