"""Processes as the kernel tells of them: identity, kin, signals that cannot hit a stranger.

Knows /proc and pidfds. Must not know apps, records or the configuration.

Identity is boot id, pid and start time in kernel ticks: pids are used again, and the wall clock jumps.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from functools import cache

from .lean import dataclass
from .restart import Exit, from_wait_status

COOKIE = "KEGMASTER_COOKIE"
"""The variable in each app's environment that tells which launch a process stems from."""
APP, RUN = "KEGMASTER_APP", "KEGMASTER_RUN"
"""Likewise the app's name, and the run directory of its master: by these an app is found whose record is lost."""
_MAX_ENVIRON_BYTES = 1 << 20
_CHUNK_BYTES = 16 << 10
_MSGQUEUE_DEFAULT = 819200  # MQ_BYTES_MAX of the kernel


@dataclass(frozen=True, slots=True, kw_only=True)
class Stat:
    """The fields of /proc/PID/stat that matter here (proc_pid_stat(5)); `start_ticks` counts from boot."""

    pid: int
    state: str
    parent: int
    group: int
    session: int
    start_ticks: int

    @property
    def zombie(self) -> bool:
        """Dead, and only waiting for its parent to notice."""
        return self.state in "ZX"


def _read(path: str, limit: int) -> bytes:
    """The beginning of a file of /proc, at most `limit` bytes. Raises OSError."""
    # open() costs four system calls more, and this is done at each end of an app.
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = b""
        while len(data) < limit and (more := os.read(fd, min(_CHUNK_BYTES, limit - len(data)))):
            data += more
        return data
    finally:
        os.close(fd)


def stat(pid: int) -> Stat | None:
    """What the kernel says of `pid`; None if there is no such process."""
    try:
        line = _read(f"/proc/{pid}/stat", 4096)
    except OSError:
        return None
    if b")" not in line:  # it ended while we looked
        return None
    # The name in parentheses may itself hold parentheses and blanks.
    fields = line[line.rindex(b")") + 2 :].split()
    state, parent, group, session = fields[0].decode(), *map(int, fields[1:4])
    return Stat(
        pid=pid, state=state, parent=parent, group=group, session=session, start_ticks=int(fields[19])
    )


def owner(pid: int) -> int:
    """The user `pid` runs as; -1 if it is gone."""
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return -1


@cache
def boot_id() -> str:
    """A random id the kernel makes at each boot."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def age_s(start_ticks: int) -> float:
    """Seconds since a process with that start time began; suspended time counts."""
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - start_ticks / os.sysconf("SC_CLK_TCK"))


def cookie_of(pid: int) -> str:
    """The launch that `pid` stems from; empty if it stems from none, or may not be looked at."""
    return marks_of(pid).get(COOKIE, "")


def marks_of(pid: int) -> dict[str, str]:
    """Those of COOKIE, APP and RUN that `pid` was started with."""
    try:
        environment = _read(f"/proc/{pid}/environ", _MAX_ENVIRON_BYTES)
    except OSError:
        return {}
    if b"KEGMASTER_" not in environment:
        return {}
    pairs = (
        variable.partition(b"=")
        for variable in environment.split(b"\0")
        if variable.startswith(b"KEGMASTER_")
    )
    return {name.decode("ascii", "replace"): os.fsdecode(value) for name, _, value in pairs}


def marked(run: str) -> dict[int, str]:
    """Our own user's processes that say they are of an app of the run directory: pid to app. A claim, no proof."""
    found = {}
    for pid in all_pids():
        if pid != os.getpid() and owner(pid) == os.geteuid() and (marks := marks_of(pid)).get(RUN) == run:
            found[pid] = marks.get(APP, "")
    return found


def tag(cookie: str) -> int:
    """The soft limit of RLIMIT_MSGQUEUE, in bytes, that marks the processes of a launch besides their environment.

    Limits are inherited by whoever clears its environment, calls setsid or sets its title. Below the kernel's
    default by less than a tenth, and of use only to POSIX message queues.
    """
    return _MSGQUEUE_DEFAULT - 1 - int(cookie[:4], 16)


def tag_of(pid: int) -> int:
    """That limit of `pid`; 0 if it cannot be read."""
    try:
        for line in _read(f"/proc/{pid}/limits", 65536).splitlines():
            if line.startswith(b"Max msgqueue size"):
                return int(line.split()[3])
    except (OSError, ValueError):
        return 0
    return 0


def stems_from(pid: int, cookie: str) -> bool:
    """`pid` belongs to the launch: it has the cookie in its environment, or, if it has none there, the launch's tag."""
    found = cookie_of(pid)
    return found == cookie if found else bool(cookie) and tag_of(pid) == tag(cookie)


def heeds(pid: int, number: int) -> bool:
    """`pid` does something about that signal: it has a handler, or waits for it (blocked signals may be read)."""
    return _in_mask(pid, number, b"SigCgt:", b"SigBlk:")


def ignores(pid: int, number: int) -> bool:
    """`pid` has that signal come to nothing."""
    return _in_mask(pid, number, b"SigIgn:")


def _in_mask(pid: int, number: int, *names: bytes) -> bool:
    try:
        lines = _read(f"/proc/{pid}/status", 65536).splitlines()
    except OSError:
        return False
    masks = [int(line.split()[1], 16) for line in lines if line.startswith(names)]
    return any(mask >> (number - 1) & 1 for mask in masks)


def children(pid: int) -> list[int]:
    """The children of `pid`, zombies included."""
    try:
        return [int(word) for word in _read(f"/proc/{pid}/task/{pid}/children", 1 << 22).split()]
    except OSError:
        return []


def all_pids() -> Iterator[int]:
    """Every process that can be seen."""
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


def kin(cookie: str) -> list[Stat]:
    """Every living process of the launch: one look through all of /proc. No launch has the empty cookie."""
    found: list[Stat] = []
    if not cookie:
        return found
    # An app may have started its own master: whoever watches it bears its mark, and is none of its processes.
    watchers = (os.getpid(), os.getppid())
    for pid in all_pids():
        if pid not in watchers and stems_from(pid, cookie) and (seen := stat(pid)) and not seen.zombie:
            found.append(seen)
    return found


class Process:
    """One process, held by a pidfd: signals reach this one or nobody, and the descriptor is readable once it ended."""

    __slots__ = ("fd", "pid", "start_ticks")

    def __init__(self, pid: int, start_ticks: int | None = None) -> None:
        """Hold `pid`, provided it started at `start_ticks` (None: whatever has that pid now).

        Raises ProcessLookupError if there is no such process, or another one has the number by now.
        """
        self.fd = os.pidfd_open(pid)
        seen = stat(pid)
        if seen is None or (start_ticks is not None and seen.start_ticks != start_ticks):
            os.close(self.fd)
            raise ProcessLookupError(f"process {pid} is gone")
        self.pid = pid
        self.start_ticks = seen.start_ticks

    def fileno(self) -> int:
        """The pidfd."""
        return self.fd

    def signal(self, number: int) -> bool:
        """Send a signal; False if it has ended already."""
        try:
            signal.pidfd_send_signal(self.fd, number)
        except ProcessLookupError:
            return False
        return True

    def reap(self) -> Exit | None:
        """How our child ended; None if it lives, or is no child of ours (then nobody tells us)."""
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            return None
        return from_wait_status(status) if pid else None

    def close(self) -> None:
        """Let go of it."""
        os.close(self.fd)


def become_subreaper() -> bool:
    """Let orphans among our descendants become our children; False where the kernel does not know how (prctl(2))."""
    import ctypes

    set_child_subreaper = 36
    return bool(ctypes.CDLL(None).prctl(set_child_subreaper, ctypes.c_ulong(1), 0, 0, 0) == 0)
