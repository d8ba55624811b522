"""The verb configtest: what `start` would run, and with what; every mistake, and what is worth knowing besides.

Touches nothing. Standard output has the command lines, one an app, for scripts as for people; with --verbose what
else the app is given, indented below each. Mistakes and notes go to standard error. Of the environment only names
are ever shown.
"""

from __future__ import annotations

import json
import os
import shlex
import sys

from .environment import variables
from .exit_codes import Verb
from .lean import TYPE_CHECKING, Any
from .problems import Note, printable
from .programs import ProgramError, Search
from .remarks import Remarks
from .spec import App

if TYPE_CHECKING:
    from .command import Command


def configtest(command: Command) -> int:
    """Print the commands that `start` would run, every problem and every note."""
    options = command.options
    config, _ = command.source.load(options.names)
    # What a program missing from this machine would be given is worth seeing too.
    apps = command.chosen(command.source.parse() if config.unsound else config)
    unknown = command.unknown(config)
    remarks = Remarks(config.file, command.source.search, _here(), deep=options.deep)
    notes = [note for note in config.notes if note.section in {app.name for app in apps}]
    notes += [note for app in apps for note in remarks.of(app)]
    notes.sort(key=lambda note: note.line)
    if options.json:
        rows = [facts(app, command.source.search) for app in apps]
        print(
            json.dumps(
                {
                    "config": config.file,
                    "apps": rows,
                    "problems": [str(problem) for problem in config.problems],
                    "notes": [str(note) for note in notes],
                },
                indent=2,
            )
        )
    else:
        _print(command, apps, notes)
        for problem in config.problems:
            command.terminal.error(str(problem), bare=True)
    if unknown:
        return command.terminal.fail(config.no_section(unknown[0]), Verb.USAGE)
    return Verb.NOT_CONFIGURED if config.problems else Verb.DONE


def _print(command: Command, apps: list[App], notes: list[Note]) -> None:
    told = command.options.verbose
    for app in apps:
        print(shlex.join(app.argv))
        if told:
            for key, value in facts(app, command.source.search).items():
                if key not in ("name", "argv") and value not in ("", None):
                    shown = " ".join(value) if isinstance(value, list) else str(value)
                    print(f"    {key}: {printable(shown)}")
    if told or sys.stderr.isatty():
        command.terminal.error(f"read {command.config_file}", bare=True)
    for note in notes:
        command.terminal.error(str(note), bare=True)


def facts(app: App, search: Search) -> dict[str, Any]:
    """What the app would be started as, as plain data. `environment`: names; null if it cannot be told."""
    context = app.context
    try:
        path = search.find(
            app.program, dict(context.environment).get("PATH", ""), may_lack_py=app.may_lack_py
        )
    except ProgramError:
        path = ""
    try:
        environment = sorted(variables(app, search))
    except (ProgramError, KeyError):
        environment = None
    return {
        "name": app.name,
        "type": app.type,
        "enabled": app.enabled,
        "program": path,
        "argv": list(app.argv),
        "user": context.user,
        "group": context.group,
        "working_directory": context.working_directory,
        "environment": environment,
        "environment_file": context.environment_file,
        "pidfile": app.pidfile,
        "logfile": app.logfile,
    }


def _here() -> str:
    try:
        return os.getcwd()
    except OSError:
        return ""
