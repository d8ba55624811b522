"""A whole kegerator of one's own: core, emulated board and board daemon under master.py, all real processes."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.master.conftest import BIN, Box, eventually
from tests.ports import free_port as free_port

ROOT = Path(__file__).resolve().parent.parent.parent


class Kegerator(Box):
    """conf/quickstart.cfg on a port of its own, with a board that boots fast and a short idle time."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.port = free_port()
        self.run.mkdir()
        text = (ROOT / "conf" / "quickstart.cfg").read_text(encoding="utf-8")
        text = text.replace("localhost:9805", f"localhost:{self.port}")
        text = text.replace("[kegbot_core]\n", "[kegbot_core]\nidle_timeout_s = 3\n")
        text = text.replace("[kegboard_simulator]\n", "[kegboard_simulator]\nfast_boot = True\n")
        self.config.write_text(text, encoding="utf-8")

    def program_output(self, name: str, *words: str, expect: int = 0) -> str:
        done = subprocess.run(
            [str(BIN / name), *words], capture_output=True, text=True, timeout=60, check=False,
            env={"HOME": str(self.home), "PATH": os.environ["PATH"]},
        )  # fmt: skip
        assert done.returncode == expect, (words, done.stdout, done.stderr)
        return done.stdout

    def board(self, *words: str) -> str:
        return self.program_output("kegboard_simulator.py", f"--device_link={self.run}/kegboard", *words)

    def board_state(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads(self.board("state"))
        return state

    def admin(self, *words: str) -> Any:
        return json.loads(
            self.program_output("kegbot_admin.py", f"--store={self.run}/kegbot.sqlite", "--json", *words)
        )

    def drinks(self) -> list[dict[str, Any]]:
        drinks: list[dict[str, Any]] = self.admin("drinks")
        return drinks

    def wait_for_board(self) -> None:
        eventually(lambda: "firmware" in self.app("kegboard_daemon")["reason"])
        eventually(lambda: self.board_state()["booted"] and self.board_state()["connected"])

    def wait_for_drinks(self, number: int) -> list[dict[str, Any]]:
        return eventually(lambda: len(drinks := self.drinks()) >= number and drinks, f"{number} drinks") or []


@pytest.fixture
def kegerator(tmp_path: Path) -> Iterator[Kegerator]:
    made = Kegerator(tmp_path)
    try:
        made.master("start")
        made.wait_for_board()
        yield made
        made.master("stop")
    finally:
        made.close()
