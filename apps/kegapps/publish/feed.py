"""Which drinks are news: asks the core for those behind the last one that was read, each once.

Knows when to ask, and a core of 2012, which does not answer. Must not know sockets, clocks, the queue or messages.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from kegapps.kegnet.drinks_read import DrinksRead
from kegapps.kegnet.drinks_record import Record
from kegapps.kegnet.events import (
    DrinkCreatedEvent,
    DrinkFacts,
    Drinks,
    DrinksRequest,
    FlowUpdate,
)

_MAX_FLOWS: Final = 64
_MAX_UNHEARD: Final = 1000
_FROM_NOW_ON: Final = "drinks are announced from now on; what was poured before is not"
_BY_EVENTS: Final = "this core tells no stored drinks: announced is what it says while this program listens"


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What an answer brought: `drinks` that nobody has seen, the record behind them, and `remark` if it is to be said.

    `record` None: it stays as it is.
    """

    drinks: tuple[DrinkFacts, ...] = ()
    record: Record | None = None
    remark: str = ""


class Feed:
    """When to ask the core, and what its answers mean. `record` is how far an earlier run came; empty: none was.

    After each call `asked` is what to ask now, if anything. The first time the newest `samples` drinks are news.
    """

    def __init__(self, record: Record, *, samples: int = 0) -> None:
        self.speaks_of_drinks: bool | None = True if record else None
        """Whether this core answers; None: not known yet."""
        self._read = DrinksRead(record)
        self._samples = samples
        self._request: DrinksRequest | None = None
        self._pending: DrinksRequest | None = None
        self._more = False  # something happened since it was asked
        self._first_heard: int | None = (
            None  # of the drinks announced before it is sure which store the core has
        )
        self._flows: dict[int, FlowUpdate] = {}
        # Drinks by a core that perhaps does not answer.
        self._unheard: deque[DrinkFacts] = deque(maxlen=_MAX_UNHEARD)

    def connected(self) -> None:
        """A connection is there: ask what happened meanwhile."""
        self._pending = None
        self._first_heard = None
        self._read.connected()
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
        if self.speaks_of_drinks is None:
            self._unheard.append(self._by_events(event))
        if not self._read.is_sure or self._read.cursor is None:
            self._first_heard = min(self._first_heard or event.drink_id, event.drink_id)
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
        """An answer came. The record moves by `moved`, when what it brought is safe."""
        if self._pending is None:
            if self.speaks_of_drinks is False:  # it does know them, and only took its time
                self.speaks_of_drinks = True
                self._ask()
            return News()
        self._pending = None
        self.speaks_of_drinks = True
        self._unheard.clear()
        is_first = not self._read.record
        page = self._read.take(answer, first_heard=self._first_heard)
        self._more |= page.more
        if page.record is None:
            self._settle()
            return News(remark=page.remark)
        if is_first and self._samples:
            return News(drinks=answer.drinks[-self._samples :], record=page.record)
        return News(
            drinks=page.drinks, record=page.record, remark=page.remark or (_FROM_NOW_ON if is_first else "")
        )

    def moved(self, record: Record) -> None:
        """What was read up to `record` is safe."""
        self._read.keep(record)
        self._settle()

    def failed(self) -> None:
        """What the answer brought could not be kept: it is asked for again, when `again` is called."""
        self._more = True

    def again(self) -> None:
        """Ask, unless an answer is owed."""
        if self._pending is None and self.speaks_of_drinks is not False:
            self._ask()

    def _settle(self) -> None:
        if self._read.is_sure:
            self._first_heard = None
        if self._more:
            self._ask()

    def _ask(self) -> None:
        self._more = False
        self._request = self._read.request()

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
