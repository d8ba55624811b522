"""Files that the user writes for a publisher: that of the URLs, which is secret, and that of who wants no mention.

Knows owners, modes and sizes. Must not know what is in them.
"""

from __future__ import annotations

import contextlib
import logging
import os
import unicodedata
from typing import Final

from kegapps.daemon.secret_file import FileError, check_private, is_trusted, read_plain, user_name

MAX_BYTES: Final = 1 << 20

log = logging.getLogger("publish")


def read_secret(path: str) -> str:
    """The text of `path`, which nobody but its owner, us or root, may read or have put there. Raises FileError."""
    if os.path.islink(path) and not is_trusted(owner := os.lstat(path).st_uid):
        raise FileError(
            f"{path} is a link that {user_name(owner)} made, who may point it elsewhere; name the file itself"
        )
    text, found = _read(path)
    if not is_trusted(found.st_uid):
        raise FileError(
            f"{path} belongs to {user_name(found.st_uid)}; chown {user_name(os.geteuid())} {path}"
        )
    check_private(path, found)
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
    data, found = read_plain(path, MAX_BYTES + 1)
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
