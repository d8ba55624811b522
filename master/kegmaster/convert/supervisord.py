"""supervisord.conf, read: every [program:x] an app, and what the rest comes to here.

Source: supervisor's manual, "Configuration File" (4.3), and how its parser takes what the manual leaves open.
Must not open files: what is included is asked for.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Final

from . import inifile
from .draft import Draft, Names, Notes, World
from .expansion import Expansion
from .inifile import Part
from .priorities import chain
from .supervisord_program import DEFAULT_PRIORITY, TRUE, Program, number_of

MAX_PATTERNS: Final = 100

SECTIONS: Final[Mapping[str, tuple[str, str]]] = {
    "unix_http_server": ("the launcher has a socket of its own, below --pidfile_dir, for its owner only",
                         "use master.py status, start, stop ... in place of supervisorctl"),
    "supervisorctl": ("master.py is its own client", "use master.py status, start, stop ..."),
    "rpcinterface": ("there is no XML-RPC", "use --json, which every verb takes, and events -f --json"),
    "ctlplugin": ("there are no plugins", "use --json, which every verb takes"),
    "eventlistener": ("nothing listens to supervisord's events here",
                      "use _on_failure, _on_change or master.py events -f --json"),
    "fcgi-program": ("the launcher opens no sockets for programs",
                     "have the program listen itself, or start it by spawn-fcgi -n in a _command"),
}  # fmt: skip
"""Sections that are not taken over: why, and what there is instead."""


def read(text: str, file: str, world: World, names: Names, notes: Notes) -> list[Draft]:
    """The apps of a supervisord.conf and of what it includes; never raises."""
    parts = inifile.read(text, file, notes)
    _here(parts, file)
    _include(parts, file, world, notes)
    own = parts.get("supervisord", Part("supervisord", file, 0))
    inherited = Expansion({"here": posixpath.dirname(file), "host_node_name": world.host}, world)
    own_environment = inherited.environment(own, own.text("environment"), notes, {}) or {}
    _say_own(own, notes)
    groups = _groups(parts, notes)
    drafts: list[tuple[int, int, Draft]] = []
    for part in parts.values():
        kind, _, name = part.name.partition(":")
        if names.full:
            break
        if kind == "program":
            group, level = groups.get(name.strip(), (name.strip(), None))
            program = Program(part, name.strip(), group, own, own_environment, world, names, notes)
            for priority, draft in program.drafts():
                drafts.append((DEFAULT_PRIORITY if level is None else level, priority, draft))
        elif kind in SECTIONS:
            notes.add(part.file, part.line, part.name, None, *SECTIONS[kind])
        elif kind == "inet_http_server":
            _say_inet(part, notes)
        elif kind not in ("supervisord", "group", "include"):
            notes.add(part.file, part.line, part.name, None, "no section of supervisord", "remove it")
    ranks = {
        pair: rank for rank, pair in enumerate(sorted({(level, priority) for level, priority, _ in drafts}))
    }
    if chain([(ranks[level, priority], draft) for level, priority, draft in drafts]):
        first = next(iter(drafts))[2]
        notes.add(
            first.file,
            0,
            None,
            "priority",
            "became _after: an app waits until those before it are ready",
            "take the _after out where there is nothing to wait for",
        )
    if not drafts:
        notes.add(file, 0, None, None, "there is no [program:x] in it", "name the file that has them")
    return [draft for _, _, draft in drafts]


def _here(parts: dict[str, Part], file: str) -> None:
    here = posixpath.dirname(file)
    for part in parts.values():
        for setting in part.settings.values():
            if setting.file == file:
                setting.value = setting.value.replace("%(here)s", here.replace("%", "%%"))


def _include(parts: dict[str, Part], file: str, world: World, notes: Notes) -> None:
    part = parts.get("include")
    if part is None:
        return
    expansion = Expansion({"here": posixpath.dirname(file), "host_node_name": world.host}, world)
    patterns = expansion.fill_in(part.text("files"), part, "files", notes).split()
    seen = {posixpath.abspath(file)}
    for pattern in patterns[:MAX_PATTERNS]:
        path = posixpath.join(posixpath.dirname(file), pattern)
        line = part.line_of("files")
        try:
            found = [name for name in world.files(path) if name not in seen]
        except ValueError as error:
            notes.add(part.file, line, "include", "files", f"{pattern} {error}", "import it by itself")
            continue
        if not found:
            notes.add(part.file, line, "include", "files", f"{pattern} finds no file", "correct or remove it")
        for name in found:
            seen.add(name)
            try:
                inifile.read(world.read(name), name, notes, parts=parts)
            except (OSError, ValueError) as error:
                notes.add(part.file, line, "include", "files", f"{name} {error}", "make it readable")
            _here(parts, name)


def _groups(parts: Mapping[str, Part], notes: Notes) -> dict[str, tuple[str, int | None]]:
    """Program to the name of its group, and the group's priority."""
    groups: dict[str, tuple[str, int | None]] = {}
    for part in parts.values():
        if not part.name.startswith("group:"):
            continue
        programs = [name.strip() for name in part.text("programs").split(",") if name.strip()]
        name = part.name.partition(":")[2].strip()
        for program in programs:
            groups[program] = (name, number_of(part, "priority", DEFAULT_PRIORITY, notes))
            if not {f"program:{program}", f"fcgi-program:{program}"} & parts.keys():
                notes.add(
                    part.file,
                    part.line_of("programs"),
                    part.name,
                    "programs",
                    f"there is no [program:{program}]",
                    "correct the name",
                )
        notes.add(
            part.file,
            part.line,
            part.name,
            None,
            "there are no groups",
            f"name their members: master.py restart {' '.join(programs)}",
        )
    return groups


def _say_own(own: Part, notes: Notes) -> None:
    """What [supervisord] says of supervisord itself."""
    instead = {
        "user": "run master.py as that user, or install --user=NAME",
        "logfile": "its log is kegbot_master.log below --logfile_dir",
        "pidfile": "its pidfile is kegbot_master.pid below --pidfile_dir",
        "nodaemon": "use master.py run in place of start",
        "childlogdir": "give --logfile_dir",
        "identifier": "each --pidfile_dir has a master of its own",
        "minfds": "use _limit_nofile where an app needs more",
        "minprocs": "raise the limit of processes before master.py starts",
    }
    for key, cure in instead.items():
        if key in own.settings and (key != "nodaemon" or own.text(key).lower() in TRUE):
            line = own.line_of(key)
            notes.add(own.file, line, own.name, key, "is about the launcher itself", cure)


def _say_inet(part: Part, notes: Notes) -> None:
    host = part.text("port").rpartition(":")[0].strip("[]")
    wide = host not in ("127.0.0.1", "localhost", "::1")
    where = "from every network" if wide else "on this machine"
    if not part.text("username") or not part.text("password"):
        wrong = (
            f"DANGEROUS: without username and password anybody {where} may run commands as supervisord's user"
        )
    else:
        wrong = f"anybody {where} who knows the password may control the programs"
    cure = "not taken over: master.py is told what to do through a socket of its owner only; use ssh from elsewhere"
    notes.add(part.file, part.line_of("port"), part.name, "port", wrong, cure)
