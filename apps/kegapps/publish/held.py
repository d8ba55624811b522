"""Whose a queue is: one publisher's, and of no more helpers than those that it started or a run before left at work.

Knows locks and FIFOs beside the queue's file. Must not know what is in it.
A lock ends with whoever holds it, however that ends: nothing has to be cleaned up after a crash.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat

from kegapps.daemon.own_file import open_lock
from kegapps.publish.queue_file import QueueError


class Held:
    """The hold on the queue at `path`. Raises QueueError if another publisher has it."""

    def __init__(self, path: str) -> None:
        path = os.path.realpath(path)  # so that it has one lock, by whatever links somebody names it
        try:
            self._own = open_lock(f"{path}.lock")
            self.sending = open_lock(f"{path}.sending")
            """Helpers inherit this: its lock is free again when the last of them and we are gone."""
            self.wake = _fifo(f"{path}.wake")
            """Readable when somebody changed the queue (see `wake`)."""
        except OSError as error:
            raise QueueError(f"queue, {error.filename}: {error.strerror}; check --queue") from error
        if not _lock(self._own):
            holder = os.pread(self._own, 32, 0).decode("ascii", "replace").strip()
            who = f"process {holder}" if holder.isdecimal() else "another program"
            raise QueueError(
                f"queue {path}: {who} sends from it; stop that, or name another file with --queue"
            )
        os.ftruncate(self._own, 0)
        os.pwrite(self._own, b"%d\n" % os.getpid(), 0)

    def no_helper_is_left(self) -> bool:
        """Whether all helpers of runs before have ended; once they have, that remains so."""
        return _lock(self.sending)

    def drain_wake(self) -> None:
        """Take note of what `wake` told."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.wake, 4096)

    def close(self) -> None:
        """Let others have it; a helper that is still at work keeps `sending`."""
        for fd in (self._own, self.sending, self.wake):
            os.close(fd)


def wake(path: str) -> bool:
    """Tell the publisher of the queue at `path`, if one runs, to look into it; whether one did."""
    try:
        fd = os.open(f"{os.path.realpath(path)}.wake", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # none runs, or none ever did
        return False
    try:
        os.write(fd, b"!")
    except BlockingIOError:
        pass  # it has been told often enough
    finally:
        os.close(fd)
    return True


def _lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _fifo(path: str) -> int:
    with contextlib.suppress(FileExistsError):
        os.mkfifo(path, 0o600)
    # For writing, too: it would be readable for ever once the last writer has gone.
    fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    if not stat.S_ISFIFO(os.fstat(fd).st_mode):
        os.close(fd)
        raise FileExistsError(errno.EEXIST, "something else is there, and not a FIFO", path)
    return fd
