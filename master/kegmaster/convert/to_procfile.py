"""Apps as a Procfile: one line each, for foreman, honcho and their like.

Source: honcho's documentation; its lines go to /bin/sh (POSIX, "Shell Command Language", 2.2.2). Pure.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import Final

from .draft import Notes
from .leaving import Leaver, say_detaching, say_lost, unique

_KNOWN: Final = ("_umask", "_restart_sec", "_restart_max_delay_sec", "_pass_environment")


def write(apps: Sequence[Leaver], file: str, notes: Notes) -> str:
    """The file. `apps` are in the order of their start."""
    names = unique([leaver.app.name for leaver in apps], lambda name: re.sub("[^A-Za-z0-9_-]", "_", name))
    lines = ["# Made by master.py export --format=procfile. Try it: honcho start"]
    for leaver in apps:
        app = leaver.app
        say_lost(app, file, _KNOWN, "a Procfile", notes)
        say_detaching(leaver, file, "which a Procfile cannot have", notes)
        if names[app.name] != app.name:
            notes.add(
                file, app.line, app.name, None, "is no name in a Procfile", f"it is {names[app.name]} there"
            )
        variables = [f"{name}={value}" for name, value in leaver.environment.items()]
        # exec: the signal of the end is to reach the program, not a shell.
        command = shlex.join([*(["env", *variables] if variables else []), *leaver.argv])
        line = f"umask {app.context.umask:03o} && cd {shlex.quote(app.context.working_directory)} && exec {command}"
        if len(line.splitlines()) > 1 or line != line.rstrip():
            notes.add(
                file,
                app.line,
                app.name,
                None,
                "has a line break in its words, which a Procfile cannot hold",
                "it is left out; put them into a script",
            )
            continue
        lines.append(f"{names[app.name]}: {line}")
    return "\n".join(lines) + "\n"
