"""How long a meter could not be heard because Redis was away: then a large step is beer, and no fault.

Knows meters' names. Time is an argument, monotonic seconds.
"""

from __future__ import annotations

from typing import Final

MAX_METERS: Final = 256


class Deafness:
    """Sums up the times without a subscription, and tells each meter's share with its next reading."""

    def __init__(self) -> None:
        self._deaf_s = 0.0  # in all
        self._since_s: float | None = None
        self._told_s: dict[str, float] = {}  # of each meter: `_deaf_s` at its reading before

    def begin(self, now_s: float) -> None:
        """From now on nothing is heard."""
        if self._since_s is None:
            self._since_s = now_s

    def end(self, now_s: float) -> None:
        """From now on it is."""
        if self._since_s is not None:
            self._deaf_s += now_s - self._since_s
            self._since_s = None

    def gap_s(self, meter: str) -> float:
        """For so long, since its reading before, the meter could not be heard; 0 for its first one.

        Whoever tells of a meter for the first time needs no excuse: the core sees that for itself.
        """
        before_s = self._told_s.pop(meter, self._deaf_s)
        self._told_s[meter] = self._deaf_s
        if len(self._told_s) > MAX_METERS:
            del self._told_s[next(iter(self._told_s))]
        return round(self._deaf_s - before_s, 3)
