"""How a master comes to be: detached behind a keeper for `start`, or in the foreground for `run`.

Knows forks and the lock. Whoever calls is told the truth: `detach` returns only when the master listens.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback

from . import keeper, notify, pidfiles, proc
from .commands import Desk
from .crew import Keeper
from .journal import Journal
from .loading import Source
from .paths import RunDirectory
from .spec import Config
from .watchdog import Setup, Watchdog


class BirthError(Exception):
    """Why no master could be made."""


class LockedError(BirthError):
    """There is one already."""


def detach(
    source: Source, run: RunDirectory, config: Config, logfile: str, *, verbose: bool, revive: bool
) -> None:
    """Make a master that outlives us, and return when it listens. `revive`: restart apps that died unwatched.

    Raises LockedError, BirthError.
    """
    _make_directories(run.path, os.path.dirname(logfile))
    verdict_r, verdict_w = os.pipe()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    child = os.fork()
    if child == 0:
        os.close(verdict_r)
        try:
            os.setsid()
            if os.fork() == 0:
                _keep(source, run, config, Journal(logfile, verbose=verbose), verdict_w, revive=revive)
        except BaseException as error:  # noqa: BLE001  # told, not raised: the caller's code must not run twice
            _say(verdict_w, f"failed {error!r}")
        finally:
            os._exit(0)
    os.close(verdict_w)
    os.waitpid(child, 0)
    with open(verdict_r, encoding="utf-8", errors="replace") as file:
        word, _, text = file.read(4096).partition(" ")
    if word == "locked":
        raise LockedError(text)
    if word != "ready":
        raise BirthError(text or f"the master died before it was ready; see {logfile}")


def _keep(
    source: Source, run: RunDirectory, config: Config, journal: Journal, verdict_w: int, *, revive: bool
) -> None:
    lock = pidfiles.Lock(run.pidfile)
    try:
        if not lock.acquire():
            _say(verdict_w, "locked")
            return
    except (OSError, pidfiles.PidfileError) as error:
        _say(verdict_w, f"failed {error}")
        return
    _leave_terminal()
    proc.become_subreaper()
    deaths_r, deaths_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    keeper_pid = os.getpid()
    first = True

    def watch() -> int:
        setup = Setup(
            source=source,
            run=run,
            journal=journal,
            lock=lock,
            keeper=Keeper(pid=keeper_pid, deaths_r=deaths_r),
        )
        try:
            watchdog = Watchdog(
                setup, config if first else _read_again(source, config, journal), revive=revive
            )
        except OSError as error:
            if not first:
                raise
            _say(verdict_w, f"failed {error}")
            return 1
        Desk(watchdog)
        journal.info(f"watching, process {os.getpid()}")
        if first:
            _say(verdict_w, "ready")
            os.close(verdict_w)
        return _run(watchdog)

    def born() -> None:
        nonlocal first, revive
        if first:
            os.close(verdict_w)
        first, revive = False, True

    os._exit(keeper.keep(watch, born, deaths_w))


def _run(watchdog: Watchdog) -> int:
    try:
        watchdog.run()
    except Exception:
        watchdog.journal.error(traceback.format_exc())
        raise
    watchdog.close()
    watchdog.journal.info("everything is stopped, leaving")
    return 0


def foreground(
    source: Source, run: RunDirectory, config: Config, logfile: str, names: list[str], *, verbose: bool
) -> int:
    """Be the master, in this process, until told to stop; returns the exit status. Raises LockedError, BirthError."""
    _make_directories(run.path, os.path.dirname(logfile))
    lock = pidfiles.Lock(run.pidfile)
    address = os.environ.pop("NOTIFY_SOCKET", "")
    try:
        if not lock.acquire():
            raise LockedError
        journal = Journal(logfile, verbose=verbose, echo=True)
        setup = Setup(source=source, run=run, journal=journal, lock=lock, notify_address=address)
        watchdog = Watchdog(setup, config)
    except (OSError, pidfiles.PidfileError) as error:
        raise BirthError(str(error)) from None
    desk = Desk(watchdog)
    journal.info(f"watching, process {os.getpid()}")
    desk.start(names, lambda: notify.tell(address, "READY=1"))
    return _run(watchdog)


def _read_again(source: Source, config: Config, journal: Journal) -> Config:
    from .loading import UnreadableError

    try:
        return source.load()[0]
    except UnreadableError as error:
        journal.error(f"{error}; going on with what was read before")
        return config


def _make_directories(*paths: str) -> None:
    for path in paths:
        try:
            os.makedirs(path, mode=0o755 if os.geteuid() == 0 else 0o700, exist_ok=True)
        except OSError as error:
            raise BirthError(f"{path}: cannot be made: {error.strerror}") from None


def _leave_terminal() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    if null > 2:
        os.close(null)
    os.umask(0o022)
    os.chdir("/")
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _say(fd: int, text: str) -> None:
    os.write(fd, text.encode("utf-8", "replace")[:4096])
