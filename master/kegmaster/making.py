"""A master where there is none: whether there is anything to start, and the birth of one, in the background or here.

Knows the client's side of it. Must not know what apps are told once a master lives.
"""

from __future__ import annotations

import contextlib
import os
import socket

from . import client, footing, loading, pidfiles
from .exit_codes import Verb
from .lean import TYPE_CHECKING, Final
from .paths import HOME_VARIABLE
from .reexec import Program, this_program
from .spec import Config

if TYPE_CHECKING:
    from .command import Command

_BIRTHS: Final = 3
"""How often a master is made, if others get in the way and are gone before they answer."""


def reach(command: Command) -> socket.socket | None:
    """A connection to the master if one runs and answers; None if none does.

    One that does not answer is refused, with --force it is ended, if it can be proven to be one. Raises NoAnswerError,
    RightsError.
    """
    run, script = command.run_directory, command.program
    if not command.options.force and not pidfiles.locked(run.pidfile):
        return client.connect(run.socket)  # mostly None; or it tells that we may not even look
    if command.dispatch.answers():
        if command.options.force:
            from . import forcing

            command.terminal.tell(
                f"master: runs and answers, process {command.dispatch.answering}; nothing to force"
            )
            for line in forcing.end_halted_keeper(run, script):
                command.terminal.tell(line)
        return client.connect(run.socket) or command.dispatch.reconnect()
    from . import forcing

    finding = forcing.look(run, script)
    if finding.kind in ("dead", "nobody"):
        if command.options.force:
            command.terminal.tell(f"master: {finding.text}; nothing to end")
        return None
    if not command.options.force:
        raise client.NoAnswerError(f"{finding.text}; see {command.logfile}")
    if (other := forcing.config_of(run)) and not loading.same_file(other, command.config_file):
        raise client.NoAnswerError(loading.other_config(run.path, other, command.config_file))
    try:
        for line in forcing.end(run, script):
            command.terminal.tell(line)
    except forcing.ForceError as error:
        raise (client.RightsError if error.rights else client.NoAnswerError)(str(error)) from None
    return None


def no_master(command: Command) -> int:
    """Say that none runs, and that none was to be made; the exit status."""
    from . import forcing

    finding = forcing.look(command.run_directory, command.program)
    return command.terminal.fail(f"{finding.text}; without --no_daemon_start it is made", Verb.NOT_RUNNING)


def startable(command: Command, config: Config, missing: frozenset[str], *, say: bool = True) -> int | None:
    """The exit status if there is nothing that could be started; None if there is."""
    for path in (command.run_directory.path, os.path.dirname(command.logfile)):
        if why := unwritable(path):
            return command.terminal.fail(why, Verb.NO_RIGHTS)
    problems = [
        problem
        for problem in config.problems
        if not command.options.names or problem.section in command.options.names
    ]
    if unknown := command.unknown(config):
        return command.terminal.fail(config.no_section(unknown[0]), Verb.USAGE)
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
                footing.make_directory(os.path.dirname(app.crash_log))
            crashes.refused(app, config.why_left_out(app.name))
    crashes.flush()


def unwritable(path: str) -> str:
    """Why nothing can be written to directory `path`, which may have to be made first; empty if that can be done."""
    there = path
    while not os.path.lexists(there):
        there = os.path.dirname(there)
    if not os.path.isdir(there):
        what = "is no directory" if os.path.exists(there) else "is a symlink that leads nowhere"
        where = "" if there == path else f"cannot be made, {there} "
        return f"{path}: {where}{what}; remove it, or name another directory"
    if os.access(there, os.W_OK | os.X_OK):
        return ""
    uid = os.stat(there).st_uid
    owner = f"belongs to user {uid}, and we may not write there"
    if uid == os.geteuid():
        owner = f"is ours, but cannot be written to (chmod u+rwx {there}, if that is all)"
    return (
        f"{path}: {owner}; chown it, or name another directory" if there == path
        else f"{path}: cannot be made, {there} {owner}; see to HOME, set {HOME_VARIABLE}, or name another directory"
    )  # fmt: skip


def master(command: Command, config: Config, *, revive: bool = True) -> socket.socket | None:
    """Make a master and connect to it; None if it is gone already, having carried a stop on to its end."""
    from . import birth

    if revive:
        _refuse_second(command)
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
    from . import forcing

    finding = forcing.look(command.run_directory, command.program)
    raise client.NoAnswerError(f"{finding.text}; see {command.logfile}")


def _refuse_second(command: Command) -> None:
    """Raise NoAnswerError if the configuration has a master in another run directory."""
    from . import sole

    if refusal := sole.refusal(command.config_file, command.run_directory.path):
        raise client.NoAnswerError(refusal)


def foreground(command: Command) -> int:
    """Be the master in the foreground; what apps say that were named is printed, too."""
    from . import birth

    config, missing = command.source.load(command.options.names)
    for problem in config.problems:
        command.terminal.error(str(problem), bare=True)
    if (code := startable(command, config, missing, say=False)) is not None:
        return code
    if (sock := reach(command)) is not None:
        sock.close()
        return command.terminal.fail(_alive(command), Verb.FAILED)
    _refuse_second(command)
    if command.options.names and not pidfiles.locked(command.run_directory.pidfile):
        # Whoever names apps tries them out, and would look for their output here.
        from . import logs

        finish = logs.accompany({app.name: app.logfile for app in command.chosen(config)})
    else:
        finish = None
    try:
        return birth.foreground(
            command.source, command.run_directory, config, command.logfile, command.options.names,
            verbose=command.options.verbose, program=program(command),
        )  # fmt: skip
    except birth.LockedError:
        return command.terminal.fail(_alive(command), Verb.FAILED)
    except birth.BirthError as error:
        return command.terminal.fail(str(error), Verb.FAILED)
    finally:
        if finish is not None:
            finish()


def _alive(command: Command) -> str:
    from . import forcing

    who = forcing.named(command.run_directory)
    way_out = "stop ends it"
    if names := " ".join(command.options.names):
        way_out = f"{way_out}, or have it start and show them: start {names}, then logs -f {names}"
    return f"a master runs already in {command.run_directory.path}{f', and answers: {who}' if who else ''}; {way_out}"


def program(command: Command) -> Program:
    """What a later version of us is to be called with, from any directory."""
    directories = command.source.directories
    flags = [
        f"--master_config={command.config_file}", f"--pidfile_dir={command.run_directory.path}",
        f"--logfile_dir={directories.logfile_dir}", f"--state_dir={command.run_directory.state}",
        *(["--verbose"] if command.options.verbose else []),
    ]  # fmt: skip
    return this_program(command.script, flags)
