from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.apps.core.bar import FLOW1, reading
from tests.apps.tools.doctor.kegerator import DOCTOR, Kegerator


@pytest.fixture
def kegerator(tmp_path: Path) -> Iterator[Kegerator]:
    """An empty one, to be built by the test."""
    with contextlib.ExitStack() as stack:
        yield Kegerator(tmp_path, stack)


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kegerator]:
    """Board, daemon and core, and something was poured. Shared: leave it as it was."""
    with contextlib.ExitStack() as stack:
        made = Kegerator(tmp_path_factory.mktemp("healthy"), stack)
        board = made.board()
        core = made.core()
        made.daemon()
        core.wait_for("connected")
        board.verb("pour", "flow0", "300", "--seconds=0.2")
        app = made.app()
        app.send(reading(0, tap=FLOW1), reading(200, tap=FLOW1))
        core.wait_for("New tap: kegboard.flow0")
        core.wait_for("New tap: kegboard.flow1")
        yield made


@pytest.fixture(scope="module")
def coreless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kegerator]:
    """Board and daemon; no core. Shared: leave it as it was."""
    with contextlib.ExitStack() as stack:
        made = Kegerator(tmp_path_factory.mktemp("coreless"), stack)
        made.board()
        made.daemon()
        yield made


@pytest.fixture
def as_nobody() -> list[str]:
    """Words before a command that make it another user's."""
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("needs root and setpriv to become somebody else")
    words = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    if subprocess.run([*words, *DOCTOR, "--version"], capture_output=True, check=False).returncode:
        pytest.skip("another user cannot run this Python")
    return words
