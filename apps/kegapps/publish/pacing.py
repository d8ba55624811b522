"""How often a network is spoken to: a bucket of tokens that outlives the program, and pauses after failures.

Knows numbers. Must not know clocks (time is an argument), files or networks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_RATE: Final = re.compile(r"(\d{1,6})/(\d{1,7}(?:\.\d{1,3})?)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """At most `count` messages at once, and `count` in every `period_s` seconds on the average."""

    count: int
    period_s: float


def parse_rate(text: str) -> Rate:
    """`COUNT/SECONDS`, such as 1/10 or 30/3600. Raises ValueError, its text for a person."""
    found = _RATE.fullmatch(text)
    if not found or not int(found[1]) or not float(found[2]):
        raise ValueError("expected COUNT/SECONDS, such as 1/10 for one message in ten seconds")
    return Rate(count=int(found[1]), period_s=float(found[2]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """What a bucket held at a time of the wall's clock: that of an earlier run is all that a new one has."""

    tokens: float
    unix_s: float


class Bucket:
    """Tokens for messages; one is taken for each attempt."""

    def __init__(self, rate: Rate, level: Level | None, *, unix_s: float, now_s: float) -> None:
        """`level` is where an earlier run left it. A clock that was set back has counted nothing since."""
        self._rate = rate
        self._at_s = now_s
        self._tokens = float(rate.count)
        if level is not None:
            passed_s = max(0.0, unix_s - level.unix_s)
            self._tokens = min(self._tokens, max(0.0, level.tokens) + self._grown(passed_s))

    def wait_s(self, now_s: float) -> float:
        """In how many seconds a token is there; 0.0: now."""
        missing = 1.0 - self._level(now_s)
        return 0.0 if missing <= 1e-9 else missing * self._rate.period_s / self._rate.count

    def take(self, now_s: float, unix_s: float) -> Level:
        """Take a token; what is to be remembered of that."""
        self._tokens = max(0.0, self._level(now_s) - 1.0)
        self._at_s = now_s
        return Level(tokens=self._tokens, unix_s=unix_s)

    def _level(self, now_s: float) -> float:
        return min(float(self._rate.count), self._tokens + self._grown(now_s - self._at_s))

    def _grown(self, passed_s: float) -> float:
        return passed_s * self._rate.count / self._rate.period_s


def backoff_s(failures: int, *, first_s: float, most_s: float, spread: float) -> float:
    """The pause after so many failures in a row; `spread`, from 0 to 1, keeps many programs from coming at once."""
    pause_s = min(most_s, first_s * 2.0 ** min(failures - 1, 30))
    return pause_s * (0.8 + 0.4 * spread)
