"""What the store tells those who show the tap room: what is on each tap, and drinks page by page.

Knows the tables. Must not know who asks, or how it is shown. What it reads does not grow with the drinks.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Mapping
from typing import Any, Final

from kegapps.core.database import explained
from kegapps.core.model import OnTap
from kegapps.core.schema import BEVERAGE, KEG_LEFT_ML, KEG_VOLUME_ML, TAP_BEVERAGE
from kegapps.kegnet.events import DrinkFacts, Drinks, DrinksRequest
from kegapps.kegnet.fields import MAX_COUNT, MAX_LABEL_CHARS, MAX_MEASURE, MAX_NAME_CHARS, fit, fit_label

_DRINKS: Final = (
    "select d.id, d.uuid, d.flow_id, d.tap_name, d.username, d.ticks, d.volume_ml, d.start_unix_s, d.end_unix_s, "
    f"{BEVERAGE} from drinks d left join kegs k on k.id = d.keg_id "
)


class TapRoomStore:
    """The part of the store that is for showing. Every method raises StoreError."""

    def __init__(self, database: Callable[[], sqlite3.Connection], path: str, server_url: str) -> None:
        """`database` gives the open connection; after an error it may be another one."""
        self._database = database
        self._path = path
        self._server_url = server_url

    def on_taps(self) -> Mapping[str, OnTap]:
        """What is on each tap, by its name; of a tap of the Kegbot Server what the server said last."""
        with explained(self._path):
            rows = self._database().execute(
                "select t.name, t.description, coalesce(nullif(s.sensor_name, ''), t.sensor_name), "
                f"{TAP_BEVERAGE}, {KEG_VOLUME_ML}, {KEG_LEFT_ML}, s.temperature_c, s.temperature_unix_s from taps t "
                "left join kegs k on k.tap_name = t.name and k.ended_unix_s is null "
                "left join server_taps s on s.meter_name = t.name and s.server_url = ?",
                (self._server_url,),
            )
            return {
                name: OnTap(
                    description=fit_label(description, MAX_LABEL_CHARS),
                    beverage=fit_label(beverage or "", MAX_LABEL_CHARS),
                    keg_volume_ml=volume_ml,
                    keg_left_ml=left_ml,
                    sensor_name=sensor_name,
                    temperature_c=celsius,
                    temperature_unix_s=unix_s,
                )
                for name, description, sensor_name, beverage, volume_ml, left_ml, celsius, unix_s in rows
            }

    def drinks(self, request: DrinksRequest) -> Drinks:
        """The drinks that `request` asks for, as anybody can read them."""
        with explained(self._path):
            db = self._database()
            (last_id,) = db.execute("select max(id) from drinks").fetchone()
            named = db.execute("select store_id from identity").fetchone()
            if request.after < 0:
                newest = db.execute(
                    f"{_DRINKS} where d.id <= ? order by d.id desc limit ?", (last_id, request.limit)
                )
                rows = newest.fetchall()[::-1]
            else:
                rows = db.execute(
                    f"{_DRINKS} where d.id > ? order by d.id limit ?", (request.after, request.limit)
                ).fetchall()
        store_id = fit(str(named[0]), MAX_LABEL_CHARS) if named else ""
        return Drinks(drinks=tuple(map(_drink, rows)), last_id=last_id or 0, store_id=store_id)

    def last_drink(self) -> DrinkFacts | None:
        """The drink that was stored last."""
        newest = self.drinks(DrinksRequest(after=-1, limit=1)).drinks
        return newest[0] if newest else None


def _drink(row: tuple[Any, ...]) -> DrinkFacts:
    """Whatever somebody wrote into the file by hand: one odd drink must not keep the others from anybody."""
    drink_id, uuid, flow_id, tap_name, username, ticks, volume_ml, start_unix_s, end_unix_s, beverage = row
    return DrinkFacts(
        drink_id=drink_id,
        uuid=_name(uuid),
        flow_id=_count(flow_id),
        tap_name=_name(tap_name),
        username=fit(str(username), MAX_NAME_CHARS) if username else None,
        ticks=_count(ticks),
        volume_ml=_measure(volume_ml),
        start_unix_s=_measure(start_unix_s),
        end_unix_s=_measure(end_unix_s),
        beverage=fit_label(str(beverage or ""), MAX_LABEL_CHARS),
    )


def _name(value: object) -> str:
    return fit(str(value), MAX_NAME_CHARS) or "?"


def _count(value: object) -> int:
    return min(max(0, value), MAX_COUNT) if type(value) is int else 0


def _measure(value: object) -> float:
    if not isinstance(value, int | float) or math.isnan(value):
        return 0.0
    return min(max(0.0, float(value)), MAX_MEASURE)
