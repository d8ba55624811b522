"""What a machine with boards keeps for the core: thinned while nobody can have it, numbered once it may go.

Knows kegnet's backlog (what may be thinned without a loss), numbers and time. Must not know files or connections.
Numbers are given when an event's turn comes, for what is thinned before must leave no hole. At most WINDOW numbered
ones are under way; the core confirms them by number, and until then they are kept, whatever brokers say.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from kegapps.kegnet.backlog import Backlog, BacklogLimits, Stored
from kegapps.kegnet.events import AppEvent, Event

WINDOW: Final = 256
LIMITS: Final = BacklogLimits(max_events=4096, readings_per_meter=1024)
"""An hour of pouring without a pause: a board tells four readings a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A row of the spool: its id, its number if it has one, the event, and when it came, monotonic."""

    row: int
    number: int | None
    event: AppEvent
    since_s: float


@dataclass(slots=True, kw_only=True)
class Changes:
    """What the spool has to store before anything is confirmed or sent."""

    added: list[tuple[int, AppEvent, float]]
    """Row, event, when it came."""
    numbered: list[tuple[int, int]]
    """Row, number."""
    gone: list[int]

    def __bool__(self) -> bool:
        return bool(self.added or self.numbered or self.gone)


class Outbox:
    """Everything that the core has not confirmed."""

    def __init__(
        self, kept: Iterable[Kept] = (), *, next_number: int = 0, limits: BacklogLimits = LIMITS
    ) -> None:
        """`kept`, oldest first, is what the spool holds; `next_number` is given next."""
        self.next_number = next_number
        self._backlog = Backlog(limits)
        self._rows: dict[int, int] = {}  # by the identity of an event that waits
        self._alive: dict[int, Event] = {}  # that identity lasts as long as its event
        self._numbered: deque[tuple[int, int, Stored]] = deque()  # number, row, event
        self._next_row = 1
        self._changes = Changes(added=[], numbered=[], gone=[])
        for row in kept:
            self._next_row = max(self._next_row, row.row + 1)
            if row.number is None:
                self._wait(row.row, row.event, row.since_s)
            else:
                self._numbered.append(
                    (row.number, row.row, Stored(event=row.event, since_s=row.since_s, has_ticks=True))
                )
                self.next_number = max(self.next_number, row.number + 1)

    def __len__(self) -> int:
        return len(self._backlog) + len(self._numbered)

    @property
    def first(self) -> int:
        """The lowest number that is not confirmed; the next one if all are."""
        return self._numbered[0][0] if self._numbered else self.next_number

    @property
    def dropped(self) -> int:
        """How many events were given up: too many were kept, or a token or request was too old."""
        return self._backlog.dropped

    def add(self, event: AppEvent, now_s: float) -> None:
        """Keep `event`, unless one that is kept already says the same."""
        row, self._next_row = self._next_row, self._next_row + 1
        self._changes.added.append((row, event, now_s))
        self._wait(row, event, now_s)

    def fill(self, now_s: float) -> None:
        """Number what waits, as far as the window is open."""
        room = WINDOW - len(self._numbered)
        if room <= 0 or not self._backlog:
            return
        for stored in self._backlog.take(now_s, room):
            row = self._rows.pop(id(stored.event))
            del self._alive[id(stored.event)]
            self._numbered.append((self.next_number, row, stored))
            self._changes.numbered.append((row, self.next_number))
            self.next_number += 1
        if len(self._rows) != len(self._backlog):  # too old to be acted upon
            self._sweep()

    def confirm(self, took: int) -> bool:
        """The core has stored what came of all below `took`; True if that is news."""
        before = len(self._numbered)
        while self._numbered and self._numbered[0][0] < took:
            self._changes.gone.append(self._numbered.popleft()[1])
        return len(self._numbered) != before

    def numbered(self, since: int, now_s: float) -> Iterator[tuple[int, AppEvent]]:
        """(number, event as it is to be sent now) of all that may go, from number `since` on."""
        skipped = max(0, since - self.first)
        for index in range(skipped, len(self._numbered)):
            number, _, stored = self._numbered[index]
            yield number, stored.aged(now_s)  # type: ignore[misc] # ages an AppEvent to an AppEvent

    def changes(self) -> Changes:
        """What is to be stored since the last call; put it back with `not_stored` if that fails."""
        changes, self._changes = self._changes, Changes(added=[], numbered=[], gone=[])
        gone = set(changes.gone)
        # What came and went between two commits leaves no trace.
        passing = gone & {row for row, _, _ in changes.added}
        return Changes(
            added=[added for added in changes.added if added[0] not in passing],
            numbered=[numbered for numbered in changes.numbered if numbered[0] not in passing],
            gone=[row for row in changes.gone if row not in passing],
        )

    def not_stored(self, changes: Changes) -> None:
        """These could not be stored; they are in the next ones again."""
        later = self._changes
        self._changes = Changes(
            added=changes.added + later.added,
            numbered=changes.numbered + later.numbered,
            gone=changes.gone + later.gone,
        )

    def _wait(self, row: int, event: AppEvent, since_s: float) -> None:
        key = id(event)
        if key in self._rows:  # the very same object again, such as a test's
            self._changes.gone.append(row)
            return
        before = len(self._backlog)
        self._rows[key], self._alive[key] = row, event
        self._backlog.add(event, since_s)
        if len(self._backlog) != before + 1:
            self._sweep()

    def _sweep(self) -> None:
        """Forget the rows of what the backlog keeps no more."""
        kept = {id(stored.event) for stored in self._backlog}
        for key in [key for key in self._rows if key not in kept]:
            self._changes.gone.append(self._rows.pop(key))
            del self._alive[key]
