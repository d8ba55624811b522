"""The system under fire: a core and board daemons under a real master.py, boards of their own apart from it.

Knows programs, files and processes. Must not know what is done to them, or how the books are kept.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from kegapps.core.ledger import Ledger
from kegapps.core.store import Store
from tests.e2e.conftest import free_port
from tests.fire.boards import IBUTTONS, METERS, TAGS, Board
from tests.fire.server import Server
from tests.master.conftest import BIN, Box, eventually, living

IDLE_S: Final = 1.0
DISK_BYTES: Final = 24 << 20
CONFIG: Final = """
[DEFAULT]
_enabled = True
_restart_max_delay_sec = 1

[kegbot_core]
kb_core_bind_addr = localhost:{port}
store = {store}
idle_timeout_s = {idle_s}
rfid_idle_timeout_s = {idle_s}
onewire_idle_timeout_s = {idle_s}
{server}
[several_boards]
_program_name = kegboard_daemon.py
_after = kegbot_core
kb_core_addr = localhost:{port}
kegboard_device = {devices}
kegboard_names = {names}

[one_board]
_program_name = kegboard_daemon.py
_after = kegbot_core
kb_core_addr = localhost:{port}
kegboard_device = {device}
kegboard_name = {name}
"""
SERVER: Final = """api_url = {url}
api_key_file = {key_file}
"""
DAEMONS: Final = ("several_boards", "one_board")


class Kegerator:
    """Everything below `directory`; what can fill up is a small disk of its own where that may be mounted."""

    def __init__(self, directory: Path, *, boards: int, interface: str | None, chance: random.Random) -> None:
        """`interface`: how the Kegbot Server is spoken to, `form` or `event`; None: there is none."""
        self.directory = directory
        self.disk = directory / "disk"
        self.disk.mkdir()
        self.mounted = _mount(self.disk)
        self.box = Box(self.disk)
        self.store = self.disk / "kegbot.sqlite"
        self.port = free_port()
        names = [f"board{number}" for number in range(boards)]
        # A token opens all taps, and kegboard-event takes no drink of somebody who is known: so with it there are few.
        known = 0.02 if interface == "event" else 0.25
        self.boards = [
            Board(directory, name, random.Random(chance.randrange(1 << 30)), known=known) for name in names
        ]
        meters = [f"{name}.{meter}" for name in names for meter in METERS]
        self.server = Server(directory, interface, meters, chance.randrange(1 << 30)) if interface else None
        self._furnish()
        self.box.config.write_text(self._config())

    def start(self) -> None:
        """Start it; returns when every meter has its first reading, which counts nothing, behind it."""
        if self.server is not None:
            self.server.start()
        self.box.master("start")
        self.boards[-1].verb("odometer", "flow0", str(2**32 - 1500))
        for board in self.boards:
            for meter in METERS:
                board.drop(meter)
        self.wait_until_told()

    def wait_until_told(self, within_s: float = 60.0) -> None:
        """Return when the store has the last reading of every meter of every board."""
        for board in self.boards:
            self.wait_for_board(board, within_s)

    def wait_for_board(self, board: Board, within_s: float = 60.0) -> None:
        """The same for one board. Every second it counts one tick more: a board says only what is new."""
        end_s = time.monotonic() + within_s
        while left := {
            meter for meter, ticks in board.readings().items() if self._told(board, meter) != ticks
        }:
            assert time.monotonic() < end_s, (
                f"{board.name}: the store never heard of the last ticks of {left}"
            )
            for meter in left:
                board.drop(meter)
            with contextlib.suppress(AssertionError):
                eventually(
                    lambda: all(self._told(board, meter) == board.readings()[meter] for meter in METERS),
                    within_s=1.0,
                )

    def rows(self, sql: str) -> list[sqlite3.Row]:
        """What the store says now; nothing if it cannot be read just then."""
        db = sqlite3.connect(f"file:{self.store}?mode=ro", uri=True, timeout=5.0)
        db.row_factory = sqlite3.Row
        try:
            return db.execute(sql).fetchall()
        except sqlite3.Error:
            return []
        finally:
            db.close()

    def core_log(self) -> str:
        """What the core has logged, oldest first."""
        files = sorted(self.box.log.glob("kegbot_core.log*"), key=lambda path: path.stat().st_mtime)
        return "".join(path.read_text(errors="replace") for path in files)

    def kill(self, app: str) -> bool:
        """kill -9 of an app, or of the watchdog (`kegbot_master`); False if it is not there just now."""
        try:
            pid = int((self.box.run / f"{app}.pid").read_text())
            ours = f"HOME={self.box.home}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return False
        if not ours or not living(pid):
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            return True
        return False

    def fill_disk(self) -> None:
        """Leave no byte free. `empty_disk` undoes it."""
        with (self.disk / "ballast").open("ab", buffering=0) as file:
            for size in (1 << 20, 4096, 1):
                with contextlib.suppress(OSError):
                    while file.write(bytes(size)) == size:
                        pass

    def empty_disk(self) -> None:
        """Make room again; harmless if there is."""
        (self.disk / "ballast").unlink(missing_ok=True)

    def wait_until_whole(self, within_s: float = 60.0) -> None:
        """Return when every app runs; a start that comes too early for an app that was just killed is repeated."""
        self.empty_disk()
        apps = ("kegbot_core", *DAEMONS)

        def whole() -> bool:
            rows = {row["name"]: row["state"] for row in self.box.status()["apps"]}
            return all(rows.get(app) == "running" for app in apps)

        eventually(whole, "all apps running", within_s)

    def wait_until_delivered(self, within_s: float = 90.0) -> None:
        """Return when the outbox is empty: the server is well again, and somebody retries what is held."""
        if self.server is None:
            return
        self.server.kill()
        self.server.start(faults=False)
        end_s = time.monotonic() + within_s
        while self.rows("select 1 from outbox limit 1"):
            assert time.monotonic() < end_s, "drinks are left in the outbox"
            self._admin("outbox", "retry", "--all")
            with contextlib.suppress(AssertionError):
                eventually(lambda: not self.rows("select 1 from outbox limit 1"), within_s=5.0)

    def stop(self) -> list[int]:
        """Stop it; the processes that are left."""
        self.box.master("stop")
        return self.box.processes()

    def close(self, keep: Path | None = None) -> None:
        """End and remove everything; what can be of use is copied to `keep` first."""
        for board in self.boards:
            board.close()
        if self.server is not None:
            self.server.kill()
        self.empty_disk()
        self.box.close()
        if keep is not None:
            subprocess.run(["cp", "-a", f"{self.disk}/.", str(keep)], check=False)
        if self.mounted:
            subprocess.run(["umount", str(self.disk)], check=True)

    def _told(self, board: Board, meter: str) -> int | None:
        rows = self.rows(f"select last_reading from meters where name = '{board.name}.{meter}'")
        return rows[0]["last_reading"] if rows else None

    def _admin(self, *words: str) -> None:
        subprocess.run(
            [
                sys.executable, str(BIN / "kegbot_admin.py"), f"--store={self.store}",
                f"--kb_core_addr=localhost:{self.port}", *words,
            ],
            stdout=subprocess.DEVNULL, check=True, timeout=60,
        )  # fmt: skip

    def _config(self) -> str:
        *several, one = self.boards
        server = self.server
        return CONFIG.format(
            port=self.port,
            store=self.store,
            idle_s=IDLE_S,
            devices=",".join(str(board.device) for board in several),
            names=",".join(f"{board.serial_number}={board.name}" for board in several),
            device=one.device,
            name=one.name,
            server=SERVER.format(url=server.url, key_file=server.key_file) if server else "",
        )

    def _furnish(self) -> None:
        Store(str(self.store), boot_id="").close()
        ledger = Ledger(str(self.store))
        for name, tag, ibutton in zip(("alice", "bob"), TAGS, IBUTTONS, strict=True):
            ledger.add_user(name, 0.0)
            ledger.add_token("core.rfid", tag, name, 0.0)
            ledger.add_token("core.onewire", ibutton, name, 0.0)
        for board in self.boards:
            for number, meter in enumerate(METERS):
                ledger.add_tap(f"{board.name}.{meter}", 1000 / 2200)
                ledger.set_tap(f"{board.name}.{meter}", relay_name=f"{board.name}.relay{number}")
        ledger.close()


def _mount(folder: Path) -> bool:
    """A small file system of its own at `folder`, where we may."""
    options = f"size={DISK_BYTES},mode=0755"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, check=False
    )
    return done.returncode == 0
