"""What is to be installed held against what is there: the user, the master's own user, its configuration, the image.

Each check raises RefusedError, before anything is written. Must not change anything.
"""

from __future__ import annotations

import os
import pwd
from typing import TYPE_CHECKING

from .. import forcing
from ..exit_codes import Verb
from ..loading import other_config, same_file
from ..spec import Config
from . import answers, editing, entry, handover, image, rights, running
from .work import RefusedError, Work

if TYPE_CHECKING:
    from .install import Request


def user_there(work: Work, name: str) -> None:
    """The user `name` exists, and is ours to install for. Raises RefusedError."""
    if not name or image.destination():
        return
    account = rights.user(name)
    if account is None:
        raise RefusedError(f"--user: there is no user {name}; make it or name another", Verb.USAGE)
    if os.geteuid() not in (0, account.pw_uid):
        raise work.no_rights(f"only root installs something that runs as {name}")


def startable_as(work: Work, name: str, user: str) -> None:
    """Only root's master can start an app as anybody but itself. Raises RefusedError."""
    boot = entry.load(work.store)
    if boot is not None and boot.installed and boot.user not in ("", "root", user):
        raise RefusedError(
            f"the master runs as {boot.user}, and only root's could start {name} as {user}; leave out --user,"
            " or give root a master of its own",
            Verb.USAGE,
        )


def master_startable_as(config: Config | None, user: str) -> None:
    """A master that is not root's cannot start what is to run as somebody else. Raises RefusedError."""
    if user in ("", "root"):
        return
    for app in config.apps if config else ():
        other = "_group" if app.context.group else "_user" if app.context.user not in ("", user) else ""
        if app.enabled and other:
            raise RefusedError(
                f"{config.file if config else ''}:{app.key_lines.get(other, app.line)}: [{app.name}] {other}: a master"
                f" that runs as {user} cannot start it so; take that out, or install the master without --user",
                Verb.NOT_CONFIGURED,
            )


def same_master(work: Work, before: answers.Boot) -> None:
    """One state directory is one master's: another's boot entry is not to be taken over. Raises RefusedError."""
    config = work.command.config_file
    if before.config in ("", config) or work.options.replace or work.options.print:
        return
    raise RefusedError(
        f"the boot entry {before.name} starts the master of {before.config}, not that of {config}. A second master"
        " wants its own --boot_name, --pidfile_dir, --logfile_dir and --state_dir; --replace has this one started"
        " in place of the other; with a program, --boot=none leaves the boot alone",
        Verb.USAGE,
    )


def own_entry(work: Work, boot: answers.Boot | None) -> None:
    """What is to be removed is this configuration's, not another's in the same directories. Raises RefusedError."""
    config = work.command.config_file
    if boot is None or not boot.installed or boot.config == "" or same_file(boot.config, config):
        return
    raise RefusedError(
        f"the boot entry {boot.name} starts the master of {boot.config}, not that of {config}; to remove it give"
        f" --master_config={boot.config}; nothing was changed",
        Verb.USAGE,
    )


def own_master(work: Work) -> None:
    """The master that would be told, or ended, has this configuration. Raises RefusedError."""
    command = work.command
    if image.destination() or not running.runs(command):
        return
    has = forcing.config_of(command.run_directory)
    if has and not same_file(has, command.config_file):
        why = other_config(command.run_directory.path, has, command.config_file)
        raise RefusedError(f"{why}; nothing was changed")


def harmless(work: Work, before: answers.Boot | None, wanted: entry.Wanted, edited: list[str]) -> None:
    """Neither what somebody wrote into `edited` files is lost, nor does anything stop unasked. Raises RefusedError."""
    options = work.options
    if edited and not options.replace:
        raise RefusedError(
            f"{', '.join(edited)}: was changed since it was installed; --replace writes it anew, and keeps what was"
            f" changed in {edited[0]}.changed; nothing was changed now"
        )
    if before is None or not before.installed or image.destination() or entry.succeeds(wanted, before):
        return
    if not options.now and running.runs(work.command):
        raise RefusedError(
            f"the master runs, and was started by {before.plan.kind}: to have it started by {wanted.plan.kind} stops it"
            " and its apps. --now does so, and starts them again; or stop it first:"
            f" {work.command.program} stop; nothing was changed"
        )


def within_image(targets: list[str]) -> None:
    """No symlink in an image may lead us out of it. Raises RefusedError."""
    if found := image.escapes(targets):
        raise RefusedError(f"{', '.join(found)}: leads out of {image.VARIABLE}; nothing was changed")


def allowed(work: Work, request: Request) -> None:
    """Everything that may be asked before anything is written."""
    command = work.command
    targets = [f"{work.store.path}/x"]
    if request.name:
        targets.append(os.path.realpath(work.config_file))
    if request.boot:
        targets += [entry.place(part) for part in request.boot.plan.artefacts if part.path]
    within_image(targets)
    if blocked := rights.unwritable(targets):
        raise work.no_rights(rights.said(blocked))
    if not image.destination():
        running.refuse_frozen(command)
    if request.boot is None or image.destination():
        return
    directories = command.source.directories
    account = rights.user(request.master_user) if request.master_user else None
    reads = [command.script, *([command.config_file] if os.path.exists(command.config_file) else [])]
    found = rights.obstacles(account, reads=reads, runs=[os.path.realpath("/proc/self/exe")], writes=[])
    writes = [command.run_directory.path, directories.logfile_dir, command.run_directory.state]
    blocked = [path for path in writes if rights.obstacles(account, reads=[], runs=[], writes=[path])]
    if blocked and account and os.geteuid() == 0:
        request.handover, wrong = _handover(work, account, blocked)
        found += wrong
    else:
        found += [
            text for path in blocked for text in rights.obstacles(account, reads=[], runs=[], writes=[path])
        ]
    if found:
        raise RefusedError(f"{'; '.join(found)}; mend that first, nothing was changed", Verb.NO_RIGHTS)


def _handover(
    work: Work, account: pwd.struct_passwd, directories: list[str]
) -> tuple[handover.Handover, list[str]]:
    """Root's master has used these directories before; from now on its user does."""
    if running.runs(work.command):
        raise RefusedError(
            f"a master runs that is not {account.pw_name}'s; end it first: {work.command.program} stop."
            " Nothing was changed"
        )
    config = editing.parsed(work, account.pw_name) if os.path.exists(work.config_file) else None
    apps = {app.name: app for app in (*config.apps, *config.unsound)} if config else {}
    kept = [app for name in work.apps() if (app := work.app(name))]
    values = [app.env_file for app in kept if app.env_file and not (
        app.name in apps and apps[app.name].context.user
    )]  # fmt: skip
    return handover.plan(account, directories, values, {*apps, *(app.name for app in kept)})
