"""Which drinks are to be published next: each one that is stored, whatever was away when it was poured.

Knows drink numbers and the core's answers. Must not know Redis, sockets, clocks or the file of the cursor.
"""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from typing import Final

from kegapps.kegnet.events import DrinkCreatedEvent, DrinkFacts, Drinks, DrinksRequest

BATCH: Final = 50
GUEST: Final = "guest"
MAX_HELD: Final = 1000  # of a core of 2012, which cannot be asked for them later


class DrinkFeed:
    """`cursor` is the highest drink_id that was published; None before the first start: history is no news.

    Each method returns what is to be published now, or what the core is to be asked, or both. A core of 2012 is asked
    in vain, and its drinks are published as they are heard of.
    """

    def __init__(self, cursor: int | None) -> None:
        self.cursor = cursor
        self._handed = cursor or 0  # the highest that was given to be published
        self._under_way: set[int] = set()  # given, and not published yet
        self._asked = False
        self._more = False  # there may be more above `_handed`
        self._is_old: bool | None = None  # the core: None while that is to be seen
        self._heard: deque[DrinkCreatedEvent] = deque(maxlen=MAX_HELD)  # before its first answer

    @property
    def is_asking(self) -> bool:
        """True while the core owes its first answer."""
        return self._asked and self._is_old is None

    @property
    def is_settled(self) -> bool:
        """True if nothing that was given is still to be published."""
        return not self._under_way

    def connected(self) -> DrinksRequest | None:
        """There is a core, perhaps another one."""
        self._asked, self._more, self._is_old = False, True, None
        self._heard.clear()
        return self._ask()

    def heard(self, drink: DrinkCreatedEvent) -> tuple[list[DrinkCreatedEvent], DrinksRequest | None]:
        """The core tells of a drink as it is made."""
        if self._is_old:
            return [drink], None
        if self._is_old is None:
            self._heard.append(drink)
        self._more = True
        return [], self._ask()

    def no_answer(self) -> list[DrinkCreatedEvent]:
        """The core owes its first answer for too long: it is one of 2012."""
        self._asked, self._is_old = False, True
        return self._drain()

    def answer(self, answer: Drinks) -> tuple[list[DrinkCreatedEvent], DrinksRequest | None]:
        """The core's answer."""
        self._asked, self._is_old = False, False
        told = self._drain()
        last_id = answer.last_id
        if self.cursor is None:
            # What was heard of since the connection was made is news.
            first = min((drink.drink_id for drink in told), default=last_id + 1)
            self.cursor = self._handed = max(0, min(first - 1, last_id))
            self._more = bool(told)
        elif self._handed > last_id:
            # Another store: its numbers began anew. What is in it is history, as at the first start.
            self.cursor = self._handed = last_id
            self._more = bool(told)
        else:
            fresh = [drink for drink in answer.drinks if drink.drink_id > self._handed]
            # Without any, it has none of the numbers up to its last: they are not to be asked for for ever.
            self._handed = fresh[-1].drink_id if fresh else last_id
            self._under_way.update(drink.drink_id for drink in fresh)
            self._more = bool(told) or last_id > self._handed
            return [_event(drink) for drink in fresh], self._ask()
        return [], self._ask()

    def published(self, drink: DrinkCreatedEvent) -> DrinksRequest | None:
        """It was; `cursor` has moved if the core can be asked for what comes after it."""
        if drink.drink_id not in self._under_way:
            return None
        self._under_way.remove(drink.drink_id)
        self.cursor = max(self.cursor or 0, drink.drink_id)
        return self._ask()

    def _ask(self) -> DrinksRequest | None:
        """The request, unless one is under way, or Redis has to take what was given first: the core's store waits."""
        if self._asked or self._under_way or self._is_old or not self._more:
            return None
        self._asked = True
        if self.cursor is None:
            return DrinksRequest(after=-1, limit=1)
        return DrinksRequest(after=self._handed, limit=BATCH)

    def _drain(self) -> list[DrinkCreatedEvent]:
        told = list(self._heard)
        self._heard.clear()
        return told


def _event(drink: DrinkFacts) -> DrinkCreatedEvent:
    return DrinkCreatedEvent(
        flow_id=drink.flow_id,
        drink_id=drink.drink_id,
        tap_name=drink.tap_name,
        start_time=datetime.fromtimestamp(drink.start_unix_s, UTC),
        end_time=datetime.fromtimestamp(drink.end_unix_s, UTC),
        username=drink.username or GUEST,
    )
