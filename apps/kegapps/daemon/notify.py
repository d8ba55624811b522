"""Telling the service manager: READY, STATUS, STOPPING, WATCHDOG (sd_notify(3)).

Knows the datagram socket named by NOTIFY_SOCKET. Never waits, never raises.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

_STATUS_MAX = 1000


class Notifier:
    """Sends to the socket that `environ` names; without one, everything here does nothing.

    `start_pid` is the number the program was started under: a daemon's own differs, and only the first can be
    known to whoever set WATCHDOG_PID.
    """

    def __init__(self, environ: Mapping[str, str], start_pid: int) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        self._start_pid = start_pid
        self._watchdog_s = _watchdog_s(environ, start_pid)

    @property
    def ping_interval_s(self) -> float | None:
        """Seconds between two `ping`s: half of WATCHDOG_USEC; None if nobody waits for them."""
        return self._watchdog_s / 2 if self._watchdog_s and self._address else None

    def ready(self, status: str) -> None:
        """READY=1, `status` if it is not empty, and MAINPID if the program became a daemon since."""
        lines = ["READY=1"]
        if status:
            lines.append(f"STATUS={_one_line(status)}")
        if os.getpid() != self._start_pid:
            lines.append(f"MAINPID={os.getpid()}")
        self._send("\n".join(lines))

    def status(self, text: str) -> None:
        """STATUS=text, cut to one line of at most 1000 characters."""
        self._send(f"STATUS={_one_line(text)}")

    def stopping(self) -> None:
        """STOPPING=1."""
        self._send("STOPPING=1")

    def ping(self) -> None:
        """WATCHDOG=1."""
        self._send("WATCHDOG=1")

    def _send(self, message: str) -> None:
        if self._address[:1] not in ("/", "@"):
            return
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.sendto(
                    message.encode("utf-8", "replace"), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL, address
                )
        except (OSError, ValueError):
            return


def _watchdog_s(environ: Mapping[str, str], start_pid: int) -> float | None:
    meant = environ.get("WATCHDOG_PID", "")
    if meant and meant not in (str(start_pid), str(os.getpid())):
        return None
    usec = environ.get("WATCHDOG_USEC", "")
    return int(usec) / 1e6 if usec.isascii() and usec.isdigit() and 0 < int(usec) < 2**53 else None


def _one_line(text: str) -> str:
    return " ".join(text.split())[:_STATUS_MAX]
