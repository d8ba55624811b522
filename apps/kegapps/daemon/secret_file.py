"""Files that a person wrote for a program, and secrets among them, which nobody else may read.

Knows owners, modes and sizes. Must not know what is in them, or which flag names them.
"""

from __future__ import annotations

import os
import pwd
import stat


class FileError(Exception):
    """The file cannot serve; `str(error)` is one line: what is wrong with it, and what to do."""


def read_plain(path: str, max_bytes: int) -> tuple[bytes, os.stat_result]:
    """The first `max_bytes` of the plain file `path`, and what the system knows of the very file that was read.

    Raises FileError; never waits for what is no plain file.
    """
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
            return file.read(max_bytes), found
    except OSError as error:
        raise FileError(f"{path}: {error.strerror}") from None
    finally:
        os.close(fd)


def check_private(path: str, found: os.stat_result) -> None:
    """Raise FileError if its group or others have any right to it."""
    if found.st_mode & 0o077:
        mode = stat.S_IMODE(found.st_mode)
        raise FileError(f"{path} has mode {mode:04o}, so others may read or change it; chmod 600 {path}")


def is_trusted(owner: int) -> bool:
    """True for the user that this program runs as, and for root, who can do anything anyway."""
    return owner in (os.geteuid(), 0)


def user_name(number: int) -> str:
    """The name of a user, or the number if nobody has it."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
