"""A unit of systemd, read: a .service file an app.

Source: systemd.service(5), systemd.exec(5), systemd.unit(5).
Must not open files: drop-ins are asked for.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from ..keys import size
from . import unit_life, unit_losses, unitfile
from .draft import Draft, Names, Notes, World, say_secrets
from .execstart import CommandLines
from .unit_values import Values
from .unitfile import Unit


def read(text: str, file: str, world: World, names: Names, notes: Notes) -> list[Draft]:
    """The app of a unit; none if it is a template, masked, or no service. Never raises."""
    kind = posixpath.splitext(file)[1]
    if kind in unit_losses.OTHER_UNITS:
        notes.add(
            file, 0, None, None, f"a {kind} of systemd has no counterpart", unit_losses.OTHER_UNITS[kind]
        )
        return []
    if not text.strip():
        notes.add(file, 0, None, None, "is empty or masked, and so starts nothing", "nothing is to be done")
        return []
    name = posixpath.basename(file).removesuffix(".service")
    if name.endswith("@"):
        notes.add(
            file,
            0,
            None,
            None,
            "is a template, and of what is not said",
            f"copy it as {name}INSTANCE.service and import that",
        )
        return []
    unit = Unit()
    unitfile.read(text, file, unit, notes)
    _drop_ins(unit, file, name, world, notes)
    draft = Draft(name=names.give(name), file=file, line=0, section="Service")
    values = Values(unit, draft, name, world, notes)
    lines = CommandLines(draft.environment, values.specify, values.say)
    _environment(values)
    if not _command(values, lines):
        return []
    unit_life.take_over(values, lines)
    _context(values)
    _relations(values)
    unit_losses.say(values)
    say_secrets(draft, notes)
    return [draft]


def relate(drafts: Sequence[Draft]) -> None:
    """Leave of each app's relations those to others that were imported, too."""
    known = {
        f"{posixpath.basename(draft.file).removesuffix('.service')}.service": draft.name for draft in drafts
    }
    for draft in drafts:
        if draft.file.endswith(".service"):
            draft.after = [known[name] for name in dict.fromkeys(draft.after) if name in known]
            draft.requires = [known[name] for name in dict.fromkeys(draft.requires) if name in known]


def _drop_ins(unit: Unit, file: str, name: str, world: World, notes: Notes) -> None:
    folders = [f"{file}.d"]
    if "@" in name:
        folders.insert(0, posixpath.join(posixpath.dirname(file), f"{name.partition('@')[0]}@.service.d"))
    for folder in folders:
        try:
            for path in world.files(posixpath.join(folder, "*.conf")):
                unitfile.read(world.read(path), path, unit, notes)
        except (OSError, ValueError) as error:
            notes.add(folder, 0, None, None, str(error), "make it readable")


def _environment(values: Values) -> None:
    unit, draft = values.unit, values.draft
    for assignment in unit.all("Service", "Environment"):
        try:
            for word in unitfile.split(values.specify(assignment.value, "Environment")):
                name, equals, value = word.partition("=")
                if equals:
                    draft.environment[name] = value
        except ValueError as error:
            values.notes.add(
                assignment.file, assignment.line, "Service", "Environment", str(error), "correct it"
            )
    files = [
        values.specify(found.value, "EnvironmentFile") for found in unit.all("Service", "EnvironmentFile")
    ]
    if any(path.startswith("-") for path in files):
        values.say("EnvironmentFile", "a file that is missing is an error here", "make it, empty if need be")
    paths = [path.removeprefix("-") for path in files]
    if len(paths) > 1:
        values.say("EnvironmentFile", "there can be one only", f"{paths[0]} was taken; add the others to it")
    if paths:
        draft.keys["_environment_file"] = paths[0]
    passed = [name for found in unit.all("Service", "PassEnvironment") for name in found.value.split()]
    if passed:
        draft.keys["_pass_environment"] = " ".join(passed)


def _command(values: Values, lines: CommandLines) -> bool:
    starts = values.unit.all("Service", "ExecStart")
    if not starts:
        values.say("ExecStart", "is missing", "write one")
        return False
    commands = []
    for start in starts:
        try:
            commands += lines.commands(start.value, "ExecStart")
        except ValueError as error:
            values.notes.add(start.file, start.line, "Service", "ExecStart", str(error), "correct it")
    if not commands:
        values.say("ExecStart", "names no program", "write one")
        return False
    words = commands[0].words
    if len(commands) > 1 and unit_life.kind_of(values) != "oneshot":
        values.say("ExecStart", "has several commands", "the first was taken")
    elif len(commands) > 1:
        values.say("ExecStart", "has several commands", "sh -c runs them one by one now")
        joined = " && ".join(
            f"{{ {command.shell} || :; }}" if command.may_fail else command.shell for command in commands
        )
        words = ["sh", "-c", joined]
    values.draft.words["_command"] = words
    return True


def _context(values: Values) -> None:
    keys = values.draft.keys
    plain = {
        "Group": "_group",
        "UMask": "_umask",
        "Nice": "_nice",
        "MemoryLimit": "_memory_max",
        "MemoryMax": "_memory_max",
    }
    for key, ours in plain.items():
        if value := values.text(key):
            keys[ours] = value
    try:
        size(keys.get("_memory_max", "0"))
    except ValueError as error:
        values.say("MemoryMax", "is no size", str(error))
        del keys["_memory_max"]
    if user := values.text("User"):
        keys["_user"] = values.world.user_name(user)
    if "_group" in keys:
        keys["_group"] = values.world.group_name(keys["_group"])
    limit = values.text("LimitNOFILE").partition(":")[0]
    if limit.isdigit():
        keys["_limit_nofile"] = limit
    elif limit:
        values.say("LimitNOFILE", "is no number", "name one in _limit_nofile")
    folder = values.text("WorkingDirectory")
    if folder.removeprefix("-") == "~":
        folder = values.home
        values.say("WorkingDirectory", f"~ was taken for {folder}", "check it")
    if folder:
        keys["_working_directory"] = folder.removeprefix("-")
    _output(values)


def _output(values: Values) -> None:
    output = values.text("StandardOutput")
    kind, _, path = output.partition(":")
    if kind in ("file", "append", "truncate") and path:
        values.draft.keys["logfile"] = path
    elif output == "null":
        values.draft.keys["logfile"] = "/dev/null"
    elif output == "socket" or values.text("StandardInput") == "socket":
        values.say("StandardInput", *unit_losses.SOCKETS)
        values.draft.enabled = False


def _relations(values: Values) -> None:
    draft = values.draft
    for key in ("After", "Requires", "BindsTo"):
        for assignment in values.unit.all("Unit", key):
            words = assignment.value.split()[:200]
            if key == "After":
                draft.after += words
            else:
                draft.requires += words
