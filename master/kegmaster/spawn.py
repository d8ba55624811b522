"""Making processes: what a daemon's process looks like, and exec. No shell is ever involved.

Knows fork, descriptors and exec. Must not know apps, states or records: a Launch says all.

What a double fork is for, an app gets by one: a session of its own, no terminal, and a parent whose end it outlives.
The second fork would make it an orphan, and the watchdog, a subreaper, its parent again; and it would take as long
as all the rest of a restart. Each is held on a pipe until `Batch.release`: whoever made it can first write down
which process it is. If the maker dies before that, the pipe closes and the held process ends without a trace.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
from collections.abc import Callable, Mapping, Sequence
from functools import cache

from .lean import TYPE_CHECKING, dataclass

if TYPE_CHECKING:
    from .cgroups import Leaf

EXEC_FAILED = 127


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """One process to make. `output` becomes its stdout and stderr; `groups` are set if `uid` is.

    `given` becomes its stdin; -1: it has nothing to read. `tag` 0: it gets none.
    `leaf`: the cgroup it is born in, where that can be done.
    """

    path: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    output: int
    given: int = -1
    umask: int = 0o022
    nice: int = 0
    limit_nofile: int = 0
    tag: int = 0
    working_directory: str = "/"
    uid: int | None = None
    gid: int | None = None
    groups: tuple[int, ...] = ()
    leaf: Leaf | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """A process that waits for its release. `report` brings why it could not exec, or its end of file: it did."""

    pid: int
    report: int


_soft_limit = 0
"""The limit of open files as it was before `raise_file_limit`: apps start with that one."""


def raise_file_limit() -> None:
    """Let this process open as many files as it may: three hundred apps need more than the usual 1024."""
    global _soft_limit
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard and not _soft_limit:
        _soft_limit = soft
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def restore_file_limit() -> None:
    """Undo that: whoever comes after us in this process is to find what we found."""
    global _soft_limit
    if _soft_limit:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (_soft_limit, hard))
        _soft_limit = 0


class Batch:
    """Processes made together; `held` is in the order of the launches, an OSError where the fork failed."""

    def __init__(self, held: Sequence[Held | OSError], hold_w: int) -> None:
        self.held = held
        self._hold_w = hold_w

    def release(self) -> None:
        """Let them exec."""
        try:
            os.write(self._hold_w, b"." * len(self.held))
        except BrokenPipeError:  # not one of them could be made
            pass
        finally:
            os.close(self._hold_w)


def hold(launches: Sequence[Launch]) -> Batch:
    """Make a held process for each launch. Raises OSError when not even the pipe can be made."""
    _handled()  # once, and not in each process that we make
    hold_r, hold_w = os.pipe()
    own = resource.getrlimit(resource.RLIMIT_MSGQUEUE)
    # Until a child has plain signals, its handlers are ours: what ends it would reach us, as a signal to ourselves.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        held = [_fork(launch, hold_r) for launch in launches]
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        # With an app's mark left on us, we would be ended with that app.
        resource.setrlimit(resource.RLIMIT_MSGQUEUE, own)
        os.close(hold_r)
    return Batch(held, hold_w)


def _fork(launch: Launch, hold_r: int) -> Held | OSError:
    try:
        report_r, report_w = os.pipe()
    except OSError as error:
        return error
    try:
        # Before the fork, so that the process bears it from its birth: should we be killed between release and exec,
        # whoever comes next must see that it is there.
        if launch.tag:
            _set_tag(launch.tag)
        pid = _new_process(launch.leaf)
        if pid == 0:
            _in_child(lambda: _become(launch, hold_r, report_w))
    except OSError as error:
        os.close(report_r)
        return OSError(error.errno, f"cannot fork: {error.strerror}")
    finally:
        os.close(report_w)
    os.set_blocking(report_r, False)
    return Held(pid, report_r)


def _new_process(leaf: Leaf | None) -> int:
    if leaf is not None:
        with contextlib.suppress(OSError):
            return leaf.fork()
    return os.fork()


def _in_child(body: Callable[[], object]) -> None:
    # Nothing of the parent may run here on the way out: no atexit, no finally, no flush.
    try:
        body()
    finally:
        os._exit(EXEC_FAILED)


def _become(launch: Launch, hold_r: int, report_w: int) -> None:
    """Prepare all while our maker writes down who we are, and exec when it has."""
    stage = "cannot prepare"
    try:
        os.setsid()
        close_all_but(hold_r, report_w, launch.output, launch.given)
        _plain_signals()
        given = launch.given if launch.given >= 0 else os.open(os.devnull, os.O_RDONLY)
        os.dup2(given, 0)
        os.dup2(launch.output, 1)
        os.dup2(launch.output, 2)
        os.umask(launch.umask)
        if launch.limit_nofile or _soft_limit:
            stage = "cannot set _limit_nofile"
            _limit_files(launch.limit_nofile or _soft_limit)
        if launch.nice:
            stage = "cannot set _nice"
            os.setpriority(os.PRIO_PROCESS, 0, launch.nice)
        stage = "cannot become _user or _group"
        if launch.gid is not None:
            os.setgroups(launch.groups)
            os.setgid(launch.gid)
        if launch.uid is not None:
            os.setuid(launch.uid)
        stage = f"cannot enter {launch.working_directory}"
        os.chdir(launch.working_directory)
        if not os.read(hold_r, 1):
            os._exit(0)
        stage = f"cannot run {launch.path}"
        os.execve(launch.path, launch.argv, launch.environment)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        os.write(report_w, f"{stage}: {reason}".encode()[:4096])


def _plain_signals() -> None:
    """Default dispositions and an empty mask: Python ignores SIGPIPE, and ignored signals would outlive exec."""
    signal.set_wakeup_fd(-1)
    for number in _handled():
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


@cache
def _handled() -> tuple[int, ...]:
    """The signals that are ignored or have a handler."""
    numbers = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
    return tuple(number for number in numbers if signal.getsignal(number) not in (signal.SIG_DFL, None))


def _set_tag(tag: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_MSGQUEUE)
    if hard == resource.RLIM_INFINITY or hard >= tag:
        resource.setrlimit(resource.RLIMIT_MSGQUEUE, (tag, hard))


def _limit_files(limit: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (limit, max(limit, hard) if hard != resource.RLIM_INFINITY else hard)
    )


def close_all_but(*keep: int) -> None:
    """Close all but 0, 1, 2 and these: a copy of a pipe's end, left open here, would keep that pipe open."""
    low = 3
    for fd in sorted({fd for fd in keep if fd >= low}):
        if low < fd:  # an empty range would close everything: close_range(2) takes its end as unsigned
            os.closerange(low, fd)
        low = fd + 1
    os.closerange(low, 1 << 20)
