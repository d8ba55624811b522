"""install: a program becomes an app of the configuration, and the master part of the machine's boot."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass, field

from ..absolute import make_absolute
from ..boot import checked
from ..boot.plan import BootError
from ..config import RESERVED, sound_name
from ..exit_codes import Verb
from ..programs import ProgramError
from . import (
    advice,
    agreement,
    answers,
    editing,
    entry,
    handover,
    image,
    listing,
    rights,
    running,
    section,
    variables,
)
from .work import RefusedError, Work, shown


@dataclass(slots=True, kw_only=True)
class Request:
    """What is to be installed: the app `name` (empty: only the master), its section, and its variables."""

    name: str = ""
    words: tuple[str, ...] = ()
    section: str = ""
    values: dict[str, str] = field(default_factory=dict)
    env_file: str = ""
    user: str = ""
    master_user: str = ""
    replace: bool = False
    wants_boot: bool = False
    handover: handover.Handover | None = None
    boot: entry.Wanted | None = None
    """None: the boot entry is left as it is, though `wants_boot` may hold."""


def install(work: Work) -> int:
    """The verb."""
    options = work.options
    name = _name(work)
    if not name and options.program:
        raise RefusedError("the program needs a name: install NAME -- PROGRAM WORDS", Verb.USAGE)
    if name and not options.program:
        raise RefusedError(f"what does {name} run? install {name} -- PROGRAM WORDS", Verb.USAGE)
    if options.program[1:] in (["-h"], ["--help"]):
        return _help(options.program)
    work.look()
    request = Request(name=name, replace=options.replace, wants_boot=options.boot != "none")
    if name:
        request.user = options.user
    else:
        request.master_user = options.user
    agreement.user_there(work, options.user)
    if name and options.user:
        agreement.startable_as(work, name, options.user)
    if name:
        _describe(work, request)
    elif not os.path.exists(work.config_file) and not options.print:
        editing.parsed(work)  # says what is missing, and how to mend it
    _boot(work, request)
    if name and not options.print:
        request.values = variables.collect(variables.needed(request.words, os.getcwd()), request.values)
    return apply(work, request)


def apply(work: Work, request: Request) -> int:
    """Check the rights, then show it or do it."""
    if request.boot and request.boot.plan.foreign:
        work.options.print = True
    text = editing.read_config(work.config_file)
    new, glue = (
        editing.with_section(
            work, request.name, request.section, text, words=request.words, over=request.replace
        )
        if request.name
        else (text or "", "")
    )
    if work.options.print:
        return work.finish(Verb.DONE, **listing.show(work, request, quiet=work.options.json))
    agreement.allowed(work, request)
    if request.boot is None and new == (text or "") and not request.values:
        work.tell(f"{request.name or 'the master'}: is installed already, nothing is to be done")
        return work.finish(Verb.DONE)
    account = None if image.destination() else rights.user(request.master_user)
    work.begin((account.pw_uid, account.pw_gid) if account else None)
    before = entry.load(work.store)
    work.carry_out(lambda: _steps(work, request, text, new, glue, before), request.name)
    return _after(work, request)


def _name(work: Work) -> str:
    options = work.options
    names = [*options.names, *([options.service_name] if options.service_name else [])]
    if len(set(names)) > 1:
        raise RefusedError(f"one name at a time, not {' and '.join(names)}", Verb.USAGE)
    name = names[0] if names else ""
    options.names = [name] if name else []
    if name == RESERVED:
        raise RefusedError(f"{name} is the launcher's own name; take another", Verb.USAGE)
    if name and not sound_name(name):
        raise RefusedError(
            f"{name!r} makes no name: use letters, digits and _ . @ : + -, at most 64,"
            " beginning with a letter, digit or _",
            Verb.USAGE,
        )
    return name


def _help(program: list[str]) -> int:
    """The program's own help, as if it had been called by hand."""
    try:
        return subprocess.run(program, check=False).returncode & 0xFF
    except OSError as error:
        raise RefusedError(f"{program[0]}: {error.strerror}", Verb.NOT_INSTALLED) from None


def _describe(work: Work, request: Request) -> None:
    """The words made absolute, the section composed."""
    options, command = work.options, work.command
    words = tuple(options.program)
    cwd = os.getcwd()
    if options.absolute and not image.destination():
        words, changes = make_absolute(words, cwd, os.path.exists, every_name=True)
        pairs = [(change.before, change.after) for change in changes]
        if "/" not in words[0] and (found := shutil.which(words[0])) and os.path.isabs(found):
            pairs.insert(0, (words[0], found))
            words = (found, *words[1:])
        for before, after in pairs:
            if not options.print:
                work.tell(f"{request.name}: {shown((before,))} is made absolute: {shown((after,))}")
        work.report["absolute"] = [{"before": before, "after": after} for before, after in pairs]
    try:
        if not image.destination():
            command.source.search.find(words[0])
    except ProgramError as error:
        raise RefusedError(
            f"{error}; {error.cure}", Verb.NOT_INSTALLED if error.missing else Verb.FAILED
        ) from None
    request.words = words
    request.values = variables.given(options)
    needed = variables.needed(words, cwd)
    if needed or request.values:
        request.env_file = variables.path(image.inside(os.path.realpath(work.config_file)), request.name)
    if options.print and (lacking := variables.missing(needed, request.values)):
        for need in lacking:
            command.terminal.error(
                f"{need.name}, named in {need.where}, is not set: install would ask for it"
            )
    end = section.line_end(editing.read_config(work.config_file) or "")
    try:
        settings = [("_enabled", "True"), ("_command", section.command(words))]
        settings += [("_user", section.plain(options.user))] if options.user else []
        settings += [("_environment_file", section.plain(request.env_file))] if request.env_file else []
    except section.UnwritableError as error:
        raise RefusedError(f"{request.name}: {error}; give it in a file or a variable", Verb.USAGE) from None
    request.section = section.compose(request.name, settings, end)


def _boot(work: Work, request: Request) -> None:
    """Whether the boot entry is to be written, and which."""
    options = work.options
    if options.boot == "none":
        if not request.name:
            raise RefusedError("--boot=none without a program: then there is nothing to install", Verb.USAGE)
        return
    before = entry.load(work.store)
    edited = entry.changed(before) if before is not None and before.installed else []
    try:
        checked.check_name(options.boot_name)
    except BootError as error:
        raise RefusedError(f"--boot_name: {error}", Verb.USAGE) from None
    if before is not None and before.installed:
        agreement.same_master(work, before)
    if request.name and options.boot == "auto":
        if before is not None and entry.standing(before):
            return
        if edited and not options.replace:
            work.tell(f"{', '.join(edited)}: was changed since it was installed, and stays as it is")
            return
        if work.store.of_root and before is None:
            work.tell("note: that this master starts at boot is root's to install, and seems to be so")
            return
    if before is not None and before.installed and request.name:
        request.master_user = before.user
    config = editing.parsed(work, request.master_user) if os.path.exists(work.config_file) else None
    agreement.master_startable_as(config, request.master_user)
    try:
        wanted = entry.want(work.command, request.master_user, config)
    except BootError as error:
        if request.name and options.boot == "auto" and not image.destination():
            work.tell(f"note: nothing starts the master at boot here: {error}")
            return
        hint = "; --boot=none leaves the machine's boot alone" if request.name else ""
        raise RefusedError(f"{error}{hint}") from None
    request.boot = wanted
    if wanted.plan.foreign or options.print:
        return
    if not request.name:
        editing.refuse_broken(work, editing.parsed(work, request.master_user))
    if wanted.plan.needs_root and os.geteuid() != 0:
        raise work.no_rights(f"--boot={wanted.plan.kind} is root's to install", boot=wanted.plan.kind)
    if (strange := entry.strangers(wanted, before)) and not options.replace:
        raise RefusedError(
            f"{', '.join(strange)}: is there already, and not ours; --replace puts ours in its place,"
            " --boot_name=NAME ours beside it"
        )
    agreement.harmless(work, before, wanted, edited)


def _steps(
    work: Work, request: Request, text: str | None, new: str, glue: str, before: answers.Boot | None
) -> None:
    transaction = work.transaction
    if request.handover:
        handover.carry_out(transaction, request.handover)
        for path in request.handover.directories:
            work.tell(f"{path}: belongs to {request.master_user} now, with what the master keeps there")
    made_for_app: tuple[str, ...] = ()
    if request.name:
        known = work.app(request.name)
        if request.values:
            write_values(work, request)
        if new != (text or ""):
            editing.write_config(work, text, new)
        created = [os.path.realpath(work.config_file)] if text is None else []
        here = (*transaction.made, *created)
        made_for_app = (*(known.made if known else ()), *(image.inside(path) for path in here))
        transaction.made = []
        env_file, names = request.env_file, tuple(request.values) or (known.variables if known else ())
        if known and known.env_file and not request.env_file:
            # Nothing reads it any more, but it is still ours to remove.
            env_file, names = known.env_file, ()
            work.tell(
                f"kept: {known.env_file}, which {request.name} reads no longer; remove --remove_env_vars takes it"
            )
        app = answers.App(
            name=request.name, config=work.command.config_file, words=request.words, section=request.section,
            glue=glue, env_file=env_file, variables=names, made=tuple(dict.fromkeys(made_for_app)),
            boot=request.wants_boot,
        )  # fmt: skip
    boot = None
    if request.boot:
        for path in entry.roused(request.boot):
            work.tell(
                f"{path}: was not executable, so it did not run; now it is, and all its lines run at boot"
            )
        if before is not None and before.installed and not entry.succeeds(request.boot, before):
            if not image.destination() and running.runs(work.command):
                running.stop(work.command)
                work.tell("the master and its apps are stopped")
            for note in entry.take_out(transaction, before):
                work.tell(note)
            named = f" {before.name}" if before.name != request.boot.name else ""
            work.tell(f"the boot entry{named} for {before.plan.kind} is replaced")
            before = None
        for path in entry.changed(before) if before is not None and before.installed else ():
            work.tell(f"{path}: was changed since it was installed; that is kept in {path}.changed")
        boot, written = entry.put(transaction, request.boot, before)
        work.report["written"] = written
        boot = answers.later(boot, before, by_app=bool(request.name))
    # Last: what is written down is what was done.
    if request.name:
        work.keep(app)
    if boot:
        work.keep(boot)


def write_values(work: Work, request: Request) -> None:
    """Keep the variables where only the app's user (and the master) reads them. Raises StepError."""
    from .. import envfile

    user = request.user or request.master_user
    if not user and (before := entry.load(work.store)) is not None and before.installed:
        user = before.user
    account = rights.user(user) if user and not image.destination() else None
    owner = (account.pw_uid, account.pw_gid) if account and os.geteuid() == 0 else None
    path = image.outside(request.env_file)
    directory = os.path.dirname(path)
    # Others may pass, but not list: its files belong to different users.
    work.transaction.directory(directory, 0o711 if os.geteuid() == 0 else 0o700)
    data = envfile.write(request.values).encode("utf-8", "surrogateescape")
    work.transaction.write(path, data, 0o600, owner)


def _after(work: Work, request: Request) -> int:
    """Tell what is there now; start it if that is wanted."""
    command, boot, code = work.command, request.boot, int(Verb.DONE)
    if request.name:
        runs = f", runs {shown(request.words)}" if request.words else ""
        work.tell(f"{request.name}: installed{runs}")
        if request.values:
            kept = f"{', '.join(request.values)} in {request.env_file}, which only its user reads"
            work.tell(f"{request.name}: keeps {kept}")
    if boot:
        for path in work.report["written"]:
            work.tell(f"written: {path}")
        if not work.report["written"]:
            work.tell("the master: is installed already, as it would be now")
        for note in boot.plan.notes:
            work.tell(f"note: {note}")
        advice.untried(work, boot)
        advice.as_root(work, boot.user)
        if boot.idle:
            commands = [shown(words) for words in (*boot.plan.enable, *boot.plan.start)]
            work.tell(f"not active yet: {boot.idle}; to be run where it does: {'; '.join(commands)}")
            code = Verb.DONE if entry.destination() else _unless_chosen(work)
        elif boot.absent:
            work.tell(f"not active yet: {boot.absent}; a boot that has it starts the master")
            code = _unless_chosen(work)
        else:
            work.tell(f"the master starts at boot, by {boot.plan.kind}")
    if image.destination():
        if request.values and (request.user or request.master_user):
            work.tell(
                f"note: {image.outside(request.env_file)} is to belong to that user; its package sees to that"
            )
    elif not (boot and entry.destination()):
        advice.lacking(work)
        started = _start(work, request)
        if started and work.options.now:
            name = request.name or "the master"
            work.tell(
                f"{name}: is installed all the same, and does not run; once that is mended, start does it"
            )
        code = started or code
    return work.finish(code, kind=boot.plan.kind if boot else None, config=command.config_file)


def _unless_chosen(work: Work) -> Verb:
    """Who named the init system is to know that it is not here; who left the choice to us got the best there is."""
    return Verb.DONE if work.options.boot == "auto" else Verb.NOT_ACTIVE


def _start(work: Work, request: Request) -> int:
    command = work.command
    if running.runs(command):
        if request.boot and (note := advice.beside(request.boot)):
            work.tell(note)
        if request.name:
            done = running.reload(command, request.name)
            if done.code and not running.state(command, request.name):
                work.tell(f"{request.name}: the master that runs did not take it over; see configtest")
                return done.code
        if work.options.now and request.name:
            return _started(work, running.order(command, "start", [request.name]))
        if request.name:
            work.tell(
                f"{request.name}: starts with {command.program} start {request.name}{advice.or_at_boot(_known(work))}"
            )
        return Verb.DONE
    if not work.options.now:
        work.tell(advice.to_start(command.program, request.name, _known(work)))
        return Verb.DONE
    boot = request.boot or _known(work)
    if boot is None or boot.idle or boot.plan.kind in ("cron", "rc.local"):
        return _started(work, running.order(command, "start", [request.name] if request.name else []))
    from .transaction import run

    for words in boot.plan.start:
        if wrong := run(words):
            work.command.terminal.error(wrong)
            return Verb.FAILED
    work.tell("started")
    return Verb.DONE


def _known(work: Work) -> entry.Wanted | None:
    kept = entry.load(work.store)
    if kept is None or not kept.installed:
        return None
    return entry.again(kept)


def _started(work: Work, done: running.Outcome) -> int:
    for line in done.text.splitlines():
        work.tell(line)
    return done.code
