"""What the resident processes hold: no more than they use. Looked up in their maps, and in a fresh interpreter."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import TWO, Box, proc_stat

MASTER = Path(__file__).resolve().parent.parent.parent / "master"
UNWANTED = {
    "absl", "argparse", "ast", "asyncio", "concurrent", "dataclasses", "email", "html", "http", "inspect", "logging", "multiprocessing", "psutil",
    "random", "sqlite3", "ssl", "subprocess", "tempfile", "threading", "traceback", "typing", "urllib", "xml",
}  # fmt: skip
UNWANTED_EXTENSIONS = ("_asyncio", "psutil", "_ssl", "_hashlib", "_sqlite3", "_multiprocessing", "_queue")

# What the resident processes import: `start` forks them off, so all that it has imported is theirs as well.
IMPORTS = """
import json, sys
sys.path.insert(0, sys.argv[1])
import kegmaster.command, kegmaster.birth, kegmaster.watchdog, kegmaster.commands, kegmaster.keeper
json.dump(sorted(sys.modules), sys.stdout)
"""


def test_the_resident_processes_import_nothing_they_do_not_use() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", IMPORTS, MASTER], capture_output=True, text=True, check=True, timeout=60
    )  # fmt: skip
    loaded = {name.split(".")[0] for name in json.loads(done.stdout)}
    assert "selectors" in loaded
    assert loaded & UNWANTED == set()


@pytest.mark.parametrize("command", [None, "status"])
def test_keeper_and_watchdog_have_neither_asyncio_nor_psutil_mapped(box: Box, command: str | None) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    box.master("start")
    watchdog = box.master_pid()
    keeper = int(proc_stat(watchdog)[1])
    if command:
        box.master(command, "--verbose")  # psutil's numbers are the client's business
        box.master("restart", "one")
    for pid in (keeper, watchdog):
        maps = {
            line.split(None, 5)[-1].strip() for line in Path(f"/proc/{pid}/maps").read_text().splitlines()
        }
        extensions = [path for path in maps if path.endswith(".so") or ".cpython-" in path]
        found = [
            path
            for path in maps
            if any(name in Path(path).name or f"/{name}/" in path for name in UNWANTED_EXTENSIONS)
        ]
        assert found == [], f"process {pid} of {keeper}, {watchdog}"
        assert not any("absl" in path for path in extensions)
