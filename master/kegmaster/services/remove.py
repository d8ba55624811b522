"""remove: what install did is undone, for one app or for the master; logs stay, and what reinstall needs."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace

from ..exit_codes import Verb
from ..loading import same_file
from . import answers, entry, image, rights, running, section, variables
from .agreement import own_entry, own_master, within_image
from .editing import parsed, read_config, write_config
from .transaction import StepError
from .work import RefusedError, Work, shown

_LINE = "the line in the crontab"


def remove(work: Work) -> int:
    """The verb, for the app that is named or for the master."""
    options = work.options
    names = list(dict.fromkeys([*options.names, *([options.service_name] if options.service_name else [])]))
    if len(names) > 1:
        raise RefusedError(f"one name at a time, not {' and '.join(names)}", Verb.USAGE)
    options.names = names
    work.look()
    if options.remove_nssm:
        work.tell("--remove_nssm: no nssm.exe of ours is here, there is nothing to do")
    return _remove_app(work, names[0]) if names else _remove_master(work)


def _remove_app(work: Work, name: str) -> int:
    command, options = work.command, work.options
    text = read_config(work.config_file)
    place = section.find(text, name) if text is not None else None
    known = work.app(name)
    if place is None and known is None and not work.forgotten(name):
        raise RefusedError(f"{command.config_file}: there is no section [{name}]", Verb.USAGE)
    config = parsed(work) if place else None
    others = [app for app in (*config.apps, *config.unsound) if app.name != name] if config else []
    boot = _boot_of_app(work, keep=place is None or any(app.enabled for app in others))
    if options.print:
        found = (text or "")[place.start : place.end] if place else ""
        work.say(f"# taken out of {command.config_file}:\n{found}", config=command.config_file, section=found)
        return _print_boot(work, boot) if boot else work.finish(Verb.DONE)
    targets = [f"{work.store.path}/x", os.path.realpath(work.config_file)]
    _check_rights(work, boot, targets)
    kept = known
    if place is not None:
        found = (text or "")[place.start : place.end]
        kept = answers.as_found(known, found) if known else answers.App(
            name=name, config=command.config_file, words=(), section=found
        )  # fmt: skip
        if known and known.section != found:
            work.tell(f"{name}: its section was changed since it was installed; it is kept as it was last")
    work.begin()
    running_before = not image.destination() and running.runs(command)
    if running_before and place is not None and not others:
        _stop_master(work)
        running_before = False

    def steps() -> None:
        _take_section(work, name, text, place, kept, running_before)
        if boot:
            _take_boot(work, boot)

    work.carry_out(steps, name)
    if place is None:
        work.tell(f"{name}: is not installed, there is nothing to remove")
    else:
        work.tell(f"{name}: removed from {command.config_file}")
    code = Verb.DONE
    if boot:
        code = _tell_gone(work, boot)
    elif place is not None and (still := entry.load(work.store)) is not None and still.installed:
        work.tell(f"kept: the master starts at boot, by {still.plan.kind}; remove without a name takes that")
    _tell_kept(work, name, kept)
    return work.finish(code)


def _take_section(
    work: Work, name: str, text: str | None, place: section.Place | None, kept: answers.App | None, runs: bool
) -> None:
    command, options, transaction = work.command, work.options, work.transaction
    if place is not None and text is not None and kept is not None:
        new = section.remove(text, place, kept.glue)
        ours = {path for app in (*_apps(work), kept) for path in map(image.outside, app.made)}
        path = os.path.realpath(work.config_file)
        pidfile = f"{command.run_directory.path}/{name}.pid"
        if app := parsed(work).find(name):
            pidfile = app.pidfile
        write_config(work, text, new)
        if runs:
            done = running.reload(command, name)
            if done.code and running.state(command, name).get("pid"):
                # The file has other faults, or its process does not end: then it must end by name.
                ended = running.order(command, "stop", [name])
                if ended.code:
                    raise StepError(f"{name}: not ended: {' '.join(ended.text.split())}")
        pidfile = image.outside(pidfile)
        if os.path.lexists(pidfile) and not os.path.islink(pidfile):
            transaction.unlink(pidfile)
        if path in ours and not new.strip("\ufeff\r\n\t "):
            transaction.unlink(path)
    if not image.destination():
        running.forget_stop(command, name)
    if options.remove_env_vars:
        _take_values(work, name, kept)
    made = dict.fromkeys(
        image.outside(path) for app in (*_apps(work), *([kept] if kept else [])) for path in app.made
    )
    for path in sorted(made, key=len, reverse=True):
        transaction.rmdir(path)
    if options.remove_install_args:
        work.forget(name)
    elif kept:
        work.keep(replace(kept, installed=False))


def _take_values(work: Work, name: str, kept: answers.App | None) -> None:
    """Remove the file of its variables: also one of which only the name tells, when all else is forgotten."""
    usual = variables.path(image.inside(os.path.realpath(work.config_file)), name)
    for path in dict.fromkeys((usual, *([kept.env_file] if kept and kept.env_file else []))):
        if os.path.lexists(image.outside(path)):
            work.transaction.unlink(image.outside(path))
            work.tell(f"{name}: its variables are removed")
        work.transaction.rmdir(os.path.dirname(image.outside(path)))


def _apps(work: Work) -> Iterable[answers.App]:
    yield from filter(None, map(work.app, work.apps()))


def _remove_master(work: Work) -> int:
    options = work.options
    boot = entry.load(work.store)
    if boot is None or not boot.installed:
        if work.store.of_root:
            raise work.no_rights(f"{work.store.of_root}: what root installed is root's to remove")
        if options.remove_install_args and boot:
            work.begin()
            work.carry_out(lambda: work.forget(""), "")
        work.tell("the master: is not installed, there is nothing to remove")
        return work.finish(Verb.DONE)
    own_entry(work, boot)
    if options.print:
        return _print_boot(work, boot)
    _check_rights(work, boot, [f"{work.store.path}/x"])
    if not entry.destination() and (running.runs(work.command) or work.command.dispatch.leftovers()):
        _stop_master(work)
    work.carry_out(lambda: _take_boot(work, boot), "")
    code = _tell_gone(work, boot)
    _tell_kept(work, "", None)
    return work.finish(code)


def _boot_of_app(work: Work, *, keep: bool) -> answers.Boot | None:
    """The boot entry, if it came with an app and no app needs it any more."""
    boot = entry.load(work.store)
    if boot is None or not boot.installed or not boot.by_app or keep:
        return None
    return boot if same_file(boot.config, work.command.config_file) else None


def _print_boot(work: Work, boot: answers.Boot) -> int:
    places = _places(boot)
    commands = [*boot.plan.stop, *boot.plan.disable, *boot.plan.forget]
    lines = [
        *(f"# removed: {path}" for path in places),
        *(f"# remove runs: {shown(words)}" for words in commands),
    ]
    work.say(
        "".join(f"{line}\n" for line in lines), removed=places, commands=[list(words) for words in commands]
    )
    return work.finish(Verb.DONE)


def _check_rights(work: Work, boot: answers.Boot | None, targets: list[str]) -> None:
    if boot and boot.plan.needs_root and os.geteuid() != 0:
        raise work.no_rights(f"--boot={boot.plan.kind} is root's to remove")
    files = [entry.place(part) for part in boot.plan.artefacts if part.path] if boot else []
    within_image([*targets, *files])
    if blocked := rights.unwritable([*targets, *files]):
        raise work.no_rights(rights.said(blocked))
    if not image.destination():
        running.refuse_frozen(work.command)
    own_master(work)


def _stop_master(work: Work) -> None:
    ended = running.order(work.command, "stop", [])
    if ended.code:
        raise RefusedError(f"the master does not stop: {' '.join(ended.text.split())}; nothing was removed")
    work.tell("the master and its apps are stopped")


def _take_boot(work: Work, boot: answers.Boot) -> None:
    for note in entry.take_out(work.transaction, boot):
        work.tell(note)
    if work.options.remove_install_args:
        work.forget("")
    else:
        work.keep(replace(boot, installed=False))


def _tell_gone(work: Work, boot: answers.Boot) -> Verb:
    """Say what is removed, and what is not; the exit status."""
    left = entry.left(boot)
    for path in _places(boot):
        if path not in left and not (left and path == _LINE):
            work.tell(f"removed: {path}")
    for path in left:
        work.tell(
            f"not removed: {path} holds lines that install wrote for {boot.name}, changed and without one of their two"
            " marks; take them out by hand, with the mark"
        )
    return Verb.FAILED if left else Verb.DONE


def _places(boot: answers.Boot) -> list[str]:
    files = [entry.place(part) for part in boot.plan.artefacts if part.path]
    return files or [_LINE]


def _tell_kept(work: Work, name: str, kept: answers.App | None) -> None:
    logs = image.outside(work.command.source.directories.logfile_dir)
    if os.path.isdir(logs) and os.listdir(logs):
        work.tell(f"kept: the logs in {logs}")
    if kept and kept.env_file and os.path.exists(image.outside(kept.env_file)):
        work.tell(f"kept: {kept.env_file}; remove {name} --remove_env_vars takes it")
    if not work.options.remove_install_args:
        work.tell(f"kept: what reinstall needs, in {work.store.path}; --remove_install_args takes it")
