"""What is no mistake, and yet may keep an app from doing its work: looked for by configtest, told as notes.

Knows the disk. Changes nothing, and never shows a value.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from . import absolute, files, needs, relatives
from .environment import credentials, variables
from .lean import Final
from .problems import Note
from .programs import ProgramError, Search
from .spec import App
from .whereabouts import dotted

_LIMIT_BYTES: Final = 1 << 20
"""So much of a program's own configuration file is looked at."""
_MOST: Final = 20
"""Of one file, so many relative paths are told."""


class Remarks:
    """Looks at one app after the other. `file`: the configuration; `here`: the caller's own directory, or ""."""

    def __init__(self, file: str, search: Search, here: str, *, deep: bool) -> None:
        self._file = file
        self._search = search
        self._here = here
        self._deep = deep

    def of(self, app: App) -> Iterator[Note]:
        """All there is to say of it."""
        yield from self._lost_words(app)
        yield from self._unset(app)
        yield from self._open_secrets(app)
        if self._deep:
            yield from self._relative_inside(app)
            yield from self._modules(app)

    def _lost_words(self, app: App) -> Iterator[Note]:
        work = app.context.working_directory
        for word in app.argv[1:]:
            path = absolute.split(word)[1]
            if not absolute.looks_relative(path, names="files") or os.path.exists(os.path.join(work, path)):
                continue
            here = bool(self._here) and os.path.exists(os.path.join(self._here, path))
            named = path.lower().endswith((*needs.SUFFIXES, ".py"))
            filed = "/" in path and absolute.looks_relative(os.path.basename(path), names="files")
            if here or dotted(path) or named or filed:
                yield self._note(app, _key(app, word), self._lost(path, work, here=here))

    def _lost(self, path: str, work: str, *, here: bool) -> str:
        if os.path.exists(absolute.beside(path, self._search.base)):
            why = f"is beside {self._file}, but no plain file, and so left as it is"
            return f"{path} {why}: if it is meant, write ./{path}"
        only = "is there in the current directory, but" if here else "looks like a path, and"
        return f"{path} {only} is not beside {self._file}, nor in {work}, where the app runs: write the whole path"

    def _unset(self, app: App) -> Iterator[Note]:
        for need in unset_variables(app, self._search):
            key = "_environment_file" if app.context.environment_file else _key(app, "")
            text = f"{need.where} names the variable {need.name}, which nobody sets"
            yield self._note(app, key, f"{text}: if it is meant as one, set it in _environment_file")

    def _open_secrets(self, app: App) -> Iterator[Note]:
        path = app.context.environment_file
        try:
            seen = os.stat(path) if path else None
            gid = credentials(app.context)[1]
        except (OSError, KeyError):
            return  # told of elsewhere
        if seen is None or not stat.S_ISREG(seen.st_mode):
            return
        own_group = seen.st_gid == (os.getegid() if gid is None else gid)
        if seen.st_mode & (0o004 if own_group else 0o044):
            text = (
                f"{path} can be read by others than its owner: chmod 0600 {path}, if there are secrets in it"
            )
            yield self._note(app, "_environment_file", text)

    def _relative_inside(self, app: App) -> Iterator[Note]:
        work = app.context.working_directory
        for path, text in needs.texts(app.argv, lambda path: _read(os.path.join(work, path))):
            whole = os.path.join(work, path)
            places = (os.path.dirname(whole), self._search.base)
            told = 0
            for one in relatives.relative_paths(text, places, os.path.exists):
                if os.path.exists(os.path.join(work, one.word)):
                    continue
                told += 1
                if told > _MOST:
                    yield self._note(app, _key(app, path), f"{whole}: there are more like these")
                    break
                said = f"{whole}:{one.line}: {one.word} is {one.found}, unless it is looked for in {work}"
                cure = f"where the app runs: write the whole path, or _working_directory = {one.directory}"
                yield self._note(app, _key(app, path), f"{said}, {cure}")

    def _modules(self, app: App) -> Iterator[Note]:
        from . import importing  # --deep alone has need of it, and it brings subprocess along

        try:
            path = self._search.find(
                app.program, dict(app.context.environment).get("PATH", ""), may_lack_py=app.may_lack_py
            )
            program = importing.python_program(path, app.argv)
            uid, gid, groups = credentials(app.context)
            given = variables(app, self._search)
        except (ProgramError, KeyError):
            return  # told of elsewhere
        if program is None or (uid is not None and os.geteuid() != 0):
            return
        directory = app.context.working_directory
        missing = importing.lacking(
            program, environment=given, directory=directory, uid=uid, gid=gid, groups=groups
        )
        if missing:
            text = f"{program.interpreter} does not find the module {missing}: install it there, or set PYTHONPATH"
            yield self._note(app, _key(app, ""), text)

    def _note(self, app: App, key: str, text: str) -> Note:
        known = key in app.key_lines
        return Note(
            file=self._file, line=app.key_lines[key] if known else app.line, section=app.name,
            key=key if known else None, text=text,
        )  # fmt: skip


def unset_variables(app: App, search: Search) -> tuple[needs.Need, ...]:
    """The variables that the app names and would start without; none if its environment cannot be told."""
    try:
        known = variables(app, search).keys() | set(app.context.pass_environment)
    except (ProgramError, KeyError):
        return ()
    directory = app.context.working_directory
    return needs.unset(app.argv, known, lambda path: _read(os.path.join(directory, path)))


def _key(app: App, word: str) -> str:
    """The key that `word` of its command line comes from, as far as can be told."""
    if "_command" in app.key_lines:
        return "_command"
    flag = absolute.split(word)[0].lstrip("-").removesuffix("=")
    return flag if flag in app.key_lines else "_args" if "_args" in app.key_lines else "_program_name"


def _read(path: str) -> str | None:
    try:
        return files.read_plain(path, _LIMIT_BYTES, follow=True).decode(errors="replace")
    except (OSError, ValueError):
        return None
