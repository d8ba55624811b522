"""Becoming a daemon, with an exit status that tells the truth.

python-daemon detaches; the process that the shell waits for stays until the daemon has said "ready" or a
reason over a pipe, or is dead. Must not know flags or logging.
"""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kegapps.daemon.pidfile import Pidfile

_PR_SET_CHILD_SUBREAPER = 36
_REASON_MAX = 4000
_OK = b"ok"


class Verdict:
    """The daemon's end of the pipe; the first of `ready` and `failed` counts, later ones do nothing."""

    def __init__(self, fd: int) -> None:
        self._fd: int | None = fd

    def born(self) -> None:
        """Tell our process number, so that the other side can find out how we died."""
        self._write(b"%d\n" % os.getpid())

    def ready(self) -> None:
        """Let the shell's command end with status 0."""
        self._finish(_OK)

    def failed(self, reason: str) -> None:
        """Let the shell's command print `reason` and end with status 1."""
        self._finish(reason.encode("utf-8", "replace")[:_REASON_MAX])

    def _finish(self, text: bytes) -> None:
        if self._fd is not None:
            self._write(text)
            os.close(self._fd)
            self._fd = None

    def _write(self, text: bytes) -> None:
        if self._fd is not None:
            with contextlib.suppress(OSError):  # nobody waits any more
                os.write(self._fd, text)


def launch(
    body: Callable[[Verdict], int], *, pidfile: Pidfile | None, explain: Callable[[Exception], str]
) -> str:
    """Run `body` in a daemon that holds `pidfile`, and wait until it is ready.

    Returns "" then, else the reason why it is not: one line. The daemon never returns from here; its exit
    status is what `body` returns. `explain` words what `pidfile` raises.
    """
    verdict_r, verdict_w = os.pipe()
    go_r, go_w = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        os.close(verdict_r)
        os.close(go_w)
        _become(body, Verdict(verdict_w), verdict_w, go_r, pidfile, explain)
    os.close(verdict_w)
    os.close(go_r)
    _adopt_orphans()
    os.close(go_w)
    return _wait(verdict_r)


def _become(
    body: Callable[[Verdict], int],
    verdict: Verdict,
    verdict_w: int,
    go_r: int,
    pidfile: Pidfile | None,
    explain: Callable[[Exception], str],
) -> None:
    code = 1
    try:
        import daemon

        os.read(go_r, 1)  # until our parent is ready to inherit us
        os.close(go_r)
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
            stdout=sys.stdout if _is_regular(1) else null,
            stderr=sys.stderr if _is_regular(2) else null,
            signal_map={},
        )
        context.open()
        null.close()
        os.setsid()  # the second fork left us in the session of a process that is gone
        verdict.born()
        code = body(verdict)
        verdict.failed(f"ended before it was ready (exit status {code})")
        context.close()
    except Exception as error:  # noqa: BLE001 - whatever it is, the shell must hear of it
        verdict.failed(explain(error))
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _adopt_orphans() -> None:
    """Become the parent of the daemon once python-daemon's processes in between are gone.

    Only a parent learns how it died. Where the call is missing (emulated) only that detail is lost.
    """
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1), 0, 0, 0)


def _wait(verdict_r: int) -> str:
    told = b""
    while not told.partition(b"\n")[2].startswith(_OK):
        more = os.read(verdict_r, _REASON_MAX)
        if not more:
            break
        told += more
    head, _, rest = told.partition(b"\n")
    if rest == _OK:
        return ""
    reason = rest if head.isdigit() else told
    if reason:
        return reason.decode("utf-8", "replace")
    return f"died before it was ready{_how(int(head) if head.isdigit() else -1)}"


def _how(pid: int) -> str:
    """How child `pid` (-1: whichever) ended: " (signal 9)", or nothing if that cannot be known."""
    end_s = time.monotonic() + 1.0
    while time.monotonic() < end_s:
        try:
            found, status = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            return ""
        if found and os.WIFSIGNALED(status):
            return f" (signal {os.WTERMSIG(status)})"
        if found and pid > 0:
            return f" (exit status {os.waitstatus_to_exitcode(status)})"
        if not found:
            time.sleep(0.01)
    return ""


def _is_regular(fd: int) -> bool:
    return stat.S_ISREG(os.fstat(fd).st_mode)


def defaults() -> None:
    """Undo what an odd parent may have left: blocked signals, and children that vanish without a status."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
