"""The keeper: the watchdog's parent, which brings it back. Nothing but fork and waitpid, so that nothing can go wrong.

It is a child subreaper: when the watchdog dies, the apps become its children. How they end is told to the next
watchdog through a pipe that both hold open for good.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

from .lean import Final, NoReturn

QUICK_S: Final = 1.0
QUICK_DEATHS: Final = 3
"""After so many watchdogs in a row that died younger than QUICK_S, each next one waits that long: no busy loop."""


_PASSED_ON: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class _Child:
    """The watchdog of the moment, to which signals are passed on; what comes while there is none is kept for it."""

    def __init__(self) -> None:
        self.pidfd = -1
        self.kept: list[int] = []

    def tell(self, number: int, _frame: object = None) -> None:
        # By pidfd: between its end and our taking note of it, the pid may be another's.
        if self.pidfd < 0:
            self.kept.append(number)
            return
        try:
            signal.pidfd_send_signal(self.pidfd, number)
        except ProcessLookupError:
            self.kept.append(number)

    def born(self, pid: int) -> None:
        self.pidfd = os.pidfd_open(pid)
        kept, self.kept = self.kept, []
        for number in kept:
            self.tell(number)

    def died(self) -> None:
        fd, self.pidfd = self.pidfd, -1
        os.close(fd)


def keep(watch: Callable[[], int], born: Callable[[], None], deaths_w: int) -> int:
    """Run `watch` in a child, again and again until it returns; its return value is ours.

    `born` is called after each fork. Each orphan that ends is written to `deaths_w` as `PID STATUS` on a line, STATUS
    being wait(2)'s status word. `watch` begins with the signals that are passed on blocked, and is to unblock them
    once it can take them.
    """
    child = _Child()
    quick = 0
    while True:
        born_s = time.monotonic()
        signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED_ON)
        watchdog = os.fork()
        if watchdog == 0:
            _become(watch)
        child.born(watchdog)
        for number in _PASSED_ON:
            signal.signal(number, child.tell)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)
        born()
        while True:
            pid, status = os.waitpid(-1, 0)
            if pid == watchdog:
                break
            _tell(deaths_w, pid, status)
        child.died()
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) != os.EX_SOFTWARE:
            return os.WEXITSTATUS(status)
        quick = quick + 1 if time.monotonic() - born_s < QUICK_S else 0
        if quick > QUICK_DEATHS:
            time.sleep(QUICK_S)


def _become(watch: Callable[[], int]) -> NoReturn:
    status = os.EX_SOFTWARE
    try:
        status = watch()
    except Exception:  # noqa: BLE001  # whatever it is, the apps need their watchdog back
        import traceback

        traceback.print_exc()
    finally:
        os._exit(status)


def _tell(deaths_w: int, pid: int, status: int) -> None:
    try:
        os.write(deaths_w, b"%d %d\n" % (pid, status))
    except OSError:
        # The pipe holds thousands of deaths; without a reader for so long, one more is no news.
        return
