"""LCDd with its curses driver in a terminal of its own, and what a person would see there."""

from __future__ import annotations

import contextlib
import getpass
import os
import shlex
import shutil
import signal
import socket
import subprocess
from pathlib import Path

from tests.apps.lcd.lcdd import DRIVERS, LCDD

MISSING = "" if LCDD.exists() and shutil.which("tmux") else "LCDd (package lcdproc) or tmux is not installed"
_CONF = """
[server]
Driver=curses
DriverPath={drivers}/
Bind=127.0.0.1
Port={port}
User={user}
Foreground=yes
ReportToSyslog=no
ServerScreen=no
Backlight=open
Hello=""
GoodBye=""
[curses]
Size={size}
DrawBorder=no
"""


class CursesLcdd:
    """Not running at first."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self.port: int = taken.getsockname()[1]
        self._conf = folder / "LCDd.conf"
        self._socket = folder / "tmux"
        self._pid = 0

    def start(self, size: str = "20x4") -> None:
        self._conf.write_text(
            _CONF.format(drivers=DRIVERS[0], port=self.port, user=getpass.getuser(), size=size)
        )
        command = f"exec {LCDD} -f -c {shlex.quote(str(self._conf))}"
        form = ["-f", os.devnull, "new-session", "-d", "-P", "-F", "#{pane_pid}", "-x", "80", "-y", "24"]
        self._pid = int(self._tmux(*form, command))

    def kill(self) -> None:
        """As the kernel would, short of memory."""
        if self._pid:
            pidfd = os.pidfd_open(self._pid)
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            os.close(pidfd)
            self._pid = 0

    def seen(self) -> str:
        """What is on its screen."""
        return self._tmux("capture-pane", "-p") if self._pid else ""

    def close(self) -> None:
        with contextlib.suppress(subprocess.CalledProcessError, ProcessLookupError):
            self.kill()
            self._tmux("kill-server")

    def _tmux(self, *words: str) -> str:
        return subprocess.run(
            ["tmux", "-S", str(self._socket), *words],
            capture_output=True, text=True, timeout=20, check=True, env={**os.environ, "TERM": "xterm"},
        ).stdout  # fmt: skip
