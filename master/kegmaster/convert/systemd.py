"""A unit of systemd, read: a .service file an app.

Source: systemd.service(5), systemd.exec(5), systemd.kill(5), systemd.unit(5).
Must not open files: drop-ins are asked for.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Final

from ..keys import SIGNALS, size
from . import unitfile
from .draft import Draft, Names, Notes, World, say_secrets
from .execstart import CommandLines, for_shell, kill_of_main
from .unitfile import Unit

_SPAN: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)\s*")
_SPANS: Final[Mapping[str, float]] = {
    "us": 1e-6, "ms": 1e-3, "": 1, "s": 1, "sec": 1, "second": 1, "seconds": 1, "m": 60, "min": 60, "minute": 60,
    "minutes": 60, "h": 3600, "hr": 3600, "hour": 3600, "hours": 3600, "d": 86400, "day": 86400, "days": 86400,
}  # fmt: skip
_SPECIFIER: Final = re.compile(r"%(.)", re.DOTALL)
_QUIET: Final = frozenset({
    "Type", "ExecStart", "ExecStop", "ExecReload", "Restart", "RestartSec", "TimeoutSec", "TimeoutStartSec",
    "TimeoutStopSec", "KillSignal", "User", "Group", "WorkingDirectory", "UMask", "Nice", "LimitNOFILE", "PIDFile",
    "SuccessExitStatus", "WatchdogSec", "MemoryMax", "MemoryLimit", "Environment", "EnvironmentFile", "PassEnvironment",
    "StandardOutput", "StandardError", "StartLimitBurst", "NotifyAccess", "SyslogIdentifier", "RemainAfterExit",
    "StandardInput", "SendSIGKILL", "GuessMainPID", "RestartKillSignal", "FinalKillSignal", "LogLevelMax",
})  # fmt: skip
_LOST: Final[Mapping[str, tuple[str, str]]] = {
    "ExecStartPre": ("nothing runs before the program", "make an app of _type = oneshot of it, and _requires that"),
    "ExecStartPost": ("nothing runs after the start", "use _on_change"),
    "ExecStopPost": ("nothing runs after the end", "use _on_change"),
    "ExecCondition": ("nothing is asked before the start", "put it into a script that ends with exec"),
    "StartLimitInterval": ("failures are counted in a row, not in a time", "see _start_limit_burst"),
    "StartLimitIntervalSec": ("failures are counted in a row, not in a time", "see _start_limit_burst"),
    "RuntimeDirectory": ("no directory is made", "make it at boot (tmpfiles.d), or let the program"),
    "StateDirectory": ("no directory is made", "make it once, owned by the app's user"),
    "CacheDirectory": ("no directory is made", "make it once, owned by the app's user"),
    "LogsDirectory": ("no directory is made", "make it once, owned by the app's user"),
    "DynamicUser": ("no user is made", "make one, and name it in _user"),
    "Sockets": ("the launcher opens no sockets for programs", "have the program listen itself"),
    "UnsetEnvironment": ("only few variables are handed on anyway", "see docs/launcher.rst"),
    "OnFailure": ("there are no units", "use _on_failure"),
    "KillMode": ("is always so: a stop ends all that the app started", "let what is to stay be an app"),
}  # fmt: skip


def read(text: str, file: str, world: World, names: Names, notes: Notes) -> list[Draft]:
    """The app of a unit; none if it is a template. Never raises."""
    unit = Unit()
    unitfile.read(text, file, unit, notes)
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
    folders = [f"{file}.d"]
    if "@" in name:
        folders.insert(0, posixpath.join(posixpath.dirname(file), f"{name.partition('@')[0]}@.service.d"))
    for folder in folders:
        try:
            for path in world.files(posixpath.join(folder, "*.conf")):
                unitfile.read(world.read(path), path, unit, notes)
        except (OSError, ValueError) as error:
            notes.add(folder, 0, None, None, str(error), "make it readable")
    draft = Draft(name=names.give(name), file=file, line=0, section="Service")
    return [draft] if _Service(unit, draft, name, world, notes).read() else []


def relate(drafts: Sequence[Draft]) -> None:
    """Leave of each app's relations those to others that were imported, too."""
    known = {
        f"{posixpath.basename(draft.file).removesuffix('.service')}.service": draft.name for draft in drafts
    }
    for draft in drafts:
        if draft.file.endswith(".service"):
            draft.after = [known[name] for name in dict.fromkeys(draft.after) if name in known]
            draft.requires = [known[name] for name in dict.fromkeys(draft.requires) if name in known]


def span_s(text: str) -> float | None:
    """A time of systemd's in seconds; None for infinity. Raises ValueError."""
    plain = text.strip().lower()
    if plain == "infinity":
        return None
    place, total = 0, 0.0
    while place < len(plain):
        match = _SPAN.match(plain, place)
        if match is None or match[2] not in _SPANS or len(match[1]) > 12:
            raise ValueError("is no time")
        total += float(match[1]) * _SPANS[match[2]]
        place = match.end()
    return total


class _Service:
    """One unit on its way to become an app."""

    def __init__(self, unit: Unit, draft: Draft, name: str, world: World, notes: Notes) -> None:
        self.unit = unit
        self.draft = draft
        self.world = world
        self.notes = notes
        self.lines = CommandLines(draft.environment, self.specify, self.say)
        prefix, at, instance = name.partition("@")
        user = unit.text("Service", "User", "root")
        home = "/root" if user in ("root", "0") else f"/home/{user}"
        self.specifiers = {
            "%": "%", "n": f"{name}.service", "N": name, "p": prefix, "i": instance, "I": instance.replace("-", "/"),
            "u": user, "h": home, "t": "/run", "S": "/var/lib", "C": "/var/cache", "L": "/var/log", "E": "/etc",
            "T": "/tmp", "V": "/var/tmp", "H": world.host,
        }  # fmt: skip
        if not at:
            del self.specifiers["i"], self.specifiers["I"]

    def say(self, key: str, wrong: str, cure: str, section: str = "Service") -> None:
        found = self.unit.all(section, key)
        file, line = (found[-1].file, found[-1].line) if found else (self.draft.file, 0)
        self.notes.add(file, line, section, key, wrong, cure)

    def text(self, key: str, section: str = "Service") -> str:
        return self.specify(self.unit.text(section, key), key)

    def specify(self, text: str, key: str) -> str:
        def one(match: re.Match[str]) -> str:
            value = self.specifiers.get(match[1])
            if value is None:
                self.say(
                    key,
                    f"%{match[1]} could not be filled in",
                    "write what it stands for, and _enabled = True",
                )
                self.draft.enabled = False
                return match[0]
            if match[1] == "h" and not value.startswith("/root"):
                self.say(key, f"%h was taken for {value}", "check it")
            return value

        return _SPECIFIER.sub(one, text)

    def read(self) -> bool:
        draft = self.draft
        self._environment()
        kind = self.text("Type") or ("dbus" if self.unit.text("Service", "BusName") else "simple")
        if not self._command(kind):
            return False
        self._type(kind)
        self._life(kind)
        self._context()
        for key in ("After", "Requires", "Wants", "BindsTo"):
            for assignment in self.unit.all("Unit", key):
                words = assignment.value.split()[:200]
                draft.after += words if key == "After" else []
                draft.requires += words if key in ("Requires", "BindsTo") else []
        self._say_lost()
        say_secrets(draft, self.notes)
        return True

    def _environment(self) -> None:
        for assignment in self.unit.all("Service", "Environment"):
            try:
                for word in unitfile.split(self.specify(assignment.value, "Environment")):
                    name, equals, value = word.partition("=")
                    if equals:
                        self.draft.environment[name] = value
            except ValueError as error:
                self.notes.add(
                    assignment.file, assignment.line, "Service", "Environment", str(error), "correct it"
                )
        files = [
            self.specify(found.value, "EnvironmentFile")
            for found in self.unit.all("Service", "EnvironmentFile")
        ]
        if any(path.startswith("-") for path in files):
            self.say(
                "EnvironmentFile", "a file that is missing is an error here", "make it, empty if need be"
            )
        paths = [path.removeprefix("-") for path in files]
        if len(paths) > 1:
            self.say(
                "EnvironmentFile", "there can be one only", f"{paths[0]} was taken; add the others to it"
            )
        if paths:
            self.draft.keys["_environment_file"] = paths[0]
        passed = [
            name for found in self.unit.all("Service", "PassEnvironment") for name in found.value.split()
        ]
        if passed:
            self.draft.keys["_pass_environment"] = " ".join(passed)

    def _command(self, kind: str) -> bool:
        starts = self.unit.all("Service", "ExecStart")
        if not starts:
            self.say("ExecStart", "is missing", "write one")
            return False
        commands = []
        for start in starts:
            try:
                commands += self.lines.commands(start.value, "ExecStart")
            except ValueError as error:
                self.notes.add(start.file, start.line, "Service", "ExecStart", str(error), "correct it")
        if not commands:
            self.say("ExecStart", "names no program", "write one")
            return False
        if len(commands) > 1:
            if kind != "oneshot":
                self.say("ExecStart", "has several commands", "the first was taken")
            else:
                self.say("ExecStart", "has several commands", "sh -c runs them one by one now")
                joined = " && ".join(
                    command[2] if command[:2] == ["sh", "-c"] else shlex.join(command) for command in commands
                )
                commands = [["sh", "-c", joined]]
        self.draft.words["_command"] = commands[0]
        return True

    def _type(self, kind: str) -> None:
        keys = self.draft.keys
        types = {
            "simple": "simple",
            "exec": "simple",
            "idle": "simple",
            "notify": "notify",
            "notify-reload": "notify",
            "oneshot": "oneshot",
            "forking": "forking",
        }
        if kind not in types:
            self.say("Type", f"{kind} is not known here", "simple was taken")
        keys["_type"] = types.get(kind, "simple")
        if kind == "notify-reload":
            keys["_reload_signal"] = "HUP"
        if kind == "forking":
            if pidfile := self.text("PIDFile"):
                keys["_pidfile"] = pidfile if pidfile.startswith("/") else f"/run/{pidfile}"
            else:
                self.say(
                    "Type",
                    "makes a daemon of itself, and no PIDFile says which process that is",
                    "if it leaves more than one, name its pidfile by _pidfile",
                )

    def _life(self, kind: str) -> None:
        keys = self.draft.keys
        restart = self.text("Restart") or "no"
        ours = {
            "no": "no",
            "always": "always",
            "on-failure": "on-failure",
            "on-abnormal": "on-failure",
            "on-abort": "on-failure",
            "on-watchdog": "on-failure",
            "on-success": "always",
        }.get(restart, "no")
        if restart not in ("no", "always", "on-failure"):
            self.say("Restart", f"{restart} is not known here", f"{ours} was taken")
        keys["_restart"] = ours
        self._time("RestartSec", "_restart_sec", None)
        # systemd waits for 90 s unless told otherwise.
        both = "TimeoutSec" if self.text("TimeoutSec") else ""
        self._time("TimeoutStopSec" if self.text("TimeoutStopSec") else both, "_timeout_stop_sec", 90.0)
        if kind in ("forking", "notify", "notify-reload"):
            self._time(
                "TimeoutStartSec" if self.text("TimeoutStartSec") else both, "_timeout_start_sec", 90.0
            )
        self._time("WatchdogSec", "_watchdog_sec", None)
        signal = self.text("KillSignal").upper().removeprefix("SIG")
        if signal and signal != "TERM":
            keys["_kill_signal"] = {str(number): name for name, number in SIGNALS.items()}.get(signal, signal)
        burst = self.text("StartLimitBurst") or self.text("StartLimitBurst", "Unit")
        if burst:
            keys["_start_limit_burst"] = burst
        statuses = self.text("SuccessExitStatus").split()
        kept = [word for word in statuses if word.isdigit() or word.removeprefix("SIG") in SIGNALS]
        if kept:
            keys["_success_exit_status"] = " ".join(["0", *kept])
        if kept != statuses:
            self.say(
                "SuccessExitStatus",
                f"{' '.join(set(statuses) - set(kept))[:60]} is not known here",
                "write its number",
            )
        self._stop_and_reload()

    def _stop_and_reload(self) -> None:
        for key, ours in (("ExecStop", "_stop_command"), ("ExecReload", "_reload_signal")):
            for found in self.unit.all("Service", key):
                try:
                    words = next(iter(self.lines.commands(found.value, key)), [])
                except ValueError as error:
                    self.say(key, str(error), "correct it")
                    continue
                signal = kill_of_main(words)
                if key == "ExecReload" and signal in SIGNALS:
                    self.draft.keys[ours] = signal
                elif key == "ExecStop" and signal in SIGNALS:
                    self.draft.keys["_kill_signal"] = signal
                elif key == "ExecReload":
                    self.say(
                        key,
                        "a reload is a signal here",
                        "name it in _reload_signal, or run the command yourself",
                    )
                elif any("MAINPID" in word for word in words) and words[:2] != ["sh", "-c"]:
                    # The launcher hands it on as a variable, which only a shell puts into words.
                    self.draft.words[ours] = [
                        "sh",
                        "-c",
                        "exec " + " ".join(for_shell(word) for word in words),
                    ]
                elif words:
                    self.draft.words[ours] = words

    def _time(self, key: str, ours: str, default: float | None) -> None:
        text = self.text(key) if key else ""
        seconds = default
        if text:
            try:
                seconds = span_s(text)
                if seconds is None or (seconds == 0 and ours.startswith("_timeout")):
                    self.say(key, "there is no waiting without an end", "86400 s were taken")
                    seconds = 86400.0
            except ValueError as error:
                self.say(key, str(error), "the default was taken")
        if seconds is not None:
            self.draft.keys[ours] = f"{min(seconds, 1e9):.3f}".rstrip("0").rstrip(".")

    def _context(self) -> None:
        keys = self.draft.keys
        plain = {
            "Group": "_group",
            "UMask": "_umask",
            "Nice": "_nice",
            "MemoryMax": "_memory_max",
            "MemoryLimit": "_memory_max",
        }
        for key, ours in plain.items():
            if value := self.text(key):
                keys[ours] = value
        try:
            size(keys.get("_memory_max", "0"))
        except ValueError as error:
            self.say("MemoryMax", "is no size", str(error))
            del keys["_memory_max"]
        if user := self.text("User"):
            keys["_user"] = self.world.user_name(user)
        if "_group" in keys:
            keys["_group"] = self.world.group_name(keys["_group"])
        limit = self.text("LimitNOFILE").partition(":")[0]
        if limit.isdigit():
            keys["_limit_nofile"] = limit
        elif limit:
            self.say("LimitNOFILE", "is no number", "name one in _limit_nofile")
        folder = self.text("WorkingDirectory")
        if folder.removeprefix("-") == "~":
            folder = self.specifiers["h"]
            self.say("WorkingDirectory", f"~ was taken for {folder}", "check it")
        if folder:
            keys["_working_directory"] = folder.removeprefix("-")
        output = self.text("StandardOutput")
        kind, _, path = output.partition(":")
        if kind in ("file", "append", "truncate") and path:
            keys["logfile"] = path
        elif output == "null":
            keys["logfile"] = "/dev/null"
        elif output == "socket" or self.text("StandardInput") == "socket":
            self.say("StandardInput", *_LOST["Sockets"])
            self.draft.enabled = False

    def _say_lost(self) -> None:
        sandbox = []
        for key, found in self.unit.sections.get("Service", {}).items():
            if not found or key in _QUIET:
                continue
            if key in _LOST:
                if key != "KillMode" or found[-1].value in ("none", "process"):
                    self.say(key, *_LOST[key])
            else:
                sandbox.append(key)
        if sandbox:
            self.say(
                sandbox[0],
                f"left behind: {', '.join(sandbox)[:300]}",
                "the launcher has no sandbox and no control of resources; stay with systemd where you need them",
            )
        for key in self.unit.sections.get("Unit", {}):
            if key.startswith(("Condition", "Assert")):
                self.say(key, "nothing is asked before the start", "use _wait_for for a file", "Unit")
            elif key in _LOST:
                self.say(key, *_LOST[key], "Unit")
