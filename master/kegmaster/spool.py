"""Where an app prints to: a file in memory, which the watchdog empties into the app's log.

Knows memfds, files that have a ramdisk each, inotify on them, and holes. Must not know apps, logs or time. A pipe would
fill up, block its writer and break with its reader's death; a file does neither, and outlives the watchdog as long as
the app has it open. On a ramdisk it may be full, as any disk may.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import stat
import struct

from .lean import Final
from .ramdisk import Ramdisks

_PAGE: Final = os.sysconf("SC_PAGESIZE")
_ZEROS_BYTES: Final = 64 << 10
_LARGEST_PAGE: Final = 4 << 20
_KEEP_SIZE, _PUNCH_HOLE = 0x1, 0x2
_MODIFY, _ONESHOT = 0x2, 0x80000000
_EVENT: Final = struct.Struct("iIII")
_NAME: Final = "kegmaster:"
_MARK: Final = f"/memfd:{_NAME}"
_LEAST_BYTES, _MOST_BYTES = 32 << 20, 256 << 20


def bound_bytes(memory_bytes: int) -> int:
    """How much an app may have printed that nobody consumed, on a machine with so much memory."""
    return max(_LEAST_BYTES, min(memory_bytes // 64, _MOST_BYTES)) // _PAGE * _PAGE


class Spool:
    """What one app has printed and nobody has consumed yet."""

    __slots__ = ("_holes", "_released", "cut", "end", "fd", "position")

    def __init__(self, fd: int, position: int = 0) -> None:
        """Take on the file `fd`, consumed up to `position`."""
        self.fd = fd
        self.position = position
        self.end = position
        self.cut: int | None = None
        """It was full, and what was printed next is missing between the bytes before and after this one."""
        self._released = position
        self._holes = True

    @classmethod
    def make(cls, app: str, uid: int | None, disks: Ramdisks | None = None) -> Spool:
        """A new one, for `uid` to write to: on a disk of its own, or a memfd, which has no bound. Raises OSError."""
        spool = cls(os.memfd_create(_NAME + app) if disks is None else _file_on(disks.take(), app))
        try:
            os.fchmod(spool.fd, 0o600)
            spool.give(uid)
        except OSError:
            spool.close()
            raise
        return spool

    @classmethod
    def find(cls, app: str, pid: int) -> Spool | None:
        """The one that `pid` prints to, made by an earlier watchdog; None if it prints elsewhere.

        Whoever calls has proven that `pid` stems from the app.
        """
        for number in (1, 2):
            path = f"/proc/{pid}/fd/{number}"
            try:
                if not _is_spool(path, app):
                    continue
                fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
            except OSError:
                continue
            # Between the two looks the process may have put something else there.
            if _is_spool(f"/proc/self/fd/{fd}", app) and stat.S_ISREG(os.fstat(fd).st_mode):
                return cls(fd, _first_unread(fd))
            os.close(fd)
        return None

    def give(self, uid: int | None) -> None:
        """Let `uid` open it, as programs do that write to /dev/stdout. Raises OSError."""
        if uid is not None:
            os.fchown(self.fd, uid, -1)

    def open(self) -> int:
        """A descriptor for the app to print to. Raises OSError."""
        # Opened anew, since recent kernels tell inotify nothing of what is written to the descriptor itself.
        return os.open(f"/proc/self/fd/{self.fd}", os.O_WRONLY | os.O_APPEND | os.O_NOCTTY | os.O_CLOEXEC)

    @property
    def waiting(self) -> int:
        """Bytes to be consumed, as of the last `look`."""
        return self.end - self.position

    def look(self) -> int:
        """How many bytes wait now."""
        self.end = os.fstat(self.fd).st_size
        # `echo text > /dev/stdout` truncates it and begins again: what was consumed is not a hole any more.
        if self.end < self.position or (self._holes and self._rewritten()):
            self.position = _first_unread(self.fd)
            self.end = os.fstat(self.fd).st_size
            self.position = self._released = min(self.position, self.end)
            if self.cut is not None:
                self.cut = max(self.position, min(self.cut, self.end))
        return self.waiting

    def _rewritten(self) -> bool:
        try:
            data = os.lseek(self.fd, 0, os.SEEK_DATA)
        except OSError:
            return False
        # There may be zeros: the last page is kept, or several, where the kernel could not part a large one.
        return any(os.pread(self.fd, min(max(0, self._released - data), _ZEROS_BYTES), data))

    def read(self, at_most: int) -> bytes:
        """What comes next, left where it is."""
        return os.pread(self.fd, min(at_most, self.waiting), self.position)

    def last(self, at_most: int, since: int = 0) -> bytes:
        """The end of what waits, printed after the byte `since`."""
        start = max(self.position, since, self.end - at_most)
        return os.pread(self.fd, max(0, self.end - start), start)

    def consume(self, count: int) -> None:
        """The next `count` bytes are done with, once `release` is called."""
        self.position += count

    def release(self) -> bool:
        """Give back the memory of what was consumed, if that can be done; a successor begins behind it."""
        # Not for each piece: whoever prints in a tight loop holds the file's lock, and lets go of it after 4 ms.
        if self.position > self._released and self._holes:
            # The last moment to see that it is full, and so the surest.
            if self.full():
                self.cut = os.fstat(self.fd).st_size
            # A page consumed in part before goes with the rest.
            start = self._released - self._released % _PAGE
            self._holes = _punch(self.fd, start, self.position - start)
        self._released = self.position
        return self._holes

    def full(self) -> bool:
        """Whether its last write met the bound: one that fitted in ends within a page, but for a rare chance."""
        disk = os.fstatvfs(self.fd)
        # A memfd has no blocks; of an overfull disk the free ones are a negative number without its sign.
        if not disk.f_blocks or 0 < disk.f_bfree <= disk.f_blocks:
            return False
        return os.fstat(self.fd).st_size % _PAGE == 0

    @property
    def bound(self) -> int:
        """So many bytes can wait; 0: as many as there is memory."""
        disk = os.fstatvfs(self.fd)
        return disk.f_blocks * disk.f_frsize

    def close(self) -> None:
        """Let go of it; it goes with the last process that prints to it."""
        os.close(self.fd)


class SpoolWatch:
    """A descriptor that is readable when something was printed to a spool that was asked about."""

    def __init__(self) -> None:
        """Raises OSError where the kernel has no more of them to give."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = int(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        self._spools: dict[int, Spool] = {}

    def fileno(self) -> int:
        """The descriptor."""
        return self._fd

    def ask(self, spool: Spool) -> bool:
        """Tell, once, when something is printed from now on; False if the kernel takes no more questions."""
        path = b"/proc/self/fd/%d" % spool.fd
        number = self._libc.inotify_add_watch(self._fd, path, ctypes.c_uint32(_MODIFY | _ONESHOT))
        if number >= 0:
            self._spools[number] = spool
        return bool(number >= 0)

    def forget(self, spool: Spool) -> None:
        """Ask no more about it."""
        for number in [number for number, asked in self._spools.items() if asked is spool]:
            del self._spools[number]
            self._libc.inotify_rm_watch(self._fd, number)

    def take(self) -> list[Spool]:
        """The spools that have news."""
        try:
            news = os.read(self._fd, 65536)
        except BlockingIOError:
            return []
        numbers, place = [], 0
        while place < len(news):
            number, mask, _, length = _EVENT.unpack_from(news, place)
            place += _EVENT.size + length
            if number < 0:  # the kernel lost count: all may have news
                numbers += list(self._spools)
            elif mask & _MODIFY:
                numbers.append(number)
        return [self._spools.pop(number) for number in dict.fromkeys(numbers) if number in self._spools]

    def close(self) -> None:
        """Ask nothing any more."""
        os.close(self._fd)


def flaw(disks: Ramdisks | None = None) -> str:
    """Why the kernel does not let us have spools, or none on such disks; empty if it does."""
    with contextlib.ExitStack() as stack:
        try:
            spool = Spool.make("probe", None, disks)
            stack.callback(spool.close)
            watch = SpoolWatch()
            stack.callback(watch.close)
            fd = spool.open()
            stack.callback(os.close, fd)
            if not watch.ask(spool):
                return "inotify takes no more files"
            os.write(fd, b"." * _PAGE)
            if not select.select([watch], [], [], 0)[0] or watch.take() != [spool]:
                return "inotify does not tell of what is written to them"
            spool.consume(spool.look())
            # Where nothing is ever given back, what has a bound is full for ever.
            if disks is not None and not (spool.bound and spool.release()):
                return "they have no bound, or no holes"
        except OSError as error:
            return error.strerror or str(error)
    return ""


def holders() -> dict[str, list[int]]:
    """By app: the processes that seem to print to its spool. Seem: anybody may give a file such a name."""
    found: dict[str, list[int]] = {}
    for pid in os.listdir("/proc"):
        for number in (1, 2) if pid.isdigit() else ():
            with contextlib.suppress(OSError):
                name = os.readlink(f"/proc/{pid}/fd/{number}")
                if name.startswith(_MARK):
                    found.setdefault(name.removeprefix(_MARK).removesuffix(" (deleted)"), []).append(int(pid))
    return found


def _file_on(disk: int, app: str) -> int:
    """The only file there, named as a memfd is: whoever comes next need not know which it is."""
    name = _MARK[1:] + app
    try:
        fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=disk)
        os.unlink(name, dir_fd=disk)
    finally:
        os.close(disk)
    return fd


def _is_spool(path: str, app: str) -> bool:
    return os.readlink(path) == f"{_MARK}{app} (deleted)"


def _first_unread(fd: int) -> int:
    """Where the earlier watchdog left off: behind the hole, and the zeros of a page consumed in part."""
    try:
        start = os.lseek(fd, 0, os.SEEK_DATA)
    except OSError:
        return os.fstat(fd).st_size
    for place in range(start, start + _LARGEST_PAGE, _ZEROS_BYTES):
        text = os.pread(fd, _ZEROS_BYTES, place)
        if printed := text.lstrip(b"\0"):
            return place + len(text) - len(printed)
        if len(text) < _ZEROS_BYTES:
            return place + len(text)
    return start


def _punch(fd: int, start: int, length: int) -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    call = getattr(libc, "fallocate64", None) or libc.fallocate
    call.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    return bool(call(fd, _PUNCH_HOLE | _KEEP_SIZE, start, length) == 0)
