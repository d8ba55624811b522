"""A master of one's own: real processes below a temporary directory, ended when the test is over."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from kegmaster.spec import App
from tests.leftovers import remove_cgroups

BIN = Path(sys.executable).parent
MASTER = BIN / "master.py"
T = TypeVar("T")

# A program that takes any flags and stays: what an app's own program would see, without one of our apps.
PROBE = f"#!{sys.executable} -IS\nimport signal\nwhile True:\n    signal.pause()\n"

# The least a program must do to make a daemon of itself as kegbot's programs do.
DETACHER = f"""#!{sys.executable} -IS
import os, signal, sys
flags = dict(word[2:].split("=", 1) for word in sys.argv[1:] if "=" in word)
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
os.setsid()
with open(flags["pidfile"] + ".new", "w") as file:
    file.write(f"{{os.getpid()}}\\n")
os.rename(flags["pidfile"] + ".new", flags["pidfile"])
while True:
    signal.pause()
"""


TWO = """
    [one]
    _enabled = True
    _command = {probe}
    [two]
    _enabled = True
    _command = {probe}
    _after = one
"""


def eventually(look: Callable[[], T], what: str = "", within_s: float = 20.0) -> T:
    """The first true answer of `look`; fails after `within_s` seconds, which only a broken program reaches."""
    until_s = time.monotonic() + within_s
    while not (answer := look()):
        assert time.monotonic() < until_s, f"still not true after {within_s} s: {what or look}"
        time.sleep(0.01)
    return answer


def wait_for_end(pid: int, within_s: float = 20.0) -> None:
    """Return when `pid` has ended."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ready, _, _ = select.select([fd], [], [], within_s)
    os.close(fd)
    assert ready, f"process {pid} still lives after {within_s} s"


def living(pid: int) -> bool:
    """It runs, and is no zombie."""
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def proc_stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from `state` on: state, ppid, pgrp, session, tty_nr ..."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def proc_status(pid: int) -> dict[str, str]:
    """/proc/PID/status."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


class Box:
    """One directory with one configuration, and master.py to be called on it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.config = directory / "apps.cfg"
        self.script = MASTER
        self.run = directory / "run"
        self.log = directory / "log"
        self.home = directory / "home"
        self.home.mkdir()

    def write(self, text: str) -> None:
        """Write the configuration; indentation of the whole is taken off."""
        self.config.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")

    def program(self, name: str, text: str = PROBE) -> Path:
        """Make an executable beside the configuration."""
        path = self.directory / name
        path.write_text(text)
        path.chmod(0o755)
        return path

    def command(self, *words: str) -> list[str]:
        flags = (f"--master_config={self.config}", f"--pidfile_dir={self.run}", f"--logfile_dir={self.log}")
        return [str(self.script), *words, *flags]

    def master(self, *words: str, expect: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run one verb to its end."""
        done = subprocess.run(
            self.command(*words),
            cwd="/",
            env={"HOME": str(self.home), "PATH": os.environ["PATH"]},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        assert expect is None or done.returncode == expect, (
            f"{words} gave {done.returncode}:\n{done.stdout}{done.stderr}"
        )
        return done

    def status(self, *names: str) -> dict[str, Any]:
        report: dict[str, Any] = json.loads(self.master("status", "--json", *names, expect=None).stdout)
        return report

    def app(self, name: str) -> dict[str, Any]:
        """The app's row of `status`."""
        return next(row for row in self.status()["apps"] if row["name"] == name)

    def pid(self, name: str) -> int:
        pid = self.app(name)["pid"]
        assert isinstance(pid, int), self.app(name)
        return pid

    def master_pid(self) -> int:
        pid = self.status()["master"]["pid"]
        assert isinstance(pid, int)
        return pid

    def processes(self) -> list[int]:
        """Every living process that was started here: all carry our HOME."""
        mark = f"HOME={self.home}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if (
                    entry.name.isdigit()
                    and mark in (entry / "environ").read_bytes().split(b"\0")
                    and living(int(entry.name))
                ):
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    def close(self) -> None:
        for number in (signal.SIGKILL, signal.SIGKILL):
            for pid in self.processes():
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    continue
                wait_for_end(pid)
        # Whoever kills a master this way leaves the cgroups of its apps.
        remove_cgroups(self.run)


SomeBox = TypeVar("SomeBox", bound=Box)


def plain_app(directory: Path) -> App:
    """An app as data, whose log is in `directory`."""
    return App(
        name="app", line=1, enabled=True, argv=("app",), type="simple", pidfile="/p", logfile=str(directory / "app.log")
    )  # fmt: skip


def kill_masters(box: Box) -> None:
    """Both at once: a watchdog that saw its keeper fall would bring up an heir."""
    watchdog = box.master_pid()
    pids = [int(proc_stat(watchdog)[1]), watchdog]
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            os.kill(pid, number)
    for pid in pids:
        wait_for_end(pid)


@contextlib.contextmanager
def cared_for(box: SomeBox) -> Iterator[SomeBox]:
    """Its master is stopped when all went well, and whatever it started is ended in any case."""
    try:
        yield box
        if box.run.exists():
            box.master("stop", expect=None)
    finally:
        box.close()


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    with cared_for(Box(tmp_path)) as made:
        yield made
