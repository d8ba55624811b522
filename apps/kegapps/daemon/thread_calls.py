"""How a thread of a library has something done in the loop's own thread.

Knows the loop and an eventfd. Must not know who calls, or what for.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable
from typing import Final

from kegapps.daemon.loop import READ, Loop

MAX_WAITING: Final = 10_000
"""A device that floods is to cost its own events, not the machine's memory."""


class ThreadCalls:
    """Calls that other threads ask for, made one at a time in their order by the thread that runs the loop."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._waiting: deque[Callable[[], None]] = deque()  # its append and popleft are atomic
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._closed = False
        loop.watch(self._wake, READ, self._make)

    def call_soon(self, callback: Callable[[], None]) -> bool:
        """Have `callback()` called by the loop; from any thread. False if too many are waiting, or it is over."""
        if self._closed or len(self._waiting) >= MAX_WAITING:
            return False
        self._waiting.append(callback)
        with contextlib.suppress(BlockingIOError, OSError):  # woken already, or closed just now
            os.eventfd_write(self._wake, 1)
        return True

    def close(self) -> None:
        """Make no more calls. End the other threads first: one that is just waking us would write elsewhere."""
        if not self._closed:
            self._closed = True
            self._waiting.clear()
            self._loop.unwatch(self._wake)
            os.close(self._wake)

    def _make(self, _ready: int) -> None:
        os.eventfd_read(self._wake)
        # No more than wait now: a thread that never stops asking must not keep the loop from all else.
        for _ in range(len(self._waiting)):
            if not self._closed and self._waiting:
                self._waiting.popleft()()
        if not self._closed and self._waiting:
            os.eventfd_write(self._wake, 1)
