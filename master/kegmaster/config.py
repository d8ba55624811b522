"""From sections and keys to apps: the rules of the configuration file, and every breach of them at once.

Knows the table of `_keys` and the defaults of kegbot_master. Must not look at the disk: what is to be found there
(programs, directories, rights) is checked by `checks`.
"""

from __future__ import annotations

import contextlib
import posixpath
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache

from . import ini, order, relations
from .keys import KEYS, Value, absolute, boolean
from .lean import Any, Final, dataclass
from .problems import Note, Problem, nearest
from .spec import App, Config, Context, RestartPolicy, Type
from .whereabouts import NO_DISK, Disk, Whereabouts

RESERVED: Final = "kegbot_master"
"""The launcher's own pidfile, log and socket bear this name."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@:+-]{0,63}\Z")
_FLAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\Z")
_CONTEXT = ("user", "group", "umask", "nice", "limit_nofile", "working_directory",
            "environment", "environment_file", "pass_environment")  # fmt: skip
_POLICY = ("restart", "restart_sec", "restart_max_delay_sec", "start_limit_burst", "success_exit_status")
_PLAIN = ("after", "requires", "wait_for", "timeout_start_sec", "timeout_stop_sec", "stop_command", "kill_signal",
          "log_max_bytes", "log_backups", "on_failure", "on_change", "watchdog_sec", "memory_max")  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Directories:
    """The launcher's own --pidfile_dir and --logfile_dir, absolute: defaults of each app's."""

    pidfile_dir: str
    logfile_dir: str


def sound_name(name: str) -> bool:
    """An app may bear this name."""
    return _NAME.match(name) is not None and name != RESERVED


def configure(text: str, file: str, directories: Directories, disk: Disk = NO_DISK) -> Config:
    """Read a configuration. Apps with a problem are left out of `apps`; the problems are in the file's order.

    `disk` is asked what is beside `file`, and for homes.
    """
    document = ini.read(text, file)
    sections = [
        _SectionReader(document, section, directories, disk) for section in document.sections.values()
    ]
    problems = [*document.problems, *_default_problems(document)]
    for section in sections:
        section.read()
        problems += section.problems
    apps = {section.app.name: section.app for section in sections if section.app}
    known = {name: section.line for name, section in document.sections.items()}
    own = posixpath.join(posixpath.normpath(directories.pidfile_dir), RESERVED + ".")
    problems += [*relations.clashes(apps, own, file), *relations.dependencies(apps, known, file)]
    circles = order.cycles({app.name: (*app.after, *app.requires) for app in apps.values()})
    problems += [relations.circle(apps, path, file) for path in circles]
    # One line tells of a circle, but none of its members can start. A section or key that stands twice
    # leaves open which one is meant, so it is left out like any other with a problem.
    broken = {name for path in circles for name in path} | {problem.section for problem in problems}
    while found := [
        problem
        for app in apps.values()
        if app.name not in broken
        for problem in relations.orphaned(app, broken, file)
    ]:
        problems += found
        broken |= {problem.section for problem in found}
    problems.sort(key=lambda problem: problem.line)
    sound = tuple(app for app in apps.values() if app.name not in broken)
    unsound = tuple(app for app in apps.values() if app.name in broken)
    if not document.sections and not problems:
        problems.append(
            Problem(file=file, wrong="there is no section", cure="write one, such as [kegbot_core]")
        )
    notes = sorted((note for section in sections for note in section.notes), key=lambda note: note.line)
    return Config(file=file, apps=sound, unsound=unsound, problems=tuple(problems), notes=tuple(notes))


def _default_problems(document: ini.Document) -> Iterable[Problem]:
    for entry in document.default.entries.values():
        if entry.key.startswith("_") and entry.key not in KEYS:
            yield _unknown_key(document.file, ini.DEFAULT, entry)


class _SectionReader:
    """Reads one section; `app` stays None when its name or command line is beyond use."""

    def __init__(
        self, document: ini.Document, section: ini.Section, directories: Directories, disk: Disk
    ) -> None:
        self.file = document.file
        self.disk = disk
        self.where = Whereabouts(disk, posixpath.dirname(document.file), "")
        self.notes: list[Note] = []
        self.section = section
        self.inherited = document.default.entries
        self.directories = directories
        self.problems: list[Problem] = []
        self.app: App | None = None
        self.used: set[str] = set()
        self.entries = {**self.inherited, **section.entries}
        self.names = {
            "_pidfile_dir": directories.pidfile_dir,
            "_logfile_dir": directories.logfile_dir,
            **{key: entry.value for key, entry in self.entries.items()},
            "__name__": section.name,
        }

    def read(self) -> None:
        name = self.section.name
        if not sound_name(name):
            if name == RESERVED:
                self._wrong(None, "this name is the launcher's own", "take another")
            else:
                self._wrong(
                    None,
                    "this name makes no file name",
                    "use letters, digits and _ . @ : + -, at most 64",
                )
            return
        if user := self.entries.get("_user"):
            with contextlib.suppress(ini.SubstitutionError):  # told of when the key itself is read
                name_of_user = ini.unquote(ini.substitute(user.value, self.names, set(), ("_user",)))
                self.where = Whereabouts(self.disk, posixpath.dirname(self.file), name_of_user)
        flags = self._flags()
        values = self._own_values()
        app_type = self._type(values, flags)
        self._take_own_pidfile(values, flags, app_type)
        argv = self._argv(values, flags, app_type)
        if app_type == "oneshot":
            for key in ("_ready", "_health"):
                if values[key]:
                    wrong = "means nothing to a oneshot, which is ready when its work is done"
                    self._wrong(self.entries[key], wrong, "take it out")
        if argv is None:
            return
        argv = self._resolved(argv, values, self._key_of(values))
        for key in ("_stop_command", "_on_failure", "_on_change"):
            command: Any = values[key]
            values[key] = self._resolved(command, values, lambda *_, key=key: key)
        if any("\0" in word for word in argv):
            self._wrong(None, "a word of its command line holds a NUL character", "take it out")
            return
        checks = _pick(values, ("ready", "health"))
        self.app = App(
            name=name,
            line=self.section.line,
            key_lines={key: entry.line for key, entry in self.entries.items()},
            enabled=bool(values["_enabled"]),
            argv=argv,
            type=app_type,
            pidfile=self._path(
                "pidfile", flags, values["_pidfile_dir"] or self.directories.pidfile_dir, "pid"
            ),
            logfile=self._path(
                "logfile", flags, values["_logfile_dir"] or self.directories.logfile_dir, "log"
            ),
            logfile_dir=str(values["_logfile_dir"] or self.directories.logfile_dir),
            policy=RestartPolicy(**_pick(values, _POLICY)),
            context=Context(**_pick(values, _CONTEXT)),
            ready=checks["ready"] or None,
            health=checks["health"] or None,
            reload_signal=int(str(values["_reload_signal"] or 0)),
            **_pick(values, _PLAIN),
        )

    def _own_values(self) -> dict[str, Value]:
        """Every `_key`, parsed; the default in place of one with a problem."""
        values: dict[str, Value] = {}
        # Paths come first: the words of others may contain them.
        for key in sorted(KEYS.values(), key=lambda key: key.parse is not absolute):
            values[key.name] = _default(key.name)
            entry = self.entries.get(key.name)
            if entry is None:
                continue
            if key.planned:
                self._wrong(entry, "is not built yet in this version", "take it out")
                continue
            text = self._text(entry, raw=key.raw)
            if text is None or (text == "" and key.default == "" and key.name != "_enabled"):
                continue
            if key.parse is absolute:
                text = self._meant(entry, text)
            try:
                values[key.name] = key.parse(text)
            except ValueError as error:
                self._wrong(entry, f"{'its value' if key.secret else _shown(text)} is no good", str(error))
        for entry in self.section.entries.values():
            if entry.key.startswith("_") and entry.key not in KEYS:
                self.problems.append(_unknown_key(self.file, self.section.name, entry))
        return values

    def _meant(self, entry: ini.Entry, text: str) -> str:
        """Where a path leads; `%(key)s` in other values is that, too."""
        path = self.where.path(text)
        if path != text:
            self.names[entry.key] = path.replace("%", "%%")
        return path

    def _flags(self) -> dict[str, str | None]:
        """The keys that are flags of the app: name to value, None where nothing stands behind the `=`."""
        flags: dict[str, str | None] = {}
        for entry in self.entries.values():
            if entry.key.startswith("_"):
                continue
            if not _FLAG.match(entry.key):
                self._wrong(entry, "is no name of a flag", "use letters, digits, _ . and -")
                continue
            value = self._text(entry)
            if value is not None and "\n" in value:
                self._wrong(entry, "goes on over several lines", "do not indent the line below it")
            elif value is not None:
                if entry.key in ("pidfile", "logfile"):
                    value = self._meant(entry, value)
                flags[entry.key] = value if entry.value else None
        return flags

    def _type(self, values: Mapping[str, Value], flags: Mapping[str, str | None]) -> Type:
        chosen: Any = values["_type"]
        if chosen:
            return chosen  # type: ignore[no-any-return]  # one of TYPES, by its parser
        if values["_command"]:
            return "simple"
        try:
            return "forking" if boolean(flags.get("daemon") or "True") else "simple"
        except ValueError as error:
            self._wrong(self.entries["daemon"], f"{_shown(flags['daemon'] or '')} is no good", str(error))
            return "forking"

    def _take_own_pidfile(
        self, values: Mapping[str, Value], flags: dict[str, str | None], app_type: Type
    ) -> None:
        """Where a program writes its own pidfile, its flag --pidfile leads too, if it has such flags."""
        entry = self.section.entries.get("_pidfile")
        if app_type != "forking":
            if entry:
                wrong = f"is for programs that make daemons of themselves, and this is {app_type}"
                self._wrong(entry, wrong, "take it out, its pidfile is kept for it, or write _type = forking")
        elif "pidfile" not in self.section.entries:
            flags |= {"pidfile": str(values["_pidfile"])} if values["_pidfile"] else {}
        elif entry:
            self._wrong(entry, "stands beside pidfile", "keep one of the two")

    def _argv(
        self, values: Mapping[str, Value], flags: dict[str, str | None], app_type: Type
    ) -> tuple[str, ...] | None:
        command: Any = values["_command"]
        args: Any = values["_args"]
        if "_command" in self.entries:
            if not command:
                self._wrong(self.entries["_command"], "names no program", "write the whole command line")
                return None
            if values["_program_name"] and "_program_name" in self.section.entries:
                self._wrong(
                    self.section.entries["_program_name"], "stands beside _command", "keep one of the two"
                )
            for key, entry in self.section.entries.items():
                if key in flags and key not in self.used | {"pidfile", "logfile"}:
                    self._wrong(entry, "is not used: _command passes no flags", "write it into _command")
            return (*command, *args)
        program = str(values["_program_name"] or self.section.name)
        if not values["_program_name"] and not program.endswith(".py"):
            program += ".py"
        for key, default in self._flag_defaults(app_type, values).items():
            flags.setdefault(key, default)
        words = (f"--{key}" if value is None else f"--{key}={value}" for key, value in sorted(flags.items()))
        return (program, *words, *args)

    def _key_of(self, values: Mapping[str, Value]) -> Callable[[int, str], str]:
        """Which key a word of the command line comes from, by its number and what it is."""
        command: Any = values["_command"]
        if "_command" in self.entries:
            return lambda index, _: "_command" if index < len(command) else "_args"

        def key(index: int, word: str) -> str:
            flag = word[2:].partition("=")[0]
            if index == 0:
                return "_program_name"
            return flag if flag in self.entries and word.startswith("--") else "_args"

        return key

    def _resolved(
        self, words: tuple[str, ...], values: Mapping[str, Value], key_of: Callable[[int, str], str]
    ) -> tuple[str, ...]:
        """A command line with its paths made absolute, and a note for each that was not."""
        work = str(values["_working_directory"]) if "_working_directory" in self.entries else ""
        resolved, changes = self.where.words(words, work)
        for change in changes:
            key = key_of(change.index, change.before)
            line = self.entries[key].line if key in self.entries else self.section.line
            text = f"{change.before} goes out as {change.after}"
            self.notes.append(Note(file=self.file, line=line, section=self.section.name, key=key, text=text))
        return resolved

    def _flag_defaults(self, app_type: Type, values: Mapping[str, Value]) -> dict[str, str]:
        """kegbot_master's defaults; in the foreground the launcher keeps log and pidfile, so the app must not."""
        if app_type != "forking":
            return {"daemon": "False", "log_to_file": "False", "log_to_stdout": "True"}
        name = self.section.name
        return {
            "daemon": "True",
            "log_to_file": "True",
            "log_to_stdout": "False",
            "logfile": f"{values['_logfile_dir'] or self.directories.logfile_dir}/{name}.log",
            "pidfile": f"{values['_pidfile_dir'] or self.directories.pidfile_dir}/{name}.pid",
        }

    def _path(self, key: str, flags: Mapping[str, str | None], directory: Value, ending: str) -> str:
        path = flags.get(key) or f"{directory}/{self.section.name}.{ending}"
        if not path.startswith("/"):
            self._wrong(self.entries[key], f"{_shown(path)} is relative", "give an absolute path")
        return path

    def _text(self, entry: ini.Entry, *, raw: bool = False) -> str | None:
        try:
            text = ini.substitute(entry.value, self.names, self.used, (entry.key,))
        except ini.SubstitutionError as error:
            self._wrong(entry, str(error), error.cure)
            return None
        return text if raw else ini.unquote(text)

    def _wrong(self, entry: ini.Entry | None, wrong: str, cure: str) -> None:
        inherited = entry is not None and entry.key not in self.section.entries
        if inherited:
            wrong += " (from [DEFAULT])"
        line = entry.line if entry else self.section.line
        key = entry.key if entry else None
        self.problems.append(
            Problem(file=self.file, line=line, section=self.section.name, key=key, wrong=wrong, cure=cure)
        )


def _pick(values: Mapping[str, Value], names: Iterable[str]) -> dict[str, Any]:
    return {name: values[f"_{name}"] for name in names}


@cache
def _default(name: str) -> Value:
    """What a key means where it is not written; all apps share it."""
    key = KEYS[name]
    try:
        return key.parse(key.default)
    except ValueError:
        if key.default:
            raise
        return ""


def _shown(value: str) -> str:
    return repr(value if len(value) <= 40 else value[:37] + "...")


def _unknown_key(file: str, section: str, entry: ini.Entry) -> Problem:
    near = nearest(entry.key, KEYS)
    cure = f"did you mean {near}?" if near else "keys of the launcher begin with _, flags of the app do not"
    return Problem(file=file, line=entry.line, section=section, key=entry.key, wrong="no such key", cure=cure)
