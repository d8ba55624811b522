"""One event loop for every program: descriptors, timers, nothing else.

Knows epoll and the monotonic clock. Must not know what the descriptors carry, flags, or logging.
It never wakes without cause: with no timer set, it sleeps until a descriptor is ready.
(Not by `selectors`: its bookkeeping in Python doubles the time from an event's arrival to its callback.)
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import select
import time
from collections.abc import Callable
from typing import Final, Protocol

READ: Final = select.EPOLLIN
WRITE: Final = select.EPOLLOUT
_BATCH: Final = 64
_FEW_TIMERS: Final = 512


class HasFileno(Protocol):
    """A socket, a file, a serial port."""

    def fileno(self) -> int:
        """The open descriptor."""


FileLike = int | HasFileno


class Timer:
    """One appointment; `cancel()` it as often as you like, before or after it was kept."""

    __slots__ = ("_callback", "due_s")

    def __init__(self, due_s: float, callback: Callable[[], None]) -> None:
        self.due_s = due_s
        self._callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Do not call; harmless if it already happened."""
        self._callback = None

    def _keep(self) -> None:
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()

    @property
    def cancelled(self) -> bool:
        """True once it was kept or cancelled."""
        return self._callback is None


class Loop:
    """Waits for descriptors and timers and calls back, one at a time, in the thread that runs it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._epoll = select.epoll()
        # By descriptor. A new tuple for each watch: its identity tells if what became ready is watched still.
        self._watches: dict[int, tuple[int, Callable[[int], None]]] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._clear_at = _FEW_TIMERS  # so many timers, and those that were cancelled are thrown out
        self._order = itertools.count()
        self._stop = False

    def now_s(self) -> float:
        """Monotonic seconds; only differences mean anything."""
        return self._clock()

    def watch(self, file: FileLike, events: int, callback: Callable[[int], None]) -> None:
        """Call `callback(ready)` whenever `file` is ready for `events`: READ, WRITE or both.

        Replaces an earlier watch. A hang-up counts as whatever was asked for.
        """
        fd = _descriptor(file)
        if fd in self._watches:
            try:
                self._epoll.modify(fd, events)
            except FileNotFoundError:  # closed without being unwatched, and opened again as something else
                self._epoll.register(fd, events)
        else:
            self._epoll.register(fd, events)
        self._watches[fd] = (events, callback)

    def unwatch(self, file: FileLike) -> None:
        """Forget `file`; do this before closing it. Unknown files are ignored."""
        fd = _descriptor(file)
        if self._watches.pop(fd, None) is not None:
            with contextlib.suppress(OSError):  # closed already, which made the kernel forget it
                self._epoll.unregister(fd)

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        """Call once, `delay_s` seconds from now or as soon after as the loop is free."""
        timer = Timer(self._clock() + delay_s, callback)
        if len(self._timers) >= self._clear_at:
            self._forget_cancelled()
        heapq.heappush(self._timers, (timer.due_s, next(self._order), timer))
        return timer

    def stop(self) -> None:
        """Let `run` return after the callback that is under way; before `run`, make it return at once."""
        self._stop = True

    @property
    def stopping(self) -> bool:
        """True once `stop` was called: for a job that looks in with `run_once` from time to time."""
        return self._stop

    def run(self) -> None:
        """Serve until `stop()`. An exception of a callback ends the loop and reaches the caller."""
        while not self._stop:
            self.run_once(self._wait_s())

    def run_once(self, timeout_s: float | None = 0.0) -> None:
        """Serve what is ready and due now, waiting at most `timeout_s` (None: for ever) for the first."""
        found = [
            (fd, bits, self._watches.get(fd))
            for fd, bits in self._epoll.poll(-1 if timeout_s is None else timeout_s, _BATCH)
        ]
        for fd, bits, watch in found:
            # A callback earlier in this batch may have unwatched (and closed) this one.
            if watch is not None and self._watches.get(fd) is watch:
                watch[1](bits if bits <= READ | WRITE else watch[0])
            if self._stop:
                return
        if not self._timers:
            return
        now_s = self._clock()
        while self._timers and self._timers[0][0] <= now_s and not self._stop:
            heapq.heappop(self._timers)[2]._keep()

    def close(self) -> None:
        """Release what the kernel keeps for it; watched files stay open."""
        self._timers.clear()
        self._watches.clear()
        self._epoll.close()

    def _forget_cancelled(self) -> None:
        """What is cancelled before its time, again and again, must not pile up until then.

        Next when there are twice as many as are left, so that it costs each timer next to nothing.
        """
        self._timers = [entry for entry in self._timers if not entry[2].cancelled]
        heapq.heapify(self._timers)
        self._clear_at = max(_FEW_TIMERS, 2 * len(self._timers))

    def _wait_s(self) -> float | None:
        while self._timers and self._timers[0][2].cancelled:
            heapq.heappop(self._timers)
        return max(0.0, self._timers[0][0] - self._clock()) if self._timers else None


def _descriptor(file: FileLike) -> int:
    return file if isinstance(file, int) else file.fileno()
