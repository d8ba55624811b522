"""Starting the probe as people and launchers do, and watching it from outside."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

PROBE = Path(__file__).with_name("probe.py")
PATIENCE_S = 20.0


def command(*args: str) -> list[str]:
    return [sys.executable, str(PROBE), *args]


def environment(**more: str) -> dict[str, str]:
    """Ours, without what a service manager may have put there."""
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("NOTIFY_", "WATCHDOG_"))
    }
    return clean | more


def run(*args: str, cwd: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """The probe until its command ends. Its pipes must be closed then: a daemon that kept them would show."""
    options.setdefault("env", environment())
    options.setdefault("stdin", subprocess.DEVNULL)
    if "stdout" not in options:
        options["stdout"] = subprocess.PIPE
    if "stderr" not in options:
        options["stderr"] = subprocess.PIPE
    return subprocess.run(command(*args), cwd=cwd, text=True, timeout=PATIENCE_S, check=False, **options)


@dataclass(frozen=True, slots=True)
class Process:
    """A process that is not (or need not be) our child."""

    pid: int
    pidfd: int

    def signal(self, number: int) -> None:
        signal.pidfd_send_signal(self.pidfd, number)

    def ended(self, within_s: float = PATIENCE_S) -> bool:
        return bool(select.select([self.pidfd], [], [], within_s)[0])

    def stat(self) -> dict[str, int]:
        words = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return {
            "ppid": int(words[1]),
            "pgrp": int(words[2]),
            "session": int(words[3]),
            "tty_nr": int(words[4]),
        }

    def status(self, name: str) -> str:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return line.partition(":")[2].strip()
        raise KeyError(name)


@contextlib.contextmanager
def held(pidfile: Path) -> Iterator[Process]:
    """Whose number is in `pidfile`; killed afterwards if it still runs."""
    pid = int(pidfile.read_text())
    process = Process(pid, os.pidfd_open(pid))
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.signal(signal.SIGKILL)
        process.ended()
        os.close(process.pidfd)


@contextlib.contextmanager
def background(
    *args: str, cwd: Path, pidfile: str = "probe.pid", **options: Any
) -> Iterator[tuple[subprocess.CompletedProcess[str], Process]]:
    """The probe as a daemon that has become ready; ended afterwards if it still runs."""
    done = run("--daemon", f"--pidfile={pidfile}", *args, cwd=cwd, **options)
    assert done.returncode == 0, done.stderr
    with held(cwd / pidfile) as process:
        yield done, process


@contextlib.contextmanager
def foreground(*args: str, cwd: Path, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """The probe in the foreground; killed afterwards if it still runs."""
    options.setdefault("env", environment())
    options.setdefault("stdin", subprocess.DEVNULL)
    options.setdefault("stdout", subprocess.PIPE)
    options.setdefault("stderr", subprocess.PIPE)
    with subprocess.Popen(command(*args), cwd=cwd, **options) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(PATIENCE_S)


def read_until(stream: IO[bytes] | None, text: bytes) -> bytes:
    """What comes out of a pipe up to the first mention of `text`."""
    assert stream is not None
    end_s, seen = time.monotonic() + PATIENCE_S, b""
    while text not in seen:
        assert select.select([stream], [], [], max(0.0, end_s - time.monotonic()))[0], (
            f"{text!r} not in {seen!r}"
        )
        more = os.read(stream.fileno(), 65536)
        assert more, f"{text!r} not in {seen!r}, and no more comes"
        seen += more
    return seen


def file_says(path: Path, text: str) -> str:
    """The content of `path`, once `text` is in it; nothing tells of a file's growth, so this looks again."""
    end_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < end_s:
        content = path.read_text() if path.exists() else ""
        if text in content:
            return content
        time.sleep(0.005)
    raise AssertionError(f"{text!r} not in {path}: {content!r}")


def exit_status_of_daemon(*args: str, cwd: Path, signals: Sequence[int] = ()) -> int:
    """How the daemon itself ends, as told to its adoptive parent; negative for a signal."""
    done = subprocess.run(
        [sys.executable, "-c", _ADOPTER, ",".join(map(str, signals)), *command("--daemon", *args)],
        cwd=cwd,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    return int(done.stdout)


_ADOPTER = """
import ctypes, os, subprocess, sys
ctypes.CDLL(None).prctl(36, ctypes.c_ulong(1), 0, 0, 0)
subprocess.run(sys.argv[2:], check=True, stdout=subprocess.DEVNULL)
for number in filter(None, sys.argv[1].split(",")):
    child = int(open(f"/proc/self/task/{os.getpid()}/children").read())
    os.kill(child, int(number))
print(os.waitstatus_to_exitcode(os.wait()[1]))
"""
