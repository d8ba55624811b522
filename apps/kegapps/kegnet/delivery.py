"""Which messages got through: the app keeps what the core has not confirmed, and the core tells what it has had before.

Knows sessions and the numbers of their messages. Must not know sockets, clocks or what messages mean.

TCP tells an app when the kernel took its bytes, not whether the core read them before it died. So an app begins each
connection by telling its session and the number of the message that follows; from there on both count. The core
answers, then and after each commit, below which number it has stored what came of the messages; what it has had
already, over an earlier connection, it skips. The number is stored in the commit that stores what came of them, so that
a core that was killed goes on right behind. A core of 2012 never answers, and is never told anything twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from kegapps.kegnet.backlog import Stored
from kegapps.kegnet.events import Session, Taken

MAX_UNCONFIRMED: Final = 4096
"""No more are under way to a core that confirms; the others wait in the backlog."""


class Sent:
    """The app's side: what was handed to the kernel and is not confirmed yet.

    `core_confirms`: it is known that the core does; else it has to show it.
    """

    def __init__(self, session: str, *, core_confirms: bool, first: int = 0) -> None:
        """`first` is the number of the first message that is sent here."""
        self._session = session
        self._is_known = core_confirms
        self._next = first  # the number of the next message
        self._unconfirmed: deque[Stored] = deque()  # the numbers before `_next`
        self._core_confirms = core_confirms
        self._confirmed_here = False  # on this connection

    @property
    def is_full(self) -> bool:
        """True if nothing more must be sent before something is confirmed."""
        return self._confirmed_here and len(self._unconfirmed) >= MAX_UNCONFIRMED

    def expect_confirmation(self) -> None:
        """The core does, whatever it had time to say before it is lost again."""
        self._core_confirms = self._is_known = True

    def begin(self) -> Session:
        """What to tell a core on a new connection, before any other message that counts."""
        self._confirmed_here = False
        return Session(session=self._session, next=self._next)

    def add(self, stored: Stored) -> None:
        """Its last byte was handed to the kernel."""
        self._next += 1
        self._unconfirmed.append(stored)
        if not self._confirmed_here and len(self._unconfirmed) > MAX_UNCONFIRMED:
            self._unconfirmed.popleft()

    def confirm(self, taken: Taken) -> None:
        """The core has stored what came of all below `taken.took`."""
        self._core_confirms = self._confirmed_here = True
        for _ in range(min(len(self._unconfirmed), taken.took - self._next + len(self._unconfirmed))):
            self._unconfirmed.popleft()

    def lose(self) -> list[Stored] | None:
        """The connection is over: what to send again first, in this order, with nothing left out or put between.

        None if the core does not confirm, so that nobody knows.
        """
        lost = list(self._unconfirmed)
        self._unconfirmed.clear()
        if not self._core_confirms:
            return None
        # If it was silent all the time, it may be another core by now: it gets them once more, and not again.
        self._core_confirms = self._confirmed_here or self._is_known
        self._next -= len(lost)
        return lost


@dataclass(slots=True)
class _Progress:
    had: int  # all below came to the core
    stored: int  # and of all below, it has stored what came of them


class Received:
    """The core's side of one connection, whose app told its session."""

    def __init__(self, progress: _Progress, begin: int) -> None:
        self._progress = progress
        self._number = begin
        self._told = -1

    def is_new(self) -> bool:
        """Count one message; True if the core has not had it yet. It has, then."""
        number = self._number
        self._number += 1
        if number < self._progress.had:
            return False
        self._progress.had = number + 1
        return True

    def tell(self) -> Taken | None:
        """What to tell the app now; None if it knows."""
        if self._told == self._progress.stored:
            return None
        self._told = self._progress.stored
        return Taken(took=self._told)


class Sessions:
    """The core's side: the last `most` sessions that were heard of."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._sessions: dict[str, _Progress] = {}
        self._forgotten: set[str] = set()  # but the store still knows them

    def resume(self, stored: Mapping[str, int]) -> None:
        """What an earlier core has stored: the number below which it had the messages of each session, oldest first."""
        for session, had in stored.items():
            self._put(session, _Progress(had=had, stored=had))

    def begin(self, told: Session) -> Received:
        """An app began a connection."""
        progress = self._sessions.pop(told.session, None)
        if progress is None or progress.had < told.next:
            progress = _Progress(had=told.next, stored=told.next)
        self._put(told.session, progress)
        return Received(progress, told.next)

    def changes(self) -> dict[str, int | None]:
        """What belongs into the commit that stores what came of the messages so far: None if it can be forgotten."""
        changes: dict[str, int | None] = dict.fromkeys(self._forgotten)
        for session, progress in self._sessions.items():
            if progress.had != progress.stored:
                changes[session] = progress.had
        return changes

    def store(self) -> None:
        """What came of the messages so far is stored."""
        self._forgotten.clear()
        for progress in self._sessions.values():
            progress.stored = progress.had

    def _put(self, session: str, progress: _Progress) -> None:
        self._sessions[session] = progress
        self._forgotten.discard(session)
        if len(self._sessions) > self._most:
            oldest = next(iter(self._sessions))
            del self._sessions[oldest]
            self._forgotten.add(oldest)
