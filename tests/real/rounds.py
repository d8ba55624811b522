"""One real program through its life under the launcher: started, killed, restarted, adopted, stopped, gone.

Knows the launcher and the kernel. Must not know any program: `catalogue` does.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.master.conftest import Box, eventually, kill_masters, living, proc_stat, wait_for_end
from tests.ports import free_port
from tests.real.catalogue import Program

EXAMPLES = Path(__file__).parents[2] / "conf" / "examples"
READY_S = 60.0
_TREE = re.compile(r"/(?:etc|var|run|srv|opt)/")
_HEAD = re.compile(r"(?m)^\[(.*)\]$")


def sections(text: str) -> dict[str, str]:
    """The sections of an example by name, in order; comments go with what they follow."""
    heads = list(_HEAD.finditer(text))
    ends = [head.start() for head in heads[1:]] + [len(text)]
    return {head[1]: text[head.start() : end] for head, end in zip(heads, ends, strict=True)}


def moved(text: str, root: Path, ports: dict[int, int]) -> str:
    """The example for a machine whose tree is below `root` and whose ports are others."""
    for port, ours in ports.items():
        text = re.sub(rf"\b{port}\b", str(ours), text)
    return _TREE.sub(lambda match: f"{root}{match[0]}", text)


class Trial:
    """A program in a box of its own. Every check raises AssertionError with what it saw."""

    def __init__(self, program: Program, directory: Path, venv: Path | None) -> None:
        self.program = program
        self.box = Box(directory)
        self.root = directory / "root"
        self.ports = {port: free_port() for port in program.ports}
        self._starts = 0
        self.seen: dict[int, str] = {}
        """Every process that it ever had here, and when that began."""
        for folder in ("run", "opt", "var"):
            (self.root / folder).mkdir(parents=True)
        if venv is not None:
            (self.root / "opt" / venv.name).symlink_to(venv)
        program.prepare(self.root, self.ports)
        text = (EXAMPLES / f"{program.example}.cfg").read_text(encoding="utf-8")
        parts = sections(text)
        text = parts.get("DEFAULT", "") + parts[program.section].replace(
            "_enabled = False", "_enabled = True"
        )
        for old, new in program.replace:
            assert old in text, f"{program.example}.cfg has no {old!r}"
            text = text.replace(old, new)
        self.box.config.write_text(moved(text, self.root, self.ports), encoding="utf-8")

    @contextmanager
    def company(self) -> Iterator[None]:
        """What it needs to run beside it, until the end."""
        if not self.program.beside:
            yield
            return
        assert self.program.virtualenv is not None
        python = self.root / "opt" / self.program.virtualenv.name / "bin" / "python"
        with subprocess.Popen(
            [str(python), "-c", self.program.beside],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as beside:
            try:
                assert beside.stdout is not None
                address = beside.stdout.readline().strip()
                assert address, "the mock broker did not start"
                secrets = self.root / "etc/openmsistream/upload.env"
                secrets.write_text(f"KAFKA_BOOTSTRAP_SERVERS={address}\n")
                secrets.chmod(0o600)
                yield
            finally:
                beside.kill()

    def checks(self) -> Generator[tuple[str, Callable[[], str]], None, None]:
        """All checks by name, in the order in which they must be made; each tells what it measured."""
        yield "configtest", self.configtest
        if self.program.ends:
            yield f"ends: {self.program.ends}", self.ended
            yield "nothing left", self.nothing_left
            return
        yield "one instance", self.one_instance
        if self.program.hangs:
            yield f"stop, though it hangs {self.program.hangs}", self.stopped
            yield "nothing left", self.nothing_left
            return
        yield "kill -9 of its main process", self.main_killed
        yield "kill -9 of all its processes", self.all_killed
        yield "restart", self.restarted
        yield "kill -9 of the master, start", self.adopted
        yield "stop", self.stopped
        yield "nothing left", self.nothing_left

    def configtest(self) -> str:
        self.box.master("configtest")
        return "ok"

    def one_instance(self) -> str:
        began_s = time.monotonic()
        self.box.master("start", "--timeout=60")
        self._up(anew=True)
        took_s = time.monotonic() - began_s
        before = self._family()
        self.box.master("start")
        assert self.box.pid(self.program.section) in before
        roots = [pid for pid in before if int(proc_stat(pid)[1]) not in before]
        assert len(roots) == 1, f"it runs {len(roots)} times: {roots}"
        return f"up in {took_s:.1f} s, {len(before)} processes"

    def ended(self) -> str:
        """An end without failure is shown, and it is not started again and again."""
        self.box.master("start", expect=None)
        eventually(
            lambda: self.box.app(self.program.section)["state"] == "exited", "it is shown as exited", READY_S
        )
        row = self.box.app(self.program.section)
        assert row["restarts"] == 0, f"it was restarted {row['restarts']} times"
        return f"exited after one run: {row['last_exit']}"

    def main_killed(self) -> str:
        main = self.box.pid(self.program.section)
        self._family()
        began_s = time.monotonic()
        os.kill(main, signal.SIGKILL)
        return self._back_without({main}, began_s)

    def all_killed(self) -> str:
        family = self._family()
        began_s = time.monotonic()
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in family:
                if living(pid):
                    os.kill(pid, number)
        return self._back_without(family, began_s)

    def restarted(self) -> str:
        family = self._family()
        began_s = time.monotonic()
        self.box.master("restart", self.program.section)
        return self._back_without(family, began_s)

    def adopted(self) -> str:
        main, family = self.box.pid(self.program.section), self._family()
        kill_masters(self.box)
        self.box.master("start")
        self._up()
        assert self.box.pid(self.program.section) == main, "it was started anew"
        # Helpers may come and go; what must not be is a second one.
        now = self._family()
        roots = [pid for pid in now if int(proc_stat(pid)[1]) not in now]
        assert roots == [main], f"it runs {len(roots)} times: {roots}"
        return f"process {main} runs on, {len(family & now)} of {len(family)} processes are the same"

    def stopped(self) -> str:
        family = self._family()
        began_s = time.monotonic()
        self.box.master("stop", self.program.section)
        took_s = time.monotonic() - began_s
        assert not [pid for pid in family if living(pid)], "some of its processes live on"
        limit_s = self._stop_timeout_s() + 2
        assert took_s < limit_s, f"it took {took_s:.1f} s, more than {limit_s:.0f} s"
        return f"gone in {took_s:.2f} s"

    def nothing_left(self) -> str:
        self.box.master("stop")
        left = [pid for pid, began in self.seen.items() if _began(pid) == began and living(pid)]
        assert not left, f"processes live on: {left}"
        assert not self.box.processes(), f"processes live on: {self.box.processes()}"
        for port in self.ports.values():
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
        pidfiles = [*self.box.run.glob("*.pid"), *(self.root / "run").glob("*.pid")]
        assert not pidfiles, f"pidfiles are left: {pidfiles}"
        return f"no process of {len(self.seen)}, no port, no pidfile"

    def _up(self, *, anew: bool = False) -> None:
        """It is running, by its own `_ready` or, if it was started `anew`, by its own words, where it has such."""
        eventually(
            lambda: self.box.app(self.program.section)["state"] == "running",
            f"{self.program.section} is running; {self._last_words()}",
            READY_S,
        )

        if anew:
            self._starts += 1
            if self.program.says:
                log = self.box.log / f"{self.program.section}.log"
                eventually(
                    lambda: log.read_text(errors="replace").count(self.program.says) >= self._starts,
                    f"{self.program.section} says {self.program.says!r}; {self._last_words()}",
                    READY_S,
                )

    def _last_words(self) -> str:
        try:
            text = (self.box.log / f"{self.program.section}.log").read_text(errors="replace")
        except OSError:
            return "it has no log"
        return f"its last words: {text[-300:]!r}"

    def _back_without(self, former: set[int], began_s: float) -> str:
        def back() -> bool:
            row = self.box.app(self.program.section)
            return row["state"] == "running" and row["pid"] not in former

        eventually(back, f"{self.program.section} is back; {self._last_words()}", READY_S)
        took_s = time.monotonic() - began_s
        self._up(anew=True)
        for pid in former:
            wait_for_end(pid)
        self._family()
        return f"back in {took_s:.2f} s"

    def _family(self) -> set[int]:
        """Its processes now: the one that the launcher names, those below it, and those that carry its name."""
        main = self.box.pid(self.program.section)
        mark = f"KEGMASTER_APP={self.program.section}".encode()
        parents: dict[int, int] = {}
        marked = {main}
        for pid in self.box.processes():
            try:
                if mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                    marked.add(pid)
            except OSError:
                continue
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and living(int(entry.name)):
                try:
                    parents[int(entry.name)] = int(proc_stat(int(entry.name))[1])
                except OSError:
                    continue
        family = {pid for pid in marked if pid in parents}
        while more := {pid for pid, parent in parents.items() if parent in family} - family:
            family |= more
        for pid in family:
            self.seen.setdefault(pid, _began(pid))
        return family

    def _stop_timeout_s(self) -> float:
        found = re.search(r"(?m)^_timeout_stop_sec = (\d+)", self.box.config.read_text(encoding="utf-8"))
        return float(found[1]) if found else 10.0


def _began(pid: int) -> str:
    """When the process began, in the kernel's ticks; empty if it is no more."""
    try:
        return proc_stat(pid)[19]
    except OSError:
        return ""


@contextmanager
def trial(program: Program, directory: Path, venv: Path | None) -> Iterator[Trial]:
    """A trial in `directory`, which is removed at its end, together with whatever still runs."""
    directory.mkdir(parents=True)
    made = Trial(program, directory, venv)
    try:
        with made.company():
            try:
                yield made
            finally:
                made.box.master("stop", expect=None)
    finally:
        made.box.close()
        shutil.rmtree(directory, ignore_errors=True)
