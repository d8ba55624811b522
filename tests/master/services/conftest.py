"""A box whose services verbs touch nothing of this machine: what the init system reads lies in the box, too."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.master.conftest import Box, cared_for

KEPT = ("run/services", "apps.env.d", "log", "home")
"""What remove leaves, and says so; HOME is the box's own."""

# Runs master.py on a machine whose file tree, as far as boot entries go, begins at the first word.
REDIRECTED = """
import sys
from kegmaster import command
from kegmaster.services import entry
sys.argv = sys.argv[1:]
place = sys.argv.pop(0)
entry.destination = lambda: place
sys.exit(command.main(sys.argv))
"""


class Services(Box):
    """Box, with install's words in the order they need, and a picture of its tree."""

    def services(
        self, *words: str, program: Sequence[str] = (), expect: int | None = 0, cwd: Path | None = None,
        stdin: str = "", **environment: str,
    ) -> subprocess.CompletedProcess[str]:  # fmt: skip
        argv = self.command(*words) + (["--", *program] if program else [])
        if "--boot=none" not in words and "DESTDIR" not in environment:
            argv = [sys.executable, "-c", REDIRECTED, str(self.directory / "image"), *argv]
        done = subprocess.run(
            argv, cwd=cwd or "/", input=stdin, capture_output=True, text=True, timeout=60, check=False,
            env={"HOME": str(self.home), "PATH": os.environ["PATH"]} | environment,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        assert expect is None or done.returncode == expect, (
            f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        )
        return done

    def install(
        self, name: str, *program: str, flags: Sequence[str] = (), expect: int | None = 0, cwd: Path | None = None,
        stdin: str = "", **environment: str,
    ) -> subprocess.CompletedProcess[str]:  # fmt: skip
        return self.services(
            "install", name, "--boot=none", *flags, program=program, expect=expect, cwd=cwd, stdin=stdin, **environment
        )  # fmt: skip

    def tree(self, *, kept: Sequence[str] = KEPT) -> dict[str, tuple[int, bytes]]:
        """Mode and content of everything here, but for what remove keeps."""
        found = {}
        for path in sorted(self.directory.rglob("*")):
            name = str(path.relative_to(self.directory))
            if name == "run" or any(name == word or name.startswith(f"{word}/") for word in kept):
                continue
            seen = path.lstat()
            data = (
                b""
                if path.is_dir()
                else str(path.readlink()).encode()
                if path.is_symlink()
                else path.read_bytes()
            )
            found[name] = (seen.st_mode, data)
        return found


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Services]:
    with cared_for(Services(tmp_path)) as made:
        yield made
