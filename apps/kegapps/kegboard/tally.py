"""What became of every tick an emulated board counted, over all its boots: told to the host, not yet, or lost.

Knows numbers. Must not know boards, lines or clocks. This is the truth that a test compares a store with:
counted = told + untold + lost, for each meter.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

MAX_UNREAD: Final = 4096  # reports; a pseudo terminal holds the bytes of fewer


@dataclass(slots=True)
class MeterTally:
    """Ticks of one meter.

    `passed` its pin, powered or not; `counted` by the firmware; `told` to a host that read it; `lost` with the RAM
    before any host could know of them. What is left, `untold`, comes with the next report that is read.
    """

    passed: int = 0
    counted: int = 0
    told: int = 0
    lost: int = 0

    @property
    def untold(self) -> int:
        """Counted, and neither told nor lost."""
        return self.counted - self.told - self.lost


class Tally:
    """All meters of one board."""

    def __init__(self, meters: int) -> None:
        self.meters = tuple(MeterTally() for _ in range(meters))
        self._reported = dict[int, int]()  # by meter; the line has not said yet if it took the bytes
        self._unread = deque[tuple[int, int, int, int]]()  # (where in the bytes it ends, boot, meter, ticks)
        self._boot = 0

    def count(self, meter: int, ticks: int) -> None:
        """The firmware counted them."""
        self.meters[meter].counted += ticks

    def report(self, meter: int) -> None:
        """The board sends a reading of this meter, which includes all that is untold."""
        self._reported[meter] = self._reported.get(meter, 0) + self.meters[meter].untold
        self.meters[meter].told = self.meters[meter].counted - self.meters[meter].lost

    def sent(self, end: int | None) -> None:
        """What was reported went on the line, up to its byte number `end`; None: the line did not take it."""
        for meter, ticks in self._reported.items():
            if end is None:
                self.meters[meter].told -= ticks
            else:
                self._unread.append((end, self._boot, meter, ticks))
        self._reported.clear()
        while len(self._unread) > MAX_UNREAD:
            self._unread.popleft()

    def hung_up(self, read: int) -> None:
        """The host has gone, having read the bytes of the line up to this number only."""
        for end, boot, meter, ticks in self._unread:
            if end > read:
                self.meters[meter].told -= ticks
                self.meters[meter].lost += ticks if boot != self._boot else 0
        self._unread.clear()

    def forget(self) -> None:
        """The RAM is cleared: what is untold will never be told."""
        self._boot += 1
        for meter in self.meters:
            meter.lost += meter.untold
