"""Who has locked a file, as programs lock the serial port that they use.

Knows /proc/locks, which tells everybody of every process. Must not know what the file is.
"""

from __future__ import annotations

import contextlib
import os


def lockers(status: os.stat_result) -> set[int]:
    """The processes that hold a lock (flock) on the file whose `os.stat` this is; as far as they can be seen."""
    file = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    locked: set[int] = set()
    with contextlib.suppress(OSError, ValueError), open("/proc/locks", encoding="ascii") as table:
        for line in table:
            words = line.split()  # 1: FLOCK ADVISORY WRITE 4711 00:18:7 0 EOF; "->" marks waiting ones
            if len(words) > 5 and words[1] == "FLOCK" and words[5] == file:
                locked.add(int(words[4]))
    return {pid for pid in locked if pid > 0}


def named(status: os.stat_result) -> str:
    """` (pid 4711)` for the text that somebody else has locked this file; empty if it cannot be seen who."""
    pids = [str(pid) for pid in sorted(lockers(status)) if program_of(pid)]
    return f" (pid {', '.join(pids)})" if pids else ""


def program_of(pid: int) -> str:
    """What process `pid` runs, for a person: the name of its script, or its own; empty if it has ended."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read(65536).rstrip(b"\0").split(b"\0")
        with open(f"/proc/{pid}/comm", "rb") as file:
            name = file.read(64).strip()
    except OSError:
        return ""
    script = next((word for word in words[1:] if word.endswith(b".py")), name)
    return os.path.basename(script).decode("utf-8", "replace")
