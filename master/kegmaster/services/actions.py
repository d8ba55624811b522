"""The log of what people had the launcher do: time, user, verb, names, result; one line each, bounded.

Kept beside what install wrote down, so there is one only where something was installed. Must not know what verbs do.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import time
from collections.abc import Iterable

from ..problems import printable
from .store import place

FILE = "actions.log"
MAX_BYTES = 256 << 10
"""Then it becomes actions.log.1, and what was that is gone."""


def note(state_dir: str, verb: str, names: Iterable[str], result: int) -> None:
    """Write a line, if something was ever installed here. A log that takes nothing stands in nobody's way."""
    with contextlib.suppress(OSError):
        fd = os.open(place(state_dir), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if os.fstat(fd).st_uid == os.geteuid():
                _append(fd, line(time.time(), who(), verb, names, result).encode())
        finally:
            os.close(fd)


def line(now_unix: float, user: str, verb: str, names: Iterable[str], result: int) -> str:
    """One line of the log."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(now_unix))
    done = "done" if result == 0 else f"failed, status {result}"
    return printable(f"{stamp} {user}: {' '.join([verb, *names])}: {done}") + "\n"


def who() -> str:
    """The user, and whoever he was before sudo."""
    try:
        name = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        name = str(os.geteuid())
    before = os.environ.get("SUDO_USER", "")
    return f"{name} ({before[:64]})" if before and before != name else name


def _append(directory: int, data: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    fd = os.open(FILE, flags, 0o600, dir_fd=directory)
    try:
        if os.fstat(fd).st_size + len(data) > MAX_BYTES:
            os.rename(FILE, f"{FILE}.1", src_dir_fd=directory, dst_dir_fd=directory)
            os.close(fd)
            fd = os.open(FILE, flags, 0o600, dir_fd=directory)
        os.write(fd, data)
    finally:
        os.close(fd)
