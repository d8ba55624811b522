"""The verbs import and export: files in, text out, and what has no counterpart on stderr.

Knows files and the terminal. What becomes of what is the readers' and writers' business.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from ..command import Command
from ..exit_codes import Verb
from ..loading import UnreadableError
from ..problems import printable
from ..programs import ProgramError, Search
from ..spec import App, Config
from . import circus, kegbot, procfile, supervisord, systemd
from .draft import Draft, Names, Notes, World, comment, configuration
from .files import Reader
from .leaving import Leaver, foreground
from .recognize import recognize

_Read = Callable[[str, str, World, Names, Notes], list[Draft]]
READERS: Final[Mapping[str, _Read]] = {
    "supervisord": supervisord.read,
    "procfile": procfile.read,
    "circus": circus.read,
    "systemd": systemd.read,
    "kegbot_master": kegbot.read,
}


def import_files(command: Command) -> int:
    """Print the configuration that does what the files do."""
    paths = [os.path.abspath(os.path.expanduser(name)) for name in command.options.names]
    if not paths:
        return command.terminal.fail("import wants the FILE of another launcher", Verb.USAGE)
    names, notes = Names(), Notes()
    drafts: list[Draft] = []
    taken: dict[str, str] = {}
    for path in paths:
        # An alias is another name of the same unit; instances of a template are links to it.
        real = path if "@" in os.path.basename(path) else os.path.realpath(path)
        if real in taken and real != os.devnull:
            notes.add(path, 0, None, None, f"is the same file as {taken[real]}", "it was taken once")
            continue
        taken[real] = path
        reader = Reader(os.path.dirname(path))
        try:
            text = reader.read(path)
        except ValueError as error:
            rights = isinstance(error.__cause__, PermissionError)
            raise UnreadableError(f"{path}: {error}; name another file", rights=rights) from None
        kind = command.options.source or recognize(text, path)
        if not kind:
            return command.terminal.fail(
                f"{path}: looks like no launcher's file; say whose it is: --from={'|'.join(READERS)}",
                Verb.USAGE,
            )
        drafts += READERS[kind](text, path, reader.world(), names, notes)
    # Several units may name one another.
    systemd.relate(drafts)
    shown = ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
    header = comment(
        f"Made by master.py import from {shown}. Read it, then: master.py configtest --master_config=FILE"
    )
    ini = configuration(drafts, notes, header) if drafts else ""
    empty = "\n[" not in ini
    if command.options.json:
        print(
            json.dumps({"ini": "" if empty else ini, "notes": [str(note) for note in notes.found]}, indent=2)
        )
    else:
        print("" if empty else ini, end="")
        for note in notes.found:
            command.terminal.error(str(note), bare=True)
        if empty:
            command.terminal.error(f"{shown}: there is nothing to import")
    return Verb.NOT_CONFIGURED if empty else Verb.DONE


def export(command: Command) -> int:
    """Print what has another launcher run the apps: the enabled ones, or those named."""
    from . import to_compose, to_kubernetes, to_procfile, to_supervisord, to_systemd

    options = command.options
    if not options.format:
        return command.terminal.fail(
            "export wants --format=systemd|supervisord|procfile|compose|kubernetes", Verb.USAGE
        )
    config = command.source.parse()
    unknown = config.unknown(options.names)
    if unknown:
        return command.terminal.fail(f"{config.file}: there is no section [{unknown[0]}]", Verb.USAGE)
    notes = Notes()
    apps = [
        app for app in in_order(config) if app.name in options.names or (app.enabled and not options.names)
    ]
    search = None if options.format in ("compose", "kubernetes") else command.source.search
    leavers = [_leaver(app, search, config.file, notes) for app in apps]
    writers = {
        "supervisord": to_supervisord.write,
        "procfile": to_procfile.write,
        "compose": to_compose.write,
        "kubernetes": to_kubernetes.write,
    }
    files = {
        "supervisord": "supervisord.conf",
        "procfile": "Procfile",
        "compose": "compose.yaml",
        "kubernetes": "kubernetes.yaml",
    }
    if options.format == "supervisord":
        _say_directories(apps, config.file, notes)
    if not leavers:
        texts = {}
    elif options.format == "systemd":
        texts = to_systemd.write(leavers, config.file, notes, of_a_user=os.geteuid() != 0)
    else:
        texts = {files[options.format]: writers[options.format](leavers, config.file, notes)}
    for problem in config.problems:
        command.terminal.error(str(problem), bare=True)
    for note in notes.found:
        command.terminal.error(str(note), bare=True)
    if not leavers:
        return command.terminal.fail(
            f"{config.file}: there is nothing to export; name an app, or write _enabled = True",
            Verb.NOT_CONFIGURED,
        )
    code = _put(command, texts)
    return code if code or not config.problems else Verb.NOT_CONFIGURED


def _say_directories(apps: Sequence[App], file: str, notes: Notes) -> None:
    """Say that supervisord refuses the whole file for the directory of one log; our start would make it."""
    for app in apps:
        folder = os.path.dirname(app.logfile)
        if not os.path.isdir(folder):
            notes.add(
                file,
                app.line,
                app.name,
                None,
                f"supervisord does not start without the directory {folder}",
                f"mkdir -p {folder}",
            )


def _put(command: Command, texts: Mapping[str, str]) -> int:
    options = command.options
    if options.output:
        folder = os.path.abspath(os.path.expanduser(options.output))
        os.makedirs(folder, exist_ok=True)
        there = [name for name in texts if os.path.lexists(os.path.join(folder, name))]
        if there:
            return command.terminal.fail(
                f"{os.path.join(folder, there[0])} is there already; move it away or name another --output",
                Verb.FAILED,
            )
        for name, text in texts.items():
            # It may hold what _environment holds.
            fd = os.open(
                os.path.join(folder, name), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600
            )
            with open(fd, "w", encoding="utf-8") as file:
                file.write(text)
    elif options.json:
        print(json.dumps(texts, indent=2))
    elif len(texts) == 1 and options.format != "systemd":
        print(next(iter(texts.values())), end="")
    else:
        print("\n".join(f"# file: {name}\n{text}" for name, text in texts.items()), end="")
    return Verb.DONE


def in_order(config: Config) -> list[App]:
    """The sound apps, each behind those it comes after."""
    placed: dict[str, App] = {}

    def place(app: App) -> None:
        if app.name in placed:
            return
        for name in (*app.after, *app.requires):
            if before := config.find(name):
                place(before)
        placed[app.name] = app

    for app in config.apps:
        place(app)
    return list(placed.values())


def _leaver(app: App, search: Search | None, file: str, notes: Notes) -> Leaver:
    """`search` None: the program is to be found elsewhere, in an image."""
    import grp
    import pwd

    words, forking = foreground(app)
    path = app.program
    try:
        if search is not None:
            own_path = dict(app.context.environment).get("PATH", "")
            path = search.find(app.program, own_path, may_lack_py=app.may_lack_py)
    except ProgramError as error:
        notes.add(file, app.line, app.name, None, printable(str(error)), error.cure)
    home, uid, gid = "", None, None
    try:
        if app.context.user:
            user = pwd.getpwnam(app.context.user)
            home, uid, gid = user.pw_dir, user.pw_uid, user.pw_gid
        if app.context.group:
            gid = grp.getgrnam(app.context.group).gr_gid
    except KeyError:
        notes.add(
            file,
            app.key_lines.get("_user", app.line),
            app.name,
            "_user",
            "there is no such user or group here",
            "see that it is there where the app goes",
        )
    return Leaver(app=app, path=path, words=words, forking=forking, home=home, uid=uid, gid=gid)
