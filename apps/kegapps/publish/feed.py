"""Which drinks are news: asks the core for those behind the last one that was read, each once.

Knows the core's answers. Must not know sockets, clocks, the queue or messages.
The core's numbers begin again when its store is replaced by another or an older one. That is found out by the last
drink that was read: it is asked for again each time, and must be the same.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from kegapps.kegnet.events import (
    MAX_DRINKS,
    DrinkCreatedEvent,
    DrinkFacts,
    Drinks,
    DrinksRequest,
    FlowUpdate,
)
from kegapps.publish.messages import Cursor

_LIMIT: Final = 50
_MAX_FLOWS: Final = 64
_MAX_UNHEARD: Final = 1000
_FROM_NOW_ON: Final = "drinks are announced from now on; what was poured before is not"
_BY_EVENTS: Final = "this core tells no stored drinks: announced is what it says while this program listens"


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What an answer brought: `drinks` that nobody has seen, the cursor behind them, and `remark` if it is to be said.

    `cursor` None: it stays where it is.
    """

    drinks: tuple[DrinkFacts, ...] = ()
    cursor: Cursor | None = None
    remark: str = ""


class Feed:
    """What to ask the core next, and what its answers mean. `cursor` is how far an earlier run came; None: none was.

    After each call `asked` is what to ask now, if anything. Without a cursor, the newest `samples` drinks are news.
    """

    def __init__(self, cursor: Cursor | None, *, samples: int = 0) -> None:
        self.speaks_of_drinks: bool | None = True if cursor is not None else None
        """Whether this core answers; None: not known yet."""
        self._cursor = cursor
        self._samples = samples
        self._request: DrinksRequest | None = None
        self._pending: DrinksRequest | None = None
        self._more = False  # something happened since it was asked
        self._starts_anew = False
        self._flows: dict[int, FlowUpdate] = {}
        # Drinks by a core that perhaps does not answer.
        self._unheard: deque[DrinkFacts] = deque(maxlen=_MAX_UNHEARD)

    def connected(self) -> None:
        """A connection is there: ask what happened meanwhile."""
        self._pending = None
        self._ask()

    def asked(self) -> DrinksRequest | None:
        """The question to send now; None: none."""
        request, self._request = self._request, None
        if request is not None:
            self._pending = request
        return request

    def recognised(self) -> None:
        """The core is of a kind that knows its drinks, however long it may take to tell them."""
        if self.speaks_of_drinks is None:
            self.speaks_of_drinks = True

    @property
    def waits(self) -> bool:
        """An answer is owed."""
        return self._pending is not None

    def flow(self, flow: FlowUpdate) -> None:
        """Remember how much it is: a core of 2012 tells that nowhere else."""
        self._flows.pop(flow.flow_id, None)
        self._flows[flow.flow_id] = flow
        if len(self._flows) > _MAX_FLOWS:
            del self._flows[next(iter(self._flows))]

    def created(self, event: DrinkCreatedEvent) -> News:
        """A drink was announced."""
        if self.speaks_of_drinks is False:
            return News(drinks=(self._by_events(event),))
        if self._cursor is None:
            self._unheard.append(self._by_events(event))
        if self._pending is not None:
            self._more = True
        else:
            self._ask()
        return News()

    def no_answer(self) -> News:
        """The core had time enough to answer. Of one that never did, what it announces is all there is."""
        self._pending = None
        if self.speaks_of_drinks is None:
            self.speaks_of_drinks = False
            drinks, self._unheard = tuple(self._unheard), deque(maxlen=_MAX_UNHEARD)
            return News(drinks=drinks, remark=_BY_EVENTS)
        if self.speaks_of_drinks:
            self._ask()
        return News()

    def take(self, answer: Drinks) -> News:
        """An answer came. The cursor moves by `moved`, when what it brought is safe."""
        if self._pending is None:
            if self.speaks_of_drinks is False:  # it does know them, and only took its time
                self.speaks_of_drinks = True
                self._ask()
            return News()
        pending, self._pending = self._pending, None
        self.speaks_of_drinks = True
        heard, self._unheard = tuple(self._unheard), deque(maxlen=_MAX_UNHEARD)
        if self._cursor is None:
            # Nobody wants the history of a whole year announced: it begins with the drink after the newest, or with
            # what was poured since this program asked.
            if self._samples:
                return News(drinks=answer.drinks, cursor=_newest(answer))
            if heard:
                self._more = True
                before = min(drink.drink_id for drink in heard) - 1
                return News(
                    cursor=Cursor(drink_id=max(0, before), uuid="", end_unix_s=0.0), remark=_FROM_NOW_ON
                )
            return News(cursor=_newest(answer), remark=_FROM_NOW_ON)
        if self._starts_anew and pending.after == -1:
            return self._anew(answer)
        if self._is_another_store(answer):
            self._starts_anew = True
            self._ask()
            return News(
                remark=f"the core's store is not the one that was read so far (up to drink {self._cursor.drink_id}): "
                "it was replaced, or a backup was restored; announced is what was poured since the last drink known"
            )
        new = tuple(drink for drink in answer.drinks if drink.drink_id > self._cursor.drink_id)
        if not new:
            self._ask_if_more()
            return News()
        self._more |= new[-1].drink_id < answer.last_id
        return News(drinks=new, cursor=_at(new[-1]))

    def moved(self, cursor: Cursor) -> None:
        """What was read up to `cursor` is safe."""
        self._cursor = cursor
        self._starts_anew = False
        self._ask_if_more()

    def failed(self) -> None:
        """What the answer brought could not be kept: it is asked for again, when `again` is called."""
        self._more = True

    def again(self) -> None:
        """Ask, unless an answer is owed."""
        if self._pending is None and self.speaks_of_drinks is not False:
            self._ask()

    def _anew(self, answer: Drinks) -> News:
        assert self._cursor is not None
        since = self._cursor.end_unix_s
        return News(
            drinks=tuple(drink for drink in answer.drinks if drink.end_unix_s > since), cursor=_newest(answer)
        )

    def _is_another_store(self, answer: Drinks) -> bool:
        assert self._cursor is not None
        if answer.last_id < self._cursor.drink_id:
            return True
        same = next((drink for drink in answer.drinks if drink.drink_id == self._cursor.drink_id), None)
        return same is not None and bool(self._cursor.uuid) and same.uuid != self._cursor.uuid

    def _ask_if_more(self) -> None:
        if self._more:
            self._ask()

    def _ask(self) -> None:
        self._more = False
        if self._cursor is None:
            self._request = DrinksRequest(after=-1, limit=max(1, self._samples))
        elif self._starts_anew:
            self._request = DrinksRequest(after=-1, limit=MAX_DRINKS)
        else:
            self._request = DrinksRequest(after=max(0, self._cursor.drink_id - 1), limit=_LIMIT)

    def _by_events(self, event: DrinkCreatedEvent) -> DrinkFacts:
        flow = self._flows.get(event.flow_id)
        end_unix_s = event.end_time.timestamp()
        return DrinkFacts(
            drink_id=event.drink_id,
            uuid=f"{event.drink_id}@{end_unix_s:.0f}",
            flow_id=event.flow_id,
            tap_name=event.tap_name,
            username=event.username if flow is None else flow.username,
            ticks=flow.ticks if flow else 0,
            volume_ml=flow.volume_ml if flow else 0.0,
            start_unix_s=event.start_time.timestamp(),
            end_unix_s=end_unix_s,
        )


def _at(drink: DrinkFacts) -> Cursor:
    return Cursor(drink_id=drink.drink_id, uuid=drink.uuid, end_unix_s=drink.end_unix_s)


def _newest(answer: Drinks) -> Cursor:
    newest = next((drink for drink in answer.drinks if drink.drink_id == answer.last_id), None)
    return _at(newest) if newest else Cursor(drink_id=answer.last_id, uuid="", end_unix_s=0.0)
