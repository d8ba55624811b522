"""The directory of what install did: one for each state directory, made safely and held against others.

Root believes what it finds here and acts on it, so all of it must be root's own, whoever owns the directory above:
the state directory often belongs to the service's user. Must not know what the files mean.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
import time
from collections.abc import Iterator
from typing import Any

NAME = "services"
MAX_BYTES = 32 << 20
_LOOK_EVERY_S = 0.02


def place(state_dir: str) -> str:
    """Where ours is. Root and the master's user each have their own, since neither believes the other's."""
    usual = f"{state_dir}/{NAME}"
    try:
        owner = os.lstat(usual).st_uid
    except OSError:
        return usual
    own = os.geteuid()
    return usual if owner == own else f"{usual}.{own or 'root'}"


def _of_root(path: str) -> bool:
    try:
        return os.geteuid() != 0 and os.lstat(path).st_uid == 0
    except OSError:
        return False


class StoreError(Exception):
    """What is there cannot be used; the text says why, and what to do."""


class Store:
    """`<state_dir>/services`. Nothing is made before `open(make=True)`."""

    def __init__(self, state_dir: str) -> None:
        self.path = place(state_dir)
        self.of_root = next(filter(_of_root, (f"{state_dir}/{NAME}", f"{state_dir}/{NAME}.root")), "")
        """What root has installed for this user's master; empty if we are root, or root has not."""
        self._fd = -1

    def open(self, *, make: bool, lock: bool = True, wait_s: float = 0.0) -> bool:
        """Open it, and hold its lock until `close`, for which others are waited for; False if there is none.

        Raises StoreError if it is another's, or another install is not done in time, OSError if it cannot be made.
        """
        if self._fd >= 0:
            return True
        if make:
            with contextlib.suppress(FileExistsError):
                os.mkdir(self.path, 0o700)
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError) as error:
            if os.path.lexists(self.path):
                raise StoreError(f"{self.path} is no directory; remove it") from error
            return False
        self._own(fd, self.path)
        until_s = time.monotonic() + wait_s
        while lock:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until_s:
                    os.close(fd)
                    raise StoreError(
                        f"another install or remove is under way ({self.path}), and was not done within"
                        f" {wait_s:.0f} s; try again"
                    ) from None
                time.sleep(_LOOK_EVERY_S)
        self._fd = fd
        return True

    def close(self) -> None:
        """Let others have it."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def read(self, name: str) -> bytes | None:
        """The content of a file; None if there is none. Raises StoreError."""
        if self._fd < 0:
            return None
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            fd = os.open(name, flags, dir_fd=self._fd)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"{self.path}/{name}: {error.strerror}; remove it") from None
        self._own(fd, f"{self.path}/{name}", plain=True)
        with open(fd, "rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise StoreError(f"{self.path}/{name}: is larger than {MAX_BYTES >> 20} MiB; remove it")
        return data

    def read_json(self, name: str) -> Any:
        """The same as JSON; None if there is none. Raises StoreError."""
        data = self.read(name)
        if data is None:
            return None
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as error:
            raise StoreError(f"{self.path}/{name}: {error}; remove it") from None

    def write(self, name: str, data: bytes) -> None:
        """Replace a file in one step, lasting. Raises OSError; then the old one stands."""
        new = f"{name}.new"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new, dir_fd=self._fd)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(new, flags, 0o600, dir_fd=self._fd)
        try:
            write_all(fd, data)
            os.fsync(fd)
            os.rename(new, name, src_dir_fd=self._fd, dst_dir_fd=self._fd)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(new, dir_fd=self._fd)
            raise
        finally:
            os.close(fd)
        os.fsync(self._fd)

    def append(self, name: str, data: bytes) -> None:
        """Add to a file, lasting. Raises OSError."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        fd = os.open(name, flags, 0o600, dir_fd=self._fd)
        try:
            write_all(fd, data)
            os.fsync(fd)
        finally:
            os.close(fd)

    def unlink(self, name: str) -> None:
        """Remove a file, if it is there. Raises OSError."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._fd)

    def names(self) -> Iterator[str]:
        """The files there, sorted."""
        yield from sorted(os.listdir(self._fd)) if self._fd >= 0 else ()

    def _own(self, fd: int, path: str, *, plain: bool = False) -> None:
        seen = os.fstat(fd)
        if plain and not stat.S_ISREG(seen.st_mode):
            os.close(fd)
            raise StoreError(f"{path}: is no plain file; remove it")
        if seen.st_uid != os.geteuid() or seen.st_mode & 0o022:
            os.close(fd)
            raise StoreError(
                f"{path}: can be written by others, so it is not believed; look at it, and remove it"
            )


def write_all(fd: int, data: bytes) -> None:
    """Write all of it. Raises OSError."""
    while data:
        data = data[os.write(fd, data) :]
