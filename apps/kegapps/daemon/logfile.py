"""A log file that may be rotated at midnight, moved or removed by others, and written to by a dying process.

Knows files and one thing of `logging`: a handler. Must not know flags, nor which programs log.

Kegbot rotated with the standard TimedRotatingFileHandler; names and hours are the same here. Ours keeps an
existing dated file when the clock is set back (a Pi steps its clock at every boot), writes whole lines,
refuses a FIFO, does not rename /dev/null, and does not cost the import of pickle and queue.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import stat
import time
from collections.abc import Sequence

_DATED = re.compile(r"\.\d{4}-\d{2}-\d{2}\Z")


class FileHandler(logging.Handler):
    """Appends to `path`, each record by one write, so that lines stay whole whoever else writes there.

    Opens the file again when it was moved or removed, and on `reopen()`. With `keep_days`, the first record
    after midnight (local time) renames the file to `path.YYYY-MM-DD`, the day it is of, and keeps that many
    such files (0: all); None does not rotate. The descriptors `followers` always lead to the file, too,
    through all changes. Raises OSError if the file cannot be opened.
    """

    def __init__(self, path: str, *, keep_days: int | None, followers: Sequence[int] = ()) -> None:
        super().__init__()
        self.path = path
        self._keep_days = keep_days
        self._followers = followers
        self._torn = False
        self._fd = _open(path)
        self._adopt()

    def emit(self, record: logging.LogRecord) -> None:
        """Append one record. A full disk or a vanished directory costs the record, never the program."""
        try:
            self._follow_name()
            self._rotate_at_midnight(record.created)
            self._write((self.format(record) + "\n").encode("utf-8", "backslashreplace"))
        except OSError:
            return
        except Exception:  # noqa: BLE001 - a log call never fails
            self.handleError(record)

    def reopen(self) -> None:
        """Open whatever bears the name now; if that fails, go on with the old file."""
        self.acquire()
        try:
            self._replace()
        finally:
            self.release()

    def write_unlocked(self, line: bytes) -> None:
        """Append bytes without any lock, for the last words of a process whose threads are stuck."""
        os.write(self._fd, line)

    def close(self) -> None:
        """Close the file."""
        self.acquire()
        try:
            fd, self._fd = self._fd, -1
            if fd >= 0:
                os.close(fd)
        finally:
            self.release()
            super().close()

    def _write(self, data: bytes) -> None:
        if self._torn:
            data = b"\n" + data
        while data:
            data = data[os.write(self._fd, data) :]
            self._torn = bool(data)

    def _follow_name(self) -> None:
        try:
            if os.path.samestat(os.stat(self.path), os.fstat(self._fd)):
                return
        except OSError:
            pass
        self._replace()

    def _replace(self) -> None:
        try:
            fd = _open(self.path)
        except OSError:
            return
        os.close(self._fd)
        self._fd = fd
        self._torn = False
        self._adopt()

    def _adopt(self) -> None:
        """Take the file just opened: of which day it is, whether it can be renamed, who follows it."""
        info = os.fstat(self._fd)
        self._is_regular = stat.S_ISREG(info.st_mode)
        # The last change tells the day, so that a program that slept over midnight or was restarted rotates,
        # too.
        self._day = _day(info.st_mtime if info.st_size else time.time())
        for fd in self._followers:
            os.dup2(self._fd, fd)

    def _rotate_at_midnight(self, now_s: float) -> None:
        if self._keep_days is None or not self._is_regular:
            return
        today = _day(now_s)
        if today <= self._day:  # the same, or the clock was set back
            return
        dated = f"{self.path}.{self._day}"
        self._day = today
        try:
            if os.fstat(self._fd).st_size and not os.path.lexists(dated):
                os.rename(self.path, dated)
                self._replace()
                self._day = today
                self._remove_old(self._keep_days)
        except OSError:
            return  # the directory is not ours to change: one long file, then

    def _remove_old(self, keep_days: int) -> None:
        folder, name = os.path.split(self.path)
        with os.scandir(folder) as entries:
            dated = sorted(
                entry.path
                for entry in entries
                if entry.name.startswith(name) and _DATED.fullmatch(entry.name, len(name))
            )
        for path in dated[:-keep_days] if keep_days else ():
            os.unlink(path)


def why_not(error: OSError, path: str) -> str:
    """What to tell a person about the error of opening the log file `path`."""
    match error.errno:
        case errno.ENOENT | errno.ENOTDIR:
            return f"there is no directory {os.path.dirname(path)}; create it or name another file"
        case errno.EISDIR:
            return "is a directory; name a file"
        case errno.ENXIO:
            return "is not a regular file; name another"
        case _:
            return f"cannot be written ({error.strerror}); name a file in a directory of yours"


def _open(path: str) -> int:
    # NONBLOCK: a FIFO that nobody reads would hold us for ever. NOCTTY: a daemon must not win a terminal.
    fd = os.open(
        path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, 0o644
    )
    mode = os.fstat(fd).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISCHR(mode):
        os.close(fd)
        raise OSError(errno.ENXIO, "not a regular file", path)
    return fd


def _day(time_s: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(time_s))
