"""What this machine is started by, read from it.

Knows /proc, /run and PATH. Must not know what follows from what it finds.
"""

from __future__ import annotations

import os
import shutil
import sys

from .machine import PATHS, PROGRAMS, SCANNERS, Machine

_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Not on a user's PATH, and yet there."""


def machine(root: str = "/", environment: dict[str, str] | None = None) -> Machine:
    """The facts; `root`: where the file tree begins. Raises nothing: what cannot be read is not there."""
    path = (os.environ if environment is None else environment).get("PATH", os.defpath)
    search = os.pathsep.join([path, *_SBIN])
    return Machine(
        # What systemd itself asks for: sd_booted(3). systemctl may be there without it.
        booted_systemd=os.path.isdir(f"{root}run/systemd/system"),
        pid1=_name(f"{root}proc/1"),
        paths=frozenset(place for place in PATHS if os.path.exists(f"{root}{place[1:]}")),
        programs=frozenset(program for program in PROGRAMS if shutil.which(program, path=search)),
        root=hasattr(os, "geteuid") and os.geteuid() == 0,
        platform=sys.platform,
        scanned=frozenset(_scanners(f"{root}proc")),
        session=hasattr(os, "geteuid") and bool(session(root, environment)),
    )


def session(root: str = "/", environment: dict[str, str] | None = None) -> str:
    """The runtime directory by which the caller's own systemd is reached; empty if it is not there.

    What `su`, `sudo` and cron do not set is found all the same.
    """
    given = (os.environ if environment is None else environment).get("XDG_RUNTIME_DIR", "")
    for path in filter(None, (given, f"{root}run/user/{os.geteuid()}")):
        if os.path.exists(f"{path}/systemd/private") or os.path.exists(f"{path}/bus"):
            return path
    return ""


def _scanners(proc: str) -> set[str]:
    try:
        numbers = [name for name in os.listdir(proc) if name.isdigit()]
    except OSError:
        return set()
    # Somebody's private runsvdir is not the machine's.
    return {
        name
        for number in numbers
        if (name := _name(f"{proc}/{number}")) in SCANNERS and _owner(f"{proc}/{number}") == 0
    }


def _owner(path: str) -> int:
    try:
        return os.stat(path).st_uid
    except OSError:
        return -1


def _name(process: str) -> str:
    try:
        with open(f"{process}/comm", encoding="utf-8", errors="replace") as file:
            return file.read(64).strip()
    except OSError:
        return ""
