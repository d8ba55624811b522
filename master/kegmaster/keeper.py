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
from .reexec import REPLACE_KEEPER

QUICK_S: Final = 1.0
QUICK_DEATHS: Final = 3
"""After so many watchdogs in a row that died younger than QUICK_S, each next one waits that long: no busy loop."""
OVER: Final = 93
"""With this status a watchdog ends that wants no other after it: Python itself, however it fails, ends otherwise.

The version before and the one after a change must agree on it.
"""
_PASSED_ON: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
WITHOUT_MEANING: Final = (
    signal.SIGUSR2, signal.SIGQUIT, signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF, signal.SIGIO,
)  # fmt: skip
"""People send such to have things reloaded or told. To us they mean nothing, and that is no reason to die."""
_HEARD: Final = (*_PASSED_ON, signal.SIGCHLD, REPLACE_KEEPER)


def keep(
    watch: Callable[[], None], born: Callable[[], None], deaths_w: int,
    *, replace: Callable[[int], None] = lambda _: None, watchdog: int = 0,
) -> None:  # fmt: skip
    """Run `watch` in a child, again and again until it returns.

    `born` is called after each fork. Each orphan that ends is written to `deaths_w` as `PID STATUS` on a line, STATUS
    being wait(2)'s status word. `watch` begins with the signals that are passed on blocked, and is to unblock them
    once it can take them. `replace` is called with the watchdog's pid when it asks for that; it may exec.
    `watchdog`: a child of ours that is one already.
    """
    for number in WITHOUT_MEANING:
        signal.signal(number, ignore)
    # Blocked for good, and waited for: nothing comes when it is not expected, and nothing is lost through exec.
    signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)
    quick = 0
    while True:
        born_s = time.monotonic()
        if not watchdog:
            watchdog = os.fork()
            if watchdog == 0:
                _become(watch)
            born()
        # By pidfd: a signal must not reach whoever has its pid after it.
        pidfd = os.pidfd_open(watchdog)
        try:
            status = _wait(watchdog, pidfd, deaths_w, replace)
        finally:
            os.close(pidfd)
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) == OVER:
            return
        watchdog = 0
        quick = quick + 1 if time.monotonic() - born_s < QUICK_S else 0
        if quick > QUICK_DEATHS:
            time.sleep(QUICK_S)


def ignore(number: int, frame: object) -> None:
    """Nothing. A handler, since what is ignored stays so through exec, and an app is to have what it expects."""


def _wait(watchdog: int, pidfd: int, deaths_w: int, replace: Callable[[int], None]) -> int:
    """How the watchdog ended; until then, tell of orphans that end and pass signals on."""
    number = sender = 0
    while True:
        # The dead come first: a signal is not to go to a watchdog that is one of them.
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == watchdog:
                if number in _PASSED_ON:
                    os.kill(os.getpid(), number)  # kept for the next one
                return status
            if pid == 0:
                break
            _tell(deaths_w, pid, status)
        if number in _PASSED_ON:
            signal.pidfd_send_signal(pidfd, number)
        elif number == REPLACE_KEEPER and sender == watchdog:
            replace(watchdog)
        info = signal.sigwaitinfo(_HEARD)
        number, sender = info.si_signo, info.si_pid


def _become(watch: Callable[[], None]) -> NoReturn:
    status = os.EX_SOFTWARE
    try:
        watch()
        status = OVER
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
