"""Time that the watchdog itself has lost: stopped, starved or swapped out. Pure arithmetic on monotonic seconds.

Who is late itself must not call others late: deadlines of others are moved on by what is told here.
"""

from __future__ import annotations

from .lean import Final

TOLERABLE_S: Final = 1.0


class Lateness:
    """Told before and after each wait of the loop."""

    def __init__(self) -> None:
        self._woken_s: float | None = None
        self._asleep_s = 0.0
        self._wait_s: float | None = None
        self._busy_s = 0.0

    def going_to_wait(self, now_s: float, wait_s: float | None) -> float | None:
        """The loop is about to sleep, for `wait_s` seconds at most; returns `wait_s`."""
        busy_s = 0.0 if self._woken_s is None else now_s - self._woken_s
        self._busy_s = busy_s if busy_s > TOLERABLE_S else 0.0
        self._asleep_s, self._wait_s = now_s, wait_s
        return wait_s

    def woken(self, now_s: float) -> float:
        """It woke up; returns how many seconds went by unseen since the turn before, 0 if it is not late.

        Late by more than TOLERABLE_S, it may have lost all of the wait: nobody knows when in it the time stood still.
        """
        self._woken_s = now_s
        slept_s = now_s - self._asleep_s
        overslept = self._wait_s is not None and slept_s - self._wait_s > TOLERABLE_S
        return self._busy_s + (slept_s if overslept else 0.0)
