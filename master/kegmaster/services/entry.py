"""The master's boot entry: which one this machine wants, put in and taken out as one transaction's steps.

Knows where artefacts go (below DESTDIR, if that is set) and who runs commands. Must not know sections.
"""

from __future__ import annotations

import base64
import os
import pwd
import shutil
import sys
from dataclasses import dataclass, replace
from typing import Any

from ..boot import detect, kinds
from ..boot.plan import Artefact, BootError, Plan, Service
from ..boot.presence import SUPERVISED, absent, no_session
from ..command import Command
from ..spec import Config
from . import image, marks
from .answers import Boot
from .script import ScriptError
from .store import Store, StoreError
from .transaction import StepError, Transaction, content_sum, read_crontab, snapshot

FILE = "master.json"
DISTANT = "a service of another user's systemd is his own to install; run this as him"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A boot entry that is to be there. `idle`: why its commands are not run; empty if they are."""

    plan: Plan
    name: str
    user: str
    description: str
    config: str
    idle: str = ""
    absent: str = ""
    """Why the next boot starts nothing, as this machine is now; empty if it does."""


def load(store: Store) -> Boot | None:
    """The last install of the master; None if there was none, or it is forgotten. Raises StoreError."""
    from .answers import boot

    row = store.read_json(FILE)
    if row is None or row.get("forgotten"):
        return None
    try:
        return boot(row)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"{store.path}/{FILE}: {error}; remove it") from None


def want(command: Command, user: str, config: Config | None) -> Wanted:
    """What the flags ask for, on this machine. `user`: the master's; `config`: if there is one. Raises BootError."""
    options = command.options
    machine = detect.machine()
    root = os.geteuid() == 0
    system = root and options.boot != "systemd-user"
    if options.boot == "auto" and image.destination():
        raise BootError("which init system the image has is not to be seen here; name it with --boot")
    kind = options.boot if options.boot != "auto" else kinds.choose(machine, system=system)
    own = pwd.getpwuid(os.geteuid())
    if kind == "systemd-user" and user not in ("", own.pw_name):
        raise BootError(DISTANT)
    if not root and user in ("", own.pw_name):
        # What an init system starts as root must not be given a configuration that he may write, and stay root.
        user = own.pw_name if kind in _MACHINES else ""
    in_image = user and image.destination()
    home = image.home(user) if in_image else (pwd.getpwnam(user) if user else own).pw_dir
    apps = [app for app in config.apps if app.enabled] if config else []
    directories = command.source.directories
    service = Service(
        name=options.boot_name, argv=(image.inside(sys.executable), command.script),
        **({"description": options.description} if options.description else {}),
        flags=(
            f"--master_config={command.config_file}", f"--pidfile_dir={command.run_directory.path}",
            f"--logfile_dir={directories.logfile_dir}", f"--state_dir={command.run_directory.state}",
        ),
        user=own.pw_name if kind == "systemd-user" else user, caller=own.pw_name, home=home,
        system=system or kind in _MACHINES,
        config=command.config_file, pidfile_dir=command.run_directory.path, logfile_dir=directories.logfile_dir,
        state_dir=command.run_directory.state, s4u=options.s4u, activate=options.activate, each=options.each,
        timeout_stop_s=max(180, 10 + int(sum(app.timeout_stop_sec for app in apps))),
        apps=tuple((app.name, app.argv, app.context.working_directory) for app in apps),
    )  # fmt: skip
    plan = kinds.plan(kind, service)
    for part in plan.artefacts if not plan.foreign else ():
        if part.role == "block":
            _may_take(part, service.name)
    if kind == "cron" and options.boot == "auto" and not root and machine.booted_systemd:
        plan = replace(plan, notes=(*plan.notes, f"cron has it, since {no_session(machine, own.pw_name)}"))
    why = no_session(machine, own.pw_name) if kind == "systemd-user" and machine.booted_systemd else ""
    if why and not options.print:
        raise BootError(f"{why}, or take --boot=cron; nothing was changed")
    if destination() and any(part.role == "crontab" for part in plan.artefacts):
        raise BootError("a crontab is no file of an image; with DESTDIR choose another --boot")
    return Wanted(
        plan=plan,
        name=service.name,
        user=user,
        description=options.description,
        config=command.config_file,
        idle=_idle(plan, machine),
        absent=absent(kind, machine),
    )


_MACHINES = ("systemd", "sysv", "openrc", "runit", "s6", "upstart", "rc.local")


def _idle(plan: Plan, machine: kinds.Machine) -> str:
    if destination():
        return f"it lies below {destination()}"
    if plan.kind in SUPERVISED and (why := absent(plan.kind, machine)):
        return why
    search = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"
    for words in plan.enable:
        if shutil.which(words[0], path=search) is None:
            return f"{words[0]} is not installed here"
    return ""


def destination() -> str:
    """What is put before the path of each artefact, for those who build an image or a package; mostly nothing."""
    return image.destination()


def place(artefact: Artefact) -> str:
    """Where the artefact stands; a link of somebody else's is followed, such as RHEL's /etc/rc.local."""
    path = destination() + artefact.path
    return os.path.realpath(path) if artefact.role == "block" else path


def content(artefact: Artefact, name: str, before: str | None, known: tuple[str, ...] = ()) -> str:
    """What is to stand there, given what stands there now; `known`: what install may have written there."""
    if artefact.role == "file":
        return artefact.link or artefact.text
    script = artefact.role == "block"
    return marks.put(
        before, name, artefact.text, artefact.frame, script=script, known=(artefact.text, *known)
    )


def _known(part: Artefact, before: Boot | None) -> tuple[str, ...]:
    """What an earlier install wrote where `part` goes."""
    parts = before.plan.artefacts if before is not None else ()
    return tuple(other.text for other in parts if (other.role, other.path) == (part.role, part.path))


def left(boot: Boot) -> list[str]:
    """Where lines of ours are still between those of others, which were changed and lack a mark. Raises StepError."""
    parts = [part for part in boot.plan.artefacts if part.role != "file"]
    return [_shown(part) for part in parts if marks.marked(_text(_now(part), part) or "", boot.name)]


def _shown(part: Artefact) -> str:
    return place(part) if part.path else "the crontab"


def _may_take(part: Artefact, name: str) -> None:
    try:
        content(part, name, _text(_now(part), part))
    except (ScriptError, StepError) as error:
        raise BootError(f"{place(part)}: {error}; nothing was changed") from None


def roused(wanted: Wanted) -> list[str]:
    """Scripts of somebody else's that do not run as they stand, and will: executable only with our lines."""
    shots = [(place(part), _now(part)) for part in wanted.plan.artefacts if part.role == "block"]
    return [path for path, now in shots if now and "mode" in now and not now["mode"] & 0o111]


def standing(boot: Boot) -> bool:
    """All of it stands where install put it, unchanged. Raises StepError."""
    return boot.installed and [content_sum(_now(part)) for part in boot.plan.artefacts] == [
        content_sum(shot) for shot in boot.after
    ]


def succeeds(wanted: Wanted, before: Boot) -> bool:
    """It is the same entry anew: what it writes takes the place of all that the one before wrote."""
    return (wanted.plan.kind, wanted.name) == (before.plan.kind, before.name)


def strangers(wanted: Wanted, before: Boot | None) -> list[str]:
    """Paths where something stands that install did not put there. Raises StepError."""
    ours = {}
    if before is not None and before.installed:
        ours = dict(zip((place(part) for part in before.plan.artefacts), before.after, strict=True))
    found = []
    for part in wanted.plan.artefacts:
        if part.role != "file":
            earlier = (part.text, *_known(part, before))
            lines = marks.within(_text(_now(part), part) or "", wanted.name, earlier)
            known = before is not None and before.installed and before.name == wanted.name
            if lines not in (None, *earlier) and not known:
                found.append(f"{_shown(part)}: {wanted.name}")
            continue
        now, path = snapshot(place(part)), place(part)
        same = content_sum(now) == content_sum(_shot(content(part, "", None), part))
        if now is not None and path not in ours and not same:
            found.append(path)
    return found


def put(transaction: Transaction, wanted: Wanted, before: Boot | None) -> tuple[Boot, list[str]]:
    """Write the artefacts and run the commands; what is to be remembered, and what was written. Raises StepError."""
    plan = wanted.plan
    kept: dict[str, Any] = {}
    ours: dict[str, Any] = {}
    if before is not None and before.installed:
        kept = dict(zip((place(part) for part in before.plan.artefacts), before.before, strict=True))
        ours = dict(zip(kept, before.after, strict=True))
    shots: list[Any] = []
    written: list[str] = []
    for part in plan.artefacts:
        now = _now(part)
        shots.append(kept.get(place(part), now))
        known = _known(part, before)
        others = (
            marks.cut(_text(now, part) or "", wanted.name, (part.text, *known)) if part.role != "file" else ""
        )
        if marks.marked(others, wanted.name):
            raise StepError(
                f"{_shown(part)}: holds lines that install wrote for {wanted.name}, changed and without one of their"
                " two marks; take them out by hand, with the mark"
            )
        try:
            text = content(part, wanted.name, _text(now, part), known)
        except ScriptError as error:
            raise StepError(f"{place(part)}: {error}") from None
        if part.role == "crontab":
            if _text(now, part) != text:
                transaction.crontab("", text)
                written.append("a line in the crontab")
            continue
        path = place(part)
        if _as_wanted(now, text, part):
            continue
        written.append(path)
        if part.role == "file" and path in ours and now and content_sum(now) != content_sum(ours[path]):
            _keep_aside(transaction, path, now)
        transaction.directory(os.path.dirname(path))
        if part.link:
            transaction.link(path, part.link)
        else:
            owner = tuple(now["owner"]) if now and part.role == "block" and "owner" in now else None
            data = text.encode(part.encoding, "surrogateescape" if part.encoding == "utf-8" else "strict")
            transaction.write(path, data, part.mode, owner)
    attempted = []
    if not wanted.idle:
        # If a later step fails, what was enabled is disabled before its file is taken away.
        for index, words in enumerate(plan.enable):
            undo = plan.disable[0] if index == len(plan.enable) - 1 and plan.disable else ()
            transaction.command(words, undo)
        for index, attempt in enumerate(plan.attempts):
            if not (attempt.done_if and os.path.exists(attempt.done_if)) and transaction.command(
                attempt.command, attempt.undo, may_fail=True
            ):
                attempted.append(index)
    return Boot(
        plan=plan, name=wanted.name, user=wanted.user, description=wanted.description, config=wanted.config,
        made=tuple(image.inside(path) for path in transaction.made), before=tuple(shots),
        after=tuple(_now(part) for part in plan.artefacts),
        attempted=tuple(attempted),
    ), written  # fmt: skip


def _as_wanted(now: dict[str, object] | None, text: str, part: Artefact) -> bool:
    if now is None or content_sum(now) != content_sum(_shot(text, part)):
        return False
    return bool(part.link) or now.get("mode") == part.mode


def take_out(transaction: Transaction, boot: Boot) -> list[str]:
    """Undo it; what was changed since, and so could not be made what it was, in words. Raises StepError."""
    plan, notes = boot.plan, []
    # The master is stopped already; but an init system that supervises must know that it was meant.
    stop = plan.stop if plan.kind in (*SUPERVISED, "openrc") else ()
    for words in () if destination() else (*stop, *plan.disable):
        transaction.command(words, may_fail=True)
    for part, before, after in zip(plan.artefacts, boot.before, boot.after, strict=True):
        now = _now(part)
        if now is None:
            continue
        unchanged = content_sum(now) == content_sum(after)
        if part.role == "file":
            if not unchanged:
                notes.append(_keep_aside(transaction, place(part), now))
            _bring_back(transaction, place(part), before)
        elif unchanged and not _ours_within(_text(before, part) or "", part, boot.name):
            if part.role == "crontab":
                transaction.crontab("", _text(before, part))
            else:
                _bring_back(transaction, place(part), before)
        else:
            text = marks.cut(_text(now, part) or "", boot.name, (part.text,))
            if part.role == "crontab":
                transaction.crontab("", text or None)
            else:
                transaction.write(
                    place(part), text.encode("utf-8", "surrogateescape"), now["mode"], now["owner"]
                )
    for words in () if destination() else plan.forget:
        transaction.command(words, may_fail=True)
    for index in boot.attempted:
        if plan.attempts[index].undo:
            transaction.command(plan.attempts[index].undo, may_fail=True)
    for path in reversed((*boot.made, *plan.made)):
        transaction.rmdir(image.outside(path))
    return notes


def _ours_within(text: str, part: Artefact, name: str) -> bool:
    return marks.marked(text, name) or marks.cut(text, name, (part.text,)) != text


def _keep_aside(transaction: Transaction, path: str, now: dict[str, Any]) -> str:
    """What a person wrote is never lost: a copy that no init system takes for a service of its own."""
    if "link" in now:
        return f"{path} was changed since it was installed, to a link to {now['link']}"
    aside = f"{path}.changed"
    transaction.write(aside, base64.b64decode(now["data"]), now["mode"] & ~0o111, tuple(now["owner"]))
    return f"{path} was changed since it was installed; that is kept in {aside}"


def changed(before: Boot) -> list[str]:
    """Files of the boot entry that somebody changed since install wrote them. Raises StepError."""
    rows = [(place(part), _now(part), after) for part, after in zip(before.plan.artefacts, before.after, strict=True)
            if part.role == "file"]  # fmt: skip
    return [path for path, now, after in rows if now is not None and content_sum(now) != content_sum(after)]


def _bring_back(transaction: Transaction, path: str, before: dict[str, Any] | None) -> None:
    if before is None:
        transaction.unlink(path)
    else:
        transaction.bring_back(path, before)


def _now(part: Artefact) -> Any:
    if part.role == "crontab":
        text = read_crontab()
        return None if text is None else _shot(text, part)
    return snapshot(place(part))


def _shot(text: str, part: Artefact) -> dict[str, object]:
    if part.link:
        return {"link": text}
    data = text.encode(part.encoding, "surrogateescape" if part.encoding == "utf-8" else "strict")
    return {"data": base64.b64encode(data).decode(), "mode": part.mode, "owner": [0, 0]}


def _text(shot: Any, part: Artefact) -> str | None:
    if shot is None or "data" not in shot:
        return None
    return base64.b64decode(shot["data"]).decode("utf-8", "surrogateescape") if part.role != "file" else None


def again(boot: Boot) -> Wanted:
    """What an earlier install wanted, to be wanted once more."""
    return Wanted(
        plan=boot.plan, name=boot.name, user=boot.user, description=boot.description, config=boot.config,
        idle=_idle(boot.plan, detect.machine()), absent=absent(boot.plan.kind, detect.machine()),
    )  # fmt: skip
