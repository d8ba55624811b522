"""Three programs of ours under the real supervisord: `python -m tests.master.convert.supervised` watches for a minute.

The file is the one that export makes. What the emulated board measures must reach the core, one program is killed and
must come back, and at the end nothing may be left.
"""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.master.conftest import BIN, Box, eventually
from tests.ports import free_port

PROGRAMS = ("kegbot_core", "kegboard_simulator", "kegboard_daemon")
APPS = """
    [kegbot_core]
    _enabled = True
    kb_core_bind_addr = localhost:{port}
    store = {folder}/kegbot.sqlite

    [kegboard_simulator]
    _enabled = True
    device_link = {folder}/kegboard

    [kegboard_daemon]
    _enabled = True
    _after = kegbot_core kegboard_simulator
    kb_core_addr = localhost:{port}
    kegboard_device = {folder}/kegboard
"""


@dataclass(kw_only=True)
class Supervised:
    """A supervisord of one's own, with what it said."""

    box: Box
    process: subprocess.Popen[bytes]
    text: str = ""

    def read(self, within_s: float) -> bool:
        """Take what it says; false if nothing came in time."""
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], within_s)
        piece = os.read(self.process.stdout.fileno(), 65536).decode() if ready else ""
        self.text += piece
        return bool(piece)

    def pids(self) -> dict[str, int]:
        """The process of each program that entered RUNNING, the last of each."""
        while self.read(0.05):
            pass
        running: dict[str, int] = {}
        spawned: dict[str, int] = {}
        for name, pid, success in re.findall(
            r"spawned: '(\w+)' with pid (\d+)|success: (\w+) entered RUNNING", self.text
        ):
            if success:
                running[success] = spawned[success]
            else:
                spawned[name] = int(pid)
        return running

    def all_running(self) -> dict[str, int]:
        """The same, once all three did; empty before."""
        pids = self.pids()
        return pids if len(pids) == len(PROGRAMS) else {}

    def exits(self) -> int:
        """How many programs ended."""
        return len(re.findall(r"WARN exited|INFO exited", self.text))


def start(box: Box) -> Supervised:
    """Export the three programs, and start supervisord with them."""
    box.log.mkdir()
    box.write(APPS.format(port=free_port(), folder=box.directory))
    done = box.master("export", "--format=supervisord")
    assert done.stderr == ""
    file = box.directory / "supervisord.conf"
    file.write_text(done.stdout)
    process = subprocess.Popen(
        [BIN / "supervisord", "-n", "-c", file], cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, bufsize=0, env={"HOME": str(box.home), "PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    return Supervised(box=box, process=process)


def board_is_heard(supervised: Supervised) -> None:
    """What the emulated board measures goes through the daemon to the core."""
    log = supervised.box.log / "kegbot_core.log"
    eventually(
        lambda: log.exists() and "New temperature sensor: kegboard.thermo" in log.read_text(),
        "the core hears the board",
        30.0,
    )


def stop(supervised: Supervised) -> None:
    """End it; every program must be gone."""
    pids = supervised.pids()
    supervised.process.send_signal(signal.SIGTERM)
    rest, _ = supervised.process.communicate(timeout=60)
    supervised.text += rest.decode()
    assert supervised.process.returncode == 0, supervised.text
    assert not [pid for pid in pids.values() if Path(f"/proc/{pid}").exists()]


def main() -> int:
    """Watch for a minute, and print what was seen."""
    with tempfile.TemporaryDirectory() as folder:
        box = Box(Path(folder))
        supervised = start(box)
        try:
            pids = eventually(supervised.all_running, "all three run", 30.0)
            board_is_heard(supervised)
            os.kill(pids["kegboard_daemon"], signal.SIGKILL)
            eventually(
                lambda: supervised.pids()["kegboard_daemon"] != pids["kegboard_daemon"], "it comes back", 30.0
            )
            settled, until_s = supervised.pids(), time.monotonic() + 60
            while (left_s := until_s - time.monotonic()) > 0:
                supervised.read(left_s)
            assert supervised.pids() == settled, supervised.text
            stop(supervised)
        finally:
            supervised.process.kill()
            box.close()
    print(supervised.text, end="")
    print(f"three programs, one minute, {supervised.exits()} unasked end")
    return 0


if __name__ == "__main__":
    sys.exit(main())
