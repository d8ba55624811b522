"""Room for helpers: so many at once, and who waits for one gets it in turn.

Knows numbers. Must not know processes.
"""

from __future__ import annotations

from collections.abc import Callable


class Places:
    """For so many helpers there is room; who finds none is called when there is."""

    def __init__(self, most: int) -> None:
        self._free = most
        self._queue: list[Callable[[], None]] = []

    def take(self, waiting: Callable[[], None]) -> bool:
        """Whether there was one; if not, `waiting` will be called."""
        if self._free:
            self._free -= 1
            return True
        if waiting not in self._queue:
            self._queue.append(waiting)
        return False

    @property
    def wanted(self) -> bool:
        """Somebody waits for one."""
        return bool(self._queue)

    def give_back(self) -> None:
        """One is free."""
        self._free += 1
        while self._free and self._queue:  # the first may not want it any more
            self._queue.pop(0)()
