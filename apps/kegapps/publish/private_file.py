"""Files that the user writes for a publisher: that of the URLs, which is secret, and that of who wants no mention.

Knows owners, modes and sizes. Must not know what is in them.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pwd
import stat
import unicodedata
from typing import Final

MAX_BYTES: Final = 1 << 20

log = logging.getLogger("publish")


class FileError(Exception):
    """The file cannot serve; `str(error)` is one line: what is wrong with it, and what to do."""


def read_secret(path: str) -> str:
    """The text of `path`, which nobody but its owner, us or root, may read or have put there. Raises FileError."""
    if os.path.islink(path) and (owner := os.lstat(path).st_uid) not in (os.geteuid(), 0):
        raise FileError(
            f"{path} is a link that {_user(owner)} made, who may point it elsewhere; name the file itself"
        )
    text, found = _read(path)
    if found.st_uid not in (os.geteuid(), 0):
        raise FileError(f"{path} belongs to {_user(found.st_uid)}; chown {_user(os.geteuid())} {path}")
    if found.st_mode & 0o077:
        mode = stat.S_IMODE(found.st_mode)
        raise FileError(f"{path} has mode {mode:04o}, so others may read or change it; chmod 600 {path}")
    return text


class Unnamed:
    """The users who are not to be mentioned: one name a line in a file, which may change at any time.

    Raises FileError if it cannot be read at first; later the last that was read remains in force.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._stamp: tuple[int, ...] = ()
        self._names: frozenset[str] = frozenset()
        self._complained = False
        if path:
            self._load()

    def __contains__(self, username: str | None) -> bool:
        if username is None or not self._path:
            return False
        try:
            self._load()
        except FileError as error:
            if not self._complained:
                log.warning("%s; what was in it still holds", error)
            self._complained = True
        return _folded(username) in self._names

    def _load(self) -> None:
        with contextlib.suppress(OSError):
            if _stamp(os.stat(self._path)) == self._stamp:
                return
        text, found = _read(self._path)
        lines = (line.strip() for line in text.splitlines())
        self._names = frozenset(_folded(line) for line in lines if line and not line.startswith("#"))
        self._stamp = _stamp(found)
        self._complained = False


def _read(path: str) -> tuple[str, os.stat_result]:
    try:
        # A FIFO would wait for a writer, for ever.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise FileError(f"{path}: {error.strerror}") from None
    except ValueError:
        raise FileError(f"{path!r} is no path") from None
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise FileError(f"{path} is no plain file")
        with open(fd, "rb", closefd=False) as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise FileError(f"{path}: {error.strerror}") from None
    finally:
        os.close(fd)
    if len(data) > MAX_BYTES:
        raise FileError(f"{path} is larger than {MAX_BYTES >> 20} MiB")
    try:
        return data.decode("utf-8-sig"), found
    except UnicodeDecodeError:
        raise FileError(f"{path} is not UTF-8 text") from None


def _stamp(found: os.stat_result) -> tuple[int, ...]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
