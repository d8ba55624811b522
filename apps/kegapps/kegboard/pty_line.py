"""The serial line of an emulated board: a pseudo terminal whose other end bears a name of our choice.

Knows ptys, symbolic links, and when a host opens and closes the line. Must not know what travels on it.

The kernel says "hung up" on our end while no host has the other end open, again and again, so that end is not
watched meanwhile: the line looks every 50 ms whether that is over. It costs nothing while a host is there.
"""

from __future__ import annotations

import os
import select
import stat
import termios
import tty
from collections.abc import Callable
from typing import Final

from kegapps.daemon.loop import READ, Loop, Timer

LOOK_EVERY_S: Final = 0.05
OPENING_S: Final = (
    0.01  # programs throw away what came before they had set up the line; no board is that quick
)
READ_BYTES: Final = 4096


class LineError(Exception):
    """The line cannot have this name; the text is one line for a person."""


class PtyLine:
    """A line at `link`, unplugged at first. What nobody reads is dropped and counted, as on a wire.

    `on_open(dtr_rises)`: opening raises DTR, unless the host before left it raised (`stty -hupcl`).
    `on_close(unread_bytes)`: so many of what was sent the host left unread.
    """

    def __init__(
        self,
        loop: Loop,
        link: str,
        *,
        on_open: Callable[[bool], None],
        on_close: Callable[[int], None],
        on_bytes: Callable[[bytes], None],
    ) -> None:
        self.link = link
        self.device = ""
        self.connected = False
        self.opened = 0
        self.sent_bytes = 0
        self.dropped_bytes = 0
        self.received_bytes = 0
        self._loop = loop
        self._on_open = on_open
        self._on_close = on_close
        self._on_bytes = on_bytes
        self._master = -1
        self._dtr = False
        self._look: Timer | None = None

    @property
    def plugged(self) -> bool:
        """True while there is a device that a host could open."""
        return self._master >= 0

    def plug(self) -> None:
        """Make the device appear. Raises LineError if the link cannot be made; harmless if plugged."""
        if self.plugged:
            return
        master, slave = os.openpty()
        try:
            _make_raw(slave)
            _drop_dtr_on_close(slave)
            self.device = os.ttyname(slave)
            _replace_link(self.link, self.device)
        except LineError:
            os.close(master)
            raise
        finally:
            os.close(slave)
        os.set_blocking(master, False)
        self._master = master
        self._dtr = False
        self._look_again()

    def unplug(self) -> None:
        """Make the device disappear; a host that has it open reads an end of file. Harmless if unplugged."""
        if not self.plugged:
            return
        unread_bytes = _on_slave(self.device, _take_unread)
        if self._look is not None:
            self._look.cancel()
        self._loop.unwatch(self._master)
        _remove_link(self.link, self.device)
        os.close(self._master)
        self._master = -1
        self.device = ""
        if self.connected:
            self.connected = False
            self._on_close(unread_bytes)

    @property
    def all_read(self) -> bool:
        """True if nothing of what was sent waits for the host to read it."""
        return not self.plugged or not _on_slave(self.device, _is_unread)

    def send(self, data: bytes) -> bool:
        """To the host, without waiting; True if all of it went on the line."""
        sent = 0
        if self.connected:
            try:
                sent = os.write(self._master, data)
            except OSError:
                sent = 0  # nobody reads: the queue is full, or the host is closing the port right now
        self.sent_bytes += sent
        self.dropped_bytes += len(data) - sent
        return sent == len(data)

    def _look_again(self) -> None:
        self._look = self._loop.call_later(LOOK_EVERY_S, self._look_for_host)

    def _look_for_host(self) -> None:
        if _hung_up(self._master):
            self._look_again()
            return
        self._look = self._loop.call_later(OPENING_S, self._host_is_there)

    def _host_is_there(self) -> None:
        if _hung_up(self._master):
            self._look_again()
            return
        self.connected = True
        self.opened += 1
        dtr_rises, self._dtr = not self._dtr, True
        self._on_open(dtr_rises)
        self._loop.watch(self._master, READ, self._read)

    def _read(self, _ready: int) -> None:
        try:
            data = os.read(self._master, READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self.received_bytes += len(data)
            self._on_bytes(data)
            return
        self._loop.unwatch(self._master)
        self.connected = False
        self._dtr = not termios.tcgetattr(self._master)[2] & termios.HUPCL
        # What the host did not read must not greet the next one, which also gets a line in raw mode again.
        self._on_close(_on_slave(self.device, _forget_unread))
        self._look_again()


def _on_slave(device: str, act: Callable[[int], int]) -> int:
    """What `act` returns of the host's end; 0 if that is gone."""
    try:
        slave = os.open(device, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:
        return 0
    try:
        return act(slave)
    finally:
        os.close(slave)


def _is_unread(slave: int) -> int:
    # Unlike asking for their number, this waits for bytes that are on their way between the two ends.
    poll = select.poll()
    poll.register(slave, select.POLLIN)
    return any(ready & select.POLLIN for _, ready in poll.poll(0))


def _take_unread(slave: int) -> int:
    """Reads it all; how many bytes that was."""
    taken = 0
    try:
        while data := os.read(slave, READ_BYTES):
            taken += len(data)
    except OSError:
        pass  # that was all
    return taken


def _forget_unread(slave: int) -> int:
    unread_bytes = _take_unread(slave)
    termios.tcflush(slave, termios.TCIOFLUSH)
    _make_raw(slave)
    return unread_bytes


def _make_raw(slave: int) -> None:
    tty.setraw(slave)
    attributes = termios.tcgetattr(slave)
    attributes[4] = attributes[5] = termios.B115200
    termios.tcsetattr(slave, termios.TCSANOW, attributes)


def _drop_dtr_on_close(slave: int) -> None:
    """As serial ports do until they are told otherwise; pseudo terminals do not."""
    attributes = termios.tcgetattr(slave)
    attributes[2] |= termios.HUPCL
    termios.tcsetattr(slave, termios.TCSANOW, attributes)


def _hung_up(master: int) -> bool:
    poll = select.poll()
    poll.register(master, 0)
    return any(ready & select.POLLHUP for _, ready in poll.poll(0))


def _replace_link(link: str, device: str) -> None:
    """Point `link` to `device` in one step, so that at every moment it is there or not. Raises LineError."""
    try:
        if not stat.S_ISLNK(os.lstat(link).st_mode):
            raise LineError(
                f"{link} exists and is no symbolic link; choose another --device_link, or remove it"
            )
    except FileNotFoundError:
        pass
    except OSError as error:
        raise LineError(f"{link}: {error.strerror}") from None
    folder, name = os.path.split(link)
    temporary = os.path.join(folder, f".{name}.{os.getpid()}")
    try:
        os.symlink(device, temporary)
        os.replace(temporary, link)
    except OSError as error:
        raise LineError(f"{link}: cannot make a symbolic link: {error.strerror}") from None


def _remove_link(link: str, device: str) -> None:
    try:
        if os.readlink(link) == device:
            os.unlink(link)
    except OSError:
        return
