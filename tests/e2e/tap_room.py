"""All programs of conf/kegbot_master.cfg under one master: `python -m tests.e2e.tap_room` prints what each takes.

Every section of a bundled program is enabled as it stands, its devices absent; only what two tap rooms on one
machine would quarrel about is changed: ports, folders, device paths.
"""

from __future__ import annotations

import configparser
import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kegapps.daemon.reference import help_of
from tests.e2e.conftest import ROOT, free_port
from tests.master.conftest import BIN, Box, eventually

SAMPLE: Final = ROOT / "conf" / "kegbot_master.cfg"
LIMIT_MB: Final = 25.0
OWN_FILES: Final = ("store", "_state", "_device_path")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One app as `master.py status` shows it, and what it takes of the memory: megabytes (10^6 bytes)."""

    name: str
    state: str
    reason: str
    rss_mb: float


class TapRoom(Box):
    """The sample, every program of ours enabled."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.names: list[str] = []
        sample = configparser.ConfigParser(interpolation=None)
        sample.optionxform = str  # type: ignore[assignment,method-assign]  # keys are flags: their case counts
        sample.read(SAMPLE, encoding="utf-8")
        ports: dict[str, int] = {}
        for name in sample.sections():
            program = sample[name].get("_program_name", f"{name}.py")
            if "_command" in sample[name] or not (BIN / program).exists():
                sample[name]["_enabled"] = "False"
                continue
            self.names.append(name)
            sample[name]["_enabled"] = "True"
            for flag in own_flags(program):
                if flag.endswith(("_addr", "_address")) and "i2c" not in flag:
                    # One port for all that speak kegnet, another for each other peer, which is not there.
                    what = "kegnet" if flag.startswith("kb_core_") else f"{name} {flag}"
                    sample[name][flag] = f"localhost:{ports.setdefault(what, free_port())}"
                elif flag == "redis_url":
                    sample[name][flag] = f"redis://localhost:{free_port()}/0"
                elif flag in ("device_link", "control", "counts", "queue") or flag.endswith(OWN_FILES):
                    sample[name][flag] = str(directory / f"{name}.{flag}")
        if "kegboard_daemon" in self.names:
            sample["kegboard_daemon"]["kegboard_device"] = str(directory / "absent")
        with open(self.config, "w", encoding="utf-8") as file:
            sample.write(file)

    def settled(self) -> list[Row]:
        """Every app, once each is up."""

        def up() -> list[Row] | None:
            rows = [self._row(app) for app in self.status()["apps"] if app["name"] in self.names]
            return rows if all(is_up(row) for row in rows) else None

        try:
            return eventually(up, within_s=40.0) or []
        except AssertionError:
            raise AssertionError(self.master("status", expect=None).stdout) from None

    def _row(self, app: dict[str, Any]) -> Row:
        kb = 0
        if app["pid"]:
            # A forked or threaded program is one process; children such as players come and go.
            status = Path(f"/proc/{app['pid']}/status").read_text()
            kb = int(status.partition("VmRSS:")[2].split()[0])
        return Row(name=app["name"], state=app["state"], reason=app["reason"] or "", rss_mb=kb * 1024 / 1e6)


def is_up(row: Row) -> bool:
    """It runs, or says which device or peer it waits for."""
    return row.state == "running" or (row.state == "waiting" and "waiting for" in row.reason)


def own_flags(program: str) -> list[str]:
    """The names of the program's own flags."""
    return re.findall(r"^  (?:-., )?--(?:\[no\])?(\w+)", help_of(str(BIN), program), re.M)


def main() -> int:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        room = TapRoom(Path(folder))
        try:
            room.master("start", expect=None)
            rows = room.settled()
            room.master("stop")
        finally:
            room.close()
    for row in rows:
        print(f"{row.name:20} {row.state:8} {row.rss_mb:5.1f} MB  {row.reason}")
    return 0 if all(row.rss_mb < LIMIT_MB for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
