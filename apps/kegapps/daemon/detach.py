"""Becoming a daemon, with an exit status that tells the truth.

python-daemon detaches; the process that the shell waits for stays until the daemon has said "ready" or a
reason over a pipe, or is dead. Must not know flags or logging.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from kegapps.daemon.streams import is_regular

if TYPE_CHECKING:
    from kegapps.daemon.pidfile import Pidfile

_PR_SET_CHILD_SUBREAPER = 36
_REASON_MAX_BYTES = 4000
# On the pipe: the numbers of the daemon and of the process that forked it, and a newline; then one of these.
# After _FAILED follow the exit status, a blank and the reason, and the pipe stays open until the daemon has ended.
_READY, _FAILED = b"+", b"-"
_END_WAIT_S = 1.5

Body = Callable[["Verdict"], int]
Explain = Callable[[Exception], str]


class Verdict:
    """The daemon's end of the pipe; the first of `ready` and `failed` counts, later ones do nothing."""

    def __init__(self, fd: int) -> None:
        self._fd: int | None = fd

    def born(self) -> None:
        """Tell our number: with it the other side learns how we die. OSError if nobody listens."""
        assert self._fd is not None
        os.write(self._fd, b"%d %d\n" % (os.getpid(), os.getsid(0)))

    def ready(self) -> None:
        """Let the shell's command end with status 0."""
        if self._fd is not None:
            self._write(_READY)
            os.close(self._fd)
            self._fd = None

    def failed(self, reason: str, status: int = 1) -> None:
        """Let the shell's command print `reason` and end with `status`, once we have ended."""
        text = reason.encode("utf-8", "backslashreplace")[:_REASON_MAX_BYTES]
        self._write(b"%s%d %s" % (_FAILED, status, text))
        self._fd = None

    def _write(self, text: bytes) -> None:
        if self._fd is not None:
            with contextlib.suppress(OSError):  # nobody waits any more; we serve all the same
                os.write(self._fd, text)


def launch(body: Body, *, pidfile: Pidfile | None, explain: Explain, job: bool) -> tuple[int, str]:
    """Run `body` in a daemon that holds `pidfile`, and wait until it is ready or, if it is a `job`, has ended.

    Returns (0, "") then, else an exit status and the reason why it is not: one line. The daemon never
    returns from here; its own exit status is what `body` returns. `explain` words what python-daemon or
    `pidfile` raise. A signal that ends us while we wait ends the daemon, too. Raises OSError if there is no
    process to be had.
    """
    verdict_r, verdict_w = os.pipe()
    go_r, go_w = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until the daemon may start, dying is all there is to do
    child = os.fork()
    if child == 0:
        os.close(verdict_r)
        os.close(go_w)
        _become(body, verdict_w, go_r, pidfile, explain, job)
    os.close(verdict_w)
    os.close(go_r)
    _adopt_orphans()
    interruptions = _interruptions()
    with contextlib.suppress(BrokenPipeError):  # it is dead; the verdict says so
        os.write(go_w, b"g")
    os.close(go_w)
    told = bytearray()
    while not (verdict := told.partition(b"\n")[2]).startswith(_READY):
        # A child that the failed daemon forked may hold the pipe for as long as it likes.
        patience_s = _END_WAIT_S if verdict else None
        heard = select.select([verdict_r, interruptions], [], [], patience_s)[0]
        if not heard:
            break
        if verdict_r not in heard:
            _call_off(child, verdict_r, told)
            name = signal.Signals(os.read(interruptions, 1)[0]).name
            return 1, f"interrupted before it was ready ({name})"
        if not _hear(verdict_r, told):
            break
    return _judge(child, bytes(told))


def _interruptions() -> int:
    """A descriptor on which from now on the numbers of signals that call the start off can be read."""
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    return reader


def _become(
    body: Body, verdict_w: int, go_r: int, pidfile: Pidfile | None, explain: Explain, job: bool
) -> NoReturn:
    code = 1
    verdict = Verdict(verdict_w)
    try:
        import daemon

        if not os.read(go_r, 1):  # until our parent is ready to inherit us
            os._exit(1)
        # Not python-daemon's own null device: it stays open, and as descriptor 0 it would be closed on exec.
        null: Any = open(os.devnull, "r+b", buffering=0)  # noqa: SIM115 - closed below
        context = daemon.DaemonContext(
            detach_process=True,
            umask=0o022,
            working_directory="/",
            prevent_core=False,  # resource limits are the launcher's to set
            files_preserve=[verdict_w],
            pidfile=pidfile,
            stdin=null,
            stdout=sys.stdout if is_regular(1) else null,
            stderr=sys.stderr if is_regular(2) else null,
            signal_map={},
        )
        context.open()
        null.close()
        try:
            verdict.born()
            os.setsid()  # the second fork left us in the session of a process that is gone
            code = body(verdict)
            if not job:
                verdict.failed(f"ended before it was ready (exit status {code})")
            elif code:
                verdict.failed(f"ended with exit status {code}", code)
        finally:
            context.close()
        verdict.ready()  # after the pidfile has gone; what failed stays failed
    except Exception as error:  # noqa: BLE001 - whatever it is, the shell must hear of it
        verdict.failed(explain(error))
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _adopt_orphans() -> None:
    """Become the parent of the daemon once python-daemon's processes in between are gone.

    Only a parent learns how it died. Where the call is missing (user mode emulation) only that detail is
    lost.
    """
    with contextlib.suppress(ImportError, OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1), 0, 0, 0)


def _judge(child: int, told: bytes) -> tuple[int, str]:
    pid, between, verdict = _read(told)
    # Leave no zombie of the processes in between to whoever inherits them; but how a daemon ends that has become
    # ready is for its next parent to see.
    _reap(child, between)
    if verdict.startswith(_READY):
        return 0, ""
    how = _how(pid)
    if verdict:
        status, _, reason = verdict.removeprefix(_FAILED).partition(b" ")
        return int(status), reason.decode("utf-8", "replace")
    return 1, f"died before it was ready{how}"


def _read(told: bytes) -> tuple[int, int, bytes]:
    """The numbers of the daemon and of the process that forked it (-1: not told), and the verdict."""
    if not told[:1].isdigit():
        return -1, -1, told
    numbers, _, verdict = told.partition(b"\n")
    pid, between = map(int, numbers.split())
    return pid, between, verdict


def _reap(*pids: int) -> None:
    for pid in pids:
        if pid > 0:
            with contextlib.suppress(ChildProcessError):  # not ours, where orphans cannot be adopted
                os.waitpid(pid, 0)


def _hear(verdict_r: int, told: bytearray) -> bool:
    more = os.read(verdict_r, _REASON_MAX_BYTES)
    told += more
    return bool(more)


def _call_off(child: int, verdict_r: int, told: bytearray) -> None:
    """End the daemon and wait for its end, a moment at most; one that is not born yet ends when we do."""
    if not told and select.select([verdict_r], [], [], _END_WAIT_S)[0]:
        _hear(verdict_r, told)
    pid, between, _ = _read(bytes(told))
    if pid > 0:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        _reap(child, between)
        _how(pid)


def _how(pid: int) -> str:
    """How child `pid` (-1: any) ended, such as " (signal 9)"; "" if that cannot be known.

    Waits a moment: the pipe is closed a little before the process can be waited for.
    """
    end_s = time.monotonic() + _END_WAIT_S
    while time.monotonic() < end_s:
        try:
            found, status = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            return ""
        if found and os.WIFSIGNALED(status):
            return f" (signal {os.WTERMSIG(status)})"
        if found and pid > 0:
            return f" (exit status {os.WEXITSTATUS(status)})"
        if not found:
            time.sleep(0.01)
    return ""
