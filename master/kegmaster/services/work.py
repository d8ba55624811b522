"""One install or remove under way: its store, its transaction, what it tells, and how it ends when a step fails.

Must not know what the steps are for.
"""

from __future__ import annotations

import json
import os
import pwd
import shlex
import shutil
import sys
from collections.abc import Callable
from typing import Any

from ..command import Command
from ..exit_codes import Verb
from ..paths import HOME_VARIABLE
from ..problems import printable
from . import actions, answers, ask, elevation, image
from .store import Store, StoreError
from .transaction import StepError, Transaction, undo

_TRIES = 8


class RefusedError(Exception):
    """It cannot be done, and nothing was changed; `code` is the exit status."""

    def __init__(self, text: str, code: int = Verb.FAILED) -> None:
        super().__init__(text)
        self.code = code


class ChangedError(RefusedError):
    """Somebody else was quicker, and nothing was changed: what was read must be read once more."""


class Work:
    """What install, remove and reinstall have in common."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self.options = command.options
        self.config_file = image.outside(command.config_file)
        self.store = Store(image.outside(command.run_directory.state))
        self.transaction = Transaction(self.store)
        self.told: list[str] = []
        self.report: dict[str, Any] = {}

    def tell(self, text: str) -> None:
        """One line for a person; part of the document with --json."""
        self.told.append(text)
        if not self.options.json:
            print(text, flush=True)

    def say(self, text: str, **data: Any) -> None:
        """What --print shows; the same as data with --json."""
        self.report |= data
        if not self.options.json:
            print(text, end="", flush=True)

    def look(self) -> None:
        """Open the store if there is one. A change that was cut short is undone first, unless nothing is to change."""
        if image.escapes([f"{self.store.path}/x"]):
            raise RefusedError(f"{self.store.path}: leads out of {image.VARIABLE}; nothing was changed")
        try:
            there = self.store.open(make=False, wait_s=self.options.timeout)
        except PermissionError:
            raise self.no_rights(f"{self.store.path}: cannot be read") from None
        self._recover(there)

    def begin(self, owner: tuple[int, int] | None = None) -> None:
        """Open the store, and make it if need be; `owner`: whose the state directory is to be if it is made."""
        state = os.path.dirname(self.store.path)
        missing = []
        while not os.path.lexists(state):
            missing.append(state)
            state = os.path.dirname(state) or "/"
        try:
            for path in reversed(missing):
                os.mkdir(path, 0o755 if os.geteuid() == 0 else 0o700)
                # In his home all of it is his, elsewhere only the last.
                if owner and (path == missing[0] or os.stat(os.path.dirname(path)).st_uid == owner[0]):
                    os.chown(path, *owner)
            self._recover(self.store.open(make=True, wait_s=self.options.timeout))
        except OSError as error:
            raise RefusedError(f"{self.store.path}: cannot be made ({error.strerror})") from None

    def _recover(self, there: bool) -> None:
        if there and not self.options.print and self.store.read("undo") is not None:
            problems = undo(self.store)
            self.tell("a change that was cut short before is undone")
            for problem in problems:
                self.command.terminal.error(problem)

    def carry_out(self, steps: Callable[[], None], name: str) -> None:
        """All of these steps or none. Raises RefusedError."""
        try:
            steps()
            self.transaction.commit()
        except BaseException as error:
            problems = self.transaction.roll_back()
            for problem in problems:
                self.command.terminal.error(problem)
            reason = error.strerror if isinstance(error, OSError) else str(error)
            if isinstance(error, ChangedError) and not problems:
                raise
            if isinstance(error, StepError | OSError):
                undone = "what was made before is undone" if not problems else "not all of it could be undone"
                raise RefusedError(f"{reason}; {undone}") from None
            raise
        finally:
            self.note(name)

    def note(self, name: str) -> None:
        """The log is written when the verb is over, by whoever called; here only who it was about."""
        self.report["name"] = name

    def app(self, name: str) -> answers.App | None:
        """The last install of an app; None if there was none, or it is forgotten. Raises StoreError."""
        row = self.store.read_json(app_file(name))
        if row is None or self.forgotten(name):
            return None
        try:
            return answers.app(row)
        except ValueError as error:
            raise StoreError(f"{self.store.path}/{app_file(name)}: {error}; remove it") from None

    def apps(self) -> list[str]:
        """The names that were installed here once. Raises StoreError."""
        files = self.store.names()
        return [file[4:-5] for file in files if file.startswith("app.") and file.endswith(".json")]

    def forgotten(self, name: str) -> bool:
        """It was installed here once, and `--remove_install_args` took what that was."""
        row = self.store.read_json(app_file(name) if name else "master.json")
        return isinstance(row, dict) and row.get("forgotten") is True

    def keep(self, kept: answers.App | answers.Boot) -> None:
        """Write down what reinstall and remove will need. Raises OSError."""
        file = app_file(kept.name) if isinstance(kept, answers.App) else "master.json"
        self.transaction.keep(file, json.dumps(answers.to_json(kept), indent=1).encode() + b"\n")

    def forget(self, name: str) -> None:
        """Take it away again, but for the fact. Raises OSError."""
        row = {"version": answers.VERSION, "forgotten": True}
        self.transaction.keep(app_file(name) if name else "master.json", json.dumps(row).encode() + b"\n")

    def no_rights(self, what: str, *, boot: str = "") -> RefusedError:
        """The refusal that names the command to run with root's rights."""
        if os.geteuid() == 0:
            return RefusedError(f"{what}; nothing was changed", Verb.NO_RIGHTS)
        return RefusedError(f"{what}; nothing was changed. Run: {self._with_root(boot)}", Verb.NO_RIGHTS)

    def _with_root(self, boot: str) -> str:
        command, options = self.command, self.options
        words = sys.argv[1:]
        end = words.index("--") if options.program else len(words)
        own = os.path.exists(self.config_file) and os.stat(self.config_file).st_uid == os.geteuid()
        whole = own or HOME_VARIABLE in os.environ
        run, logs = command.run_directory, command.source.directories.logfile_dir
        places = (
            ("master_config", command.config_file), ("pidfile_dir", run.path), ("logfile_dir", logs),
            ("state_dir", run.state),
        )  # fmt: skip
        caller = pwd.getpwuid(os.geteuid()).pw_name
        asked = elevation.Asked(
            script=command.script, verb=options.verb, typed=tuple(words[:end]), program=tuple(options.program),
            places=tuple(f"--{key}={path}" for key, path in places if whole or getattr(options, key) is not None),
            own=own and options.user in ("", caller), boot=boot, caller=caller, now=options.now,
            entry=(
                *([f"--boot_name={options.boot_name}"] if options.boot_name != "kegmaster" else []),
                *([f"--description={options.description}"] if options.description else []),
                *(["--replace"] if options.replace else []),
            ),
        )  # fmt: skip
        return elevation.line(asked, sudo=bool(shutil.which("sudo")))

    def finish(self, code: int, **more: Any) -> int:
        """Print the document, if that is wanted; returns `code`."""
        if self.options.json:
            document = {
                "verb": self.options.verb,
                **self.report,
                **more,
                "told": self.told,
                "exit": int(code),
            }
            print(json.dumps(document, indent=2))
        return code


def guarded(command: Command, verb: Callable[[Work], int]) -> int:
    """Carry out a verb; what it refuses is said in a line, and noted in the log if there is one."""
    try:
        image.enter(command)
    except image.ImageError as error:
        return command.terminal.fail(printable(str(error)), Verb.USAGE)
    work = Work(command)
    try:
        code = _tried(command, verb, work)
    except ask.NotAnsweredError:
        command.terminal.error("interrupted; nothing was changed")
        code = 130
    except RefusedError as error:
        code = command.terminal.fail(printable(str(error)), error.code)
    except (StoreError, StepError) as error:
        code = command.terminal.fail(printable(str(error)), Verb.FAILED)
    if not command.options.print:
        actions.note(
            image.outside(command.run_directory.state), command.options.verb, command.options.names, code
        )
    return code


def _tried(command: Command, verb: Callable[[Work], int], work: Work) -> int:
    for _ in range(_TRIES):
        try:
            return verb(work)
        except ChangedError:
            work.store.close()
            work = Work(command)
    return verb(work)


def app_file(name: str) -> str:
    """The file of an app's answers; names of apps make file names."""
    return f"app.{name}.json"


def shown(words: tuple[str, ...]) -> str:
    """A command line as a shell would take it, on one line."""
    return printable(shlex.join(words))
