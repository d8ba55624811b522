"""A master where there is none: whether there is anything to start, and the birth of one, in the background or here.

Knows the client's side of it. Must not know what apps are told once a master lives.
"""

from __future__ import annotations

import contextlib
import os
import socket

from . import client, pidfiles
from .exit_codes import Verb
from .lean import TYPE_CHECKING, Final
from .reexec import Program, this_program
from .spec import Config

if TYPE_CHECKING:
    from .command import Command

_BIRTHS: Final = 3
"""How often a master is made, if others get in the way and are gone before they answer."""


def startable(command: Command, config: Config, missing: frozenset[str], *, say: bool = True) -> int | None:
    """The exit status if there is nothing that could be started; None if there is."""
    problems = [
        problem
        for problem in config.problems
        if not command.options.names or problem.section in command.options.names
    ]
    if unknown := command.unknown(config):
        return command.terminal.fail(f"{config.file}: there is no section [{unknown[0]}]", Verb.USAGE)
    sound = {app.name for app in config.apps if app.enabled}
    if any(config.find(name) for name in command.options.names) or (sound and not command.options.names):
        return None
    if say:
        for problem in problems:
            command.terminal.error(str(problem), bare=True)
    if not problems:
        return command.terminal.fail(
            f"{config.file}: nothing to start; write _enabled = True into a section", Verb.NOT_CONFIGURED
        )
    _tell_crash_logs(command, config)
    lacking = {problem.section for problem in problems} <= missing
    return Verb.NOT_INSTALLED if lacking else Verb.NOT_CONFIGURED


def _tell_crash_logs(command: Command, config: Config) -> None:
    """No crash log is to mean no failure, so those that could not even be tried are told of as well."""
    from .crashes import Crashes
    from .journal import Journal

    crashes = Crashes(Journal(command.logfile))
    for app in config.unsound:
        wanted = app.name in command.options.names if command.options.names else app.enabled
        if wanted and config.logs_safely(app.name):
            with contextlib.suppress(OSError):
                os.makedirs(os.path.dirname(app.crash_log), mode=0o755, exist_ok=True)
            crashes.refused(app, config.why_left_out(app.name))
    crashes.flush()


def master(command: Command, config: Config, *, revive: bool = True) -> socket.socket | None:
    """Make a master and connect to it; None if it is gone already, having carried a stop on to its end."""
    from . import birth

    files = (command.source, command.run_directory, config, command.logfile)
    for _ in range(_BIRTHS):
        try:
            birth.detach(*files, verbose=command.options.verbose, revive=revive, program=program(command))
            return client.connect(command.run_directory.socket)
        except birth.LockedError:
            # Somebody else is just doing the same, or a master hangs; or one was just about to end.
            if sock := command.dispatch.reconnect():
                return sock
            if pidfiles.locked(command.run_directory.pidfile):
                break
        except birth.BirthError as error:
            raise client.NoAnswerError(str(error)) from None
    raise client.NoAnswerError(
        f"a master holds {command.run_directory.pidfile} but does not answer;"
        f" see {command.logfile}, kill -TERM {command.dispatch.claimed()} ends it and its apps"
    )


def foreground(command: Command) -> int:
    """Be the master in the foreground."""
    from . import birth

    config, missing = command.source.load(command.options.names)
    for problem in config.problems:
        command.terminal.error(str(problem), bare=True)
    if (code := startable(command, config, missing, say=False)) is not None:
        return code
    try:
        return birth.foreground(
            command.source,
            command.run_directory,
            config,
            command.logfile,
            command.options.names,
            verbose=command.options.verbose,
            program=program(command),
        )
    except birth.LockedError:
        return command.terminal.fail(f"a master runs already in {command.run_directory.path}", Verb.FAILED)
    except birth.BirthError as error:
        return command.terminal.fail(str(error), Verb.FAILED)


def program(command: Command) -> Program:
    """What a later version of us is to be called with, from any directory."""
    directories = command.source.directories
    flags = [
        f"--master_config={command.config_file}", f"--pidfile_dir={command.run_directory.path}",
        f"--logfile_dir={directories.logfile_dir}", f"--state_dir={command.run_directory.state}",
        *(["--verbose"] if command.options.verbose else []),
    ]  # fmt: skip
    return this_program(command.script, flags)
