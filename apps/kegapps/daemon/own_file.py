"""A small file that a program keeps for itself: opened only if it is one, so that a mistaken path destroys nothing.

Knows kinds of files and their owners. Must not know what is kept. SQLite's files are looked at by `sqlite_file`.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable
from typing import Final

from kegapps.daemon.secret_file import is_trusted

_HEAD_BYTES: Final = 8192
_PROCESS: Final = re.compile(rb"\d{1,10}\n")


def open_own(path: str, is_ours: Callable[[bytes], bool], *, mode: int = 0o600) -> int:
    """The file at `path`, made if it is not there, to be read and written; the caller closes it.

    `is_ours` is asked about the first 8 kB of one that is not empty. Raises OSError, whose `strerror` is for a person,
    if it is no plain file, is of another program, or is reached by a link that another user made; then it is as it was.
    """
    if os.path.islink(path) and not is_trusted(os.lstat(path).st_uid):
        raise OSError(errno.EPERM, "a link that another user made", path)
    # A FIFO would wait for its other end, a terminal would become ours.
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY, mode)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "not a plain file", path)
        head = os.pread(fd, _HEAD_BYTES, 0)
        if head and not is_ours(head):
            raise OSError(errno.EEXIST, "a file of something else is there, and is left as it is", path)
    except BaseException:
        os.close(fd)
        raise
    return fd


def open_lock(path: str) -> int:
    """The file at `path` that is there to be locked, and holds at most the number of a process. Raises OSError."""
    return open_own(path, lambda head: _PROCESS.fullmatch(head) is not None)
