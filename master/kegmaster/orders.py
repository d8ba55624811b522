"""The verbs that a master carries out: start, restart, stop, reload, reexec; and what holds where none runs.

Knows when a master is to be made first. Must not know how: that is `making`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

from . import client, making
from .exit_codes import Verb
from .lean import TYPE_CHECKING
from .loading import UnreadableError
from .reexec import CHECK
from .spec import Config

if TYPE_CHECKING:
    from .command import Command


def start(command: Command) -> int:
    """Start or restart, making a master if there is none."""
    sock = making.reach(command)
    fresh = sock is None
    if fresh:
        if not command.options.daemon_start:
            return making.no_master(command)
        if _installed(command):
            from .services import its_user

            by_user = its_user.start(command)
            if isinstance(by_user, int):
                return by_user
            if by_user is not None:
                return command.dispatch.follow(by_user, "start", command.options.names, fresh=True)
        config, missing = command.source.load(command.options.names)
        if (code := making.startable(command, config, missing)) is not None:
            return code
        if _installed(command):
            from .services import supervised

            by_init = supervised.start(command)
            if isinstance(by_init, int):
                return by_init
            if by_init is not None:
                return command.dispatch.follow(by_init, "start", command.options.names, fresh=True)
        sock = making.master(command, config)
    # What is started is what the file says, also one that is not named; a restart is of what runs.
    config_file = command.config_file if command.options.verb == "start" else command.asked_config
    # A new master may have adopted what a dead one left: that too is to be restarted.
    return command.dispatch.follow(
        sock, command.options.verb, command.options.names, fresh=fresh, config=config_file,
        make=lambda: making.master(command, command.source.load(command.options.names)[0]),
    )  # fmt: skip


def try_restart(command: Command) -> int:
    """Restart what the master that runs has; without a master, nothing is to be done."""
    sock = making.reach(command)
    if sock is None:
        return _nothing_runs(command, "restart")
    return command.dispatch.follow(
        sock, "restart", command.options.names, sparing=True, config=command.asked_config
    )


def reload(command: Command) -> int:
    """Have the master read the configuration again; with names: have these apps read theirs."""
    names = command.options.names
    if names and command.options.dry_run:
        return command.terminal.fail(
            "--dry_run is for the whole file: reload of an app sends it a signal", Verb.USAGE
        )
    sock = making.reach(command)
    if sock is None:
        return command.terminal.fail(
            "no master runs, so there is nothing to reload; start reads the file", Verb.NOT_RUNNING
        )
    if names:
        return command.dispatch.follow(sock, "reload", names, config=command.asked_config)
    return command.dispatch.reload(sock, dry_run=command.options.dry_run, config=command.asked_config)


def reexec(command: Command) -> int:
    """Have the master replaced by what is installed now."""
    if command.options.names:
        return command.terminal.fail("reexec takes no names: it replaces the master", Verb.USAGE)
    sock = client.connect(command.run_directory.socket)
    if sock is None:
        return command.terminal.fail("no master runs, so there is nothing to replace", Verb.NOT_RUNNING)
    return command.dispatch.reexec(sock)


def take_over(command: Command) -> int:
    """Be tried out by, or come after, the version before."""
    from . import birth, pidfiles, takeover
    from .journal import Journal

    if command.options.verb == CHECK:
        return takeover.check(command.source, command.run_directory, command.options.names)
    origin = birth.Birth(
        source=command.source, run=command.run_directory, lock=pidfiles.Lock(command.run_directory.pidfile),
        journal=Journal(command.logfile, verbose=command.options.verbose), program=making.program(command),
    )  # fmt: skip
    return takeover.take_over(origin, command.options.names, verbose=command.options.verbose)


def stop(command: Command) -> int:
    """Stop apps; without names the master too. After a crash of the master, what it left is found and ended."""
    sock = making.reach(command)
    if sock is None:
        try:
            config, unreadable = command.source.load()[0], ""
        except UnreadableError as error:
            config, unreadable = Config(file=command.config_file), str(error)
        if not unreadable and (unknown := command.unknown(config)):
            return command.terminal.fail(config.no_section(unknown[0]), Verb.USAGE)
        if not command.dispatch.leftovers():
            return _nothing_runs(command, "stop", noting=() if unreadable else command.options.names)
        if _installed(command):
            from .services import its_user

            if (code := its_user.stop(command)) is not None:
                return code
        if unreadable:
            command.terminal.error(unreadable, bare=True)
        sock = making.master(command, config, revive=False)
    return command.dispatch.follow(sock, "stop", command.options.names, config=command.asked_config)


def _installed(command: Command) -> bool:
    """`install` was here, so there may be an entry that is to do it."""
    state = command.run_directory.state
    return os.path.isdir(f"{state}/services") or os.path.isdir(f"{state}/services.root")


def _nothing_runs(command: Command, verb: str, *, noting: Sequence[str] = ()) -> int:
    """`noting`: apps that are to stay stopped all the same when a master is made."""
    problems = []
    if noting:
        from .intent import Intent

        intent = Intent(command.run_directory.stopped)
        problems += [intent.problem] if intent.problem else []
        if lost := intent.add(noting):
            problems.append(f"{lost}; the next start will start {', '.join(noting)}")
    for problem in problems:
        command.terminal.error(problem, bare=True)
    nothing = {"verb": verb, "apps": [], "problems": problems, "exit": 0}
    print(json.dumps(nothing, indent=2) if command.options.json else "nothing is running")
    return Verb.DONE
