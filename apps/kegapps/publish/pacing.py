"""How often a network is spoken to: so many times in so many seconds over restarts, too, and pauses after failures.

Knows numbers. Must not know clocks (time is an argument), files or networks.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

MAX_COUNT: Final = 1000
"""The times of so many are remembered over a restart."""

_RATE: Final = re.compile(r"(\d{1,6})/(\d{1,7}(?:\.\d{1,3})?)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """No more than `count` messages in any `period_s` seconds."""

    count: int
    period_s: float


def parse_rate(text: str) -> Rate:
    """`COUNT/SECONDS`, such as 1/10 or 30/3600. Raises ValueError, its text for a person."""
    found = _RATE.fullmatch(text)
    if not found or not int(found[1]) or not float(found[2]):
        raise ValueError("expected COUNT/SECONDS, such as 1/10 for one message in ten seconds")
    if int(found[1]) > MAX_COUNT:
        raise ValueError(f"expected at most {MAX_COUNT} messages; a shorter time can mean the same")
    return Rate(count=int(found[1]), period_s=float(found[2]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A time by both clocks: seconds since the boot of that name, if it has one, and those of the wall's clock."""

    boot_id: str
    mono_s: float
    unix_s: float


class Window:
    """When the network was last spoken to: each attempt counts, until its answer, whatever that is."""

    def __init__(self, rate: Rate, attempts: Iterable[Moment], *, now: Moment) -> None:
        """`attempts` are those of earlier runs. A wall's clock that was turned back has counted nothing since."""
        self._rate = rate
        times_s = sorted(now.mono_s - _age_s(attempt, now) for attempt in attempts)
        self._times_s = deque(times_s, maxlen=rate.count)

    def wait_s(self, now_s: float) -> float:
        """In how many seconds there may be one; 0.0: now."""
        if len(self._times_s) < self._rate.count:
            return 0.0
        return max(0.0, self._times_s[0] + self._rate.period_s - now_s)

    def begin(self, now_s: float) -> None:
        """There is one."""
        self._times_s.append(now_s)

    def end(self, now_s: float) -> None:
        """The last one is over: only its answer tells that the network has taken it, and not later."""
        self._times_s[-1] = now_s


def _age_s(attempt: Moment, now: Moment) -> float:
    if attempt.boot_id and attempt.boot_id == now.boot_id:
        return now.mono_s - attempt.mono_s
    return max(0.0, now.unix_s - attempt.unix_s)


def backoff_s(failures: int, *, first_s: float, most_s: float, spread: float) -> float:
    """The pause after so many failures in a row; `spread`, from 0 to 1, keeps many programs from coming at once."""
    pause_s = min(most_s, first_s * 2.0 ** min(failures - 1, 30))
    return pause_s * (0.8 + 0.4 * spread)
