"""LCDd of LCDproc with one of its serial drivers, for tests: what it writes was written by others."""

from __future__ import annotations

import getpass
import glob
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

LCDD = Path("/usr/sbin/LCDd")
DRIVERS = [*glob.glob("/usr/lib/*/lcdproc"), "/usr/lib/lcdproc"]
_CONF = """
[server]
Driver={driver}
DriverPath={drivers}/
Bind=127.0.0.1
Port={port}
User={user}
Foreground=yes
ServerScreen=no
Hello=""
GoodBye=""
[CFontzPacket]
Model=635
Device={device}
Speed=115200
[MtxOrb]
Device={device}
Size=20x4
Type=lcd
Speed=19200
"""


class Client:
    """Speaks LCDproc's protocol; `until(condition)` must keep the display's loop going."""

    def __init__(self, sock: socket.socket, until: Callable[[Callable[[], bool]], None]) -> None:
        self._sock = sock
        self._until = until
        self._heard = self._answer = b""

    def tell(self, *lines: str) -> None:
        """Each line is taken, or the test fails."""
        for line in lines:
            self._answer = b"connect " if line == "hello" else b"success\n"
            self._heard = b""
            self._sock.sendall(line.encode("latin-1") + b"\n")
            self._until(self._hears)
            assert b"huh?" not in self._heard, self._heard

    def _hears(self) -> bool:
        try:
            self._heard += self._sock.recv(4096)
        except BlockingIOError:
            return False
        return self._answer in self._heard or b"huh?" in self._heard


@contextmanager
def lcdd(
    driver: str, device: Path, folder: Path, until: Callable[[Callable[[], bool]], None]
) -> Iterator[Client]:
    """A running LCDd that writes to `device`, and a client that has said hello and owns the screen `s`."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    conf = folder / "LCDd.conf"
    conf.write_text(
        _CONF.format(driver=driver, drivers=DRIVERS[0], port=port, user=getpass.getuser(), device=device)
    )
    command = [str(LCDD), "-f", "-c", str(conf)]
    with (
        open(folder / "LCDd.log", "wb") as log,
        subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT) as process,
        socket.socket() as sock,
    ):
        try:
            until(lambda: sock.connect_ex(("127.0.0.1", port)) == 0)
            sock.setblocking(False)
            client = Client(sock, until)
            client.tell("hello")
            client.tell("screen_add s", "screen_set s -priority foreground -heartbeat off -backlight on")
            yield client
        finally:
            process.kill()
            process.wait(20)
