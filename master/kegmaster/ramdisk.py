"""File systems in memory that the kernel keeps from growing beyond a bound, and that are mounted nowhere.

Knows the kernel's mount calls and namespaces. Must not know what is kept there. What exceeds the bound is refused with
ENOSPC, whether or not anybody watches. Nobody finds such a file system by a path, and it goes with the last descriptor
of its last file.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket

from .lean import Final

_FIRST, _MOST = 4, 64
"""So many are made by the first child, and each makes twice as many as the one before it: a child costs a millisecond
or, on a busy machine, five; a spare ramdisk a descriptor and some KiB of the kernel's."""
_INODES: Final = 4
_PATIENCE_S: Final = 5.0

# Source: linux/mount.h, linux/sched.h, and syscall tables; since Linux 5.2 the numbers are the same everywhere.
_FSOPEN, _FSCONFIG, _FSMOUNT = 430, 431, 432
_CLOEXEC, _SET_STRING, _CREATE = 1, 1, 6
_NOSUID, _NODEV, _NOEXEC = 0x2, 0x4, 0x8
_NEW_USERS, _NEW_MOUNTS = 0x10000000, 0x20000


class Ramdisks:
    """Gives out empty ones, all of one size."""

    def __init__(self, size_bytes: int) -> None:
        """Nothing is made yet."""
        self._size_bytes = size_bytes
        self._spare: list[int] = []
        self._next = _FIRST

    def take(self) -> int:
        """The root directory of an empty one; the caller closes it. Raises OSError: the kernel lets us have none."""
        if not self._spare:
            self._spare = _from_child(self._next, self._size_bytes)
            self._next = min(2 * self._next, _MOST)
        return self._spare.pop()

    def close(self) -> None:
        """Let go of those that nobody took."""
        while self._spare:
            os.close(self._spare.pop())


def _from_child(count: int, size_bytes: int) -> list[int]:
    """Made by a child: only there may namespaces change, and sandboxes end whoever makes such system calls."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with theirs:
            # Its handlers are ours at first: a signal meant for it must not seem one to us.
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            try:
                pid = os.fork()
                if pid == 0:
                    _in_child(theirs, count, size_bytes)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        ours.settimeout(_PATIENCE_S)
        try:
            word, disks, _, _ = socket.recv_fds(ours, 16, count)
        finally:
            os.kill(
                pid, signal.SIGKILL
            )  # it has nothing more to do, and is still ours: nobody else waits for it
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
    if len(disks) == count:
        for disk in disks:
            os.set_inheritable(disk, False)
        return disks
    for disk in disks:
        os.close(disk)
    if word.isdigit():
        raise OSError(int(word), os.strerror(int(word)))
    raise PermissionError("whoever tries to make a file system is ended")


def _in_child(theirs: socket.socket, count: int, size_bytes: int) -> None:
    # Nothing of the parent may run here on the way out: no atexit, no finally, no flush.
    try:
        try:
            first = _make(size_bytes)
        except PermissionError:
            # Root gets no further that way: to a namespace of root alone it could not give files of other users.
            if os.geteuid() == 0:
                raise
            _enter_namespaces(os.geteuid(), os.getegid())
            first = _make(size_bytes)
        socket.send_fds(theirs, [b"."], [first, *(_make(size_bytes) for _ in range(count - 1))])
    except OSError as error:
        theirs.send(b"%d" % (error.errno or 0))
    finally:
        os._exit(0)


def _make(size_bytes: int) -> int:
    context = _call(_FSOPEN, b"tmpfs", _CLOEXEC)
    for key, value in ((b"size", size_bytes), (b"nr_inodes", _INODES), (b"mode", 700)):
        _call(_FSCONFIG, context, _SET_STRING, key, b"%d" % value, 0)
    _call(_FSCONFIG, context, _CREATE, None, None, 0)
    disk = _call(_FSMOUNT, context, _CLOEXEC, _NOSUID | _NODEV | _NOEXEC)
    os.close(context)
    return disk


def _enter_namespaces(uid: int, gid: int) -> None:
    """Ones where we may mount, and are who we were."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_NEW_USERS | _NEW_MOUNTS) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        fd = os.open(f"/proc/self/{name}", os.O_WRONLY)
        os.write(fd, text.encode())
        os.close(fd)


def _call(number: int, *arguments: int | bytes | None) -> int:
    result = int(ctypes.CDLL(None, use_errno=True).syscall(number, *arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
