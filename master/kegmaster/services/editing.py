"""The configuration file with a section put in: read exactly, checked before it is written, replaced in one step.

Knows the file, and that what is written must be read back as it was meant.
"""

from __future__ import annotations

import os

from .. import files
from ..config import configure
from ..exit_codes import Verb
from ..loading import DISK
from ..spec import Config
from ..whereabouts import NO_DISK
from . import image, rights, section
from .work import ChangedError, RefusedError, Work, shown

MAX_CONFIG_BYTES = 4 << 20


def read_config(path: str) -> str | None:
    """The text, exactly; None if there is no file. Raises RefusedError."""
    try:
        data = files.read_plain(path, MAX_CONFIG_BYTES + 1, follow=True)
        return data.decode()
    except FileNotFoundError:
        return None
    except OSError as error:
        code = Verb.NO_RIGHTS if isinstance(error, PermissionError) else Verb.NOT_CONFIGURED
        raise RefusedError(f"{path}: cannot be read ({error.strerror})", code) from None
    except UnicodeDecodeError:
        raise RefusedError(f"{path}: is not UTF-8; save it as UTF-8", Verb.NOT_CONFIGURED) from None


def parsed(work: Work, user: str = "") -> Config:
    """What the configuration says now. That of an image is held against nothing of this machine.

    `user`: whose master reads it; then it may be his. Raises UnreadableError, RefusedError.
    """
    command = work.command
    account = rights.user(user) if user and not image.destination() else None
    if account is not None and os.path.exists(work.config_file):
        seen = os.stat(work.config_file)
        if seen.st_uid == account.pw_uid and not seen.st_mode & 0o022:
            text = read_config(work.config_file)
            return configure(text or "", command.config_file, command.source.directories, DISK)
    if not image.destination():
        return command.source.parse()
    text = read_config(work.config_file)
    if text is None:
        raise RefusedError(f"{work.config_file}: no such file; write it first", Verb.NOT_CONFIGURED)
    return configure(text, command.config_file, command.source.directories, NO_DISK)


def write_config(work: Work, old: str | None, new: str) -> None:
    """Replace the configuration, its mode and owner kept; where a symlink leads, the link stays. Raises StepError."""
    path = os.path.realpath(work.config_file)
    work.transaction.directory(os.path.dirname(path), 0o755 if os.geteuid() == 0 else 0o700)
    if read_config(path) != old:
        raise ChangedError(f"{path}: somebody else changed it just now; try again")
    seen = os.stat(path) if old is not None else None
    owner = (seen.st_uid, seen.st_gid) if seen else None
    work.transaction.write(path, new.encode(), seen.st_mode & 0o7777 if seen else 0o644, owner)


def with_section(
    work: Work, name: str, written: str, text: str | None, *, words: tuple[str, ...], over: bool
) -> tuple[str, str]:
    """The configuration with the section `written` in it, and the glue; `over`: in place of another of that name.

    Raises RefusedError if it would not be read so: `words` is what it must run, if that is known.
    """
    command = work.command
    if text is not None and os.geteuid() == 0:
        parsed(work)  # refuses a file that others may write
    known = work.app(name)
    place = section.find(text or "", name)
    if place is None:
        new, glue = section.append(text or "", written)
    else:
        same = (text or "")[place.start : place.end] == written
        if not same and not over:
            raise RefusedError(
                f"{command.config_file}: there is a section [{name}] already;"
                f" --replace puts this one in its place, another name keeps both",
                Verb.USAGE,
            )
        new, glue = section.replace(text or "", place, written), known.glue if known else ""
        if not same:
            work.tell(f"{name}: replaces the section that stood there")
    config = configure(
        new, command.config_file, command.source.directories, NO_DISK if image.destination() else DISK
    )
    for problem in config.problems:
        if problem.section == name:
            raise RefusedError(f"{problem}; nothing was changed", Verb.NOT_CONFIGURED)
    refuse_broken(work, config)
    app = config.find(name)
    if app is None or (words and app.argv != words):
        raise RefusedError(
            f"{command.config_file}: [{name}] would run {shown(app.argv) if app else 'nothing'},"
            f" not {shown(words)}; look at [DEFAULT] and at what lies beside the file",
            Verb.NOT_CONFIGURED,
        )
    return new, glue


def refuse_broken(work: Work, config: Config) -> None:
    """No boot is given a configuration with mistakes in it; what is not enabled may have some. Raises RefusedError."""
    idle = {app.name for app in config.unsound if not app.enabled}
    problems = [
        str(problem)
        for problem in config.problems
        if problem.section not in idle or problem.key in (None, "_enabled")
    ]
    if problems and not work.options.print:
        for problem in problems:
            work.command.terminal.error(problem, bare=True)
        raise RefusedError(
            f"{config.file} has {len(problems)} mistake{'s' if len(problems) > 1 else ''}; nothing was changed",
            Verb.NOT_CONFIGURED,
        )
