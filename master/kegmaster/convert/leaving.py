"""An app as another launcher is to have it: in the foreground, with what that launcher cannot do said.

Pure: what must be looked up (programs, users) is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ..keys import SIGNALS
from ..spec import App
from .draft import Notes

SIGNAL_NAMES: Final = {number: name for name, number in SIGNALS.items()}

INSTEAD: Final[Mapping[str, str]] = {
    "_after": "start them in this order yourself, or have the program wait",
    "_requires": "start them in this order yourself, or have the program wait",
    "_wait_for": "have the program wait for it",
    "_restart": "see its documentation on ends of programs",
    "_restart_sec": "nothing is to be done",
    "_restart_max_delay_sec": "nothing is to be done",
    "_success_exit_status": "see that the program ends with 0",
    "_start_limit_burst": "look after programs that end again and again",
    "_timeout_start_sec": "nothing is to be done",
    "_timeout_stop_sec": "see that the program ends soon",
    "_kill_signal": "see that the program ends by SIGTERM",
    "_user": "start the launcher as that user",
    "_group": "make it the user's own group",
    "_umask": "set it where the launcher is started",
    "_nice": "put nice -n in front of the command",
    "_limit_nofile": "set the limit where the launcher is started",
    "_environment_file": "set its variables where the launcher is started",
    "_pass_environment": "set these variables in the file",
    "_ready": "have the programs that need it wait for it",
    "_health": "watch it from outside",
    "_watchdog_sec": "watch it from outside",
    "_memory_max": "limit it by its own means",
    "_log_max_bytes": "rotate its log by the means of that launcher",
    "_log_backups": "rotate its log by the means of that launcher",
    "_on_failure": "watch it from outside",
    "_on_change": "watch it from outside",
    "_stop_command": "give the signal that has the same effect",
    "_reload_signal": "send it yourself",
    "_pidfile": "use the program's option that keeps it in the foreground",
}
"""What to do where another launcher has no counterpart of a key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaver:
    """An app that goes elsewhere.

    path      of the program on this machine, or its name as written
    words     behind it, those included that keep it in the foreground
    forking   it makes a daemon of itself, and nothing can be done about it
    home      of its user; empty: unknown, or nobody else's
    uid, gid  of its user and group, None if unknown or nobody else's
    """

    app: App
    path: str
    words: tuple[str, ...]
    forking: bool
    home: str = ""
    uid: int | None = None
    gid: int | None = None

    @property
    def argv(self) -> tuple[str, ...]:
        """The whole command line."""
        return (self.path, *self.words)

    @property
    def environment(self) -> dict[str, str]:
        """The variables of `_environment`."""
        return dict(self.app.context.environment)

    @property
    def user_environment(self) -> dict[str, str]:
        """The same, and those of its user, which this launcher sets and others do not."""
        if not self.home:
            return self.environment
        user = self.app.context.user
        return {"HOME": self.home, "USER": user, "LOGNAME": user, **self.environment}


def foreground(app: App) -> tuple[tuple[str, ...], bool]:
    """The words behind the program that keep it in the foreground, and whether it makes a daemon all the same."""
    words = app.argv[1:]
    if app.type != "forking":
        return words, False
    if "_command" in app.key_lines:
        return words, True
    # A program of the flags: told the same as with `daemon = False`.
    told = {
        "--daemon=True": "--daemon=False",
        "--log_to_file=True": "--log_to_file=False",
        "--log_to_stdout=False": "--log_to_stdout=True",
    }
    ours = {f"--pidfile={app.pidfile}", f"--logfile={app.logfile}"}
    kept = tuple(told.get(word, word) for word in words if word not in ours)
    return kept, "--daemon=False" not in kept


def say_detaching(leaver: Leaver, file: str, harm: str, notes: Notes) -> None:
    """A program that makes a daemon of itself is of no use there: `harm` says what comes of it."""
    if leaver.forking:
        cure = "use the program's option that keeps it in the foreground"
        notes.add(file, leaver.app.line, leaver.app.name, None, f"makes a daemon of itself, {harm}", cure)


def say_lost(app: App, file: str, known: Iterable[str], target: str, notes: Notes) -> None:
    """A note on each key of the app's section that `target` has no counterpart for."""
    known = {
        *known,
        "_command",
        "_program_name",
        "_args",
        "_enabled",
        "_type",
        "_environment",
        "_working_directory",
        "_pidfile_dir",
        "_logfile_dir",
    }
    for key, line in app.key_lines.items():
        if key.startswith("_") and key not in known and key in INSTEAD:
            notes.add(file, line, app.name, key, f"{target} has no counterpart", INSTEAD[key])


def signal_name(number: int) -> str:
    """TERM of 15."""
    return SIGNAL_NAMES.get(number, str(number))


def unique(names: Sequence[str], shape: Callable[[str], str]) -> dict[str, str]:
    """Each name in another launcher's shape, no two the same."""
    taken: dict[str, str] = {}
    for name in names:
        shaped, number = shape(name) or "app", 2
        while shaped in taken.values():
            shaped, number = f"{shape(name)[:50]}-{number}", number + 1
        taken[name] = shaped
    return taken
