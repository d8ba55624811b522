"""The _stop_command of an app: a process that asks another one to end.

Knows how to make it. What becomes of it is the crew's business: it is one of the app's own processes, bears their
marks, and so outlives neither the app nor, unseen, the watchdog. Imported only where a section has such a command.
"""

from __future__ import annotations

import contextlib
import os
import signal

from . import proc, spawn
from .environment import credentials, environment
from .instance import Instance
from .journal import Journal
from .lean import Final
from .output import Output
from .proc import Process
from .programs import ProgramError, Search
from .restart import Exit
from .spec import App

_MOST_BYTES: Final = 4096


def begin(
    app: App, instance: Instance, search: Search, output: Output, run: str, journal: Journal
) -> bool:  # fmt: skip
    """Run it as `instance.stopper`, with what it prints in the app's log; False if that cannot be.

    `run`: the run directory.
    """
    try:
        _begin(app, instance, search, output, run)
    except (ProgramError, OSError, KeyError) as error:
        journal.warning(f"{app.name}: _stop_command cannot be run: {error}")
        return False
    return True


def _begin(app: App, instance: Instance, search: Search, output: Output, run: str) -> None:
    launch = _prepare(app, instance, search, output, run)
    try:
        batch = spawn.hold([launch])
    finally:
        os.close(launch.output)
    held = batch.held[0]
    try:
        if isinstance(held, OSError):
            raise held
        instance.stopper, instance.stop_report = _hold(held), held.report
    finally:
        batch.release()


def words(command: tuple[str, ...], pid: int) -> tuple[str, ...]:
    """With the number for ${MAINPID}, and for $MAINPID as a word of its own, as systemd's ExecStop has it."""
    return tuple(str(pid) if word == "$MAINPID" else word.replace("${MAINPID}", str(pid)) for word in command)


def conclude(instance: Instance, ended: Exit | None) -> str:
    """It has ended: what went wrong, in words; empty if nothing did."""
    failure = b""
    with contextlib.suppress(BlockingIOError):
        failure = os.read(instance.stop_report, _MOST_BYTES)
    os.close(instance.stop_report)
    instance.stopper, instance.stop_report = None, -1
    if failure:
        return failure.decode("utf-8", "replace")
    return "" if ended and ended.status == 0 else str(ended or Exit())


def _prepare(app: App, instance: Instance, search: Search, output: Output, run: str) -> spawn.Launch:
    context = app.context
    variables = environment(app, search, os.environ)
    marks = {proc.COOKIE: instance.cookie, proc.APP: app.name, proc.RUN: run}
    path = search.find(app.stop_command[0], dict(context.environment).get("PATH", ""))
    uid, gid, groups = credentials(context)
    return spawn.Launch(
        path=path, argv=words(app.stop_command, instance.main_pid),
        environment=variables | marks | {"MAINPID": str(instance.main_pid)},
        output=output.also(app), umask=context.umask, nice=context.nice, limit_nofile=context.limit_nofile,
        tag=proc.tag(instance.cookie), working_directory=context.working_directory, uid=uid, gid=gid, groups=groups,
        leaf=instance.leaf,
    )  # fmt: skip


def _hold(held: spawn.Held) -> Process:
    try:
        return Process(held.pid)
    except OSError:  # no descriptor left: it is our child and not let loose yet
        os.kill(held.pid, signal.SIGKILL)
        os.close(held.report)
        raise
