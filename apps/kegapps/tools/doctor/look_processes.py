"""The programs of the stack that run, from /proc: their command lines, users and parents.

Knows /proc. Must not know what their flags mean.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Final

from kegapps.daemon.secret_file import user_name
from kegapps.tools.doctor.facts import Holder, Process
from kegapps.tools.doctor.words import program_of

MAX_FLAGFILE_BYTES: Final = 65536
_CONCERNING: Final = frozenset({"KEGBOT_API_URL", "KEGBOT_API_KEY", "PWD"})


def processes() -> tuple[Process, ...]:
    """Every process of a script called `keg....py` or master.py, by number."""
    found = (_process(pid) for pid in pids())
    return tuple(process for process in found if process is not None)


def pids() -> Iterator[int]:
    """All processes."""
    return iter(sorted(int(name) for name in os.listdir("/proc") if name.isdecimal()))


def flagfile(path: str, folder: str) -> str | None:
    """The text of a flagfile that a program in `folder` was given; None if it cannot be read."""
    try:
        with open(os.path.join(folder, os.path.expanduser(path)), "rb") as file:
            return file.read(MAX_FLAGFILE_BYTES).decode("utf-8", "replace")
    except (OSError, ValueError):
        return None


def holder(pid: int) -> Holder:
    """Process `pid` as a person knows it."""
    argv = _argv(pid)
    try:
        user = user_name(os.stat(f"/proc/{pid}").st_uid)
    except OSError:
        user = ""
    return Holder(pid=pid, name=program_of(argv) or _command(pid), user=user)


def _process(pid: int) -> Process | None:
    argv = _argv(pid)
    program = program_of(argv)
    if not (program.startswith("keg") or program == "master"):
        return None
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            status = dict(line.split(":\t", 1) for line in file if ":\t" in line)
        uid, gid = int(status["Uid"].split()[1]), int(status["Gid"].split()[1])
        groups, parent = tuple(map(int, status["Groups"].split())), int(status["PPid"])
    except (OSError, KeyError, ValueError):
        return None  # it has just ended
    environment = _environment(pid)
    return Process(
        pid=pid, parent_pid=parent, uid=uid, gid=gid, groups=groups, user=user_name(uid), program=program, argv=argv,
        folder=_folder(pid, environment), environment=environment, is_stopped=status["State"][:1] in ("T", "t"),
    )  # fmt: skip


def _argv(pid: int) -> tuple[str, ...]:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            data = file.read(MAX_FLAGFILE_BYTES)
    except OSError:
        return ()
    return tuple(word.decode("utf-8", "replace") for word in data.rstrip(b"\0").split(b"\0")) if data else ()


def _command(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def _environment(pid: int) -> Mapping[str, str]:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            items = file.read(1 << 20).split(b"\0")
    except OSError:
        return {}
    pairs = (item.decode("utf-8", "replace").partition("=") for item in items)
    return {name: value for name, _, value in pairs if name in _CONCERNING}


def _folder(pid: int, environment: Mapping[str, str]) -> str:
    """Where it was started: a daemon lives in "/", but its shell wrote down where it was."""
    try:
        folder = os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return ""
    return folder if folder != "/" else environment.get("PWD", "/")
