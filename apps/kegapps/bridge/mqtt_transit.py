"""How long letters were under way between two machines whose clocks tell different times.

Knows two monotonic clocks and numbers. Must not know connections.
The differences between when a letter was written, by the one clock, and when it came, by the other, have no meaning
by themselves; the smallest of the last minutes is that of a letter that came at once, and what another one has more
is what it took longer. So no wall clock matters, and a machine without one (a Raspberry Pi) may be years behind.
"""

from __future__ import annotations

import math
from typing import Final

_SPAN_S: Final = 300.0
"""Clocks drift by 100 ppm at worst: 60 ms in the two spans that are remembered."""


class Transit:
    """Of one sender."""

    def __init__(self) -> None:
        self._run = ""
        self._since_s = -math.inf
        self._least, self._least_before = math.inf, math.inf

    def took_s(self, run: str, sent_s: float, now_s: float) -> float:
        """For how long it was under way: not less than nothing, and too little by at most what the quickest took."""
        difference_s = now_s - sent_s
        if run != self._run:  # another process, perhaps another boot: another clock
            self._run, self._since_s = run, now_s
            self._least = self._least_before = math.inf
        elif now_s - self._since_s > _SPAN_S:
            self._since_s = now_s
            self._least_before, self._least = self._least, math.inf
        self._least = min(self._least, difference_s)
        return max(0.0, difference_s - min(self._least, self._least_before))
