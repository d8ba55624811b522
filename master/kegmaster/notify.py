"""Reports of the apps: the receiving end of sd_notify, and the sending end towards whoever started us.

Knows the datagram socket and the protocol of sd_notify(3). Must not know apps: the sender's pid tells who it is,
and the kernel vouches for that pid.
"""

from __future__ import annotations

import os
import socket
import struct
import zlib
from collections.abc import Mapping

from .control import bind
from .lean import Final, dataclass

_MAX_BYTES: Final = 4096
_MAX_BATCH: Final = 32
MAX_STATUS_CHARS: Final = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One datagram: who sent it, and its NAME=value lines."""

    pid: int
    uid: int
    fields: Mapping[str, str]

    @property
    def ready(self) -> bool:
        """The app does its work."""
        return self.fields.get("READY") == "1"

    @property
    def alive(self) -> bool:
        """The app gives a sign of life."""
        return self.fields.get("WATCHDOG") == "1"

    @property
    def trigger(self) -> bool:
        """The app asks to be taken for hung."""
        return self.fields.get("WATCHDOG") == "trigger"

    @property
    def status(self) -> str | None:
        """What the app says of itself, fit for one line on a terminal."""
        text = self.fields.get("STATUS")
        return None if text is None else one_line(text)


def one_line(text: str) -> str:
    """`text` as it may stand in a line on a terminal: printable, and of bounded length."""
    text = "".join(c if c.isprintable() else " " for c in text)
    return text if len(text) <= MAX_STATUS_CHARS else f"{text[: MAX_STATUS_CHARS - 3]}..."


class NotifySocket:
    """Receives reports. `address` goes into the apps' NOTIFY_SOCKET."""

    def __init__(self, path: str, inherited: int = -1) -> None:
        """Bind at `path`, or at an abstract name where the path is too long for the apps' own call. Raises OSError.

        `inherited`: a socket that is bound there already, with what came in meanwhile; -1: there is none.
        """
        self.path = path
        self.address = self._address()
        if inherited >= 0 and not self.missing:
            self._socket = socket.socket(fileno=inherited)
        else:
            self._open()

    def _address(self) -> str:
        if len(os.fsencode(self.path)) <= 107:
            return self.path
        return f"@kegmaster-{os.geteuid()}-{zlib.crc32(os.fsencode(self.path)):08x}"

    def _open(self) -> None:
        path = self.path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        if not self.address.startswith("@"):
            bind(self._socket, path)
            # Apps may run as other users; what they say is believed only of their own app.
            os.chmod(path, 0o666)
        else:
            self._socket.bind("\0" + self.address[1:])

    @property
    def missing(self) -> bool:
        """Somebody removed the socket."""
        return not self.address.startswith("@") and not os.path.lexists(self.path)

    def restore(self) -> None:
        """Receive anew at the same place; the descriptor changes. Raises OSError."""
        self._socket.close()
        self._open()

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self._socket.fileno()

    def receive(self) -> list[Report]:
        """What has come in, at most a batch; never blocks, never raises for what was sent."""
        reports: list[Report] = []
        while len(reports) < _MAX_BATCH:
            try:
                data, ancillary, _, _ = self._socket.recvmsg(
                    _MAX_BYTES, socket.CMSG_SPACE(struct.calcsize("3i"))
                )
            except OSError:
                break
            for level, kind, credentials in ancillary:
                if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
                    pid, uid, _ = struct.unpack("3i", credentials[: struct.calcsize("3i")])
                    lines = data.decode("utf-8", "replace").splitlines()
                    fields = dict(line.split("=", 1) for line in lines if "=" in line)
                    reports.append(Report(pid=pid, uid=uid, fields=fields))
        return reports

    def let_go(self) -> None:
        """Stop receiving."""
        self._socket.close()

    def close(self) -> None:
        """Stop receiving and remove the socket."""
        self.let_go()
        if not self.address.startswith("@"):
            try:
                os.unlink(self.path)
            except OSError:
                return


def tell(address: str, text: str) -> None:
    """Send `text` (READY=1, STOPPING=1 ...) to the supervisor above us; nobody there is no error."""
    if not address:
        return
    target = "\0" + address[1:] if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        try:
            sock.sendto(text.encode(), target)
        except OSError:
            return


class Pulse:
    """Signs of life towards the supervisor above us, if it asks for them. Source: sd_watchdog_enabled(3)."""

    def __init__(self, address: str, environment: Mapping[str, str], pid: int) -> None:
        """`address`: where they go. They are for `pid` alone: the apps are given none of these variables."""
        self._address = address
        text = environment.get("WATCHDOG_USEC", "")
        meant = environment.get("WATCHDOG_PID", str(pid)) == str(pid)
        known = address and meant and text.isascii() and text.isdigit() and 0 < len(text) < 16
        self._period_s = int(text) / 2e6 if known else 0.0
        self._due_s = 0.0

    def beat(self, now_s: float) -> float | None:
        """Give one if it is time to; returns when the next is due, None if nobody asks for any."""
        if not self._period_s:
            return None
        if now_s >= self._due_s:
            tell(self._address, "WATCHDOG=1")
            self._due_s = now_s + self._period_s
        return self._due_s
