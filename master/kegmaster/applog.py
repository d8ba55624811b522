"""An app's log file: opened with care, appended to, rotated between lines.

Knows the disk. Must not know processes, spools or time. The file is opened anew for each batch, so that a rename,
removal or truncation by others is followed by itself.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable

from . import footing
from .files import open_plain

_NO_PLACE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}


def open_log(path: str, uid: int | None, gid: int | None) -> int:
    """Open a log to append to, never waiting; a new one belongs to `uid`, or else to whose directory it is.

    Raises OSError, also for what is no plain file, or has other names besides.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    with footing.hold(path) as (directory, name):
        try:
            fd = os.open(name, flags | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=directory)
            if uid is not None:
                os.fchown(fd, uid, -1 if gid is None else gid)
            elif owner := footing.heir(directory):
                os.fchown(fd, *owner)
        except FileExistsError:
            try:
                fd = os.open(name, flags, dir_fd=directory)
            except OSError as error:
                if error.errno == errno.ELOOP:
                    raise OSError(error.errno, "it is a symlink", path) from None
                if error.errno == errno.ENXIO:
                    raise OSError(error.errno, "it is no plain file", path) from None
                raise
    seen = os.fstat(fd)
    wrong = ""
    if not (stat.S_ISREG(seen.st_mode) or stat.S_ISCHR(seen.st_mode)):
        wrong = "it is no plain file"
    elif stat.S_ISREG(seen.st_mode) and seen.st_nlink > 1:
        # Somebody else's file may be meant: what is linked into a directory is not thereby ours.
        wrong = "it is a hard link, with another name elsewhere"
    if wrong:
        os.close(fd)
        raise OSError(errno.EINVAL, wrong, path)
    return fd


def lacks_place(error: OSError) -> bool:
    """The disk's trouble and nobody's mistake: it may pass."""
    return error.errno in _NO_PLACE


def parts(text: bytes, size: int, cap: int, *, in_line: bool) -> list[bytes]:
    """What goes into a log of `size` bytes, then into a new one, and so on, so that none exceeds `cap` (0: no cap).

    Whole lines only: a line longer than `cap` gets a log of its own. `in_line`: the log ends within a line, so its
    rest goes there. The first part is empty if not one line fits.
    """
    if not cap:
        return [text]
    found: list[bytes] = []
    start, room, must = 0, cap - size, in_line or size == 0
    while start < len(text):
        end = start + room
        if end >= len(text):
            cut = len(text)
        else:
            cut = text.rfind(b"\n", start, max(start, end)) + 1
            if cut <= start:
                cut = (text.find(b"\n", start) + 1 or len(text)) if must else start
        found.append(text[start:cut])
        start, room, must = cut, cap, True
    return found


def rotate(path: str, backups: int) -> None:
    """Make room at `path`: LOG becomes LOG.1, that LOG.2 and so on; the oldest of `backups` goes. Raises OSError."""
    with footing.hold(path) as (directory, name):
        if not backups:
            os.unlink(name, dir_fd=directory)
            return
        last = 1  # behind a gap nothing need move, so an interrupted rotation costs no log
        while last < backups and _there(f"{name}.{last}", directory):
            last += 1
        for number in range(last, 0, -1):
            before = f"{name}.{number - 1}" if number > 1 else name
            os.rename(before, f"{name}.{number}", src_dir_fd=directory, dst_dir_fd=directory)


def _there(name: str, directory: int) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


class AppLog:
    """The log of one app; `cap` bytes, 0 for any size; `uid`, `gid`: whom a new one belongs to."""

    __slots__ = ("_backups", "_cap", "_complain", "_gid", "_stuck", "_uid", "in_line", "path")

    def __init__(
        self, path: str, *, cap: int, backups: int, uid: int | None, gid: int | None,
        complain: Callable[[str], None],
    ) -> None:  # fmt: skip
        self.path = path
        self.in_line = False
        """The last byte written ends no line."""
        self.limit(cap, backups)
        self._uid, self._gid = uid, gid
        self._complain = complain
        self._stuck = False

    def limit(self, cap: int, backups: int) -> None:
        """Heed these limits from now on."""
        self._cap, self._backups = cap, backups

    def append(self, text: bytes) -> tuple[int, OSError | None]:
        """Write `text`, rotating as need be: how many bytes got there, and why not all."""
        done, fd = 0, -1
        try:
            fd = open_log(self.path, self._uid, self._gid)
            seen = os.fstat(fd)
            cap = self._cap if stat.S_ISREG(seen.st_mode) else 0
            for number, part in enumerate(parts(text, seen.st_size, cap, in_line=self.in_line)):
                if number and self._rotate():
                    os.close(fd)
                    fd = -1
                    fd = open_log(self.path, self._uid, self._gid)
                while part:
                    count = os.write(fd, part)
                    done += count
                    self.in_line = part[count - 1 : count] != b"\n"
                    part = part[count:]
        except OSError as error:
            return done, error
        finally:
            if fd >= 0:
                os.close(fd)
        return done, None

    def end_line(self) -> None:
        """An earlier watchdog may have died within a line: what comes next is not to be glued to it."""
        try:
            fd = open_plain(self.path)
            with open(fd, "rb") as file:
                if not os.fstat(fd).st_size:
                    return
                file.seek(-1, os.SEEK_END)
                self.in_line = file.read(1) != b"\n"
        except OSError:
            return
        if self.in_line:
            self.append(b"\n")

    def _rotate(self) -> bool:
        try:
            rotate(self.path, self._backups)
        except FileNotFoundError:  # somebody else was faster
            return True
        except OSError as error:
            # A log that is too large is better than none.
            if not self._stuck:
                self._complain(f"its log cannot be rotated and grows on: {error}")
            self._stuck = True
            return False
        self._stuck = False
        return True
