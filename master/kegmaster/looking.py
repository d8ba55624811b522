"""The verbs that look and change nothing: configtest, status, logs, events.

Knows what a person sees of it. Must not make, end or tell a master to do anything. Imported by these verbs only.
"""

from __future__ import annotations

import json

from . import client, flags, paths
from .exit_codes import Status, Verb
from .lean import TYPE_CHECKING, Any
from .loading import UnreadableError

if TYPE_CHECKING:
    from .command import Command


def configtest(command: Command) -> int:
    """Print the commands that `start` would run, and every problem."""
    from .configtest import configtest

    return configtest(command)


def status(command: Command) -> int:
    """Show what runs."""
    from . import render

    try:
        answer = command.dispatch.status(command.options.names, config=command.asked_config)
    except client.NoAnswerError:
        from . import forcing

        finding = forcing.look(command.run_directory, command.program)
        return command.terminal.fail(f"{finding.text}; see {command.logfile}", Status.UNKNOWN)
    if answer is None:
        from . import afterlife

        report, code = afterlife.status(command.run_directory, command.config_file)
        if _strangers(command, report):
            code = Status.UNKNOWN
    elif "status" not in answer:
        return command.terminal.fail(str(answer.get("error", "the master gave no answer")), Status.UNKNOWN)
    else:
        report, code = answer["status"], int(answer["exit"])
    if code == Status.UNKNOWN and command.options.names:
        command.terminal.error(
            f"{report['master']['config']}: there is no section [{_unlisted(command, report)}]"
        )
    if command.options.json:
        print(json.dumps(report, indent=2))
        return code
    numbers = None
    if command.options.verbose:
        from .usage import usage

        numbers = usage(row["pid"] for row in report["apps"] if row["pid"])
    print(render.table(report, usage=numbers))
    return code


def logs(command: Command) -> int:
    """Print logs."""
    from . import logs

    config, _ = command.source.load()
    if unknown := command.unknown(config):
        return command.terminal.fail(config.no_section(unknown[0]), Verb.USAGE)
    # What keeps a section from being started, or from being ours to start, keeps nobody from reading its logs.
    wanted = [
        app
        for app in (*config.apps, *config.unsound)
        if app.name in command.options.names or (app.enabled and not command.options.names)
    ]
    if command.options.crash:
        from . import lastwords

        paths = {app.name: app.crash_log for app in wanted}
        return lastwords.show(paths, most=_lines(command, flags.DEFAULT_DEATHS), json=command.options.json)
    files = {app.name: app.logfile for app in wanted}
    return logs.show(
        files, lines=_lines(command), follow=command.options.follow, as_json=command.options.json
    )


def events(command: Command) -> int:
    """Print what happened."""
    from . import eventlog
    from .recall import Recall

    names = command.options.names
    recall = Recall(
        command.run_directory, eventlog.path_beside(command.logfile), names, json=command.options.json
    )
    found = recall.last(_lines(command), command.options.timeout)
    # Of an app that is no longer configured, there may be much to tell.
    if names and not found:
        unknown = [name for name in command.unknown(command.source.parse()) if name != paths.NAME]
        if unknown:
            return command.terminal.fail(
                f"{command.config_file}: there is no section [{unknown[0]}]", Verb.USAGE
            )
    if command.options.follow:
        recall.follow(command.dispatch.reconnect)
    return Verb.DONE


def _unlisted(command: Command, report: dict[str, Any]) -> str:
    listed = {row["name"] for row in report["apps"]}
    return next((name for name in command.options.names if name not in listed), "")


def _strangers(command: Command, report: dict[str, Any]) -> list[str]:
    """The names given that are neither of what was left nor in the configuration, if that can be read."""
    listed = {row["name"] for row in report["apps"]}
    names = [name for name in command.options.names if name not in listed]
    try:
        return command.source.parse().unknown(names) if names else []
    except UnreadableError:
        return []


def _lines(command: Command, default: int = flags.DEFAULT_LINES) -> int:
    return default if command.options.lines is None else command.options.lines
