"""Kill a process at its n-th system call.

Knows processes and system calls. Must not know the launcher. All calls come from the thread that attached.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tests.ptrace import (
    CONT,
    DETACH,
    ENTRY,
    EVENT_FORKS,
    EVENT_STOP,
    INTERRUPT,
    LISTEN,
    SEIZE,
    SETOPTIONS,
    SYSCALL,
    TRACEFORKS,
    TRACESYSGOOD,
    WALL,
    event_message,
    ptrace,
    syscall_info,
)

_CALL_STOP: Final = signal.SIGTRAP | 0x80
_QUIET_S: Final = 0.03
"""What is done after an answer belongs to it too; after so long without a system call, nothing more will come."""


def permitted() -> bool:
    """This kernel lets us trace a process. A security module may still forbid it for what is no child of ours."""
    child = os.fork()
    if child == 0:
        signal.pause()
        os._exit(0)
    try:
        ptrace(SEIZE, child)
    except OSError:
        return False
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, WALL)
    return True


@dataclass(slots=True)
class Fall:
    """How a traced run ended: whether it was killed, at which call (its number), or how many calls it made."""

    killed: bool = False
    calls: int = 0
    number: int = -1


@dataclass(slots=True)
class Tracer:
    """Follows a process, or its descendant by first forks (`depth` generations below), and kills that at a call.

    `before_kill` is called while the victim stands still at that call.
    """

    at: int
    depth: int = 0
    before_kill: Callable[[int], None] = lambda _: None
    fall: Fall = field(default_factory=Fall)
    _generation: dict[int, int] = field(default_factory=dict)
    _early: dict[int, int] = field(default_factory=dict)

    def attach(self, pid: int) -> None:
        """Take hold of `pid`, which runs on, unless it is to be counted. Raises OSError."""
        self._generation[pid] = 0
        ptrace(SEIZE, pid, TRACESYSGOOD | (TRACEFORKS if self.depth else 0))
        if not self.depth:
            ptrace(INTERRUPT, pid)

    def run(self, done: int, within_s: float) -> Fall:
        """Go on until the kill, or until the descriptor `done` is readable and all is quiet; then let go."""
        wake_r, wake_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        handler = signal.signal(signal.SIGCHLD, lambda *_: None)
        old_fd = signal.set_wakeup_fd(wake_w, warn_on_full_buffer=False)
        until_s = time.monotonic() + within_s
        try:
            while self._generation and not self.fall.killed:
                if self._turn():
                    continue
                over = bool(select.select([done], [], [], 0)[0])
                ready = select.select([wake_r] if over else [wake_r, done], [], [], _QUIET_S if over else 1)[
                    0
                ]
                if wake_r in ready:
                    os.read(wake_r, 4096)
                elif over:
                    break
                if time.monotonic() > until_s:
                    raise TimeoutError(f"not over within {within_s} s")
        finally:
            self._let_go()
            signal.set_wakeup_fd(old_fd)
            signal.signal(signal.SIGCHLD, handler)
            os.close(wake_r)
            os.close(wake_w)
        return self.fall

    def _turn(self) -> bool:
        """Handle one stop of a traced process; False if there is none."""
        try:
            pid, status = os.waitpid(-1, os.WNOHANG | WALL)
        except ChildProcessError:
            return False
        if pid == 0:
            return False
        if not os.WIFSTOPPED(status):
            self._generation.pop(pid, None)
        elif pid not in self._generation:
            self._early[pid] = status  # a child's first stop may come before its parent tells of it
        else:
            with contextlib.suppress(
                ProcessLookupError
            ):  # killed by somebody else meanwhile; its end comes next
                self._on_stop(pid, status)
        return True

    def _on_stop(self, pid: int, status: int) -> None:
        number, event = status >> 8 & 0xFF, status >> 16
        target = self._generation[pid] == self.depth
        go_on = SYSCALL if target else CONT
        if event in EVENT_FORKS:
            self._on_fork(pid, event_message(pid))
        elif event == EVENT_STOP:
            ptrace(go_on if number == signal.SIGTRAP else LISTEN, pid)
        elif number == _CALL_STOP:
            self._on_call(pid)
        else:
            ptrace(go_on, pid, number)

    def _on_fork(self, parent: int, child: int) -> None:
        generation = self._generation.pop(parent) + 1
        ptrace(DETACH, parent)
        self._generation[child] = generation
        if child not in self._early:
            _, self._early[child] = os.waitpid(child, WALL)
        status = self._early.pop(child)
        if not os.WIFSTOPPED(status):
            del self._generation[child]
            return
        if generation == self.depth:
            ptrace(SETOPTIONS, child, TRACESYSGOOD)
        ptrace(SYSCALL if generation == self.depth else CONT, child)

    def _on_call(self, pid: int) -> None:
        info = syscall_info(pid)
        if info.op == ENTRY:
            self.fall.calls += 1
            if self.fall.calls == self.at:
                self.fall.killed, self.fall.number = True, int(info.number)
                self.before_kill(pid)
                os.kill(pid, signal.SIGKILL)
                while not _over(os.waitpid(pid, WALL)[1]):
                    pass
                del self._generation[pid]
                return
        ptrace(SYSCALL, pid)

    def _let_go(self) -> None:
        for pid in self._generation:
            try:
                ptrace(INTERRUPT, pid)
                status = os.waitpid(pid, WALL)[1]
                if os.WIFSTOPPED(status):
                    # Whatever it stopped for took the place of the interruption; a signal is still to be delivered.
                    number, event = status >> 8 & 0xFF, status >> 16
                    ptrace(DETACH, pid, number if not event and number != _CALL_STOP else 0)
            except (ProcessLookupError, ChildProcessError):
                continue
        self._generation.clear()


def _over(status: int) -> bool:
    return os.WIFEXITED(status) or os.WIFSIGNALED(status)
