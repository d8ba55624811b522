"""The supervisors that take part: how each is told of N apps, started, asked, and stopped.

Knows their command lines and files. Must not measure. Whose process is whose is seen from outside: all that a
contender starts carries a tag in its environment, and the apps write their own ledger.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.leftovers import remove_cgroups

from . import machine
from .machine import Ledger, now_ns

SUPERVISORD_VENV = Path("/tmp/kegmaster-benchmark/supervisor")
SETUP = (
    f"{sys.executable} -m venv --copies {SUPERVISORD_VENV}",
    f"{SUPERVISORD_VENV}/bin/pip install --quiet supervisor==4.3.0",
)
"""What installs supervisord where it is looked for (--setup runs it); runit is Debian's: apt-get install runit."""
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """Programs that the run needs, and where its files go."""

    folder: Path
    app: Path
    yardstick: Path
    master: Path
    python: str
    """The interpreter that runs `master`."""


class Contender:
    """One supervisor with `count` apps of one kind, in a directory of its own."""

    name = ""
    slow = False
    """A crash of one of its apps is answered after a second."""

    def __init__(self, tools: Tools, count: int, mode: str = "idle", stop_timeout_s: int = 0) -> None:
        self.tools = tools
        self.names = [f"app{number:03}" for number in range(count)]
        self.mode = mode
        self.stop_timeout_s = stop_timeout_s
        self.folder = tools.folder / f"{self.name}-{now_ns()}"
        self.folder.mkdir()
        self.ledger = Ledger(self.folder / "ledger")
        self.tag = f"KEGMASTER_BENCHMARK={self.folder}"
        key, _, value = self.tag.partition("=")
        self._env = {"PATH": _PATH, "HOME": str(self.folder), "LANG": "C.UTF-8", key: value}
        self._started: list[subprocess.Popen[bytes]] = []
        self.write_files()

    @classmethod
    def missing(cls) -> str:
        """Why it cannot take part; empty if it can."""
        return ""

    def write_files(self) -> None:
        """Tell it of its apps."""

    def start_words(self) -> list[str]:
        """The command that starts it, in the foreground or not."""
        raise NotImplementedError

    def words(self, verb: str) -> list[str]:
        """Its command for start, status, stop of everything, configtest; empty if it has none."""
        del verb
        return []

    def app_words(self, name: str) -> list[str]:
        """The argv of one app."""
        return [str(self.tools.app), str(self.ledger.path), name, self.mode]

    # What is done with any of them

    def start(self, within_s: float = 60.0) -> float:
        """Start it; returns the ms until the last app's main(), -1 if that does not come."""
        began_ns = self._run(self.start_words())
        up = machine.eventually(lambda: len(self.ledger.latest()) == len(self.names), within_s)
        if not up:
            return -1.0
        return (max(start.at_ns for start in self.ledger.starts) - began_ns) / 1e6

    def stop(self, within_s: float = 60.0) -> float:
        """Stop it; returns the ms until the last app is gone, -1 if that does not come."""
        pids = self.apps()
        began_ns = self.ask_to_stop()
        gone_ns = machine.wait_gone(pids, within_s)
        return -1.0 if gone_ns is None else (gone_ns - began_ns) / 1e6

    def ask_to_stop(self) -> int:
        """Begin a stop; returns when."""
        return self._run(self.words("stop"))

    def time_ms(self, verb: str) -> float:
        """How long a command takes, to its end; -1 if it has none such."""
        words = self.words(verb)
        if not words:
            return -1.0
        began_ns = now_ns()
        subprocess.run(
            words, env=self._env, cwd=self.folder, capture_output=True, stdin=subprocess.DEVNULL, check=True
        )
        return (now_ns() - began_ns) / 1e6

    def apps(self) -> list[int]:
        """The pids of its live apps, by their argv: not everybody hands its own environment on to them."""
        return [pid for pid in machine.living() if self._is_app(pid)]

    def masters(self) -> list[int]:
        """The pids of its own processes."""
        return [pid for pid in machine.tagged(self.tag) if not self._is_app(pid)]

    def close(self) -> None:
        """End all that is left of it, and remove its files."""
        until_s = time.monotonic() + 10
        # Its own processes first, or they would go on starting apps.
        while (pids := self.masters() or self.apps()) and time.monotonic() < until_s:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            machine.wait_gone(pids, 1)
        for process in self._started:
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _is_app(self, pid: int) -> bool:
        words = machine.command(pid)
        return words[:2] == [str(self.tools.app), str(self.ledger.path)]

    def _run(self, words: Sequence[str]) -> int:
        with open(self.folder / "said", "ab") as said:
            began_ns = now_ns()
            process = subprocess.Popen(
                words, env=self._env, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
                start_new_session=True,
            )  # fmt: skip
        self._started.append(process)
        threading.Thread(target=process.wait, daemon=True).start()
        return began_ns

    def _signal(self, number: int) -> int:
        began_ns = now_ns()
        self._started[0].send_signal(number)
        return began_ns


class Yardstick(Contender):
    """The floor: yardstick.c."""

    name = "C"

    def start_words(self) -> list[str]:
        tools = self.tools
        count = str(len(self.names))
        return [str(tools.yardstick), "watch", str(tools.app), str(self.ledger.path), self.mode, count]

    def ask_to_stop(self) -> int:
        return self._signal(signal.SIGTERM)


class Kegmaster(Contender):
    """We."""

    name = "kegmaster"

    def write_files(self) -> None:
        for name in ("run", "logs"):
            (self.folder / name).mkdir()
        timeout = f"_timeout_stop_sec = {self.stop_timeout_s}\n" if self.stop_timeout_s else ""
        sections = [
            f"[{name}]\n_enabled = True\n_command = {shlex.join(self.app_words(name))}\n{timeout}"
            for name in self.names
        ]
        (self.folder / "master.cfg").write_text("".join(sections))

    def close(self) -> None:
        """Also what a master that was killed could not remove."""
        super().close()
        remove_cgroups(self.folder / "run")

    def start_words(self) -> list[str]:
        return self.words("start")

    def words(self, verb: str) -> list[str]:
        folder = self.folder
        flags = (
            f"--master_config={folder}/master.cfg",
            f"--pidfile_dir={folder}/run",
            f"--logfile_dir={folder}/logs",
        )
        return [str(self.tools.master), *flags, verb]

    def watchdog(self) -> int:
        """The pid of the process that answers; its parent is the keeper."""
        parents = {
            pid: int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
            for pid in self.masters()
        }
        return next(pid for pid, parent in parents.items() if parent in parents)


class Supervisord(Contender):
    """supervisord 4.3 at its fastest sane settings."""

    name = "supervisord"
    slow = True

    @classmethod
    def missing(cls) -> str:
        return (
            ""
            if _supervisord("supervisord")
            else f"not found on the PATH, nor in {SUPERVISORD_VENV}; see --setup"
        )

    def write_files(self) -> None:
        folder = self.folder
        more = f"stopwaitsecs={self.stop_timeout_s}\n" if self.stop_timeout_s else ""
        more += (
            "startsecs=0\nstartretries=1000000\nautorestart=true\nstdout_logfile=NONE\nstderr_logfile=NONE\n"
        )
        head = (
            f"[supervisord]\nlogfile={folder}/log\npidfile={folder}/pid\nchildlogdir={folder}\n"
            f"[unix_http_server]\nfile={folder}/sock\n[supervisorctl]\nserverurl=unix://{folder}/sock\n"
            "[rpcinterface:supervisor]\n"
            "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n"
        )
        programs = [
            f"[program:{name}]\ncommand={shlex.join(self.app_words(name))}\n{more}" for name in self.names
        ]
        (folder / "conf").write_text(head + "".join(programs))

    def start_words(self) -> list[str]:
        return [_supervisord("supervisord"), "-c", str(self.folder / "conf")]

    def words(self, verb: str) -> list[str]:
        verbs = {"status": "status", "stop": "shutdown"}
        if verb not in verbs:
            return []
        return [_supervisord("supervisorctl"), "-c", str(self.folder / "conf"), verbs[verb]]


class Runit(Contender):
    """runit: one runsv for each app."""

    name = "runit"

    @classmethod
    def missing(cls) -> str:
        return "" if shutil.which("runsvdir", path=_PATH) else "no runsvdir; on Debian: apt-get install runit"

    def write_files(self) -> None:
        for name in self.names:
            run = self.folder / "sv" / name / "run"
            run.parent.mkdir(parents=True)
            run.write_text(f"#!/bin/sh\nexec {shlex.join(self.app_words(name))}\n")
            run.chmod(0o755)
        # runsvdir sleeps a second where the directory is brand new.
        long_ago = time.time() - 3600
        os.utime(self.folder / "sv", (long_ago, long_ago))

    def start_words(self) -> list[str]:
        return ["/usr/bin/runsvdir", "-P", str(self.folder / "sv")]

    def words(self, verb: str) -> list[str]:
        return (
            ["/usr/bin/sv", "status", *(f"{self.folder}/sv/{name}" for name in self.names)]
            if verb == "status"
            else []
        )

    def ask_to_stop(self) -> int:
        return self._signal(signal.SIGHUP)


def _supervisord(program: str) -> str:
    own = SUPERVISORD_VENV / "bin" / program
    return str(own) if own.exists() else shutil.which(program) or ""


PEERS: tuple[type[Contender], ...] = (Supervisord, Runit)
ALL: tuple[type[Contender], ...] = (Yardstick, *PEERS, Kegmaster)
