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

    name           of unit, script, task: letters, digits and `_.-`
    argv           interpreter and master.py, both absolute; the verb and `flags` follow
    flags          --master_config=, --pidfile_dir=, --logfile_dir=, --state_dir=, all absolute
    user           runs as this user; empty: as whoever the init system runs as (a per-user one: its user)
    group          empty: the user's own
    caller         who asks for it, for those kinds that must name somebody; empty: not known
    home           of that user, absolute; empty if it has none
    system         for all users of the machine (root installs it); else for one user
    timeout_stop_s how long the slowest orderly stop of all apps may take before somebody loses patience
    apps           (name, command line, working directory) of each enabled app, for those who want a service each
    each           make a service of each of `apps` instead of one of the master (Windows)
    s4u            a Windows task stores no password, and has no rights on the network (service for user)
    activate       what a Windows batch file is to `call` first
    """

    name: str = "kegmaster"
    description: str = "multi-app launcher and watchdog"
    argv: tuple[str, ...]
    flags: tuple[str, ...]
    user: str = ""
    group: str = ""
    caller: str = ""
    home: str = ""
    system: bool = True
    config: str
    pidfile_dir: str
    logfile_dir: str
    state_dir: str
    timeout_stop_s: int = 180
    s4u: bool = False
    activate: str = ""
    apps: tuple[tuple[str, tuple[str, ...], str], ...] = ()
    each: bool = False

    def command(self, verb: str) -> tuple[str, ...]:
        """The command line of master.py with `verb`: `run` stays in the foreground, `start` detaches itself."""
        return (*self.argv, verb, *self.flags)


@dataclass(frozen=True, slots=True, kw_only=True)
class Artefact:
    """One piece of text that is to stand on the disk.

    role        file: all of a file of ours, at `path`. block: lines between two marks in somebody else's file at
                `path` (rc.local), before its final `exit 0`; made with `frame` around them if there is none.
                crontab: such a block in the user's crontab; `path` is empty
    link        a symbolic link to `link` instead of a file
    encoding    how `text` becomes bytes; its line ends are in the text already and must stay as they are
    """

    role: Role = "file"
    path: str = ""
    text: str = ""
    mode: int = 0o644
    link: str = ""
    frame: tuple[str, str] = ("", "")
    encoding: str = "utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A command that may fail without making the rest worthless.

    done_if     a path that exists if there is nothing left to do; then `undo` is not ours to run either
    otherwise   what to tell a person if it fails
    undo        at removal, if this command was run by us; empty: nothing
    """

    command: tuple[str, ...]
    done_if: str = ""
    otherwise: str = ""
    undo: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that an init system needs; commands are argument vectors, run in this order.

    foreign     of another platform: only ever printed
    notes       what a person must know: needs a login, is not stopped at shutdown ...
    enable      after the artefacts are written; `start` after that, if it is to run now
    attempts    after `enable`
    stop, disable   before the artefacts are removed; `forget` after. Each is harmless where there is nothing to do,
                but may exit non-zero then
    made        directories that appear at boot or start, outermost first: what is empty of them goes at removal
    needs_root  without root nothing of it can be done
    """

    kind: str
    artefacts: tuple[Artefact, ...]
    enable: tuple[tuple[str, ...], ...] = ()
    start: tuple[tuple[str, ...], ...] = ()
    attempts: tuple[Attempt, ...] = ()
    stop: tuple[tuple[str, ...], ...] = ()
    disable: tuple[tuple[str, ...], ...] = ()
    forget: tuple[tuple[str, ...], ...] = ()
    notes: tuple[str, ...] = ()
    made: tuple[str, ...] = ()
    needs_root: bool = True
    foreign: bool = False


class BootError(Exception):
    """Why an init system cannot be given this service, and what to do."""
