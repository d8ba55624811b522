"""How often something may be said: a burst, then silence until the period is over; the unsaid is counted.

Knows numbers. Time is an argument.
"""

from __future__ import annotations


class RateLimit:
    """Admits `burst` in any window of `period_s` seconds that begins with an admitted one."""

    def __init__(self, burst: int, period_s: float) -> None:
        self._burst = burst
        self._period_s = period_s
        self._window_end_s = float("-inf")
        self._left = 0
        self.unsaid = 0  # since the last one admitted

    def admit(self, now_s: float) -> int | None:
        """None: say nothing. Else say it; the number is how many before were not said."""
        if now_s >= self._window_end_s:
            self._window_end_s = now_s + self._period_s
            self._left = self._burst
        if not self._left:
            self.unsaid += 1
            return None
        self._left -= 1
        unsaid, self.unsaid = self.unsaid, 0
        return unsaid
