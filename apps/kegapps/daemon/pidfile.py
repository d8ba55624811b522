"""The pidfile: a lock that ends with its process, and a number in it for people.

Implements the `lockfile` package's lock interface and raises its exceptions: python-daemon can use it.
The flock is the truth; the number is a claim. Must not know flags, logging or what the process does.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from types import TracebackType

import lockfile

# A probe (`is_locked`, or the launcher's) and a child between fork and exec hold the lock for an instant.
_GRACE_S = 0.1
_POLL_S = 0.02
# Larger than any number: such a file is somebody's data, named here by mistake.
_MAX_BYTES = 256
_FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Pidfile:
    """Lock on the file `path`. `timeout` (seconds, None: for ever) is what `acquire` uses when given none.

    What it raises says in one line who holds the lock, or what is wrong with the path.
    """

    def __init__(self, path: str, timeout: float | None = 0) -> None:
        self.path = os.path.abspath(path)
        self.timeout = timeout
        self._fd: int | None = None
        self._owner_pid = 0

    def acquire(self, timeout: float | None = None) -> None:
        """Lock the file and write our number into it.

        Raises lockfile.AlreadyLocked at once if `timeout` <= 0, LockTimeout after `timeout` seconds,
        LockFailed if the path cannot be a pidfile.
        """
        if self.i_am_locking():
            raise lockfile.AlreadyLocked(f"{self.path}: this process holds it already")
        timeout = self.timeout if timeout is None else timeout
        end_s = None if timeout is None else time.monotonic() + max(timeout, _GRACE_S)
        while True:
            fd = self._open()
            try:
                if self._try_lock(fd, end_s):
                    self._fd, self._owner_pid = fd, os.getpid()
                    return
                holder = _holder(fd)
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)
            if end_s is None or time.monotonic() < end_s:
                time.sleep(_POLL_S)
                continue
            whose = f"process {holder}" if holder else "another process"
            kind = lockfile.LockTimeout if timeout is not None and timeout > 0 else lockfile.AlreadyLocked
            raise kind(f"{self.path}: locked by {whose}, which is running")

    def release(self) -> None:
        """Remove the file and unlock it. Raises lockfile.NotLocked or NotMyLock."""
        if not self.i_am_locking():
            if self.is_locked():
                raise lockfile.NotMyLock(f"{self.path}: locked by another process")
            raise lockfile.NotLocked(f"{self.path}: not locked")
        fd, self._fd = self._fd, None
        assert fd is not None
        try:
            # While the lock is held: whoever waits for it sees that the name is gone, and opens it again.
            if _same_file(fd, self.path):
                os.unlink(self.path)
        except OSError:
            pass  # the number stays, and is no obstacle
        finally:
            os.close(fd)

    def break_lock(self) -> None:
        """Remove a file that nobody holds, or release our own; a running process keeps its lock.

        Raises lockfile.NotMyLock if another process holds it.
        """
        if not self.i_am_locking():
            try:
                self.acquire(timeout=0)
            except lockfile.AlreadyLocked as error:
                raise lockfile.NotMyLock(str(error)) from None
        self.release()

    def is_locked(self) -> bool:
        """True while any process, this one included, holds the lock."""
        if self.i_am_locking():
            return True
        try:
            fd = os.open(self.path, os.O_RDONLY | _FLAGS)
        except OSError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

    def i_am_locking(self) -> bool:
        """True if this object in this process holds the lock; false in a forked child."""
        return self._fd is not None and self._owner_pid == os.getpid()

    def __enter__(self) -> Pidfile:
        """Acquire, waiting as the constructor was told."""
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release, if still held."""
        if self.i_am_locking():
            self.release()

    def __repr__(self) -> str:
        return f"Pidfile({self.path!r})"

    def _open(self) -> int:
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | _FLAGS, 0o644)
        except OSError as error:
            raise lockfile.LockFailed(f"{self.path}: {_why_not(error, self.path)}") from None
        try:
            info = os.fstat(fd)
            if not stat.S_ISREG(info.st_mode):
                raise lockfile.LockFailed(f"{self.path}: is not a regular file; name another path")
            if info.st_nlink > 1:
                raise lockfile.LockFailed(f"{self.path}: has other names (hard links); remove it")
            if info.st_size > _MAX_BYTES:
                raise lockfile.LockFailed(
                    f"{self.path}: holds {info.st_size} bytes and so is no pidfile; name another path"
                )
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _try_lock(self, fd: int, end_s: float | None) -> bool:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | (0 if end_s is None else fcntl.LOCK_NB))
        except BlockingIOError:
            return False
        except OSError as error:
            raise lockfile.LockFailed(f"{self.path}: cannot be locked: {error.strerror}") from None
        if not _same_file(fd, self.path):
            return False  # its owner removed it between our open and our lock
        try:
            os.ftruncate(fd, 0)
            os.pwrite(fd, b"%d\n" % os.getpid(), 0)
        except OSError as error:
            raise lockfile.LockFailed(f"{self.path}: cannot be written: {error.strerror}") from None
        return True


def _same_file(fd: int, path: str) -> bool:
    try:
        named = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(named, os.fstat(fd))


def _holder(fd: int) -> int | None:
    """The process that holds the lock. From the kernel: the number may be old or not written yet.

    Devices are not compared: file systems of several layers (overlay, btrfs) report others than they lock.
    """
    inode = str(os.fstat(fd).st_ino)
    number = os.pread(fd, 32, 0).split()[:1]
    claimed = int(number[0]) if number and number[0].isdigit() else None
    pids = set()
    try:
        with open("/proc/locks", encoding="ascii", errors="replace") as table:
            for line in table:
                # 1: FLOCK ADVISORY WRITE 4711 08:01:123456 0 EOF; "->" marks waiting ones
                words = line.split()
                if len(words) > 5 and words[1] == "FLOCK" and words[5].rpartition(":")[2] == inode:
                    pids.add(int(words[4]))
    except (OSError, ValueError):
        return claimed
    pids = {pid for pid in pids if pid > 0}
    return claimed if claimed in pids or len(pids) != 1 else pids.pop()


def _why_not(error: OSError, path: str) -> str:
    folder = os.path.dirname(path)
    match error.errno:
        case errno.ELOOP:
            return "is a symbolic link; remove it or name another path"
        case errno.EISDIR:
            return "is a directory; name a file"
        case errno.ENXIO:
            return "is not a regular file; name another path"
        case errno.ENOENT if os.path.isdir(folder):
            return f"cannot be written: no file can be made in {folder} ({error.strerror}); name another path"
        case errno.ENOENT | errno.ENOTDIR:
            return f"there is no directory {folder}; create it or name another path"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return f"cannot be written ({error.strerror}); name a path in a directory of yours"
        case _:
            return f"cannot be opened: {error.strerror}"
