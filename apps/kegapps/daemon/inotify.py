"""News of directories (inotify(7)), so that nobody need look again and again whether a device has come.

Knows the system calls, by ctypes. Which files matter is not its business: it only says that something happened.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from typing import Final

# Something appeared in the directory, went, or may be opened by others than before; or the directory itself did.
_EVENTS: Final = 0x4 | 0x40 | 0x80 | 0x100 | 0x200 | 0x400 | 0x800 | 0x1000000


class Inotify:
    """A descriptor that is readable when something happened in one of the watched directories."""

    def __init__(self) -> None:
        """Raises OSError where the kernel has no such thing, or no more of them to give."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd: int = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        self._watches: dict[str, int] = {}

    def fileno(self) -> int:
        """The descriptor."""
        return self._fd

    def watch(self, directories: Iterable[str]) -> None:
        """Watch just these from now on; those that cannot be watched are skipped."""
        wanted = set(directories)
        for directory in self._watches.keys() - wanted:
            self._libc.inotify_rm_watch(self._fd, self._watches.pop(directory))
        for directory in wanted:
            # A directory may have been replaced by another of its name; for one that is watched this changes nothing.
            number = self._libc.inotify_add_watch(self._fd, os.fsencode(directory), _EVENTS)
            if number >= 0:
                self._watches[directory] = number
            else:
                self._watches.pop(directory, None)

    def take(self) -> None:
        """Take in the news."""
        try:
            while os.read(self._fd, 65536):
                pass
        except BlockingIOError:
            return

    def close(self) -> None:
        """Watch nothing any more."""
        os.close(self._fd)
