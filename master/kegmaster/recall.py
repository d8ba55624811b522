"""The `events` verb: what happened, from the event log and from the master that runs, and what goes on happening.

Knows the control channel, the event log's file and the terminal.
"""

from __future__ import annotations

import json
import select
import socket
import sys
from collections.abc import Callable, Collection, Iterable, Iterator

from . import client, eventlog
from .events import Entry, Story, from_fields
from .inotify import COME, Inotify, existing
from .lean import Final
from .paths import RunDirectory

_FOR_EVER_S: Final = 1e6  # the kernel takes no more than 24 days


class Recall:
    """Prints events."""

    def __init__(self, run: RunDirectory, path: str, names: Collection[str], *, json: bool) -> None:
        """`names`: only events of these; none: of all."""
        self._run = run
        self._path = path
        self._names = frozenset(names)
        self._json = json
        self._story = Story()
        self._last = 0
        """The number of the last event taken in, of whatever app."""

    def last(self, lines: int, timeout_s: float) -> bool:
        """Print the last `lines` events; False if there is none. Raises NoAnswerError, RightsError."""
        sock = client.connect(self._run.socket)
        chosen = self._take(eventlog.read_all(self._path), all_of_them=True)
        if sock is not None:
            # What a full disk did not take, its master still has in memory.
            chosen += self._take(_ask(sock, timeout_s, after=self._last, follow=False), all_of_them=True)
        found = bool(chosen)
        texts = list(self._texts(chosen))
        self._print(texts[-lines:] if lines else [])
        return found

    def follow(self, reconnect: Callable[[], socket.socket | None]) -> None:
        """Print what happens from now on, for ever: over the end of the watchdog, and of the master.

        `reconnect` waits for the next watchdog where there is to be one. Raises NoAnswerError, RightsError.
        """
        news = Inotify()
        while True:
            # Watched first: a socket made after our look wakes us.
            news.watch([(existing(self._run.socket), COME)])
            sock = client.connect(self._run.socket) or reconnect()
            # Whoever listens now comes after all who wrote before: the file has what those had to say.
            self._print(self._texts(self._take(eventlog.read_all(self._path))))
            if sock is not None:
                for entry in _ask(sock, _FOR_EVER_S, after=self._last, follow=True):
                    self._print(self._texts(self._take([entry], all_of_them=True)))
            else:
                select.select([news], [], [])
                news.take()

    def _take(self, entries: Iterable[Entry], *, all_of_them: bool = False) -> list[Entry]:
        """Those that are news, and asked for. `all_of_them`: what comes is in order, and none comes twice."""
        chosen = []
        for entry in entries:
            if all_of_them or entry.number > self._last:
                self._last = entry.number
                if not self._names or entry.app in self._names:
                    chosen.append(entry)
        return chosen

    def _texts(self, entries: Iterable[Entry]) -> Iterable[str]:
        return (json.dumps(entry.fields) for entry in entries) if self._json else self._story.tell(entries)

    def _print(self, texts: Iterable[str]) -> None:
        sys.stdout.write("".join(f"{text}\n" for text in texts))
        sys.stdout.flush()


def _ask(sock: socket.socket, timeout_s: float, *, after: int, follow: bool) -> Iterator[Entry]:
    for answer in client.ask(sock, timeout_s, verb="events", after=after, follow=follow):
        if "error" in answer:
            raise client.NoAnswerError(str(answer["error"]))
        if (entry := from_fields(answer)) is not None:
            yield entry
