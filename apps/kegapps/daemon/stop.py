"""SIGTERM, SIGINT and SIGHUP as turns of the loop, and a guard that makes sure that "end" is obeyed.

A handler only takes note: the number goes into a pipe. A thread sleeps on that pipe, passes each number on to
the loop, and after SIGTERM or SIGINT gives the program STOP_GRACE_S seconds. It is a thread because the main
one may be stuck where no handler runs: a name lookup, a database's lock, a terminal that is not read.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Callable

from kegapps.daemon.loop import READ, Loop

STOP_GRACE_S = 0.8
ENDING = frozenset((signal.SIGTERM, signal.SIGINT))


def reset_inherited() -> None:
    """Undo what an odd parent may have left: blocked signals, and children that vanish without a status."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def ignore_more() -> None:
    """Ignore further SIGTERM and SIGINT: the interpreter on its way out would let them kill it."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)


class Signals:
    """Catches the three signals from construction to the end of the process.

    `on_signal(number)` is called from the loop. `on_stuck()` is called from a thread of its own if the
    process is still there STOP_GRACE_S after the first SIGTERM or SIGINT; it must end the process and take no
    locks.
    """

    def __init__(self, loop: Loop, *, on_signal: Callable[[int], None], on_stuck: Callable[[], None]) -> None:
        self._on_signal = on_signal
        self._on_stuck = on_stuck
        self._kernel_r, self._kernel_w = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._loop_r, self._loop_w = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        loop.watch(self._loop_r, READ, self._tell)
        # The thread first: a signal that arrives before it runs waits in the pipe.
        threading.Thread(target=self._guard, name="signals", daemon=True).start()
        signal.set_wakeup_fd(self._kernel_w, warn_on_full_buffer=False)
        for number in (*ENDING, signal.SIGHUP):
            # Whoever started us under nohup wants to survive a hangup.
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, lambda *_: None)

    def _tell(self, _ready: int) -> None:
        for number in os.read(self._loop_r, 256):
            self._on_signal(number)

    def _guard(self) -> None:
        end_s: float | None = None
        while True:
            left_s = None if end_s is None else max(0.0, end_s - time.monotonic())
            if not select.select([self._kernel_r], [], [], left_s)[0]:
                self._on_stuck()
                return
            numbers = os.read(self._kernel_r, 256)
            if end_s is None and not ENDING.isdisjoint(numbers):
                end_s = time.monotonic() + STOP_GRACE_S
            try:
                os.write(self._loop_w, numbers)
            except BlockingIOError:
                continue  # the loop is far behind, and has plenty of signals to read already
