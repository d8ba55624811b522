"""A kegerator of real programs for the doctor to look at, and what the doctor says of it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.apps.core.programs import App, CoreProgram
from tests.apps.kegboard.programs import SCRIPTS, Bar, Simulator, free_port

DOCTOR = [sys.executable, str(SCRIPTS / "kegbot_doctor.py")]
DEADLINE_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What the doctor printed, as JSON, and its exit status."""

    status: int
    answer: dict[str, Any]

    @property
    def cut(self) -> str | None:
        cut: str | None = self.answer["cut"]
        return cut

    @property
    def cure(self) -> str:
        """What is to be done, by the last line."""
        return str(self.answer["verdict"]).partition("Do: ")[2]

    def of(self, link: str, level: str = "") -> list[str]:
        """The texts about a link, of one level if that is given."""
        found = self.answer["findings"]
        return [f["text"] for f in found if f["link"] == link and level in ("", f["level"])]

    def troubled(self) -> set[str]:
        """All links with trouble."""
        return {f["link"] for f in self.answer["findings"] if f["level"] == "trouble"}

    def must_be_cut_at(self, link: str, *, saying: str, cure: str) -> None:
        """It is cut there and nowhere else, and the words for it are these."""
        assert self.cut == link, self.answer
        assert self.troubled() == {link}, self.answer
        assert any(saying in text for text in self.of(link, "trouble")), self.answer
        assert cure in self.cure, self.answer
        assert self.status == 1


class Kegerator:
    """Programs in one folder, around one port; `looks` are the flags by which the doctor finds them."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        self.folder = folder
        self.stack = stack
        self.bar = Bar(folder, stack)
        self.port = free_port()
        self.store = folder / "kegbot.sqlite"
        self.address = f"localhost:{self.port}"

    @property
    def device(self) -> Path:
        return self.folder / "board"

    def board(self, *flags: str) -> Simulator:
        return self.bar.simulator(*flags)

    def core(self, *flags: str) -> CoreProgram:
        return self.stack.enter_context(CoreProgram(self.store, *flags, address=self.address))

    def daemon(self, *flags: str) -> None:
        self.bar.daemon(self.address, *flags).line("ready")

    def app(self) -> App:
        app = App(self.port)
        self.stack.callback(app.close)
        return app

    def doctor(self, *flags: str) -> Diagnosis:
        done = run(*self.looks(), "--json", *flags)
        assert done.returncode in (0, 1), done
        assert done.stderr == "", done
        return Diagnosis(status=done.returncode, answer=json.loads(done.stdout))

    def looks(self) -> list[str]:
        return [
            f"--kb_core_addr={self.address}", f"--kegboard_device={self.device}", f"--store={self.store}",
            f"--pidfile_dir={self.folder / 'run'}",
        ]  # fmt: skip


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The doctor, as a program."""
    return subprocess.run(
        [*DOCTOR, *words],
        capture_output=True, text=True, timeout=DEADLINE_S, check=False, stdin=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )  # fmt: skip
