"""How often something may be said, and how much of something may be used.

Knows numbers. Time is an argument.
"""

from __future__ import annotations

import math


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


class Allowance:
    """A store of at most `burst` that grows by `per_s` every second; what is taken may leave a debt.

    An infinite `per_s` allows everything.
    """

    def __init__(self, per_s: float, burst: float) -> None:
        self._per_s = per_s
        self._burst = burst
        self._left = burst
        self._at_s = -math.inf

    def take(self, amount: float, now_s: float) -> float:
        """Take `amount`; returned is after how many seconds more may be taken, 0 if at once."""
        if self._per_s == math.inf:
            return 0.0
        self._left = min(self._burst, self._left + (now_s - self._at_s) * self._per_s) - amount
        self._at_s = now_s
        return -self._left / self._per_s if self._left < 0 else 0.0
