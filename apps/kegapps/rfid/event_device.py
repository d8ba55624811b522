"""An event device of the kernel, held for this program alone.

Knows descriptors and two ioctls. Must not know what the events mean. Source: linux/input.h.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
import time
from collections.abc import Callable
from typing import Final

from kegapps.daemon.loop import READ, Loop
from kegapps.daemon.port import PortError

EVIOCGRAB: Final = 0x40044590
EVIOCSCLOCKID: Final = 0x400445A0
READ_BYTES: Final = 24 * 256
NOT_ONE: Final = "not an event device, such as /dev/input/by-id/...-event-kbd"

_REASONS: Final = {
    errno.ENOENT: "no such device",
    errno.ENODEV: "no such device",
    errno.ENXIO: "no such device",
    errno.ENOTDIR: "no such device",
    errno.EACCES: "permission denied; add the user to the group that owns it, often input",
    errno.EPERM: "permission denied",
    errno.EBUSY: "in use by another program",
    errno.ENOTTY: NOT_ONE,
    errno.EINVAL: NOT_ONE,
}


class EventDevice:
    """An open event device. `on_bytes(data)` and, once, `on_lost(reason)` are called from the loop.

    Its events bear the time of CLOCK_MONOTONIC, which nobody sets; a pipe's bear whatever was written.
    """

    def __init__(
        self, loop: Loop, path: str, *, on_bytes: Callable[[bytes], None], on_lost: Callable[[str], None]
    ) -> None:
        """Opens `path`, a pipe too, and grabs it. Raises PortError."""
        self._loop = loop
        self._on_bytes = on_bytes
        self._on_lost = on_lost
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise PortError(_reason(error)) from None
        try:
            self._grab()
        except OSError as error:
            os.close(self._fd)
            raise PortError(_reason(error)) from None
        loop.watch(self._fd, READ, self._ready)

    def write(self, data: bytes) -> None:
        """Nothing is ever sent to it."""

    def close(self) -> None:
        """Let go of it, whose keys go to the consoles again; harmless if it is lost already."""
        if self._fd >= 0:
            self._loop.unwatch(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _grab(self) -> None:
        """From now on what is typed comes to us only, and not into whatever console is in front."""
        mode = os.fstat(self._fd).st_mode
        if stat.S_ISFIFO(mode):
            return
        if not stat.S_ISCHR(mode):
            raise OSError(errno.EINVAL, "")
        fcntl.ioctl(self._fd, EVIOCSCLOCKID, struct.pack("i", time.CLOCK_MONOTONIC))
        fcntl.ioctl(self._fd, EVIOCGRAB, 1)

    def _ready(self, _ready: int) -> None:
        try:
            data = os.read(self._fd, READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(_reason(error))
            return
        if data:
            self._on_bytes(data)
        else:
            self._lose("unplugged")

    def _lose(self, reason: str) -> None:
        self.close()
        self._on_lost("unplugged" if reason == _REASONS[errno.ENODEV] else reason)


def _reason(error: OSError) -> str:
    number = error.errno or 0
    return _REASONS.get(number, os.strerror(number).lower())
