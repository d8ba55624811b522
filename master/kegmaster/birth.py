"""How a master comes to be: detached behind a keeper for `start`, or in the foreground for `run`.

Knows forks and the lock. Whoever calls is told the truth: `detach` returns only when the master listens.
"""

from __future__ import annotations

import gc
import os
import sys

from . import __version__, footing, keeper, notify, pidfiles, proc, reexec, sole, spawn
from .commands import Desk
from .deaths import Keeper
from .journal import Journal
from .lean import dataclass
from .loading import Source
from .paths import RunDirectory
from .records import Records
from .reexec import Inheritance, Program
from .spec import Config
from .watchdog import Setup, Watchdog


class BirthError(Exception):
    """Why no master could be made."""


class LockedError(BirthError):
    """There is one already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Birth:
    """What stays the same for all keepers and watchdogs of one master.

    `revive`: the first watchdog too starts apps again that died while nobody watched.
    """

    source: Source
    run: RunDirectory
    journal: Journal
    lock: pidfiles.Lock
    revive: bool = True
    program: Program | None = None


def detach(
    source: Source, run: RunDirectory, config: Config, logfile: str, *, verbose: bool, revive: bool,
    program: Program | None = None,
) -> None:  # fmt: skip
    """Make a master that outlives us, and return when it listens. `revive`: restart apps that died unwatched.

    Raises LockedError, BirthError.
    """
    _make_directories(run.path, os.path.dirname(logfile))
    birth = Birth(
        source=source, run=run, journal=Journal(logfile, verbose=verbose), lock=pidfiles.Lock(run.pidfile),
        revive=revive, program=program,
    )  # fmt: skip
    verdict_r, verdict_w = os.pipe()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    child = os.fork()
    if child == 0:
        os.close(verdict_r)
        try:
            os.setsid()
            # A descriptor of whoever called us, kept open for ever, would hold up its lock or its pipe for ever.
            spawn.close_all_but(verdict_w)
            if os.fork() == 0:
                _begin(birth, config, verdict_w)
        except BaseException as error:  # noqa: BLE001  # told, not raised: the caller's code must not run twice
            _say(verdict_w, f"failed {_explain(error)}")
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


def _begin(birth: Birth, config: Config, verdict_w: int) -> None:
    """Take the lock, leave the terminal and keep a watchdog; returns when the master is to end."""
    try:
        if not birth.lock.acquire():
            _say(verdict_w, "locked")
            return
    except (OSError, pidfiles.PidfileError) as error:
        _say(verdict_w, f"failed {_explain(error)}")
        return
    _leave_terminal()
    keep(birth, config, verdict_w=verdict_w)


def keep(
    birth: Birth, config: Config, *, verdict_w: int = -1, news: tuple[int, int] | None = None, watchdog: int = 0
) -> None:  # fmt: skip
    """Be the keeper: from now on, our children are the watchdog and the apps of watchdogs that died.

    `news`, `watchdog`: the pipe and the child of the keeper that this process was before it exec'ed.
    """
    proc.become_subreaper()
    deaths_r, deaths_w = news or os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    keeper_pid = os.getpid()
    first = True

    def watch() -> None:
        young = first and verdict_w >= 0
        _watch(
            birth, config, Keeper(pid=keeper_pid, deaths_r=deaths_r, deaths_w=deaths_w, young=young),
            verdict_w if first else -1,
        )  # fmt: skip

    def replace(watchdog: int) -> None:
        if birth.program is None:
            return
        try:
            reexec.replace(
                birth.program,
                Inheritance(
                    role="keeper", lock=birth.lock.fd, news_r=deaths_r, news_w=deaths_w, watchdog=watchdog,
                    before=__version__,
                ),
            )  # fmt: skip
        except OSError as error:
            birth.journal.error(f"the keeper cannot follow, and runs on as it is: {error}")

    def born() -> None:
        nonlocal first
        if first and verdict_w >= 0:
            os.close(verdict_w)
        first = False

    # The memory that keeper and watchdog share is copied where it is written to, and a collection writes to all of it.
    gc.disable()
    gc.freeze()
    keeper.keep(watch, born, deaths_w, replace=replace, watchdog=watchdog)


def _watch(birth: Birth, config: Config, news: Keeper, verdict_w: int) -> None:
    """Be a watchdog; `verdict_w`: where the very first one says that it is ready, -1 for all others."""
    gc.enable()
    journal = birth.journal
    setup = Setup(
        source=birth.source, run=birth.run, journal=journal, lock=birth.lock, keeper=news, program=birth.program
    )  # fmt: skip
    try:
        birth.lock.renew()
        if verdict_w >= 0 and birth.revive:
            # A stop whose masters were killed on their way out is not carried on: a start came after it.
            Records(birth.run.records).leaving = False
            if refusal := sole.refusal(birth.source.file, birth.run.path):
                _say(verdict_w, f"failed {refusal}")
                return
        if verdict_w < 0:
            config = _read_again(birth.source, config, journal)
        watchdog = Watchdog(setup, config, revive=birth.revive or verdict_w < 0)
    except pidfiles.HeldError as error:
        # The pidfile was removed while nobody watched it, and another master was made. One is enough.
        journal.error(f"{error}; leaving the apps to it")
        if verdict_w >= 0:
            _say(verdict_w, "locked")
        return
    except Exception as error:
        if not isinstance(error, OSError | pidfiles.PidfileError):
            journal.error(_traceback())
        elif verdict_w < 0:
            journal.error(f"cannot watch: {_explain(error)}")
        if verdict_w < 0:
            raise
        _say(verdict_w, f"failed {_explain(error)}")
        return
    sole.take(birth.source.file)
    Desk(watchdog)
    journal.info(f"watching, process {os.getpid()}")
    if verdict_w >= 0:
        _say(verdict_w, "ready")
        os.close(verdict_w)
    go_on(birth, watchdog)


def go_on(birth: Birth, watchdog: Watchdog) -> None:
    """Watch until everything is stopped; a keeper that is killed meanwhile is succeeded by us."""
    journal = birth.journal
    if _run(watchdog):
        return
    # The keeper is gone. We become it: the apps are our children already, and stay so whatever happens to the
    # watchdog that we make now.
    journal.warning(f"the keeper was killed; process {os.getpid()} takes its place")
    watchdog.let_go()
    # What else a watchdog holds open, a keeper must not: its heirs would all inherit it.
    spawn.close_all_but(birth.lock.fd)
    keep(birth, watchdog.config)


def _run(watchdog: Watchdog) -> bool:
    """Watch until the end; True if there is nothing left to do, False if the keeper is gone."""
    try:
        done = watchdog.run()
    except pidfiles.HeldError as error:
        watchdog.journal.error(f"{error}; leaving the apps to it")
        watchdog.let_go()
        return True
    except Exception:
        watchdog.journal.error(_traceback())
        raise
    if done:
        watchdog.close()
        watchdog.journal.info("everything is stopped, leaving")
    return done


def foreground(
    source: Source, run: RunDirectory, config: Config, logfile: str, names: list[str], *, verbose: bool,
    program: Program | None = None,
) -> int:  # fmt: skip
    """Be the master, in this process, until told to stop; returns the exit status. Raises LockedError, BirthError."""
    _make_directories(run.path, os.path.dirname(logfile))
    lock = pidfiles.Lock(run.pidfile)
    address = os.environ.pop("NOTIFY_SOCKET", "")
    try:
        if not lock.acquire():
            raise LockedError
        journal = Journal(logfile, verbose=verbose, echo=True)
        setup = Setup(
            source=source, run=run, journal=journal, lock=lock, notify_address=address, program=program
        )
        watchdog = Watchdog(setup, config)
    except pidfiles.HeldError:
        raise LockedError from None
    except (OSError, pidfiles.PidfileError) as error:
        raise BirthError(_explain(error)) from None
    sole.take(source.file)
    desk = Desk(watchdog)
    journal.info(f"watching, process {os.getpid()}")
    desk.start(names, lambda: notify.tell(address, "READY=1"))
    _run(watchdog)
    return 0


def _traceback() -> str:
    import traceback  # 0.15 MiB that only a mistake of ours should cost

    return traceback.format_exc()


def _explain(error: BaseException) -> str:
    """An error of the machine as one line for a person."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'the master'}: {error.strerror}; is something else in its place, or no room left?"
    return str(error) or repr(error)


def _read_again(source: Source, config: Config, journal: Journal) -> Config:
    from .loading import UnreadableError

    try:
        return source.load()[0]
    except UnreadableError as error:
        journal.error(f"{error}; going on with what was read before")
    except Exception:  # noqa: BLE001  # whatever it is, the apps need their watchdog back
        journal.error(f"{_traceback()}; going on with what was read before")
    return config


def _make_directories(*paths: str) -> None:
    root = os.geteuid() == 0
    # Directories above the last one, such as ~/.local, are made too, and no more open than that.
    before = os.umask(0o022 if root else 0o077)
    try:
        for path in paths:
            _make_directory(path, root=root)
    finally:
        os.umask(before)


def _make_directory(path: str, *, root: bool) -> None:
    try:
        os.makedirs(path, mode=0o755 if root else 0o700, exist_ok=True)
        seen = os.stat(path)
    except OSError as error:
        raise BirthError(
            f"{error.filename or path}: cannot be made: {error.strerror}; name another directory"
        ) from None
    if root and (seen.st_uid != 0 or seen.st_mode & 0o022):
        # Whoever can write there could have root signal processes and write files of his choice.
        raise BirthError(
            f"{path}: can be written by others than root; chown root {path} and chmod go-w {path}"
        )
    if root and (above := footing.outsider(path, ())):
        text = f"{path}: others than root can put another directory in its place, since {above} is theirs to write"
        raise BirthError(f"{text}; chown root {above} and chmod go-w {above}, or name another directory")


def _leave_terminal() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    if null > 2:
        os.close(null)
    os.umask(0o022)
    os.chdir("/")


def _say(fd: int, text: str) -> None:
    os.write(fd, text.encode("utf-8", "replace")[:4096])
