"""Which of several kegerators on a machine is meant, and which processes are its own.

Knows processes: their parents, users and masters. Must not know what any of them says, files, or the stack's flags.
Pure.
"""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from kegapps.tools.doctor.facts import Process
from kegapps.tools.doctor.words import read_flags

MASTER: Final = "master"
STACK: Final = ("kegbot_core", "kegboard_daemon")
_FLAGS: Final = ("master_config", "pidfile_dir", "logfile_dir", "state_dir")


def masters(processes: Sequence[Process]) -> list[Process]:
    """Those that keep apps running. A master has a keeper, which is called the same and is its parent."""
    numbers = {process.pid for process in processes if process.program == MASTER}
    return [process for process in processes if process.pid in numbers and process.parent_pid in numbers]


def master_flags(
    argv: Sequence[str], defaults: Mapping[str, str] = MappingProxyType({}), which: Collection[str] = _FLAGS
) -> list[str]:
    """The flags on a master's command line that tell it from others, without those that `defaults` says anyway.

    A master that made another of itself gave it all of them.
    """
    words, found = list(argv), {}
    while words:
        name, given, value = words.pop(0).partition("=")
        name = "master_config" if name == "--config" else name.removeprefix("--")
        if name in which and (given or words):
            found[name] = value if given else words.pop(0)
    usual = dict(defaults)
    if usual and found.get("pidfile_dir", usual["pidfile_dir"]) != usual["pidfile_dir"]:
        usual["state_dir"] = found["pidfile_dir"]  # so does master.py
    return [f"--{name}={value}" for name, value in found.items() if usual.get(name) != value]


def configuration_of(master: Process) -> str:
    """The configuration that was named to it; empty if none was."""
    named = read_flags(master.argv[1:], ("master_config", "config"), lambda _: None)
    path = named.get("master_config") or named.get("config") or ""
    return posixpath.normpath(posixpath.join(master.folder, path)) if path else ""


def meant_master(
    processes: Sequence[Process], uid: int, *, default_config: str = "", has_configuration: bool
) -> Process | None:
    """The master that user `uid` means without naming one; None if none of theirs runs.

    Their own, and of these that of `default_config`, which is what one has without a flag for it, else the one of the
    core that was started first. Another user's only if they have nothing: neither a program of the stack nor, by
    `has_configuration`, a default configuration.
    """
    own = [process for process in processes if process.uid == uid]
    mine = masters(own)
    if not mine and (has_configuration or any(process.program in STACK for process in own)):
        return None
    candidates = mine or masters(processes)
    parents = [process.parent_pid for process in processes if process.program in STACK]

    def rank(master: Process) -> tuple[bool, int, int]:
        first = parents.index(master.pid) if master.pid in parents else len(parents)
        return configuration_of(master) not in ("", default_config), first, master.pid

    return min(candidates, key=rank, default=None)


def own_processes(
    processes: Sequence[Process],
    uid: int,
    *,
    master_pid: int | None,
    app_pids: Collection[int],
    has_configuration: bool,
) -> tuple[list[Process], list[Process]]:
    """(those of the kegerator that is meant, those of others).

    `master_pid` is its master, None if none runs; `app_pids` its apps by that master. What runs without a master is its
    own if it is of the same user; without anything of that user, what another user runs is looked at.
    """
    all_masters = {process.pid: process for process in processes if process.program == MASTER}
    family = {pid for pid in all_masters if pid == master_pid}
    family |= {m.pid for m in all_masters.values() if m.parent_pid in family}
    family |= {all_masters[pid].parent_pid for pid in family} & all_masters.keys()
    stack = [process for process in processes if process.program in STACK]
    if family:
        uid = all_masters[min(family)].uid
    elif stack and not has_configuration and all(process.uid != uid for process in stack):
        uid = stack[0].uid
    kept = [p for p in stack if p.pid in app_pids or p.parent_pid in family]
    loose = [p for p in stack if p not in kept and p.uid == uid and p.parent_pid not in all_masters]
    # Beside a core that the master runs, one that somebody has started by hand is another.
    kept_programs = {p.program for p in kept}
    ours = {p.pid for p in kept} | {p.pid for p in loose if p.program not in kept_programs}
    rest = [p for p in processes if p.program not in STACK]
    return [p for p in processes if p in rest or p.pid in ours], [p for p in stack if p.pid not in ours]
