"""What people stopped by name, kept over crash and reboot: a list of names in the state directory.

Knows one small file, which is read as a claim. Must not know apps: which names belong together is the watchdog's to
say. A disk that takes nothing stands in the way of no stop: it is said, and tried again with the next command.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from . import files
from .config import sound_name
from .lean import Final

_MAX_BYTES: Final = 1 << 20


class Intent:
    """The names, in memory and at `path`. Nothing raises: what went wrong comes back as text, empty if all is well."""

    def __init__(self, path: str) -> None:
        """Read what is there. `problem`: why that could not be used; it was set aside then."""
        self.path = path
        self.problem = ""
        self.stopped: frozenset[str] = frozenset()
        try:
            self.stopped = _read(path)
        except (OSError, ValueError) as error:
            self.problem = f"{path}: {_in_words(error)}; which apps were stopped by hand is not known"
            try:
                os.replace(path, f"{path}.unreadable")
                self.problem += ", the file is set aside"
            except OSError:
                self.problem += ", remove it"
        self._written = self.stopped

    def add(self, names: Iterable[str]) -> str:
        """These were stopped by hand."""
        return self._keep(self.stopped.union(names))

    def discard(self, names: Iterable[str]) -> str:
        """These were started again."""
        return self._keep(self.stopped.difference(names))

    def clear(self) -> str:
        """All are wanted again."""
        return self._keep(frozenset())

    def restore(self) -> None:
        """Write the file anew if somebody removed it."""
        if self._written and not os.path.lexists(self.path):
            self._written = frozenset()
            self._keep(self.stopped)

    def _keep(self, stopped: frozenset[str]) -> str:
        self.stopped = stopped
        if stopped == self._written:
            return ""
        try:
            if stopped:
                self._write(
                    "".join(f"{name}\n" for name in sorted(stopped)).encode(), less=stopped < self._written
                )
            else:
                os.unlink(self.path)
        except FileNotFoundError:
            if stopped:
                return f"{self.path}: its directory is gone"
        except (OSError, ValueError) as error:
            return f"{self.path}: {_in_words(error)}"
        self._written = stopped
        return ""

    def _write(self, data: bytes, *, less: bool) -> None:
        try:
            self._replace(data)
        except OSError:
            if not less:
                raise
            # A full disk: what is there can still be written over, in one call, with blank lines for what is gone.
            # Otherwise an app that was started again would be stopped by the next watchdog.
            _overwrite(self.path, data)

    def _replace(self, data: bytes) -> None:
        directory = os.path.dirname(self.path)
        os.makedirs(directory, mode=0o755 if os.geteuid() == 0 else 0o700, exist_ok=True)
        seen = os.stat(directory)
        if os.geteuid() == 0 and (seen.st_uid != 0 or seen.st_mode & 0o022):
            raise ValueError(f"{directory} can be written by others than root")
        files.replace(self.path, data, 0o600, lasting=True)


def _overwrite(path: str, data: bytes) -> None:
    fd = files.open_plain(path, os.O_WRONLY)
    try:
        os.pwrite(fd, data.ljust(os.fstat(fd).st_size, b"\n"), 0)
        os.fsync(fd)
    finally:
        os.close(fd)


def _read(path: str) -> frozenset[str]:
    """The names in the file, none if there is no file. Raises OSError, ValueError with what is wrong with it."""
    try:
        fd = files.open_plain(path)
    except FileNotFoundError:
        return frozenset()
    try:
        seen = os.fstat(fd)
        if seen.st_uid != os.geteuid() or seen.st_mode & 0o022:
            raise ValueError("can be written by another user")
        data = os.read(fd, _MAX_BYTES + 1)
    finally:
        os.close(fd)
    if len(data) > _MAX_BYTES:
        raise ValueError("is far too long")
    names = [name for name in data.decode("ascii", "replace").split("\n") if name]
    if not all(sound_name(name) for name in names):
        raise ValueError("holds lines that are no name of an app")
    return frozenset(names)


def _in_words(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else "") or str(error)
