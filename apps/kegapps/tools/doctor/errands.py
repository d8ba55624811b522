"""Looks at things in processes of their own, so that a hung disk, line or server holds up nobody.

Knows fork, pipes and deadlines. Must not know what is looked at.
A child that does not come back is killed; one that the kernel does not let die (a disk that hangs) is left to it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import select
import signal
import sys
from collections.abc import Callable
from typing import Any, Final

from kegapps.daemon.loop import READ, Loop, Timer

log = logging.getLogger("doctor")

_READ_BYTES: Final = 65536
_REAP_S: Final = 0.2


class Errands:
    """Children at work; `on_idle()` is called when none is left, as often as that happens."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._running: set[_Errand] = set()

    @property
    def idle(self) -> bool:
        """True if nobody is on the way."""
        return not self._running

    def send(
        self,
        look: Callable[[], Any],
        *,
        deadline_s: float,
        on_back: Callable[[Any], None],
        on_late: Callable[[], None],
    ) -> None:
        """Run `look` in a child; `on_back` gets what it returned, `on_late` is called if it did not in time.

        What `look` returns must be picklable. If it raises, that is a fault of ours: it is logged, and counts as late.
        """
        errand = _Errand(self._loop, look)
        self._running.add(errand)

        def done(answer: bytes | None) -> None:
            self._running.discard(errand)
            if answer:
                on_back(pickle.loads(answer))  # our own child's, from a pipe that nobody else has
            else:
                on_late()

        errand.start(deadline_s, done)

    def close(self) -> None:
        """Kill who is still on the way."""
        for errand in tuple(self._running):
            errand.kill()


class _Errand:
    def __init__(self, loop: Loop, look: Callable[[], Any]) -> None:
        self._loop = loop
        self._look = look
        self._pid = 0
        self._pipe = -1
        self._answer = b""
        self._timer: Timer | None = None
        self._done: Callable[[bytes | None], None] | None = None

    def start(self, deadline_s: float, done: Callable[[bytes | None], None]) -> None:
        self._done = done
        read_end, write_end = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            os.close(read_end)
            _be_the_child(self._look, write_end)
        os.close(write_end)
        self._pid, self._pipe = pid, read_end
        self._loop.watch(read_end, READ, self._read)
        self._timer = self._loop.call_later(deadline_s, lambda: self._end(None))

    def kill(self) -> None:
        if self._pid:
            self._done = None
            self._end(None)

    def _read(self, _ready: int) -> None:
        data = os.read(self._pipe, _READ_BYTES)
        self._answer += data
        if not data:
            self._end(self._answer)

    def _end(self, answer: bytes | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._loop.unwatch(self._pipe)
        os.close(self._pipe)
        pid, self._pid = self._pid, 0
        # The group: what the child has started goes with it.
        for target in (os.killpg, os.kill):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                target(pid, signal.SIGKILL)
        _reap(pid)
        if self._done is not None:
            self._done(answer)


def _be_the_child(look: Callable[[], Any], pipe: int) -> None:
    status = 1
    try:
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)
        answer = pickle.dumps(look())
        while answer:
            answer = answer[os.write(pipe, answer) :]
        status = 0
    except BaseException:
        log.debug("a look failed", exc_info=True)
    finally:
        os._exit(status)


def _reap(pid: int) -> None:
    """Take the child's status if it is gone within an instant; who hangs in the kernel is left to init."""
    fd = -1
    with contextlib.suppress(OSError):
        fd = os.pidfd_open(pid)
    if fd >= 0:
        select.select([fd], [], [], _REAP_S)
        os.close(fd)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
