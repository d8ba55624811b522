"""Two hosts as two network namespaces joined by a cable that can be cut: board and bridge on one, the rest on the other.

The tests' own process enters neither: everything is started by `ip netns exec`, and looked at by files and pids.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.apps.bridge.mosquitto import Mosquitto, until
from tests.apps.bridge.rig import Counts, secret_file
from tests.apps.core.programs import furnish
from tests.apps.kegboard.programs import SCRIPTS, Simulator

CORE_ADDRESS, BOARDS_ADDRESS = "10.213.77.1", "10.213.77.2"
CORE_PORT, HUB_PORT, BROKER_PORT = 9805, 9805, 1883  # namespaces of our own: all ports are free


def may_make_namespaces() -> bool:
    """True if namespaces and cables can be made here."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        return False
    name = f"km{os.getpid()}t"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode == 0
    if made:
        made = (
            subprocess.run(
                ["ip", "-n", name, "link", "add", "va", "type", "veth", "peer", "name", "vb"],
                capture_output=True,
                check=False,
            ).returncode
            == 0
        )
        subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    return made


needs_namespaces = pytest.mark.skipif(
    not may_make_namespaces(), reason="no rights to make network namespaces"
)


class Host:
    """One namespace, named after our pid."""

    def __init__(self, role: str) -> None:
        self.name = f"km{os.getpid()}{role}"
        self.exec: Final = ("ip", "netns", "exec", self.name)
        ip("netns", "add", self.name)
        ip("-n", self.name, "link", "set", "lo", "up")

    def remove(self) -> None:
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True, check=False)


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=30)


class Hosts(Counts):
    """Both, with all that runs on them."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        super().__init__(folder / "kegbot.sqlite")
        self.folder = folder
        self._stack = stack
        self._started: dict[str, subprocess.Popen[bytes]] = {}
        self.core_host = self._host("c")
        self.boards_host = self._host("b")
        core, boards = self.core_host.name, self.boards_host.name
        ip("-n", core, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", boards)
        for host, address in ((core, CORE_ADDRESS), (boards, BOARDS_ADDRESS)):
            ip("-n", host, "address", "add", f"{address}/24", "dev", "cable")
            ip("-n", host, "link", "set", "cable", "up")
        furnish(self.store)
        self._secret = f"--mqtt_secret_file={secret_file(folder)}"
        self.broker = stack.enter_context(
            Mosquitto(folder, address=CORE_ADDRESS, launcher=self.core_host.exec, port=BROKER_PORT)
        )
        self.start_core()
        self.start_core_bridge()
        self.start_boards_bridge()
        self.log_says("boards-bridge", "connected to the broker")
        self.run(self.boards_host, "simulator", "kegboard_simulator.py", "--device_link=board", "--fast_boot", "--noreset_on_open", "--thermo=")  # fmt: skip
        self.log_says("simulator", "ready: board at")
        self.board = Simulator(folder / "board", None)  # type: ignore[arg-type] # its verbs only
        self.run(self.boards_host, "daemon", "kegboard_daemon.py", "--kegboard_device=board", f"--kb_core_addr=localhost:{HUB_PORT}")  # fmt: skip
        self.log_says("daemon", "status: board kegboard: firmware 18")
        self.board.verb("pour", "flow0", "10", "--ticks_per_second=1000")
        until(lambda: self.reading() == 10, "for the first reading")

    def start_core(self) -> None:
        self.run(self.core_host, "core", "kegbot_core.py", f"--store={self.store}", f"--kb_core_bind_addr=localhost:{CORE_PORT}")  # fmt: skip
        self.log_says("core", "ready:")

    def start_core_bridge(self) -> None:
        self.run(self.core_host, "core-bridge", "mqtt_bridge.py", "--mqtt_state=core-bridge.sqlite", self._secret, f"--mqtt_address={CORE_ADDRESS}", f"--kb_core_addr=localhost:{CORE_PORT}")  # fmt: skip

    def start_boards_bridge(self) -> None:
        self.run(self.boards_host, "boards-bridge", "mqtt_bridge.py", "--mqtt_role=boards", "--mqtt_name=cellar", "--mqtt_state=boards-bridge.sqlite", self._secret, f"--mqtt_address={CORE_ADDRESS}", f"--kb_core_bind_addr=localhost:{HUB_PORT}")  # fmt: skip

    def cut(self) -> None:
        """Pull the cable."""
        ip("-n", self.boards_host.name, "link", "set", "cable", "down")

    def mend(self) -> None:
        """Put it back."""
        ip("-n", self.boards_host.name, "link", "set", "cable", "up")

    def kill(self, name: str) -> None:
        """kill -9."""
        process = self._started[name]
        process.send_signal(signal.SIGKILL)
        process.wait(30)

    def run(self, host: Host, name: str, script: str, *flags: str) -> None:
        """A program of ours on that host; `ip netns exec` becomes it, so its pid is the program's."""
        log = self._stack.enter_context((self.folder / f"{name}.log").open("ab"))
        process = subprocess.Popen(
            [*host.exec, sys.executable, str(SCRIPTS / script), *flags],
            cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
        self._started[name] = process
        self._stack.callback(_end, process)

    def log_says(self, name: str, text: str) -> None:
        path = self.folder / f"{name}.log"
        until(lambda: text in path.read_text(), f"for {text!r} in {name}.log")

    def _host(self, role: str) -> Host:
        host = Host(role)
        self._stack.callback(host.remove)
        return host


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
    process.wait(30)


@contextlib.contextmanager
def hosts(folder: Path) -> Iterator[Hosts]:
    """Both hosts, ended with the test."""
    with contextlib.ExitStack() as stack:
        yield Hosts(folder, stack)
