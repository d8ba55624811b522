"""When an app counts as hung, unhealthy or too large: what is due when, and the verdict. Pure arithmetic.

Knows checks and their answers. Must not know clocks, sockets or processes: times are arguments, monotonic seconds.

No false alarm: whatever stalls for up to STALL_S seconds (the app, its disk, the machine) is not taken for hung, and
time that the watchdog itself has lost (`shift`) counts for nobody.
"""

from __future__ import annotations

from .lean import Final, dataclass
from .spec import Check

STALL_S: Final = 3.0
"""So long anything may stall without being hung: a slow card, a page from swap, a loaded machine."""
SLACK_S: Final = 1.0
"""On top of that: the way from an app to us takes its time on a loaded machine, and a datagram may be lost."""
FIRST_WAIT_S: Final = 0.01
LONGEST_WAIT_S: Final = 0.25
"""Between two questions to an app that starts: growing from the first to the longest."""
MEMORY_EVERY_S: Final = 10.0
MEMORY_TIMES: Final = 2
JITTER: Final = 0.1
"""Checks of one app come a little sooner or later by up to this part, so that many apps are not asked in step."""

_MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of one check. `well` None: it could not be made, which says nothing of the app.

    text   what was wrong, for people
    stamp  of a file: what changes when the file is modified
    """

    well: bool | None
    text: str = ""
    stamp: object = None


class Readiness:
    """The questions to an app that starts."""

    def __init__(self, check: Check, now_s: float) -> None:
        self.check = check
        self.due_s: float | None = now_s
        self.last = ""
        """What was wrong the last time."""
        self._wait_s = FIRST_WAIT_S

    def asked(self, now_s: float) -> None:
        """The question is under way."""
        del now_s
        self.due_s = None

    def answered(self, answer: Answer, now_s: float) -> bool:
        """Take the answer; True once it is ready."""
        self.last = answer.text
        self.due_s = now_s + self._wait_s
        self._wait_s = min(2 * self._wait_s, LONGEST_WAIT_S)
        return answer.well is True

    def shift(self, lost_s: float) -> None:
        """Time went by unseen; it makes no difference here."""


class Health:
    """The questions to an app that runs. `first_s`: when the first is due."""

    def __init__(self, check: Check, first_s: float) -> None:
        self.check = check
        self.due_s: float | None = first_s
        self.ailment = ""
        """What was wrong the last time, while that is no reason yet to replace the app."""
        self._asked_s = first_s
        self._failed = 0
        self._unwell_s: float | None = None
        self._stamp: object = None
        self._fresh_s = first_s

    def asked(self, now_s: float) -> None:
        """The question is under way."""
        self._asked_s = now_s
        self.due_s = None

    def answered(self, answer: Answer, now_s: float, jitter: float) -> str:
        """Take the answer; why the app is to be replaced, or nothing. `jitter` is a random number from 0 to 1."""
        wait_s = self.check.every_s * (1 + JITTER * (2 * jitter - 1))
        self.due_s = max(now_s, self._asked_s + wait_s)
        answer = self._of_its_age(answer, now_s)
        if answer.well is None:
            self.ailment = f"not checked: {answer.text}"
            return ""
        if answer.well:
            self._failed, self._unwell_s, self.ailment = 0, None, ""
            return ""
        self._failed += 1
        self._unwell_s = self._asked_s if self._unwell_s is None else self._unwell_s
        wrong = f"{self.check.text}: {answer.text}"
        self.ailment = f"unwell: {wrong} ({min(self._failed, self.check.failures)} of {self.check.failures})"
        if self._failed < self.check.failures:
            return ""
        sure_s = self._unwell_s + STALL_S + SLACK_S
        if now_s < sure_s:
            # It may only be stalled. Asked once more as soon as that is out of the question.
            self.due_s = sure_s
            return ""
        return f"unhealthy: {wrong} ({'once' if self._failed == 1 else f'{self._failed} times'})"

    def shift(self, lost_s: float) -> None:
        """`lost_s` seconds went by unseen: they count for nobody."""
        self._asked_s += lost_s
        self._fresh_s += lost_s
        if self.due_s is not None:
            self.due_s += lost_s
        if self._unwell_s is not None:
            self._unwell_s += lost_s

    def _of_its_age(self, answer: Answer, now_s: float) -> Answer:
        """A file's age is counted from when it was last seen to change: the wall clock in its stamp may jump."""
        if answer.stamp is None:
            return answer
        if answer.stamp != self._stamp:
            self._stamp, self._fresh_s = answer.stamp, now_s
        age_s = now_s - self._fresh_s
        if age_s <= self.check.max_age_s:
            return answer
        return Answer(well=False, text=f"not modified for {age_s:.0f} s")


class Heartbeat:
    """The WATCHDOG=1 messages of one app, expected every `watchdog_sec` seconds or sooner."""

    def __init__(self, watchdog_sec: float, now_s: float) -> None:
        self.reason = f"no WATCHDOG=1 for {watchdog_sec:g} s"
        # An app is to send at half its time. So one that stalls for STALL_S has been silent for half that time more.
        self._patience_s = max(watchdog_sec, watchdog_sec / 2 + STALL_S) + SLACK_S
        self.due_s = now_s + self._patience_s

    def beat(self, now_s: float) -> None:
        """One came."""
        self.due_s = now_s + self._patience_s

    def shift(self, lost_s: float) -> None:
        """`lost_s` seconds went by unseen."""
        self.due_s += lost_s


class Memory:
    """The memory of one app, looked at every MEMORY_EVERY_S seconds. `limit`: in bytes."""

    def __init__(self, limit: int, first_s: float) -> None:
        self.limit = limit
        self.due_s = first_s
        self.ailment = ""
        self._over = 0

    def seen(self, used: int, now_s: float) -> str:
        """It uses `used` bytes; why the app is to be replaced, or nothing."""
        self.due_s = now_s + MEMORY_EVERY_S
        self._over = self._over + 1 if used > self.limit else 0
        text = f"uses {_size(used)}, more than _memory_max {_size(self.limit)}"
        self.ailment = text if self._over else ""
        return text if self._over >= MEMORY_TIMES else ""

    def shift(self, lost_s: float) -> None:
        """`lost_s` seconds went by unseen."""
        self.due_s += lost_s


def _size(size: int) -> str:
    return f"{size / _MIB:.0f} MiB" if size >= 10 * _MIB else f"{size / _MIB:.1f} MiB"
