"""Run records: one small file a wanted app, so that the next watchdog knows which process is which launch.

Knows the record directory and atomic writes. A record is read as a claim: checked field by field, and set aside
when it makes no sense.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping

from . import files
from .lean import asdict, dataclass, field
from .pidfiles import MAX_PID
from .problems import Problem

_MAX_BYTES = 1 << 20
_SUFFIX = ".run"
_LEAVING = "leaving"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One wanted app. `pid` and `start_ticks` are its main process's; 0 as long as there is none, or it is not known.

    `state` is that of the lifecycle when it was written. `cookie` marks all processes of the launch; `session` is
    that of the process we made, which a daemon that detaches leaves. `started_unix` is for people.
    """

    app: str
    boot_id: str
    state: str
    wanted: bool = True
    cookie: str = ""
    pid: int = 0
    start_ticks: int = 0
    session: int = 0
    restarts: int = 0
    failures: int = 0
    """In a row."""
    delay_s: float = 0.0
    next_try_s: float = 0.0
    """When its wait after the last failure ends (monotonic, of this boot)."""
    exit_status: int | None = None
    exit_signal: int | None = None
    started_unix: float = 0.0
    pidfile: str = ""
    logfile: str = ""
    argv: tuple[str, ...] = ()
    started_with: Mapping[str, int] = field(default_factory=dict)
    """A checksum of each setting that it was started with; empty if that is not known."""
    note: str = ""
    """What it said of itself last (sd_notify's STATUS=), for people."""


class Records:
    """The records of one master, in a directory of their own. Methods raise OSError (full disk, rights)."""

    def __init__(self, directory: str) -> None:
        self.directory = directory

    def prepare(self) -> None:
        """Make the directory, readable by its owner only; what others could write to is refused."""
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        seen = os.lstat(self.directory)
        if not stat.S_ISDIR(seen.st_mode) or seen.st_uid != os.geteuid() or seen.st_mode & 0o022:
            raise OSError(errno.EPERM, "is a symlink or another user's; remove it", self.directory)

    def write(self, record: Record) -> None:
        """Replace the app's record in one step: a crash leaves the old or the new one, never half of it."""
        files.replace(self._path(record.app), json.dumps(asdict(record)).encode(), 0o600)

    def remove(self, app: str) -> None:
        """Forget the app's launch: no process of it is left."""
        try:
            os.unlink(self._path(app))
        except FileNotFoundError:
            return

    def has(self, app: str) -> bool:
        """There is a record of the app, sound or not."""
        return os.path.lexists(self._path(app))

    def read_all(self) -> Iterator[Record | Problem]:
        """Every record, or what is wrong with it."""
        try:
            names = sorted(os.listdir(self.directory))
        except (FileNotFoundError, NotADirectoryError):
            return
        for name in names:
            if name.endswith(_SUFFIX):
                yield self._read(os.path.join(self.directory, name), name.removesuffix(_SUFFIX))

    def set_aside(self, path: str) -> None:
        """Keep an unreadable record for a person to look at, out of the way; where it cannot go, it stays."""
        with contextlib.suppress(OSError):
            os.replace(path, path + ".unreadable")

    def discard(self) -> None:
        """Remove the directory if nothing is left in it but what writes that were cut short left."""
        try:
            for name in os.listdir(self.directory):
                if name.endswith(f"{_SUFFIX}.new"):
                    os.unlink(f"{self.directory}/{name}")
            os.rmdir(self.directory)
        except OSError:
            return

    @property
    def leaving(self) -> bool:
        """The master was told to stop everything and end; whoever comes after it carries that on."""
        return os.path.exists(f"{self.directory}/{_LEAVING}")

    @leaving.setter
    def leaving(self, leaving: bool) -> None:
        if leaving:
            os.close(os.open(f"{self.directory}/{_LEAVING}", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        elif self.leaving:
            os.unlink(f"{self.directory}/{_LEAVING}")

    def _path(self, app: str) -> str:
        return os.path.join(self.directory, app + _SUFFIX)

    def _read(self, path: str, app: str) -> Record | Problem:
        try:
            fields = json.loads(files.read_plain(path, _MAX_BYTES))
            fields["argv"] = tuple(fields["argv"])
            # What a later version wrote besides is not for us.
            known = {name: value for name, value in fields.items() if name in Record.__annotations__}
            record = Record(**known)
            if record.app != app or not _sound(record):
                raise ValueError("its fields make no sense")
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            return Problem(
                file=path, wrong=f"unreadable run record ({error})", cure="it is set aside and not used"
            )
        return record


def sound_cookie(text: str) -> bool:
    """It looks like one of ours."""
    return re.fullmatch("[0-9a-f]{32}", text) is not None


def _sound(record: Record) -> bool:
    texts = (
        record.app,
        record.boot_id,
        record.state,
        record.cookie,
        record.pidfile,
        record.logfile,
        record.note,
        *record.argv,
    )
    paths = (record.pidfile, record.logfile)
    numbers = (record.pid, record.start_ticks, record.session, record.restarts, record.failures)
    return (
        all(isinstance(text, str) and b"\0" not in os.fsencode(text) for text in texts)
        and all(path == "" or path.startswith("/") for path in paths)
        and record.pid <= MAX_PID
        and record.session <= MAX_PID
        and all(type(number) is int and 0 <= number < 1 << 63 for number in numbers)
        and isinstance(record.started_with, dict)
        and all(type(check) is int for check in record.started_with.values())
        and isinstance(record.wanted, bool)
        and all(
            type(time_s) in (int, float) and 0 <= time_s < 1e12
            for time_s in (record.delay_s, record.next_try_s)
        )
        and isinstance(record.started_unix, int | float)
        and all(code is None or type(code) is int for code in (record.exit_status, record.exit_signal))
        and record.pid != 1
        and (record.cookie == "" or sound_cookie(record.cookie))
    )
