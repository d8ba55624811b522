"""A Procfile, read: every line an app.

Source: honcho's documentation ("Using Procfiles"), foreman(1); ports are numbered as both do. Pure.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from typing import Final

from .draft import Draft, Names, Notes, World
from .words import WordsError, assignments, fill_in, needs_shell, split, take_env

_LINE: Final = re.compile(r"([A-Za-z0-9_-]+):\s*(.+)$")
_FIRST_PORT: Final = 5000
_NEXT_PORT: Final = 100
_VARIABLE: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)$")


def read(text: str, file: str, world: World, names: Names, notes: Notes) -> list[Draft]:
    """The apps of a Procfile; never raises."""
    folder = posixpath.dirname(file)
    beside, variables = _beside(folder, world, notes)
    base = variables.get("PORT", "")
    port = int(base) if re.match(r"[0-9]{1,5}\Z", base) else _FIRST_PORT
    drafts: list[Draft] = []
    seen: set[str] = set()
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        if names.full:
            break
        match = _LINE.match(line.rstrip())
        if match is None:
            notes.add(file, number, None, None, "is no line of the form name: command", "correct it")
            continue
        if match[1] in seen:
            notes.add(
                file, number, match[1], None, "is there twice", "both were taken; remove one, or rename it"
            )
        seen.add(match[1])
        draft = _draft(match[1], match[2], file, number, port + _NEXT_PORT * len(drafts), names, notes)
        if draft is None:
            continue
        draft.keys["_working_directory"] = folder
        if beside:
            draft.keys["_environment_file"] = beside
        drafts.append(draft)
    if base and len(drafts) > 1:
        notes.add(
            beside,
            0,
            None,
            "PORT",
            "stands above the ports of the apps, which would all have this one",
            "take it out: each app has its own in _environment",
        )
    if not drafts:
        notes.add(file, 0, None, None, "there is no name: command in it", "name the Procfile")
    return drafts


def _beside(folder: str, world: World, notes: Notes) -> tuple[str, dict[str, str]]:
    """The .env in the same folder, and its variables; empty if there is none."""
    path = posixpath.join(folder, ".env")
    try:
        if not world.files(path):
            return "", {}
        text = world.read(path)
    except (OSError, ValueError) as error:
        notes.add(path, 0, None, None, str(error), "make it readable, then name it by _environment_file")
        return path, {}
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        match = _VARIABLE.match(stripped)
        if match is None:
            notes.add(
                path,
                number,
                None,
                None,
                "is no NAME=value line, as _environment_file takes them",
                "take out export and blanks around the =",
            )
        else:
            found[match[1]] = match[2].strip("'\"")
    return path, found


def _draft(
    name: str, command: str, file: str, line: int, port: int, names: Names, notes: Notes
) -> Draft | None:
    draft = Draft(name=names.give(name), file=file, line=line, section=name)
    draft.environment["PORT"] = str(port)
    draft.words["_command"] = []
    if name == "release":
        draft.keys["_type"] = "oneshot"
        draft.keys["_restart"] = "no"
    set_command(draft, command, notes, {"PORT": str(port)})
    if not draft.words["_command"]:
        return None
    _make_absolute(draft, posixpath.dirname(file))
    return draft


def _make_absolute(draft: Draft, folder: str) -> None:
    word = draft.words["_command"][0]
    if "/" in word and not word.startswith(("/", "~")):
        draft.words["_command"][0] = posixpath.normpath(posixpath.join(folder, word))


def set_command(draft: Draft, command: str, notes: Notes, known: Mapping[str, str]) -> None:
    """Take over a line that was meant for a shell: as words where words do, else as `sh -c`, and said.

    `known`: variables whose values are known for good.
    """
    filled = fill_in(command.strip(), known)
    if filled.startswith("exec "):
        filled = filled.removeprefix("exec ").lstrip()
    sign = needs_shell(filled)
    if sign:
        notes.at(
            draft,
            None,
            f"needs a shell ({sign!r}), and the launcher uses none",
            "it is _command = sh -c '...' now; put it into a script, or exec the program in it",
        )
        draft.words["_command"] = ["sh", "-c", command.strip()]
        return
    try:
        words = split(filled)
    except WordsError as error:
        notes.at(draft, None, str(error), "correct it, then import again")
        return
    variables, words = assignments(words)
    more, words = take_env(words)
    draft.environment |= variables | more
    if not words:
        notes.at(draft, None, "names no program", "write one")
    draft.words["_command"] = words
