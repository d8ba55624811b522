"""What a person is told once all is written: how it starts, as whom it runs, and what is missing.

Must not change anything.
"""

from __future__ import annotations

import os

from ..boot.presence import SUPERVISED
from ..loading import UnreadableError
from . import entry
from .transaction import run
from .work import Work, shown


def to_start(program: str, name: str, boot: entry.Wanted | None) -> str:
    """The command that starts it now: the init system's own, where there is one."""
    words = f"{program} start{f' {name}' if name else ''}"
    if boot is None:
        return f"nothing was started; {words} does it"
    if not boot.idle and boot.plan.kind in (*SUPERVISED, "sysv", "openrc"):
        words = shown(boot.plan.start[0])
    if boot.plan.kind in ("runit", "s6") and not boot.idle:
        return f"it is started within seconds, as all that stands there; {words} does it at once"
    return f"nothing was started; {words} does it{or_at_boot(boot)}"


def or_at_boot(boot: entry.Wanted | None) -> str:
    """That waiting for a boot does as well, if it does."""
    return "" if boot is None or boot.idle or boot.absent else ", and so does the next boot"


def as_root(work: Work, user: str) -> None:
    """Nobody should run all his programs as root without having been told."""
    if os.geteuid() == 0 and not user:
        work.tell(
            "note: the master and its apps run as root; install --user=NAME has all of them run as NAME,"
            " install APP --user=NAME one app"
        )


def beside(boot: entry.Wanted) -> str:
    """That the master which runs is not the one that systemd has; empty if it is, or if that cannot be asked."""
    if boot.idle or not boot.plan.kind.startswith("systemd"):
        return ""
    start = boot.plan.start[0]
    asked = tuple("is-active" if word == "start" else word for word in start)
    if not run(asked):
        return ""
    return (
        f"note: the master that runs was not started by {boot.plan.kind}; to have it do so: master.py stop,"
        f" then {shown(start)}"
    )


def lacking(work: Work) -> None:
    """Apps of the configuration that this machine has no program for."""
    if entry.destination() or not os.path.exists(work.command.config_file):
        return
    try:
        config, missing = work.command.source.load()
    except UnreadableError:
        return  # the file is the master's user's, and root starts nothing by it
    for problem in config.problems:
        if problem.section in missing:
            work.tell(f"note: {problem}")


def untried(work: Work, boot: entry.Wanted) -> None:
    """What was attempted in vain, and root may do."""
    kept = entry.load(work.store)
    for index, attempt in enumerate(boot.plan.attempts):
        done = (kept is not None and index in kept.attempted) or (
            attempt.done_if and os.path.exists(attempt.done_if)
        )
        if not done:
            work.tell(f"note: {attempt.otherwise}")
