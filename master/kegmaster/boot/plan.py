"""What is to be started at boot, in the words of no init system, and what one of them needs for it.

Must not know files, processes or the machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Role = Literal["file", "block", "crontab"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """The master, as an init system is to start it.

    name        of unit, script, task: letters, digits and `_.-`
    argv        interpreter and master.py, both absolute; the verb and `flags` follow
    flags       --master_config=, --pidfile_dir=, --logfile_dir=, --state_dir=, all absolute
    user        runs as this user; empty: as whoever the init system runs as (a per-user one: its user)
    system      for all users of the machine (root installs it); else for one user
    apps        (name, command line, working directory) of each enabled app, for those who want a service each
    """

    name: str = "kegmaster"
    description: str = "multi-app launcher and watchdog"
    argv: tuple[str, ...]
    flags: tuple[str, ...]
    user: str = ""
    group: str = ""
    home: str = ""
    system: bool = True
    config: str
    pidfile_dir: str
    logfile_dir: str
    state_dir: str
    activate: str = ""
    apps: tuple[tuple[str, tuple[str, ...], str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Artefact:
    """One piece of text that is to stand on the disk.

    role        file: all of a file of ours, at `path`. block: lines between two marks in somebody else's file at
                `path` (rc.local), before its final `exit 0`; made with `frame` around them if there is none.
                crontab: such a block in the user's crontab; `path` is empty
    link        a symbolic link to `link` instead of a file
    """

    role: Role = "file"
    path: str = ""
    text: str = ""
    mode: int = 0o644
    link: str = ""
    frame: tuple[str, str] = ("", "")
    encoding: str = "utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that an init system needs; commands are argument vectors, run in this order.

    foreign     of another platform: only ever printed
    notes       what a person must know: needs a login, is not stopped at shutdown ...
    enable      after the artefacts are written; `start` after that, if it is to run now
    stop, disable   before the artefacts are removed; `forget` after
    needs_root  without root nothing of it can be done
    """

    kind: str
    artefacts: tuple[Artefact, ...]
    enable: tuple[tuple[str, ...], ...] = ()
    start: tuple[tuple[str, ...], ...] = ()
    stop: tuple[tuple[str, ...], ...] = ()
    disable: tuple[tuple[str, ...], ...] = ()
    forget: tuple[tuple[str, ...], ...] = ()
    notes: tuple[str, ...] = ()
    needs_root: bool = True
    foreign: bool = False


class BootError(Exception):
    """Why an init system cannot be given this service, and what to do."""
