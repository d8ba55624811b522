"""Reading the configuration from disk, and holding it against what is there: programs, directories, users, rights.

Knows files. Changes none: `configtest` is this and a printout.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Collection, Iterator

from . import files, footing
from .config import Directories, configure
from .lean import Final, dataclass, replace
from .problems import Problem
from .programs import ProgramError, Search
from .spec import App, Config
from .whereabouts import Disk

_MAX_BYTES: Final = 4 << 20


class UnreadableError(Exception):
    """The configuration as a whole cannot be used; the text is the one line a person needs."""

    def __init__(self, text: str, *, rights: bool = False) -> None:
        super().__init__(text)
        self.rights = rights


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What is read, and with which defaults."""

    file: str
    directories: Directories
    search: Search

    def parse(self) -> Config:
        """The configuration by its text alone, whether or not its programs are there. Raises UnreadableError."""
        before = stamp(self.file)
        config = replace(configure(_read(self.file), self.file, self.directories, DISK), stamp=before)
        _distrust(config)
        return config

    def load(self, names: Collection[str] = ()) -> tuple[Config, frozenset[str]]:
        """The configuration, apps with any problem left out, and the apps whose program is not installed.

        Enabled apps are held against what is there, and those of `names`. Raises UnreadableError.
        """
        config = self.parse()
        problems = list(config.problems)
        broken: set[str] = set()
        missing: set[str] = set()
        for app in (*config.apps, *config.unsound):
            if not app.enabled and app.name not in names:
                continue
            for check in _CHECKS:
                for key, error in check(app, self.search):
                    line = app.key_lines.get(key, app.line)
                    problems.append(
                        Problem(
                            file=self.file, line=line, section=app.name, key=key if key in app.key_lines else None,
                            wrong=str(error), cure=error.cure,
                        )
                    )  # fmt: skip
                    if check is _hooks:
                        continue  # nobody is served if an app stands still for want of its alarm, or of a gentler end
                    broken.add(app.name)
                    if error.missing:
                        missing.add(app.name)
        problems.sort(key=lambda problem: problem.line)
        sound = tuple(app for app in config.apps if app.name not in broken)
        unsound = (*config.unsound, *(app for app in config.apps if app.name in broken))
        return replace(config, apps=sound, unsound=unsound, problems=tuple(problems)), frozenset(missing)

    def check(self, app: App) -> None:
        """Check one app once more, right before it is started. Raises ProgramError."""
        for check in _CHECKS:
            for _, error in check(app, self.search):
                raise error


def _distrust(config: Config) -> None:
    """What its apps' groups may write to is not root's alone."""
    if os.geteuid() != 0:
        return
    from .environment import credentials  # which reads its files by us

    for app in (*config.apps, *config.unsound):
        if app.context.user not in ("", "root"):
            with contextlib.suppress(KeyError):  # told of elsewhere
                _, gid, groups = credentials(app.context)
                footing.distrust({*groups, *([gid] if gid is not None else [])} - {0})


def _home(user: str) -> str:
    """As the shell has it: HOME for ourselves, the user database for others."""
    own = os.environ.get("HOME", "")
    if not user and own.startswith("/"):
        return own
    import pwd

    try:
        return (pwd.getpwnam(user) if user else pwd.getpwuid(os.geteuid())).pw_dir
    except KeyError:
        return ""


DISK: Final = Disk(exists=os.path.exists, is_file=os.path.isfile, home=_home)
"""This machine."""


def stamp(path: str) -> tuple[int, ...]:
    """What changes whenever the file does: time of change, size, inode; empty if there is none."""
    try:
        seen = os.stat(path)
    except OSError:
        return ()
    return seen.st_mtime_ns, seen.st_size, seen.st_ino


def same_file(one: str, other: str) -> bool:
    """Two paths of one configuration file."""
    try:
        return os.path.realpath(one) == os.path.realpath(other) or os.path.samefile(one, other)
    except OSError:
        return False


def other_config(run: str, has: str, asked: str) -> str:
    """What to say to somebody who asks the master in `run`, whose configuration is `has`, for another."""
    return (
        f"the master in {run} has the configuration {has}, not {asked}: give --master_config={has}, or a"
        f" --pidfile_dir of its own to {asked}; if the file was moved, stop the master first"
    )


def _read(path: str) -> str:
    try:
        fd = files.open_plain(path, follow=True)
    except FileNotFoundError:
        raise UnreadableError(
            f"{path}: no such file; write it (samples: README.rst, conf/kegbot_master.cfg in the sources), "
            "or name another with --master_config"
        ) from None
    except PermissionError:
        raise UnreadableError(
            f"{path}: permission denied; make it readable for this user", rights=True
        ) from None
    except OSError as error:
        if error.errno == errno.EINVAL:
            raise UnreadableError(f"{path}: is no plain file; name the configuration file") from None
        raise UnreadableError(f"{path}: cannot be read ({error.strerror}); correct the path") from None
    with open(fd, "rb") as file:
        seen = os.fstat(fd)
        if os.geteuid() == 0 and (seen.st_mode & 0o022 or seen.st_uid != 0):
            # Whoever may write this file would become root with the next start.
            raise UnreadableError(
                f"{path}: can be written by others than root; chown root {path} and chmod go-w {path}"
            )
        data = file.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise UnreadableError(f"{path}: is larger than {_MAX_BYTES >> 20} MiB; that is no configuration")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise UnreadableError(f"{path}:{line}: is not UTF-8; save it as UTF-8") from None


def _program(app: App, search: Search) -> Iterator[tuple[str, ProgramError]]:
    own_path = dict(app.context.environment).get("PATH", "")
    try:
        search.find(app.program, own_path, may_lack_py=app.may_lack_py)
    except ProgramError as error:
        key = next((key for key in ("_command", "_program_name") if key in app.key_lines), "_program_name")
        yield key, error


def _directories(app: App, search: Search) -> Iterator[tuple[str, ProgramError]]:
    del search
    for key, path in (("pidfile", app.pidfile), ("logfile", app.logfile)):
        directory = os.path.dirname(path)
        # The pidfile that a program writes by itself lies where its own user may write; its number is proven anyway.
        own = key == "pidfile" and app.detaches and "_pidfile" in app.key_lines
        shown = "_pidfile" if own else key if key in app.key_lines else f"_{key}_dir"
        if reason := _unwritable(directory):
            yield (
                shown,
                ProgramError(f"its {key} directory {directory} {reason}", "mend that or name another"),
            )
        elif not own and (found := _strangers(directory, app.context.user, group=key == "pidfile")):
            open_one, owners = found
            above = "" if open_one == directory else f"{open_one}, above "
            yield (
                shown,
                ProgramError(
                    f"{above}its {key} directory {directory} can be written by others than {owners}",
                    f"chown root {open_one} and chmod go-w {open_one}, or name another",
                ),
            )
        elif wrong := _no_way(path):
            yield shown, ProgramError(f"its {key} {path} cannot be reached: {wrong}", "or name another")
        elif wrong := _no_plain_file(path):
            yield shown if own else key, ProgramError(f"its {key} {path} {wrong}", "name a plain file")
    work = app.context.working_directory
    if not os.path.isdir(work):
        yield "_working_directory", ProgramError(f"there is no directory {work}", "make it or name another")


def _strangers(path: str, user: str, *, group: bool) -> tuple[str, str] | None:
    """What others can write to, `path` or a directory above it, and who alone should when root starts the app.

    `group`: nor may a group; /var/log belongs to one on many systems. A sticky directory such as /tmp is no better:
    anybody may lay a file of his own in the app's way before it starts.
    """
    if os.geteuid() != 0:
        return None
    owners = {0}
    if user:
        import pwd

        try:
            owners.add(pwd.getpwnam(user).pw_uid)
        except KeyError:
            return None  # told of elsewhere
    try:
        seen = os.stat(path)
    except OSError:
        return None
    sound = seen.st_uid in owners and not seen.st_mode & (0o022 if group else 0o002)
    found = footing.outsider(path, owners) if sound else path
    return (found, f"root and {user}" if user else "root") if found else None


def _no_way(path: str) -> str:
    """Which symlink root will not follow on the way to `path`; empty if none."""
    try:
        with footing.hold(path):
            return ""
    except OSError as error:
        return f"{error.filename} {error.strerror}" if error.errno in (errno.ENOTDIR, errno.ELOOP) else ""


def _no_plain_file(path: str) -> str:
    """What is at `path` that must not be written to; empty if nothing, a plain file or a plain device is there."""
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return ""
    if stat.S_ISLNK(mode):
        return "is a symlink"
    return "" if stat.S_ISREG(mode) or stat.S_ISCHR(mode) else "is no plain file"


def _unwritable(directory: str) -> str:
    """Why no file could be made there; empty if one could, counting directories that `start` would make."""
    path = directory
    while not os.path.lexists(path):
        path = os.path.dirname(path)
    if not os.path.isdir(path):
        return "cannot be made" if path != directory else "is no directory"
    return "" if os.access(path, os.W_OK | os.X_OK) else "cannot be written to"


def _user(app: App, search: Search) -> Iterator[tuple[str, ProgramError]]:
    del search
    if not (app.context.user or app.context.group):
        return
    import grp
    import pwd

    lookups: tuple[tuple[str, str, Callable[[str], object]], ...] = (
        ("user", app.context.user, pwd.getpwnam), ("group", app.context.group, grp.getgrnam),
    )  # fmt: skip
    for kind, name, look_up in lookups:
        if not name:
            continue
        try:
            found = look_up(name)
        except KeyError:
            yield f"_{kind}", ProgramError(f"there is no {kind} {name}", "make it or name another")
        else:
            if os.geteuid() not in (0, getattr(found, "pw_uid", 0)):
                yield (
                    f"_{kind}",
                    ProgramError(f"only root can start it as {kind} {name}", "run as root, or take it out"),
                )


def _environment_file(app: App, search: Search) -> Iterator[tuple[str, ProgramError]]:
    del search
    path = app.context.environment_file
    if not path:
        return
    try:
        read_environment_file(path)
    except ProgramError as error:
        yield "_environment_file", error
        return
    if found := _strangers(path, app.context.user, group=True):
        # LD_PRELOAD in it would be theirs to choose.
        open_one, owners = found
        above = "" if open_one == path else f", above {path},"
        yield (
            "_environment_file",
            ProgramError(
                f"{open_one}{above} can be written by others than {owners}",
                f"chown root {open_one} and chmod go-w {open_one}",
            ),
        )


def read_environment_file(path: str) -> dict[str, str]:
    """The NAME=value lines, as `envfile` reads them. Raises ProgramError."""
    try:
        # The app's user may own its directory: a symlink of his is not to show him what root alone may read.
        with open(files.open_plain(path, follow=True, safely=True), encoding="utf-8") as file:
            text = file.read(_MAX_BYTES)
    except (OSError, UnicodeDecodeError) as error:
        if isinstance(error, OSError) and error.errno == errno.EINVAL:
            raise ProgramError(f"{path} is no plain file", "name a file of NAME=value lines") from None
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ProgramError(
            f"{path} cannot be read ({reason})", "make it readable, 0600 and its owner's"
        ) from None
    from . import envfile

    try:
        return envfile.read(text)
    except ValueError as error:
        # The line itself may be a secret: only its number is said.
        raise ProgramError(f"{path}:{error} is no NAME=value line", "write NAME=value") from None


def _hooks(app: App, search: Search) -> Iterator[tuple[str, ProgramError]]:
    own_path = dict(app.context.environment).get("PATH", "")
    commands = (
        ("_on_failure", app.on_failure), ("_on_change", app.on_change), ("_stop_command", app.stop_command),
    )  # fmt: skip
    for key, argv in commands:
        try:
            if argv:
                search.find(argv[0], own_path)
        except ProgramError as error:
            yield key, error


def _asking(app: App, search: Search) -> Iterator[tuple[str, ProgramError]]:
    """The programs that its checks run."""
    own_path = dict(app.context.environment).get("PATH", "")
    for key, check in (("_ready", app.ready), ("_health", app.health)):
        try:
            if check is not None and check.argv:
                search.find(check.argv[0], own_path)
        except ProgramError as error:
            yield key, ProgramError(str(error), error.cure)


_CHECKS: Final = (_program, _directories, _user, _environment_file, _hooks, _asking)
