"""circus.ini, read: every [watcher:x] an app.

Source: Circus' documentation, "Configuration", 0.19. Pure.
"""

from __future__ import annotations

import fnmatch
import posixpath
import re
from collections.abc import Mapping
from typing import Final

from ..keys import SIGNALS, size
from . import inifile
from .draft import SECRET, Draft, Names, Notes, World, say_secrets
from .inifile import Part
from .priorities import chain
from .supervisord_program import MAX_COPIES
from .words import WordsError, split, take_env

_REFERENCE: Final = re.compile(
    r"\$\(circus\.([A-Za-z0-9_.:-]{1,200})\)|\(\(circus\.([A-Za-z0-9_.:-]{1,200})\)\)", re.IGNORECASE
)
_OF_CALLER: Final = re.compile(r"\$([A-Z]+[A-Z0-9_]*)")
_TRUE: Final = ("1", "yes", "true", "on")
_KNOWN: Final = frozenset({
    "cmd", "args", "numprocesses", "shell", "working_dir", "uid", "gid", "send_hup", "stop_signal", "stop_children",
    "max_retry", "graceful_timeout", "priority", "singleton", "copy_env", "copy_path", "respawn", "autostart",
    "rlimit_nofile", "stdout_stream.filename", "stdout_stream.max_bytes", "stdout_stream.backup_count",
    "stdout_stream.class", "stderr_stream.class", "virtualenv", "use_sockets", "close_child_stdin",
    "close_child_stdout", "close_child_stderr", "umask",
})  # fmt: skip
_LOST: Final[Mapping[str, tuple[str, str]]] = {
    "on_demand": ("nothing starts at the first connection", "it starts with the others"),
    "warmup_delay": ("nothing waits between starts", "order them by _after and _ready"),
    "max_age": ("nothing is ended for its age", "use _health or _memory_max"),
    "hooks": ("no Python of yours runs in the launcher", "use _on_change, _on_failure, _ready, _health"),
    "rlimit": ("only open files are limited", "use prlimit in _command"),
    "stderr_stream": ("both outputs go to one log", "look into the app's log, master.py logs"),
    "stdout_stream": ("the log rotates by size", "use _log_max_bytes and _log_backups"),
    "check_flapping": ("each restart waits longer", "use _start_limit_burst to give up"),
    "executable": ("is not used", "name the program in cmd"),
}  # fmt: skip


def read(text: str, file: str, world: World, names: Names, notes: Notes) -> list[Draft]:
    """The apps of a circus.ini and of what it includes; never raises."""
    parts = inifile.read(text, file, notes, inline=";", lower=False, first=True)
    own = parts.get("circus", Part("circus", file, 0))
    _include(own, file, parts, world, notes)
    for key in own.settings:
        if key in (
            "httpd",
            "statsd",
            "endpoint",
            "pubsub_endpoint",
            "stats_endpoint",
            "multicast_endpoint",
            "pidfile",
            "logoutput",
        ):
            notes.add(
                own.file,
                own.line_of(key),
                "circus",
                key,
                "is about the launcher itself",
                "master.py has a socket, a pidfile and a log of its own; every verb takes --json",
            )
    common = (
        {setting.key: setting.value for setting in parts["env"].settings.values()} if "env" in parts else {}
    )
    matched = [
        (
            [pattern.strip()[:100] for pattern in part.name[4:].split(",")],
            {setting.key: setting.value for setting in part.settings.values()},
        )
        for part in parts.values()
        if part.name.startswith("env:")
    ]
    drafts: list[tuple[int, Draft]] = []
    for part in parts.values():
        kind, _, name = part.name.partition(":")
        if names.full:
            break
        if kind == "watcher":
            environment = dict(common)
            for patterns, variables in matched:
                if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
                    environment |= variables
            drafts += _watcher(part, name, own, environment, world, names, notes)
        elif kind == "socket":
            notes.add(
                part.file,
                part.line,
                part.name,
                None,
                "the launcher opens no sockets for programs",
                "have the program listen itself",
            )
        elif kind == "plugin":
            notes.add(
                part.file,
                part.line,
                part.name,
                None,
                "there are no plugins",
                "use _health, _on_failure, _on_change or master.py events -f --json",
            )
        elif kind not in ("circus", "env"):
            notes.add(part.file, part.line, part.name, None, "no section of circus", "remove it")
    # In circus, the highest number is first.
    if chain([(-priority, draft) for priority, draft in drafts]):
        notes.add(
            file,
            0,
            None,
            "priority",
            "became _after: an app waits until those before it are ready",
            "take the _after out where there is nothing to wait for",
        )
    if not drafts:
        notes.add(file, 0, None, None, "there is no [watcher:x] in it", "name the file that has them")
    return [draft for _, draft in drafts]


def _include(own: Part, file: str, parts: dict[str, Part], world: World, notes: Notes) -> None:
    folder = posixpath.dirname(file)
    patterns = own.text("include").split()
    patterns += [posixpath.join(path, "*.ini") for path in own.text("include_dir").split()]
    for pattern in patterns[:MAX_COPIES]:
        try:
            for name in world.files(posixpath.join(folder, pattern)):
                if name != file:
                    inifile.read(
                        world.read(name), name, notes, inline=";", parts=parts, lower=False, first=True
                    )
        except (OSError, ValueError) as error:
            notes.add(
                own.file,
                own.line_of("include"),
                "circus",
                "include",
                f"{pattern} {error}",
                "import it by itself",
            )


class _Watcher:
    """One process of a watcher: its texts, filled in."""

    def __init__(
        self, part: Part, number: int, environment: Mapping[str, str], world: World, notes: Notes
    ) -> None:
        self.part = part
        self.notes = notes
        self.unknown = False
        self.names = {f"env.{name}".lower(): value for name, value in {**environment}.items()}
        self.names |= {"wid": str(number)}
        self.world = world

    def say(self, key: str, wrong: str, cure: str) -> None:
        self.notes.add(self.part.file, self.part.line_of(key), self.part.name, key, wrong, cure)

    def text(self, key: str, default: str = "") -> str:
        return self.fill_in(self.part.text(key, default), key)

    def on(self, key: str, default: str = "False") -> bool:
        return self.text(key, default).strip().lower() in _TRUE

    def fill_in(self, text: str, key: str) -> str:
        def one(match: re.Match[str]) -> str:
            name = (match[1] or match[2]).lower()
            if name in self.names:
                return self.names[name]
            self.unknown = True
            cure = "write what it stands for, and _enabled = True"
            if name.startswith("env."):
                cure = f"{cure}; variables of the launcher reach an app by _pass_environment"
            self.say(key, f"{match[0]} could not be filled in", cure)
            return match[0]

        return _REFERENCE.sub(one, text)

    def of_caller(self, text: str, key: str) -> str:
        """The value of a variable: `$NAME` in it is one that circusd itself was given."""

        def one(match: re.Match[str]) -> str:
            value = None if SECRET.search(match[1]) else self.world.environment.get(match[1])
            if value is None:
                self.unknown = True
                cure = f"write what it stands for, or _pass_environment = {match[1]}, and _enabled = True"
                self.say(key, f"{match[0]} could not be filled in", cure)
                return match[0]
            self.say(key, f"{match[0]} was filled in with what it is here and now", "check it")
            return value

        return _OF_CALLER.sub(one, text)


def _watcher(
    part: Part, name: str, own: Part, environment: Mapping[str, str], world: World, names: Names, notes: Notes
) -> list[tuple[int, Draft]]:
    first = _Watcher(part, 1, environment, world, notes)
    for key in part.settings:
        if key not in _KNOWN:
            first.say(
                key,
                *_LOST.get(
                    key.partition(".")[0].partition("_nofile")[0],
                    _LOST.get(
                        "rlimit" if key.startswith("rlimit_") else "",
                        ("circus has no such key, or a hook of yours uses it", "nothing is to be done"),
                    ),
                ),
            )
    copies = _whole(first, "numprocesses", 1)
    if copies > MAX_COPIES:
        first.say("numprocesses", f"is more than {MAX_COPIES}", f"the first {MAX_COPIES} were taken")
    elif copies > 1:
        first.say("numprocesses", "became as many sections", "move what they share to [DEFAULT], if you like")
    priority = _whole(first, "priority", 0)
    found = []
    for number in range(1, max(0, min(copies, MAX_COPIES)) + 1):
        if names.full:
            break
        watcher = _Watcher(part, number, environment, world, notes)
        wanted = name if copies == 1 else f"{name}-{number}"
        draft = Draft(name=names.give(wanted), file=part.file, line=part.line, section=part.name)
        if draft.name != wanted:
            notes.at(
                draft, None, f"{wanted!r} is no name of an app, or taken", f"it is called {draft.name} now"
            )
        if _fill(draft, watcher, own, environment):
            say_secrets(draft, notes)
            found.append((priority, draft))
    return found


def _whole(watcher: _Watcher, key: str, default: int) -> int:
    text = watcher.text(key).strip()
    if re.match(r"-?[0-9]{1,9}\Z", text):
        return int(text)
    if text:
        watcher.say(key, "is no whole number", f"{default} was taken")
    return default


def _fill(draft: Draft, watcher: _Watcher, own: Part, environment: Mapping[str, str]) -> bool:
    draft.environment = {
        name: watcher.of_caller(watcher.fill_in(value, name), name) for name, value in environment.items()
    }
    command = f"{watcher.text('cmd')} {watcher.text('args')}".strip()
    if watcher.on("shell"):
        draft.words["_command"] = ["sh", "-c", command]
        watcher.say(
            "shell", "the launcher uses no shell", "it is _command = sh -c '...' now; exec the program in it"
        )
    else:
        try:
            variables, draft.words["_command"] = take_env(split(command))
        except WordsError as error:
            watcher.say("cmd", str(error), "correct it, then import again")
            return False
        draft.environment |= variables
    if not command:
        watcher.say("cmd", "names no program", "write one")
        return False
    keys = draft.keys
    for key, ours in (("uid", "_user"), ("gid", "_group")):
        if value := watcher.text(key).strip():
            keys[ours] = (watcher.world.user_name if key == "uid" else watcher.world.group_name)(value)
    if (folder := watcher.text("working_dir").strip()).startswith("/"):
        keys["_working_directory"] = folder
    elif folder:
        keys["_working_directory"] = posixpath.normpath(posixpath.join(posixpath.dirname(draft.file), folder))
    if umask := own.text("umask").strip():
        keys["_umask"] = umask
    if watcher.on("copy_env"):
        watcher.say("copy_env", "variables of the launcher are not handed on",
                    "name those that the app needs in _pass_environment")  # fmt: skip
    if watcher.on("use_sockets"):
        watcher.say(
            "use_sockets", "the launcher opens no sockets for programs", "have the program listen itself"
        )
    if virtualenv := watcher.text("virtualenv").strip():
        watcher.say(
            "virtualenv", "no virtualenv is entered", f"name {virtualenv}/bin/python or the program in it"
        )
    _life(draft, watcher)
    _log(draft, watcher)
    draft.enabled = watcher.on("autostart", "True") and not watcher.unknown
    return True


def _life(draft: Draft, watcher: _Watcher) -> None:
    keys = draft.keys
    if not watcher.on("respawn", "True"):
        keys["_restart"] = "no"
    retries = _whole(watcher, "max_retry", -1)
    if retries >= 0:
        keys["_start_limit_burst"] = str(retries + 1)
    # circus waits for 30 s unless told otherwise.
    keys["_timeout_stop_sec"] = watcher.text("graceful_timeout", "30").strip()
    signal = watcher.text("stop_signal").strip().upper().removeprefix("SIG")
    numbers = {str(number): name for name, number in SIGNALS.items()}
    signal = numbers.get(signal, signal)
    if signal and signal != "TERM":
        keys["_kill_signal"] = signal
    if watcher.on("send_hup"):
        keys["_reload_signal"] = "HUP"
    if limit := watcher.text("rlimit_nofile").strip():
        keys["_limit_nofile"] = limit


def _log(draft: Draft, watcher: _Watcher) -> None:
    path = watcher.text("stdout_stream.filename").strip()
    if path.startswith("/"):
        draft.keys["logfile"] = path
    elif path:
        watcher.say("stdout_stream.filename", f"{path} is relative", "the log is below --logfile_dir")
    if limit := watcher.text("stdout_stream.max_bytes").strip():
        try:
            size(limit)
            draft.keys["_log_max_bytes"] = limit
        except ValueError as error:
            watcher.say("stdout_stream.max_bytes", "is no size", str(error))
    if backups := watcher.text("stdout_stream.backup_count").strip():
        draft.keys["_log_backups"] = backups
