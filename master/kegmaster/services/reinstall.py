"""reinstall: the last install of a name once more; and the verbs of two steps, which end at the first that fails."""

from __future__ import annotations

import os

from ..config import configure
from ..exit_codes import Verb
from ..needs import Need
from . import agreement, answers, ask, entry, image, running, section, variables
from .editing import read_config
from .install import Request, apply
from .remove import remove
from .work import RefusedError, Work, shown


def reinstall(work: Work) -> int:
    """The verb, for the app that is named or for the master."""
    options = work.options
    names = list(dict.fromkeys([*options.names, *([options.service_name] if options.service_name else [])]))
    if len(names) > 1:
        raise RefusedError(f"one name at a time, not {' and '.join(names)}", Verb.USAGE)
    options.names = names
    name = names[0] if names else ""
    work.look()
    known = work.app(name) if name else entry.load(work.store)
    if known is None:
        why = (
            "what it was is forgotten, by --remove_install_args"
            if work.forgotten(name)
            else "it was never installed"
        )
        raise RefusedError(f"{name or 'the master'}: {why}; install it anew")
    boot = entry.load(work.store)
    if isinstance(known, answers.App):
        known = _as_it_stands(work, known)
        user = _user(known.section)
        typed = [
            "install", name, *([] if known.boot else ["--boot=none"]), *([f"--user={user}"] if user else []),
            *(["--", *words] if (words := known.words or _words(work, known)) else []),
        ]  # fmt: skip
        request = Request(
            name=name, words=known.words, section=known.section, env_file=known.env_file, replace=True, user=user,
            wants_boot=known.boot,
        )  # fmt: skip
        if boot is not None and not entry.standing(boot) and options.boot == "auto" and known.boot:
            request.boot, request.master_user = entry.again(boot), boot.user
    else:
        typed = ["install", f"--boot={known.plan.kind}", *([f"--user={known.user}"] if known.user else [])]
        request = Request(master_user=known.user, boot=entry.again(known), replace=True)
    if request.boot and request.boot.plan.needs_root and os.geteuid() != 0 and not options.print:
        raise work.no_rights(f"--boot={request.boot.plan.kind} is root's to install")
    work.tell(f"reinstall: {work.command.program} {shown(tuple(typed))}")
    if not options.yes and not options.print and ask.there() and not ask.yes("do that?"):
        work.tell("nothing was changed")
        return work.finish(Verb.FAILED)
    if isinstance(known, answers.App) and not options.print:
        _values(request, known)
    return apply(work, request)


def _as_it_stands(work: Work, known: answers.App) -> answers.App:
    """What was changed by hand since is what is wanted."""
    text = read_config(work.config_file)
    place = section.find(text, known.name) if text is not None else None
    if text is None or place is None:
        return known
    found = answers.as_found(known, text[place.start : place.end])
    if found != known:
        work.tell(f"{known.name}: its section was changed since it was installed; it stays as it is")
    return found


def _words(work: Work, known: answers.App) -> tuple[str, ...]:
    """What the section would run by itself, to be shown; nothing if it does not say."""
    config = configure(known.section, work.command.config_file, work.command.source.directories)
    app = config.find(known.name)
    return app.argv if app and "_command" in app.key_lines else ()


def _values(request: Request, known: answers.App) -> None:
    """What the kept file does not have any more is to be given again."""
    if known.variables and not os.path.exists(image.outside(known.env_file)):
        wanted = [Need(name=name, where="the last install") for name in known.variables]
        request.values = variables.collect(wanted, {})


def _user(section: str) -> str:
    for line in section.splitlines():
        key, equals, value = line.partition("=")
        if equals and key.strip() == "_user":
            return value.strip().replace("%%", "%")
    return ""


def stop_and(work: Work, then: str) -> int:
    """Stop, and if that went well, the second step; tells which failed."""
    command, options = work.command, work.options
    verb, names = options.verb, [*options.names, *([options.service_name] if options.service_name else [])]
    if not names and then == "restart":
        raise RefusedError(
            f"{verb}: which app? give its name; restart without names restarts all", Verb.USAGE
        )
    if then != "restart" and not names:
        work.look()
        agreement.own_entry(work, entry.load(work.store))
    if then != "restart" and _gone(work, names):
        done = running.Outcome(code=Verb.DONE, text="")
    else:
        done = running.order(command, "stop", names)
    for line in done.text.splitlines():
        work.tell(line)
    if done.code:
        raise RefusedError(f"{verb}: stop failed, so nothing else was done", done.code)
    steps = {"remove": remove, "reinstall": reinstall}
    try:
        code = steps[then](work) if then in steps else _start(work, names)
    except RefusedError as error:
        raise RefusedError(f"{verb}: {then} failed after the stop: {error}", error.code) from None
    if code:
        command.terminal.error(f"{verb}: {then} failed after the stop")
    return code


def _gone(work: Work, names: list[str]) -> bool:
    """It was installed here once, and has no section any more: there is nothing to stop."""
    work.look()
    text = read_config(work.config_file) or ""
    return len(names) == 1 and section.find(text, names[0]) is None and (
        work.app(names[0]) is not None or work.forgotten(names[0])
    )  # fmt: skip


def _start(work: Work, names: list[str]) -> int:
    done = running.order(work.command, "start", names)
    for line in done.text.splitlines():
        work.tell(line)
    return work.finish(done.code)
