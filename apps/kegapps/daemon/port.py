"""A serial port as every program uses it: opened alone, read in the loop, never blocking.

Knows pyserial, descriptors and the errors of both. Must not know what travels on the line.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import select
import stat
import sys
import termios
from collections.abc import Callable
from typing import Final

import serial

from kegapps.daemon.loop import READ, WRITE, Loop

READ_BYTES: Final = 4096
MAX_UNSENT_BYTES: Final = 1024
CLOSING_S: Final = 0.2

_REASONS: Final = {
    errno.ENOENT: "no such device",
    errno.ENODEV: "no such device",
    errno.ENXIO: "no such device",
    errno.EACCES: "permission denied; add the user to the group that owns it, often dialout",
    errno.EPERM: "permission denied",
    errno.EBUSY: "in use by another program",
    errno.EWOULDBLOCK: "in use by another program",
    errno.EISDIR: "a directory, not a device",
    errno.ENOTDIR: "no such device",
    errno.ENOTTY: "not a serial device",
    errno.EINVAL: "not a serial device",
    errno.EIO: "it does not answer",
}


class PortError(Exception):
    """The port cannot be opened or used; the text is the reason in a few words, without the path."""


class Port:
    """An open serial port. `on_bytes(data)` and, once, `on_lost(reason)` are called from the loop."""

    def __init__(
        self,
        loop: Loop,
        path: str,
        *,
        baud: int,
        on_bytes: Callable[[bytes], None],
        on_lost: Callable[[str], None],
    ) -> None:
        """Opens `path` at `baud`, 8N1, for this process alone. Raises PortError."""
        self._loop = loop
        self._baud = baud
        self._on_bytes = on_bytes
        self._on_lost = on_lost
        self._unsent = bytearray()
        if wrong := _not_a_device(path):
            raise PortError(wrong)
        try:
            # Without `exclusive` in every program two of them share the bytes, each getting some.
            self._serial = serial.Serial(path, baud, timeout=0, exclusive=True)
            self._keep_dtr(True)
        except (OSError, ValueError, termios.error) as error:
            raise PortError(_reason(error)) from None
        self._fd = self._serial.fileno()
        loop.watch(self._fd, READ, self._ready)

    @property
    def is_open(self) -> bool:
        """False after `close` and after the device went away."""
        return self._fd >= 0

    @property
    def unsent_bytes(self) -> int:
        """Bytes written that the kernel has not taken yet."""
        return len(self._unsent)

    def write(self, data: bytes) -> None:
        """Send without waiting. A line that takes nothing for 1 KB is given up as lost, from the loop."""
        if self.is_open and data:
            self._unsent += data
            self._flush()

    def waiting(self) -> bytes:
        """What has come and the loop has not come round to yet; it is taken by this. Of a lost device nothing."""
        if self.is_open:
            poll = select.poll()
            poll.register(self._fd, select.POLLIN)
            with contextlib.suppress(OSError):  # the loop finds out, too, and says so
                return os.read(self._fd, READ_BYTES) if poll.poll(0) else b""
        return b""

    def close(self, *, reboot: bool = False) -> None:
        """Close the port; harmless if it is closed. With `reboot` whoever opens it next reboots the board."""
        if self.is_open:
            if reboot:
                with contextlib.suppress(OSError, termios.error):
                    self._keep_dtr(False)
            self._loop.unwatch(self._fd)
            self._do_not_wait()
            self._fd = -1
            try:
                self._serial.close()
            except OSError:
                return  # the device is gone, and with it what there was to close

    def _keep_dtr(self, keep: bool) -> None:
        """Leave DTR raised when the port is closed, however this program ends, or drop it as the kernel does.

        Raising it again is what reboots an Uno or Mega: the program after this one would cost it its counts.
        """
        attributes = termios.tcgetattr(self._serial.fileno())
        attributes[2] = attributes[2] & ~termios.HUPCL | (0 if keep else termios.HUPCL)
        termios.tcsetattr(self._serial.fileno(), termios.TCSANOW, attributes)

    def _do_not_wait(self) -> None:
        """Throw away what the line cannot send in CLOSING_S: closing it would wait for that, up to half a minute."""
        with contextlib.suppress(OSError, termios.error):
            unsent = fcntl.ioctl(self._fd, termios.TIOCOUTQ, bytes(4))
            if int.from_bytes(unsent, sys.byteorder) > self._baud / 10 * CLOSING_S:
                termios.tcflush(self._fd, termios.TCOFLUSH)

    def _ready(self, ready: int) -> None:
        if ready & READ:
            try:
                data = os.read(self._fd, READ_BYTES)
            except BlockingIOError:
                data = None
            except OSError as error:
                self._lose(_reason(error))
                return
            if data == b"":
                self._lose("unplugged")
                return
            if data:
                self._on_bytes(data)
        if ready & WRITE and self.is_open:
            self._flush()

    def _flush(self) -> None:
        try:
            sent = os.write(self._fd, self._unsent)
        except BlockingIOError:
            sent = 0
        except OSError:
            # The reading side says so, too, and it is the one to be called from the loop.
            self._unsent.clear()
            sent = 0
        del self._unsent[:sent]
        if len(self._unsent) > MAX_UNSENT_BYTES:
            self._unsent.clear()
            self._loop.call_later(0, lambda: self._lose("it takes no bytes"))
        self._loop.watch(self._fd, READ | WRITE if self._unsent else READ, self._ready)

    def _lose(self, reason: str) -> None:
        if self.is_open:
            self.close()
            self._on_lost("unplugged" if reason == _REASONS[errno.EIO] else reason)


def missing_directory(path: str) -> str | None:
    """The directory of a device path if there is no such directory: a mistake, not a device that comes later."""
    folder = os.path.dirname(path) or "."
    return None if os.path.isdir(folder) else folder


def _not_a_device(path: str) -> str | None:
    """What is wrong with a file that can never be a serial port, whoever may open it."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return None  # opening it tells why
    if stat.S_ISCHR(mode):
        return None
    return _REASONS[errno.EISDIR if stat.S_ISDIR(mode) else errno.ENOTTY]


def _reason(error: Exception) -> str:
    # pyserial tells the number of an error sometimes as an attribute, sometimes in its text only.
    number = getattr(error, "errno", None)
    if number is None and (found := re.search(r"(?:Errno |\()(\d+)[\],]", str(error))):
        number = int(found[1])
    if number is None:
        return " ".join(str(error).split())
    return _REASONS.get(number, os.strerror(number).lower())
