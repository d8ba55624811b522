"""Who holds the lock of a run directory, as the holder wrote it down and as others may read it.

Pure but for what is asked of /proc about ourselves. What is read is a claim, bounded and checked field by field.
"""

from __future__ import annotations

import json
import os
import time

from . import files, proc
from .lean import Final, asdict, dataclass

MAX_BYTES: Final = 8192
_MAX_COMMAND: Final = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A process that says it is the master: identity (boot, pid, start), where that counts, and for people the rest.

    `pid_namespace` is the inode of /proc/self/ns/pid, 0 if unknown: elsewhere the same pid is another process.
    """

    pid: int
    boot_id: str
    start_ticks: int
    pid_namespace: int = 0
    host: str = ""
    since_unix: float = 0.0
    command: str = ""
    config: str = ""
    """The configuration file; empty in what earlier versions wrote."""
    logfile_dir: str = ""
    """Where its logs are; empty in what earlier versions wrote."""


def own_words(pid: int, config: str = "", logfile_dir: str = "") -> bytes:
    """What a master that is process `pid` of this machine, with that file and directory, writes of itself."""
    seen = proc.stat(pid)
    ticks = seen.start_ticks if seen else 0
    claim = Claim(
        pid=pid, boot_id=proc.boot_id(), start_ticks=ticks, pid_namespace=pid_namespace(), host=os.uname().nodename,
        since_unix=round(since_unix(ticks)), command=command_line(pid), config=config,
        logfile_dir=logfile_dir,
    )  # fmt: skip
    return json.dumps(asdict(claim)).encode() + b"\n"


def read(path: str) -> Claim | None:
    """What stands in the file `path`; None if that is nothing, or nothing that makes sense."""
    try:
        told = json.loads(files.read_plain(path, MAX_BYTES))
        claim = Claim(**{name: told[name] for name in Claim.__annotations__ if name in told})
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    numbers = (claim.pid, claim.start_ticks, claim.pid_namespace)
    texts = (claim.boot_id, claim.host, claim.command, claim.config, claim.logfile_dir)
    sound = (
        all(type(number) is int and 0 <= number < 1 << 63 for number in numbers)
        and all(isinstance(text, str) and text.isprintable() for text in texts)
        and type(claim.since_unix) in (int, float)
        and 0 <= claim.since_unix < 1 << 40
        and claim.pid > 1
    )
    return claim if sound else None


def command_line(pid: int) -> str:
    """The words `pid` was started with, printable and bounded; empty if they cannot be seen."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read(_MAX_COMMAND).rstrip(b"\0").replace(b"\0", b" ")
    except OSError:
        return ""
    return "".join(c if c.isprintable() else "?" for c in words.decode("utf-8", "replace"))


def since_unix(start_ticks: int) -> float:
    """When a process with that start time began, by the wall clock of now."""
    return time.time() - proc.age_s(start_ticks)


def pid_namespace() -> int:
    """Which numbering of processes is ours; 0 where the kernel does not tell."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0
