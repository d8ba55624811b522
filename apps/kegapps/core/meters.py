"""How many ticks were poured between two readings of one meter.

Knows odometer values. Must not know taps, flows, events or the store.
Source: shared/kegnet-protocol.md, "Meter arithmetic", and rule 7 of its section 9.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

COUNTER_SPAN: Final = 2**32
"""A Kegboard counts in 32 bits: after 4294967295 comes 0."""

MAX_READING: Final = 2**63 - 1
"""The store's integers end here; no meter counts so far."""


class Doubt(StrEnum):
    """Why a step was not believed."""

    TOO_LARGE = "step too large"
    TOO_LARGE_AFTER_RESTART = "counter went back, and what it shows since is too much"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one reading says: `ticks` to count, or `dropped_ticks` not believed because of `doubt`."""

    ticks: int = 0
    dropped_ticks: int = 0
    doubt: Doubt | None = None


def step(last: int | None, reading: int, *, max_ticks: float) -> Step:
    """Ticks between the readings `last` (None: there was none) and `reading`, both 0..MAX_READING.

    Forward: the difference, if it is at most `max_ticks`. Backward: over the wrap at 2^32 if that is at most
    `max_ticks` (4294967290, then 3, are 9 ticks); otherwise the board has restarted at 0, and the reading
    itself is the difference, if it is less than `max_ticks`. All else is dropped. In every case the reading
    is the next step's `last`.
    """
    if last is None:
        return Step()
    if reading >= last:
        ticks = reading - last
        if ticks <= max_ticks:
            return Step(ticks=ticks)
        return Step(dropped_ticks=ticks, doubt=Doubt.TOO_LARGE)
    if last < COUNTER_SPAN:
        over_the_wrap = reading + COUNTER_SPAN - last
        if over_the_wrap <= max_ticks:
            return Step(ticks=over_the_wrap)
    if reading < max_ticks:
        return Step(ticks=reading)
    return Step(dropped_ticks=reading, doubt=Doubt.TOO_LARGE_AFTER_RESTART)


def believable_ml(
    unheard_s: float | None, *, max_step_ml: float, max_flow_ml_per_s: float, max_catch_up_ml: float
) -> float:
    """The largest step to believe, in mL.

    `unheard_s` is None while one and the same peer goes on telling of this meter, and the seconds that nobody
    could hear it when the chain was cut in between (the core, the board daemon or the board was away): then as
    much besides may have been poured as flows in that time, at most `max_catch_up_ml` in all.
    """
    if unheard_s is None or unheard_s <= 0:
        return max_step_ml
    return max(max_step_ml, min(max_step_ml + unheard_s * max_flow_ml_per_s, max_catch_up_ml))
