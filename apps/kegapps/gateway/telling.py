"""How a pour is told to the core: readings small enough to be believed, at the times they were made.

Knows ticks and seconds. Must not know events, the store or clocks.
The core takes a step of more than 500 mL (--max_step_ml) for a fault, and ends a flow after 10 s without ticks.
A board tells of a whole pour at once, so its ticks are spread evenly over the time that it took.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

STEP_ML: Final = 200.0
"""Well below what the core believes, also if somebody made it stricter."""
STEP_S: Final = 2.0
MAX_GAP_S: Final = 8.0
"""Between two readings of a pour; of one that had longer rests the beginning is told later than it was."""
MAX_PARTS_BY_TIME: Final = 400
MAX_PARTS: Final = 2500
MAX_ML: Final = MAX_PARTS * STEP_ML
"""A pour that is more by the core's calibration cannot be told so that it is believed."""
DEFAULT_ML_PER_TICK: Final = 1000 / 2200
"""The core's calibration of a tap that nobody has set one for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """So many ticks of a pour, counted from its beginning, were through `before_end_s` seconds before its end."""

    ticks: int
    before_end_s: float


def parts(ticks: int, duration_s: float, *, ml_per_tick: float) -> list[Part]:
    """The readings that tell of `ticks` (1 or more), oldest first; the last is of all, at the end.

    `ml_per_tick` is the core's: it judges the steps.
    """
    by_time = min(math.ceil(duration_s / STEP_S), MAX_PARTS_BY_TIME)
    wanted = max(math.ceil(ticks * ml_per_tick / STEP_ML), by_time)
    count = max(1, min(wanted, ticks, MAX_PARTS))
    gap_s = gap(duration_s, count)
    return [
        Part(ticks=ticks * number // count, before_end_s=gap_s * (count - number))
        for number in range(1, count + 1)
    ]


def began_before_end_s(told: list[Part], duration_s: float) -> float:
    """How long before its end the pour is to be told to have begun."""
    return gap(duration_s, len(told)) * len(told)


def gap(duration_s: float, count: int) -> float:
    """Seconds between `count` readings of a pour of this duration."""
    return min(duration_s / count, MAX_GAP_S)
