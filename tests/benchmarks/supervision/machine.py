"""What the kernel knows of processes: who lives, what they use, when they ended; and the apps' own ledger.

Knows /proc and pidfds. Must not know supervisors or figures. Times are CLOCK_MONOTONIC nanoseconds.
"""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

Seen = TypeVar("Seen")
now_ns = time.monotonic_ns
_SOURCES = Path(__file__).parent


def compile_c(folder: Path, name: str) -> Path:
    """Compile NAME.c beside this file. Raises CalledProcessError, FileNotFoundError where there is no cc."""
    program = folder / name
    subprocess.run(["cc", "-O2", "-static", "-o", program, _SOURCES / f"{name}.c"], check=True)
    return program


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """An app's entry in the ledger: who, and when its main() began."""

    name: str
    pid: int
    at_ns: int


class Ledger:
    """Where the apps write their starts; read on from where the last look ended."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.path.touch()
        self.starts: list[Start] = []
        self._offset = 0

    def read(self) -> list[Start]:
        """All starts so far, in the order of their writing."""
        with open(self.path, "rb") as file:
            file.seek(self._offset)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.decode().splitlines():
            name, pid, at = line.split()
            self.starts.append(Start(name=name, pid=int(pid), at_ns=int(at)))
        return self.starts

    def latest(self) -> dict[str, Start]:
        """The last start of each app."""
        return {start.name: start for start in self.read()}

    def after(self, name: str, at_ns: int) -> Start | None:
        """The first start of `name` after that time."""
        return next((s for s in self.read() if s.name == name and s.at_ns > at_ns), None)


def eventually(look: Callable[[], Seen], within_s: float, step_s: float = 0.001) -> Seen:
    """Look until it is true, or the time is over; what was seen last."""
    until_s = time.monotonic() + within_s
    while not (seen := look()) and time.monotonic() < until_s:
        time.sleep(step_s)
    return seen


def wait_gone(pids: Iterable[int], within_s: float) -> int | None:
    """When the last of these processes ended; None if one has not in time."""
    poll = select.poll()
    left = 0
    fds = []
    for pid in pids:
        try:
            fds.append(os.pidfd_open(pid))
        except ProcessLookupError:
            continue
        poll.register(fds[-1], select.POLLIN)
        left += 1
    until_s = time.monotonic() + within_s
    at_ns = now_ns()
    while left and (wait_s := until_s - time.monotonic()) > 0:
        for fd, _ in poll.poll(wait_s * 1000 + 1):
            poll.unregister(fd)
            left -= 1
        at_ns = now_ns()
    for fd in fds:
        os.close(fd)
    return None if left else at_ns


def living() -> list[int]:
    """All live processes."""
    return sorted(pid for entry in os.listdir("/proc") if entry.isdigit() and alive(pid := int(entry)))


def tagged(tag: str) -> list[int]:
    """Those that have `tag` (KEY=VALUE) in their environment."""
    return [pid for pid in living() if tag.encode() in _read(f"/proc/{pid}/environ").split(b"\0")]


def alive(pid: int) -> bool:
    """It is there, and no zombie."""
    fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    return bool(fields) and fields[0] not in (b"Z", b"X")


def command(pid: int) -> list[str]:
    """Its argv."""
    return _read(f"/proc/{pid}/cmdline").decode(errors="replace").split("\0")[:-1]


def pss_kib(pids: Iterable[int]) -> int:
    """Proportional set size of all of them together: what they really cost the machine."""
    total = 0
    for pid in pids:
        for line in _read(f"/proc/{pid}/smaps_rollup").splitlines():
            if line.startswith(b"Pss:"):
                total += int(line.split()[1])
    return total


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """CPU time and context switches of some processes."""

    cpu_ns: int
    switches: int

    def __sub__(self, earlier: Use) -> Use:
        return Use(cpu_ns=self.cpu_ns - earlier.cpu_ns, switches=self.switches - earlier.switches)


def use(pids: Iterable[int]) -> Use:
    """What these processes have used since they began."""
    cpu_ns = switches = 0
    for pid in pids:
        cpu_ns += int((_read(f"/proc/{pid}/schedstat").split() or [b"0"])[0])
        for line in _read(f"/proc/{pid}/status").splitlines():
            if b"ctxt_switches" in line:
                switches += int(line.split()[1])
    return Use(cpu_ns=cpu_ns, switches=switches)


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
