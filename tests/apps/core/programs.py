"""The real kegbot_core as a process, and apps that talk to it by blocking sockets."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from kegapps.core.ledger import Ledger
from kegapps.core.store import Store
from kegapps.kegnet.codec import Decoder, Rejected, encode
from kegapps.kegnet.events import Event
from tests.apps.core.bar import TAPS, USERS, line

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts"
DEADLINE_S = 30.0


class CoreProgram:
    """`kegbot_core.py` in the foreground, on a port of its own, with its output as it comes."""

    def __init__(
        self, store: Path, *flags: str, address: str = "localhost:0", launcher: Sequence[str] = ()
    ) -> None:
        """`launcher` is a program that runs the command behind it."""
        self.store = store
        self.process = subprocess.Popen(
            [
                *launcher, sys.executable, str(SCRIPTS / "kegbot_core.py"), f"--store={store}",
                f"--kb_core_bind_addr={address}", *flags,
            ],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=store.parent,
        )  # fmt: skip
        self.output = ""
        self.port = 0

    def __enter__(self) -> CoreProgram:
        self.wait_for("Listening for apps on localhost:")
        self.wait_for("ready:")
        self.port = int(self.output.partition("Listening for apps on localhost:")[2].split()[0])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(DEADLINE_S)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def wait_for(self, text: str) -> None:
        """Read its output until `text` is in it."""
        end_s = time.monotonic() + DEADLINE_S
        while text not in self.output:
            assert self._read(end_s), f"it ended without {text!r}: {self.output}"

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send it a signal; its exit status once it has ended."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Its exit status once it has ended by itself."""
        end_s = time.monotonic() + DEADLINE_S
        while self._read(end_s):
            pass
        return self.process.wait(DEADLINE_S)

    def _read(self, end_s: float) -> bool:
        assert self.process.stdout is not None
        fd = self.process.stdout.fileno()
        assert select.select([fd], [], [], max(0.0, end_s - time.monotonic()))[0], (
            f"waited in vain: {self.output}"
        )
        data = os.read(fd, 65536)
        self.output += data.decode()
        return bool(data)


class App:
    """One connection to a core."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), DEADLINE_S)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.heard: list[Event] = []
        self._decoder = Decoder()

    def send(self, *events: Event) -> None:
        self.sock.sendall(b"".join(map(encode, events)))

    def lines(self) -> list[str]:
        """What was heard so far, as the protocol page's section 7 writes it."""
        return [line(event) for event in self.heard]

    def listen_until(self, condition: Callable[[], object]) -> None:
        """Read until `condition()`; fails if the core hangs up or the deadline passes."""
        end_s = time.monotonic() + DEADLINE_S
        while not condition():
            self.sock.settimeout(max(0.001, end_s - time.monotonic()))
            assert self.listen_once(), f"the core hung up; heard {self.lines()}"

    def listen_once(self) -> bool:
        """Read once; False if the core hung up. Raises TimeoutError by the socket's timeout."""
        try:
            data = self.sock.recv(65536)
        except ConnectionError:
            return False
        for message in self._decoder.feed(data):
            assert not isinstance(message, Rejected), message
            self.heard.append(message)
        return bool(data)

    def close(self) -> None:
        self.sock.close()


def furnish(path: Path) -> None:
    """A store with the taps, relays, users and tokens of `bar`."""
    Store(str(path), boot_id="").close()
    ledger = Ledger(str(path))
    for tap in TAPS:
        ledger.add_tap(tap.name, tap.ml_per_tick)
        ledger.set_tap(tap.name, relay_name=tap.relay_name)
    for username in sorted(set(USERS.values())):
        ledger.add_user(username, 0.0)
    for (device, token), username in USERS.items():
        ledger.add_token(device, token, username, 0.0)
    ledger.close()
