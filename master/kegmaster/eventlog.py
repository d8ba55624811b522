"""The event log: the last events in memory, all that fit in a file, and those who follow them.

Knows the file, which is bounded and rotated once, and conversations. Must not know what events mean. A disk that
takes nothing harms nobody: what could not be written is kept, as far as memory holds it, and written later.
"""

from __future__ import annotations

import errno
import os
import time
from collections import deque
from collections.abc import Iterator

from . import events, files
from .events import Entry
from .exit_codes import Verb
from .journal import Journal
from .lean import Final, Protocol
from .paths import NAME

KEPT: Final = 512
"""So many events are held in memory."""
MAX_BYTES: Final = 1 << 20
"""At this size the file becomes `.1` and a new one is begun."""
MAX_BEHIND_BYTES: Final = 256 << 10
"""A follower that lets so much lie unread is cut off; it may come back and ask for what it missed."""
_TAIL_BYTES: Final = 64 << 10


class Follower(Protocol):
    """Who is told of events: a client's Conversation."""

    closed: bool

    @property
    def unread(self) -> int:
        """Bytes that it has not taken yet."""

    def send_lines(self, lines: bytes) -> None:
        """Send these lines."""

    def finish(self, **fields: object) -> None:
        """Send the last line."""

    def close(self) -> None:
        """Let go of it."""


def path_beside(logfile: str) -> str:
    """Where the event log of the master with that log is."""
    return f"{os.path.dirname(logfile)}/{NAME}.events"


class EventLog:
    """Takes events, and hands them on at each `flush`."""

    def __init__(self, path: str, journal: Journal) -> None:
        """Go on where the file ends."""
        self.path = path
        self._journal = journal
        tail = _read(path, _TAIL_BYTES)
        last = last_of(tail) or last_of(_read(f"{path}.1", _TAIL_BYTES))
        self._number = self._written = self._told = last.number if last else 0
        self._first = self._number + 1
        self._kept: deque[tuple[int, bytes]] = deque(maxlen=KEPT)
        self._followers: dict[Follower, None] = {}
        self._torn = not tail.endswith(b"\n") and tail != b""
        self._failing = False

    def add(
        self, app: str, before: str, after: str, *, pid: int | None = None, exit_status: int | None = None,
        exit_signal: int | None = None, reason: str = "", restarts: int = 0,
    ) -> Entry:  # fmt: skip
        """Take one event, as of now."""
        self._number += 1
        entry = Entry(
            number=self._number, time_unix=time.time(), app=app, before=before, after=after, pid=pid or None,
            exit_status=exit_status, exit_signal=exit_signal, reason=reason[: events.MAX_REASON_CHARS],
            restarts=restarts,
        )  # fmt: skip
        self._kept.append((entry.number, events.encode(entry)))
        return entry

    def flush(self) -> None:
        """Write what is new, then tell the followers: what they have seen, the next watchdog has on disk."""
        if self._told == self._number:
            return
        lines = self._since(self._written)
        try:
            self._append(lines)
            self._written = self._number
            self._failing = False
        except OSError as error:
            if not self._failing:
                self._failing = True
                self._journal.warning(f"{self.path}: events cannot be written, which is tried again: {error}")
        news, self._told = self._since(self._told), self._number
        for follower in list(self._followers):
            self._send(follower, news)

    def serve(self, follower: Follower, after: object, *, follow: bool) -> None:
        """Send what came after event number `after` and is in memory; with `follow` all that is to come too."""
        self.flush()
        number = after if isinstance(after, int) else 0
        # A number from a past that the disk did not keep: all of ours are news.
        lines = self._since(number if number <= self._number else self._first - 1)
        if not follow:
            follower.send_lines(lines)
            follower.finish(exit=Verb.DONE)
            return
        # Those who hung up while nothing happened must not pile up.
        self._followers = {other: None for other in self._followers if not other.closed}
        self._followers[follower] = None
        self._send(follower, lines)

    def _send(self, follower: Follower, lines: bytes) -> None:
        if not follower.closed:
            follower.send_lines(lines)
        if follower.unread > MAX_BEHIND_BYTES:
            follower.close()
        if follower.closed:
            self._followers.pop(follower, None)

    def _since(self, number: int) -> bytes:
        return b"".join(line for own, line in self._kept if own > number)

    def _append(self, lines: bytes) -> None:
        # Opened anew each time: a moved or deleted file is simply begun again.
        fd = files.open_plain(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            size = os.fstat(fd).st_size
            if size and size + len(lines) > MAX_BYTES:
                os.rename(self.path, f"{self.path}.1")
                os.close(fd)
                fd = -1
                fd = files.open_plain(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
                size = 0
                self._torn = False
            # A line that a full disk cut off must not spoil the next one.
            data = b"\n" + lines if self._torn and size else lines
            written = os.write(fd, data)
            self._torn = written != len(data)
            if self._torn:
                os.ftruncate(fd, size)
                self._torn = False
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            if fd >= 0:
                os.close(fd)


def read_all(path: str) -> Iterator[Entry]:
    """All events on disk, oldest first. What is unreadable counts as empty."""
    for file in (f"{path}.1", path):
        yield from events.decode_all(_read(file, MAX_BYTES + _TAIL_BYTES))


def last_of(data: bytes) -> Entry | None:
    """The last event of a file."""
    return next((entry for line in reversed(data.split(b"\n")) if (entry := events.decode(line))), None)


def _read(path: str, limit: int) -> bytes:
    """The last `limit` bytes."""
    try:
        fd = files.open_plain(path)
    except OSError:
        return b""
    try:
        return os.pread(fd, limit, max(0, os.fstat(fd).st_size - limit))
    except OSError:
        return b""
    finally:
        os.close(fd)
