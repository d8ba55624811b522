"""How far the drinks of each store were read, as a record and as the text that is kept of it.

Knows names, types and bounds. Must not know files, or which drinks are new.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from typing import Any, Final

from kegapps.daemon.labels import is_label
from kegapps.kegnet.events import DrinkFacts
from kegapps.kegnet.fields import MAX_COUNT, MAX_LABEL_CHARS

MAX_READ: Final = 1000
"""So many of the drinks that were read last are known one by one."""
MAX_STORES: Final = 8
MAX_TEXT_BYTES: Final = 1 << 20
UUID_CHARS: Final = 12
"""So much of a uuid tells a drink from another one of the same number: 48 bits."""

_MAX_READ_ELSEWHERE: Final = 100  # of a store that is not the core's now
_STORES: Final = "drinks_read"
BEGINNING: Final = f'{{"{_STORES}":['
"""How each text of a record begins."""

Key = tuple[int, str]
"""What makes a drink the same one: its number, and how its uuid begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A drink that was read; `uuid` is how its uuid begins."""

    drink_id: int
    uuid: str
    end_unix_s: float

    @property
    def key(self) -> Key:
        """What makes it this one."""
        return self.drink_id, self.uuid


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """How far the store `store_id` was read: up to `drink_id`, 0 for nothing; `uuid` "": whatever is stored there.

    `seen` are the drinks read last, oldest first. While `since_unix_s` is set, those that ended earlier are history.
    """

    store_id: str
    drink_id: int
    uuid: str = ""
    seen: tuple[Seen, ...] = ()
    since_unix_s: float | None = None

    @property
    def knows_all(self) -> bool:
        """True if `seen` is everything that the store ever held."""
        return len(self.seen) < MAX_READ and any(each.drink_id == 1 for each in self.seen)

    def behind(self, drink: DrinkFacts, *, is_seen: bool = True) -> Cursor:
        """The cursor behind `drink`, which is remembered if it `is_seen`."""
        now = seen_of(drink)
        seen = (*(each for each in self.seen if each != now), now)[-MAX_READ:] if is_seen else self.seen
        return replace(self, drink_id=now.drink_id, uuid=now.uuid, seen=seen)


Record = tuple[Cursor, ...]
"""A cursor for each store, the one that was read last at the end."""


def seen_of(drink: DrinkFacts) -> Seen:
    """What is remembered of `drink`."""
    return Seen(drink_id=drink.drink_id, uuid=drink.uuid[:UUID_CHARS], end_unix_s=round(drink.end_unix_s, 1))


def with_cursor(record: Record, cursor: Cursor) -> Record:
    """`record` with `cursor` as the one that was read last; of the other stores less is remembered."""
    others = (
        replace(each, seen=each.seen[-_MAX_READ_ELSEWHERE:])
        for each in record
        if each.store_id != cursor.store_id
    )
    return (*others, cursor)[-MAX_STORES:]


def record_text(record: Record) -> str:
    """`record` as JSON on one line, at most MAX_TEXT_BYTES long; `read_record` reads it."""
    stores = [
        {
            "store_id": cursor.store_id,
            "last_drink_id": cursor.drink_id,
            "uuid": cursor.uuid,
            "since_unix_s": cursor.since_unix_s,
            "seen": [[seen.drink_id, seen.uuid, seen.end_unix_s] for seen in cursor.seen],
        }
        for cursor in record
    ]
    return json.dumps({_STORES: stores}, separators=(",", ":"))


def read_record(text: str | bytes) -> Record:
    """The record that `text` is. Raises ValueError for anything else, however odd."""
    try:
        content: Any = json.loads(text)
        stores = content[_STORES]
        if type(stores) is not list or len(stores) > MAX_STORES:
            raise ValueError(_STORES)
        return tuple(map(_cursor, stores))
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError("no record of drinks") from error


def _cursor(value: Any) -> Cursor:
    since, seen = value["since_unix_s"], value["seen"]
    if type(seen) is not list or len(seen) > MAX_READ:
        raise ValueError("seen")
    return Cursor(
        store_id=_text(value["store_id"], MAX_LABEL_CHARS),
        drink_id=_count(value["last_drink_id"]),
        uuid=_text(value["uuid"], UUID_CHARS),
        seen=tuple(map(_seen, seen)),
        since_unix_s=None if since is None else _unix_s(since),
    )


def _seen(value: Any) -> Seen:
    drink_id, uuid, end_unix_s = value
    return Seen(drink_id=_count(drink_id), uuid=_text(uuid, UUID_CHARS), end_unix_s=_unix_s(end_unix_s))


def _count(value: object) -> int:
    if type(value) is int and 0 <= value <= MAX_COUNT:
        return value
    raise ValueError("no number of a drink")


def _text(value: object, most: int) -> str:
    if type(value) is str and len(value) <= most and is_label(value):
        return value
    raise ValueError("no name")


def _unix_s(value: object) -> float:
    if (type(value) is float and math.isfinite(value)) or (type(value) is int and abs(value) <= MAX_COUNT):
        return float(value)
    raise ValueError("no time")
