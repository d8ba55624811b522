"""A stored drink as JSON: how it stands in the answer to a DrinksRequest and in the core's report.

Knows a drink's fields and their bounds. Must not know framing, sockets or the store.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any, Final

from kegapps.kegnet import fields
from kegapps.kegnet.events import MAX_DRINKS, DrinkFacts
from kegapps.kegnet.fields import REQUIRED, Data, Kind, RefusedError

_WIRE: Final[tuple[tuple[str, Kind], ...]] = (
    ("drink_id", fields.COUNT),
    ("uuid", fields.NAME),
    ("flow_id", fields.COUNT),
    ("tap_name", fields.NAME),
    ("username", fields.USERNAME),
    ("ticks", fields.COUNT),
    ("volume_ml", fields.MILLILITRES),
    ("start_unix_s", fields.UNIX_S),
    ("end_unix_s", fields.UNIX_S),
    ("beverage", fields.LABEL),
)


def drink_object(drink: DrinkFacts) -> dict[str, Any]:
    """`drink` as JSON carries it."""
    return asdict(drink)


def read_drink(value: object) -> DrinkFacts:
    """The drink that `value`, as JSON gave it, tells of; other keys in it are ignored. Raises RefusedError."""
    if type(value) is not dict:
        raise RefusedError(f"a drink is {fields.shown(value)}, expected an object")
    return DrinkFacts(
        **{name: kind.read(value, name) for name, kind in _WIRE if kind.default is REQUIRED or name in value}
    )


def _read_drinks(data: Data, field: str) -> tuple[DrinkFacts, ...]:
    value = data.get(field)
    if type(value) is not list or len(value) > MAX_DRINKS:
        raise RefusedError(
            f"{field} is {fields.shown(value)}, expected a list of at most {MAX_DRINKS} drinks"
        )
    return tuple(read_drink(item) for item in value)


def _write_drinks(drinks: tuple[DrinkFacts, ...]) -> str:
    if len(drinks) > MAX_DRINKS:
        raise ValueError(f"{len(drinks)} drinks are too many for one answer")
    return f"[{', '.join(map(_written, drinks))}]"


def _written(drink: DrinkFacts) -> str:
    return json.dumps(drink_object(read_drink(drink_object(drink))))


DRINKS: Final = Kind(read=_read_drinks, write=_write_drinks)
