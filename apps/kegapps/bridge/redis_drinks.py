"""Which drinks are to be published next: each one that is stored, whatever was away when it was poured.

Knows the core's answers and what of them is under way. Must not know Redis, sockets, clocks or the file of the record.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from kegapps.kegnet.drinks_read import DrinksRead
from kegapps.kegnet.drinks_record import Record
from kegapps.kegnet.events import GUEST, DrinkCreatedEvent, DrinkFacts, Drinks, DrinksRequest

MAX_HELD: Final = 1000  # of a core of 2012, which cannot be asked for them later


class DrinkFeed:
    """`record` is how far the drinks were published; `say` gets what was concluded about the core's store, a line each.

    Each method returns what is to be published now, or what the core is to be asked, or both. A core of 2012 is asked
    in vain, and its drinks are published as they are heard of.
    """

    def __init__(self, record: Record, *, say: Callable[[str], None]) -> None:
        self._read = DrinksRead(record)
        self._say = say
        self._given: Record | None = None  # the record, once all that was given is published
        self._said: tuple[int, str] | None = None  # the drink heard of last, and whose the core said it was
        self._guest = GUEST
        self._under_way: set[int] = set()  # given, and not published yet
        self._asked = False
        self._more = False  # there may be more behind the record
        self._is_old: bool | None = None  # the core: None while that is to be seen
        self._heard: deque[DrinkCreatedEvent] = deque(
            maxlen=MAX_HELD
        )  # before it has told which store it has

    @property
    def record(self) -> Record:
        """How far all are published."""
        return self._read.record

    @property
    def is_asking(self) -> bool:
        """True while the core owes its first answer."""
        return self._asked and self._is_old is None

    def connected(self) -> DrinksRequest | None:
        """There is a core, perhaps another one."""
        self._read.connected()
        self._asked, self._more, self._is_old = False, True, None
        self._heard.clear()
        return self._ask()

    def heard(self, drink: DrinkCreatedEvent) -> tuple[list[DrinkCreatedEvent], DrinksRequest | None]:
        """The core tells of a drink as it is made."""
        self._said = (drink.drink_id, drink.username)
        if self._is_old:
            return [drink], None
        if not self._read.is_sure:
            self._heard.append(drink)
        self._more = True
        return [], self._ask()

    def no_answer(self) -> list[DrinkCreatedEvent]:
        """The core owes its first answer for too long: it is one of 2012."""
        self._asked, self._is_old = False, True
        told = list(self._heard)
        self._heard.clear()
        return told

    def answer(self, answer: Drinks) -> tuple[list[DrinkCreatedEvent], DrinksRequest | None]:
        """The core's answer."""
        was_asked, self._asked, self._is_old = self._asked, False, False
        if not was_asked:  # too late; what it told meanwhile is published
            self._more = True
            return [], self._ask()
        first_heard = min((drink.drink_id for drink in self._heard), default=None)
        page = self._read.take(answer, first_heard=first_heard)
        if page.remark:
            self._say(page.remark)
        self._more = page.more or first_heard is not None
        if self._read.is_sure:
            self._heard.clear()
        for drink in page.drinks:
            if self._said is not None and drink.drink_id == self._said[0] and drink.username is None:
                self._guest = self._said[1]  # the store knows of nobody: so the core calls guests
        if page.drinks:
            self._given = page.record
            self._under_way.update(drink.drink_id for drink in page.drinks)
        elif page.record is not None:
            self._read.keep(page.record)
        return [_event(drink, self._guest) for drink in page.drinks], self._ask()

    def published(self, drink: DrinkCreatedEvent) -> DrinksRequest | None:
        """It was; with the last one of those that were given, `record` moves."""
        self._under_way.discard(drink.drink_id)
        if not self._under_way and self._given is not None:
            self._read.keep(self._given)
            self._given = None
        return self._ask()

    def _ask(self) -> DrinksRequest | None:
        """The request, unless one is under way, or Redis has to take what was given first: the core's store waits."""
        if self._asked or self._under_way or self._is_old or not self._more:
            return None
        self._asked = True
        return self._read.request()


def _event(drink: DrinkFacts, guest: str) -> DrinkCreatedEvent:
    return DrinkCreatedEvent(
        flow_id=drink.flow_id,
        drink_id=drink.drink_id,
        tap_name=drink.tap_name,
        start_time=datetime.fromtimestamp(drink.start_unix_s, UTC),
        end_time=datetime.fromtimestamp(drink.end_unix_s, UTC),
        username=drink.username or guest,
    )
