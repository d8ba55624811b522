"""News of directories: what was removed from one, what appeared in it (inotify(7)), so that nothing need be polled.

Knows the three system calls, by ctypes. Which files matter is not its business: it only says that something happened.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable

_NONBLOCK, _CLOEXEC = os.O_NONBLOCK, os.O_CLOEXEC
_ATTRIB, _MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x4, 0x40, 0x80, 0x100, 0x200
_DELETE_SELF, _MOVE_SELF, _ONLYDIR = 0x400, 0x800, 0x1000000
GONE = _MOVED_FROM | _DELETE | _DELETE_SELF | _MOVE_SELF | _ONLYDIR
"""Something was removed from the directory, or the directory itself."""
DELETED = _DELETE | _DELETE_SELF | _ONLYDIR
"""Likewise, but for what was moved: of use where files are replaced by renaming."""
COME = _MOVED_TO | _CREATE | _ATTRIB | _DELETE_SELF | _MOVE_SELF | _ONLYDIR
"""Something appeared in the directory, or became readable."""


class Inotify:
    """A descriptor that is readable when something happened in one of the watched directories."""

    def __init__(self) -> None:
        """Raises OSError where the kernel has no more of them to give."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._libc.inotify_init1(_NONBLOCK | _CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        self._watches: dict[str, tuple[int, int]] = {}
        """Directory to (events, the kernel's number)."""

    def fileno(self) -> int:
        """The descriptor."""
        return int(self._fd)

    def watch(self, wanted: Iterable[tuple[str, int]]) -> None:
        """Watch just these (directory, GONE or COME) from now on; directories that cannot be watched are skipped."""
        events: dict[str, int] = {}
        for directory, kinds in wanted:
            events[directory] = events.get(directory, 0) | kinds
        for directory in self._watches.keys() - events.keys():
            self._libc.inotify_rm_watch(self._fd, self._watches.pop(directory)[1])
        for directory, kinds in events.items():
            if self._watches.get(directory, (0, 0))[0] != kinds:
                self._add(directory, kinds)

    def take(self) -> None:
        """Take in the news. A watched directory may have been replaced, so all are looked up anew."""
        try:
            os.read(self._fd, 65536)
        except BlockingIOError:
            return
        for directory, (kinds, _) in list(self._watches.items()):
            self._add(directory, kinds)

    def close(self) -> None:
        """Watch nothing any more."""
        os.close(self._fd)

    def _add(self, directory: str, kinds: int) -> None:
        # For a directory that is watched already, this changes nothing: no new event, so no endless round.
        number = self._libc.inotify_add_watch(self._fd, os.fsencode(directory), kinds)
        if number >= 0:
            self._watches[directory] = kinds, number
        else:
            self._watches.pop(directory, None)


def existing(path: str) -> str:
    """The nearest directory above `path` that is there."""
    directory = os.path.dirname(path)
    while directory != "/" and not os.path.isdir(directory):
        directory = os.path.dirname(directory)
    return directory
