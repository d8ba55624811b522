"""What comes after an end: nothing, a restart at once, one after a growing wait, or giving up. Pure arithmetic.

Knows exit statuses and the restart policy. Must not know clocks or processes: times are arguments, in seconds.
"""

from __future__ import annotations

from .lean import Final, dataclass
from .lifecycle import Event
from .spec import RestartPolicy

IMMEDIATE_RESTARTS: Final = 3
"""So many failures in a row are answered at once: most crashes do not repeat."""
FIRST_DELAY_S: Final = 1.0
STABLE_S: Final = 10.0
"""An app that lived this long (and longer than its last wait) starts its count of failures anew."""
JITTER: Final = 0.1
"""Waits differ by up to this part, so that apps felled together do not come back in step for ever."""

_NAMES = {
    1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 5: "SIGTRAP", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE",
    9: "SIGKILL", 10: "SIGUSR1", 11: "SIGSEGV", 12: "SIGUSR2", 13: "SIGPIPE", 14: "SIGALRM", 15: "SIGTERM",
    24: "SIGXCPU", 25: "SIGXFSZ", 31: "SIGSYS",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How a process ended: its exit status, or the signal that ended it, or neither when nobody saw it."""

    status: int | None = None
    signal: int | None = None

    def __str__(self) -> str:
        """In words: `exited 3`, `killed by signal 9 (SIGKILL)`, `ended unseen`."""
        if self.signal is not None:
            return f"killed by signal {self.signal} ({_NAMES.get(self.signal, 'real-time')})"
        return "ended unseen" if self.status is None else f"exited {self.status}"

    def succeeded(self, policy: RestartPolicy) -> bool:
        """No failure by the app's own _success_exit_status."""
        code = 128 + self.signal if self.signal is not None else self.status
        return code in policy.success_exit_status


def from_wait_status(status: int) -> Exit:
    """The Exit that a status word of wait(2) tells."""
    signal = status & 0x7F
    return Exit(signal=signal) if signal else Exit(status=status >> 8 & 0xFF)


def failures_in_row(earlier: int, lived_s: float, last_delay_s: float) -> int:
    """The count of failures after one more, `lived_s` seconds after its start."""
    return 1 if lived_s >= max(STABLE_S, last_delay_s) else earlier + 1


def delay_s(failures: int, policy: RestartPolicy, jitter: float) -> float:
    """The wait before the next start after `failures` in a row; `jitter` in 0..1 spreads it by JITTER.

    0, 0, 0, then 1, 2, 4 ... seconds up to _restart_max_delay_sec, and never less than _restart_sec.
    """
    grown = 0.0
    if failures > IMMEDIATE_RESTARTS:
        # The exponent is bounded: after years of failures 2 ** n would not fit a float.
        grown = FIRST_DELAY_S * 2 ** min(failures - IMMEDIATE_RESTARTS - 1, 30)
        grown = min(grown, policy.restart_max_delay_sec) * (1 - JITTER * jitter)
    return max(policy.restart_sec, grown)


def after_end(
    policy: RestartPolicy, *, wanted: bool, again: bool, done: bool, failed: bool, failures: int
) -> Event:
    """Which CLEARED event an end amounts to.

    `wanted`: it should run. `again`: a person asked for a fresh start. `done`: a oneshot's work is done.
    `failed`: by its exit status or because it never became ready. `failures`: in a row, this one included.
    """
    if not wanted:
        return Event.CLEARED_STOPPED
    if again:
        return Event.CLEARED_AGAIN
    if done or policy.restart == "no" or (policy.restart == "on-failure" and not failed):
        return Event.CLEARED_EXITED
    if failed and policy.start_limit_burst and failures >= policy.start_limit_burst:
        return Event.CLEARED_FATAL
    return Event.CLEARED_FAILED
