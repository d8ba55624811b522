"""One [program:x] of a supervisord.conf, key by key.

Source: supervisor's manual, "[program:x] Section Values" (4.3). Pure.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping
from typing import Final

from ..keys import size
from .draft import Draft, Names, Notes, World, say_secrets
from .expansion import Expansion
from .inifile import Part
from .words import WordsError, split, take_env

MAX_COPIES: Final = 100
DEFAULT_PRIORITY: Final = 999
TRUE: Final = ("yes", "true", "on", "1")
_LOUD: Final = ("", "auto")
_Text = Callable[..., str]
"""The text of a key, filled in; its second argument is the default."""

SILENT: Final = frozenset({
    "command", "process_name", "numprocs", "numprocs_start", "priority", "autostart", "stopasgroup",
    "killasgroup", "redirect_stderr", "stdout_logfile", "stdout_logfile_maxbytes", "stdout_logfile_backups", "user",
    "autorestart", "exitcodes", "startretries", "stopsignal", "stopwaitsecs", "umask", "directory", "environment",
    "startsecs", "stderr_logfile", "stderr_logfile_maxbytes", "stderr_logfile_backups",
})  # fmt: skip
LOST: Final[Mapping[str, tuple[str, str]]] = {
    "serverurl": ("there is no XML-RPC server to call", "let the program call master.py with --json"),
    "stdout_capture_maxbytes": ("nothing captures parts of the output", "look for them with master.py logs"),
    "stderr_capture_maxbytes": ("nothing captures parts of the output", "look for them with master.py logs"),
    "stdout_events_enabled": ("output makes no events", "follow it with master.py logs -f"),
    "stderr_events_enabled": ("output makes no events", "follow it with master.py logs -f"),
    "stdout_syslog": ("output goes to the app's log, not to syslog", "pipe it there: sh -c 'prog | logger'"),
    "stderr_syslog": ("output goes to the app's log, not to syslog", "pipe it there: sh -c 'prog | logger'"),
}  # fmt: skip
"""Keys of a program that have no counterpart."""


def number_of(part: Part, key: str, default: int, notes: Notes) -> int:
    """The whole number that `key` says, or `default`."""
    text = part.text(key).strip()
    if not text:
        return default
    if re.match(r"-?[0-9]{1,9}\Z", text):
        return int(text)
    notes.add(part.file, part.line_of(key), part.name, key, "is no whole number", f"{default} was taken")
    return default


class Program:
    """One [program:x]."""

    def __init__(
        self,
        part: Part,
        name: str,
        group: str,
        own: Part,
        own_environment: Mapping[str, str],
        world: World,
        names: Names,
        notes: Notes,
    ) -> None:
        self.part = part
        self.name = name
        self.group = group
        self.own = own
        self.own_environment = own_environment
        self.world = world
        self.names = names
        self.notes = notes

    def drafts(self) -> list[tuple[int, Draft]]:
        """The apps, one a process, each with its priority."""
        part = self.part
        for key, setting in part.settings.items():
            if key in LOST:
                if setting.value.lower() not in ("", "0", "false", "auto", "no", "off"):
                    self._say(key, *LOST[key])
            elif key not in SILENT:
                self._say(key, "supervisord has no such key", "nothing is lost")
        copies = number_of(part, "numprocs", 1, self.notes)
        if copies > MAX_COPIES:
            self._say("numprocs", f"is more than {MAX_COPIES}", f"the first {MAX_COPIES} were taken")
        elif copies > 1:
            self._say("numprocs", "became as many sections", "move what they share to [DEFAULT], if you like")
        first = number_of(part, "numprocs_start", 0, self.notes)
        priority = number_of(part, "priority", DEFAULT_PRIORITY, self.notes)
        numbers = (copy for copy in range(max(0, min(copies, MAX_COPIES))) if not self.names.full)
        found = (self._draft(first + number, copies) for number in numbers)
        return [(priority, draft) for draft in found if draft is not None]

    def _say(self, key: str, wrong: str, cure: str) -> None:
        self.notes.add(self.part.file, self.part.line_of(key), self.part.name, key, wrong, cure)

    def _draft(self, number: int, copies: int) -> Draft | None:
        part, notes = self.part, self.notes
        expansion = Expansion(
            {
                "here": posixpath.dirname(part.file),
                "host_node_name": self.world.host,
                "program_name": self.name,
                "group_name": self.group,
                "process_num": str(number),
                "numprocs": str(copies),
                **{f"ENV_{name}": value for name, value in self.own_environment.items()},
            },
            self.world,
        )
        handed_on: dict[str, None] = {}
        environment = expansion.environment(part, part.text("environment"), notes, handed_on) or {}

        def text(key: str, default: str = "") -> str:
            return expansion.fill_in(part.text(key, default), part, key, notes).strip()

        name = text("process_name", "%(program_name)s")
        draft = Draft(name=self.names.give(name), file=part.file, line=part.line, section=part.name)
        if draft.name != name:
            self._say(
                "process_name", f"{name!r} is no name of an app, or taken", f"it is called {draft.name} now"
            )
        try:
            words = split(text("command"))
        except WordsError as error:
            self._say("command", str(error), "correct it, then import again")
            return None
        if not words:
            self._say("command", "is empty" if "command" in part.settings else "is missing", "write one")
            return None
        own, words = take_env(words)
        draft.environment = {**self.own_environment, **environment, **own}
        if posixpath.basename(words[0]) == "pidproxy" and len(words) > 2:
            draft.keys |= {"_type": "forking", "_pidfile": words[1]}
            words = words[2:]
        draft.words["_command"] = words
        if "/" in words[0] and not words[0].startswith(("/", "~")):
            self._say(
                "command",
                f"{words[0]} is relative, which here means: to the directory of the new file",
                "write the whole path",
            )
        if handed_on:
            draft.keys["_pass_environment"] = " ".join(handed_on)
        draft.enabled = text("autostart", "true").lower() in TRUE and not expansion.unknown
        self._life(draft, text)
        self._context(draft, text)
        self._logs(draft, text)
        say_secrets(draft, notes)
        return draft

    def _life(self, draft: Draft, text: _Text) -> None:
        restart = text("autorestart", "unexpected").lower()
        draft.keys["_restart"] = (
            "always" if restart in TRUE else "on-failure" if restart == "unexpected" else "no"
        )
        codes = text("exitcodes")
        if codes and codes != "0":
            draft.keys["_success_exit_status"] = " ".join(codes.replace(",", " ").split())
        retries = text("startretries")
        if retries.isdigit() and int(retries[:9]) < 100_000:
            draft.keys["_start_limit_burst"] = str(int(retries[:9]) + 1)
        if text("startsecs") not in ("", "0", "1"):
            self._say(
                "startsecs",
                "an app is ready as soon as its process is made",
                "use _ready to ask it, or _type = notify if it tells",
            )
        signal = text("stopsignal").upper().removeprefix("SIG")
        if signal and signal != "TERM":
            draft.keys["_kill_signal"] = signal
        wait = text("stopwaitsecs")
        if wait and wait != "10":
            draft.keys["_timeout_stop_sec"] = wait
        for key in ("stopasgroup", "killasgroup"):
            if key in self.part.settings and text(key).lower() not in TRUE:
                self._say(
                    key, "is always so: a stop ends all that the app started", "let what is to stay be an app"
                )

    def _context(self, draft: Draft, text: _Text) -> None:
        user = text("user")
        if user:
            draft.keys["_user"] = self.world.user_name(user)
        umask = text("umask") or self.own.text("umask")
        if umask:
            draft.keys["_umask"] = umask
        directory = text("directory") or self.own.text("directory")
        if directory:
            if directory.startswith("~"):
                self._say("directory", f"{directory} is not known before it runs", "write the whole path")
            elif directory.startswith("/"):
                draft.keys["_working_directory"] = directory
            else:
                draft.keys["_working_directory"] = posixpath.normpath(
                    posixpath.join(posixpath.dirname(self.part.file), directory)
                )

    def _logs(self, draft: Draft, text: _Text) -> None:
        log = text("stdout_logfile")
        if log.lower() in ("none", "off"):
            draft.keys["logfile"] = "/dev/null"
        elif log.lower() == "syslog":
            self._say("stdout_logfile", *LOST["stdout_syslog"])
        elif log.startswith(("/dev/", "/proc/")) and log != "/dev/null":
            self._say(
                "stdout_logfile",
                f"{log} is no log",
                "each app has its own: master.py logs -f follows them all",
            )
        elif log.startswith("/"):
            draft.keys["logfile"] = posixpath.normpath(log)
        elif log.lower() not in _LOUD:
            self._say("stdout_logfile", f"{log} is relative", "the log is below --logfile_dir")
        limit = text("stdout_logfile_maxbytes")
        if limit and not log.startswith(("/dev/", "/proc/")):  # these had to have none
            draft.keys["_log_max_bytes"] = limit
            try:
                size(limit)
            except ValueError:
                self._say("stdout_logfile_maxbytes", f"{limit!r} is no size", "50MB was taken")
                draft.keys["_log_max_bytes"] = "50MB"
        if "stdout_logfile_backups" in self.part.settings:
            draft.keys["_log_backups"] = text("stdout_logfile_backups")
        errors = text("stderr_logfile").lower()
        merged = text("redirect_stderr", "false").lower() in TRUE
        if not merged and errors not in (*_LOUD, log.lower()) and not errors.startswith("/dev/"):
            self._say(
                "stderr_logfile", "both outputs go to one log", "look into the app's log, master.py logs"
            )
