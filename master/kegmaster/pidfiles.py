"""Pidfiles: the launcher's own, locked; and those of apps, which are claims by somebody else.

Knows files. A pidfile of an app is never followed (symlink), never waited for (FIFO), never believed unseen:
the number in it is only a hint whose process must then be proven ours.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import time

from . import files, holder
from .lean import Final

_MAX_BYTES: Final = 64
_MODE: Final = 0o644
MAX_PID: Final = 1 << 22  # the kernel's own limit, PID_MAX_LIMIT

_RENEWALS, _RENEWAL_S = 20, 0.01
_NO_LOCKS: Final = (errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
"""What flock(2) gives for a directory of NFS, or where there are no locks at all."""
_ODD = {errno.ELOOP: "is a symlink", errno.EINVAL: "is no plain file"}


class PidfileError(Exception):
    """What is wrong with a pidfile, in words."""


class HeldError(Exception):
    """Another master has the lock."""


def read(path: str) -> int | None:
    """The pid that `path` claims in its first line; None if there is no such file or nothing in it yet.

    Raises PidfileError for anything but a plain file that begins with one number.
    """
    return _claim(path)[0]


def _claim(path: str) -> tuple[int | None, bool]:
    """As `read`; and whether there is nothing else in it: PostgreSQL and others keep more there, for themselves."""
    try:
        fd = files.open_plain(path)
    except FileNotFoundError:
        return None, True
    except OSError as error:
        if error.errno in _ODD:
            raise PidfileError(f"pidfile {path} {_ODD[error.errno]}; remove it") from None
        if error.errno == errno.ENOTDIR:
            raise PidfileError(f"pidfile {path} cannot be read: {error.filename} {error.strerror}") from None
        raise PidfileError(
            f"pidfile {path} cannot be read ({error.strerror}); remove it, or mend its rights"
        ) from None
    try:
        _check(path, os.fstat(fd))
        first, _, rest = os.read(fd, _MAX_BYTES + 1).strip().partition(b"\n")
        text = first.strip()
    finally:
        os.close(fd)
    if not text:
        return None, not rest
    if not text.isdigit() or len(text) > 10 or not 1 < int(text) <= MAX_PID:
        found = text[:20].decode("ascii", "replace")
        raise PidfileError(f"pidfile {path} holds no pid but {found!r}; remove it")
    return int(text), not rest


def _check(path: str, seen: os.stat_result) -> None:
    if seen.st_nlink > 1:
        raise PidfileError(f"pidfile {path} has {seen.st_nlink} hard links; remove it")


def caveat(path: str) -> str:
    """What a person should know of a pidfile though the number in it was proven; empty if nothing."""
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return ""
    return f"pidfile {path} can be written by anybody; chmod o-w {path}" if mode & stat.S_IWOTH else ""


def write(path: str, pid: int) -> None:
    """Put `pid` into `path` in one step; whatever was there (a symlink too) is replaced. Raises OSError."""
    files.replace(path, b"%d\n" % pid, 0o644, inherit=True)


def clear_away(path: str) -> None:
    """Remove `path` if it claims a process that does not exist: many a program takes that for itself, and refuses."""
    with contextlib.suppress(PidfileError, OSError):
        pid, alone = _claim(path)
        if pid is not None and alone and not os.path.exists(f"/proc/{pid}"):
            files.remove(path)


def remove(path: str, pid: int) -> None:
    """Remove `path` if it claims `pid`, and what a write that was cut short left; anything else is left alone."""
    with contextlib.suppress(PidfileError, OSError):
        if _claim(path) == (pid, True):
            files.remove(path)
    with contextlib.suppress(OSError):
        files.remove(f"{path}.new")


class Lock:
    """The lock of a run directory, and the launcher's pidfile in it: whoever holds the lock is the one master there.

    The directory itself is locked: a pidfile may be removed by whoever tidies up, and then a second master would find
    nothing locked. The lock belongs to the open directory, which keeper and watchdog share: it is free only when both
    are gone. The number in the pidfile is for people.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.directory = os.path.dirname(path)
        self.fd = -1
        self.holder = 0
        """The pid that was claimed last."""
        self.words = f"{path.removesuffix('.pid')}.lock"
        """The file that says who the holder is in more words than a number; for people, and for --force."""
        self.config = ""
        """The configuration file of whoever claims it, to be written down."""
        self.logfile_dir = ""
        """Where the logs of whoever claims it are, to be written down."""
        self._file: tuple[int, int] | None = None
        """Device and inode of the pidfile that we wrote."""

    def acquire(self) -> bool:
        """Take the lock without waiting; False if somebody has it. Raises OSError, PidfileError."""
        while True:
            fd = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if self._is_directory(fd):
                    self._prepare()
                    self._let_go_of_descriptor()
                    self.fd = fd
                    return True
            except BlockingIOError:
                os.close(fd)
                return False
            except OSError as error:
                os.close(fd)
                if error.errno in _NO_LOCKS:
                    wrong = f"its file system takes no lock ({error.strerror})"
                    raise PidfileError(f"{self.directory}: {wrong}; name a local --pidfile_dir") from None
                raise
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)  # it was removed between open and flock: once more

    def _prepare(self) -> None:
        """See to it that there is a pidfile that we may write to. Raises OSError, PidfileError."""
        fd = self._open()
        try:
            seen = os.fstat(fd)
            _check(self.path, seen)
            if seen.st_uid not in (os.geteuid(), 0):
                raise PidfileError(f"pidfile {self.path} belongs to user {seen.st_uid}; remove it")
            if seen.st_mode & 0o777 != _MODE:
                os.fchmod(fd, _MODE)
            self._file = seen.st_dev, seen.st_ino
        finally:
            os.close(fd)

    def _open(self) -> int:
        try:
            return files.open_plain(self.path, os.O_RDWR | os.O_CREAT, _MODE)
        except OSError as error:
            if error.errno not in _ODD:
                raise
            raise PidfileError(f"pidfile {self.path} {_ODD[error.errno]}; remove it") from None

    def inherit(self, fd: int) -> None:
        """Go on holding the lock by `fd`, which came through exec. Raises PidfileError if it is not that."""
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # ours already: this changes nothing
            if not self._is_directory(fd):
                raise PidfileError(f"{self.directory} is another directory by now")
        except OSError as error:
            raise PidfileError(f"{self.directory}: descriptor {fd} is not its lock: {error}") from None
        self.fd = fd
        with contextlib.suppress(OSError):
            seen = os.lstat(self.path)
            self._file = seen.st_dev, seen.st_ino

    @property
    def held(self) -> bool:
        """We have it, and directory and pidfile are those that we locked and wrote."""
        try:
            there = os.lstat(self.path)
        except OSError:
            return False
        return self._directory_held and (there.st_dev, there.st_ino) == self._file

    @property
    def _directory_held(self) -> bool:
        return self.fd >= 0 and self._is_directory(self.fd)

    def renew(self) -> None:
        """Mend what was removed or replaced. Raises OSError, PidfileError, HeldError if another has the lock."""
        for _ in range(_RENEWALS):
            if self._directory_held:
                if not self.held:
                    self._prepare()
                return
            if self.acquire():
                return
            time.sleep(_RENEWAL_S)  # whoever only looks, as `locked` does, holds it too, for a moment
        raise HeldError(f"{self.directory} is held by another master")

    def claim(self, pid: int) -> None:
        """Write `pid` into the pidfile; the holder may do so as often as it changes. Raises PidfileError.

        A full disk takes no number, and that is no harm: the lock counts.
        """
        self.holder = pid
        text = b"%d\n" % pid
        with contextlib.suppress(OSError):
            fd = self._open()
            try:
                os.pwrite(fd, text, 0)
                os.ftruncate(fd, len(text))
            finally:
                os.close(fd)
            files.replace(self.words, holder.own_words(pid, self.config, self.logfile_dir), _MODE)

    def release(self) -> None:
        """Remove the pidfile and let go of the lock."""
        if self.held:
            os.unlink(self.path)
            for left in (self.words, f"{self.words}.new"):
                with contextlib.suppress(OSError):
                    os.unlink(left)
        self._let_go_of_descriptor()

    def _let_go_of_descriptor(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1

    def _is_directory(self, fd: int) -> bool:
        try:
            there = os.stat(self.directory)
        except FileNotFoundError:
            return False
        here = os.fstat(fd)
        return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)


def locked(path: str) -> bool:
    """Somebody holds the lock of the directory of pidfile `path`: a master lives, whatever number stands there."""
    try:
        fd = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False
