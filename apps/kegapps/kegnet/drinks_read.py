"""Which of the core's drinks are new, and what to ask it next, whatever becomes of its store.

Knows the core's answers. Must not know sockets, files, clocks, or what is done with a drink.
A store has a name that its backups have, too. One that was never seen begins with history: nobody wants a whole year
told. In one that was put back to an older copy, the drinks that were read are looked for by number and uuid; behind the
last of them everything is new, although its numbers are not. An empty store, or another one, makes none forgotten.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, replace
from itertools import chain
from typing import Final

from kegapps.kegnet.drinks_record import Cursor, Record, Seen, seen_of, with_cursor
from kegapps.kegnet.events import MAX_DRINKS, DrinkFacts, Drinks, DrinksRequest

BATCH: Final = 50

_OLDER: Final = "the core's store is an older copy of the one that was read up to drink %d"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What an answer brought: `drinks` are new, and read when `record` is kept; None: there is nothing to keep.

    `steps` are the records behind each of `drinks`. `more`: ask again when that is done. `remark` is for the log.
    """

    drinks: tuple[DrinkFacts, ...] = ()
    steps: tuple[Record, ...] = ()
    record: Record | None = None
    more: bool = False
    remark: str = ""


@dataclass(slots=True)
class _Search:
    """For the last drink that an older copy still has, from the oldest known one upwards."""

    checked_to: int = 0
    found: Seen | None = None


class DrinksRead:
    """What to ask the core next, and what its answers mean; `record` is what was kept last, empty at first.

    `is_sure`: since the connection was made, the core has shown that its store is the one that `cursor` is about.
    """

    def __init__(self, record: Record = ()) -> None:
        self.record = record
        self.is_sure = False
        self._store_id = record[-1].store_id if record else None
        self._search: _Search | None = None
        self._is_newest_asked = False

    @property
    def cursor(self) -> Cursor | None:
        """How far the store was read that the core seems to have; None: never."""
        return next((cursor for cursor in self.record if cursor.store_id == self._store_id), None)

    def connected(self) -> None:
        """There is a core, perhaps another one."""
        self.is_sure = False
        self._search = None

    def request(self) -> DrinksRequest:
        """What to ask now; its answer goes to `take`, and no answer to an earlier question does."""
        cursor = self.cursor
        self._is_newest_asked = cursor is None
        if cursor is None:
            return DrinksRequest(after=-1, limit=MAX_DRINKS)
        if self._search is not None:
            return DrinksRequest(after=_next_probe(cursor, self._search) - 1, limit=MAX_DRINKS)
        # The last one again: it must be the same.
        return DrinksRequest(after=max(0, cursor.drink_id - 1), limit=BATCH)

    def take(self, answer: Drinks, *, first_heard: int | None = None) -> Page:
        """An answer came. `first_heard`: the lowest drink_id that was announced since the connection was made."""
        if answer.store_id != self._store_id:
            return self._change_store(answer, first_heard)
        cursor = self.cursor
        if cursor is None:
            return self._begin(answer, first_heard) if self._is_newest_asked else Page(more=True)
        self.is_sure = True
        if self._search is not None:
            return self._look_on(cursor, self._search, answer)
        if answer.last_id == 0:
            return Page()  # whatever that means, it makes nothing new, and nothing forgotten
        if not _has_departed(cursor, answer):
            return self._read(cursor, answer)
        self._search = _Search()
        remark = _OLDER % cursor.drink_id
        if _next_probe(cursor, self._search) <= answer.last_id:
            return Page(more=True, remark=f"{remark}; looking for the point where they part")
        page = self._conclude(cursor, None)
        return replace(page, remark=f"{remark}; {page.remark}")

    def keep(self, record: Record) -> None:
        """What `take` gave as `record`, or as one of `steps`, is safe."""
        self.record = record

    def _read(self, cursor: Cursor, answer: Drinks) -> Page:
        known = {seen.key for seen in cursor.seen}
        since, at = cursor.since_unix_s, cursor
        drinks: list[DrinkFacts] = []
        steps: list[Record] = []
        for drink in answer.drinks:
            if drink.drink_id <= cursor.drink_id:
                continue
            is_known = seen_of(drink).key in known
            is_history = not is_known and since is not None and drink.end_unix_s <= since
            at = at.behind(drink, is_seen=not is_history)
            if not (is_known or is_history):
                drinks.append(drink)
                steps.append(with_cursor(self.record, at))
        # It may have none of the numbers up to its last: they are not asked for for ever.
        more = cursor.drink_id < at.drink_id < answer.last_id
        if not more:
            at = replace(at, since_unix_s=None)
        if at == cursor:
            return Page()
        return Page(drinks=tuple(drinks), steps=tuple(steps), record=with_cursor(self.record, at), more=more)

    def _change_store(self, answer: Drinks, first_heard: int | None) -> Page:
        is_first = self._store_id is None
        self._store_id = answer.store_id
        self._search = None
        self.is_sure = False
        cursor = self.cursor
        if cursor is not None:
            remark = f"the core has another store, a known one: it was read up to drink {cursor.drink_id}"
            return Page(record=with_cursor(self.record, cursor), more=True, remark=remark)
        page = self._begin(answer, first_heard) if self._is_newest_asked else Page(more=True)
        if is_first:
            return page
        return replace(
            page,
            remark=f"the core has another store, never seen before (last drink: {answer.last_id}): "
            "what it holds already is history",
        )

    def _begin(self, answer: Drinks, first_heard: int | None) -> Page:
        """Behind all that is stored, but for what was announced since somebody listens."""
        self.is_sure = True
        last_id = answer.last_id if first_heard is None else min(answer.last_id, first_heard - 1)
        cursor = Cursor(store_id=answer.store_id, drink_id=0)
        for drink in answer.drinks:
            if drink.drink_id <= last_id:
                cursor = cursor.behind(drink)
        if cursor.drink_id != last_id:
            cursor = replace(cursor, drink_id=max(0, last_id), uuid="")
        return Page(record=with_cursor(self.record, cursor), more=first_heard is not None)

    def _look_on(self, cursor: Cursor, search: _Search, answer: Drinks) -> Page:
        known = {seen.key: seen for seen in cursor.seen}
        for drink in answer.drinks:
            search.found = known.get(seen_of(drink).key, search.found)
            search.checked_to = drink.drink_id
        if answer.drinks and _next_probe(cursor, search) <= answer.last_id:
            return Page(more=True)
        return self._conclude(cursor, search.found)

    def _conclude(self, cursor: Cursor, found: Seen | None) -> Page:
        self._search = None
        if found is not None:
            at = replace(cursor, drink_id=found.drink_id, uuid=found.uuid, since_unix_s=None)
            remark = f"drink {found.drink_id} is the last that both have, and all after it is new"
        elif cursor.seen:
            # The middle of those that are known: a clock that was wrong for a while is no measure.
            middle = statistics.median(seen.end_unix_s for seen in cursor.seen)
            since = None if cursor.knows_all else middle
            at = replace(cursor, drink_id=0, uuid="", since_unix_s=since)
            new = "all that it has" if since is None else "what was poured later than those"
            remark = f"it has none of the drinks that were read last, and new is {new}"
        else:
            remark = "nothing is known of those that were read, and what it holds already is history"
            others = tuple(each for each in self.record if each.store_id != cursor.store_id)
            return Page(record=others, more=True, remark=remark)
        return Page(record=with_cursor(self.record, at), more=True, remark=remark)


def _has_departed(cursor: Cursor, answer: Drinks) -> bool:
    if answer.last_id < cursor.drink_id:
        return True
    same = next((drink for drink in answer.drinks if drink.drink_id == cursor.drink_id), None)
    return same is not None and bool(cursor.uuid) and seen_of(same).uuid != cursor.uuid


def _next_probe(cursor: Cursor, search: _Search) -> int:
    """The lowest known number that was not looked at; beyond every number if there is none."""
    numbers = (seen.drink_id for seen in cursor.seen if seen.drink_id > search.checked_to)
    return min(chain(numbers, (2**63,)))
