"""How each format of Unix writes down a word so that its reader gets exactly that word back.

Knows the escaping rules of systemd, sh and crontab. Must not know what the words mean.
All refuse with BootError what their format cannot hold; none ever writes something else instead.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

from .plan import BootError

CRON_COMMAND_BYTES = 998
"""Debian's cron takes 1000 (MAX_COMMAND in its cron.h), its closing NUL among them; longer lines are refused."""


def plain(text: str, what: str) -> str:
    """`text` itself, if it is one line of text that every format can hold. `what` it is, for the message."""
    for character in text:
        if ord(character) < 32 or ord(character) == 127 or character in "\x85\u2028\u2029":
            raise BootError(f"{what}: {text!r} has a control character in it; use a name without")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise BootError(f"{what}: {text!r} is no UTF-8; use a name that is") from None
    return text


def systemd_word(word: str, *, dollar: str = "$$") -> str:
    """A word of ExecStart= and its like. `dollar`: how a `$` is written.

    Source: systemd.service(5) COMMAND LINES, systemd.unit(5) SPECIFIERS, systemd.syntax(7) QUOTING.
    """
    word = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", dollar)
    return word if re.fullmatch(r"[\w@%+=:,./$-]+", word) and word != "-" else f'"{word}"'


def systemd_exec(argv: Iterable[str]) -> str:
    """The value of ExecStart=.

    systemd takes no program whose path has a quote or a backslash in it, and neither replaces a `$` there nor undoes
    `$$`; such a program is left to env(1), which becomes it.
    """
    words = list(argv)
    if re.search(r"[\\\"'$]", words[0]):
        if "=" in words[0]:
            raise BootError(
                f"{words[0]!r}: systemd cannot run a program with both = and one of $ ' \" \\ in its path"
            )
        words.insert(0, "/usr/bin/env")
    return " ".join(systemd_word(word) for word in words)


def systemd_value(text: str) -> str:
    """Text for people, such as Description=: to the end of the line, blanks at its ends are lost."""
    # A backslash at the end would join the next line to this one.
    return " ".join(text.split()).replace("%", "%%").rstrip("\\")


def sh_words(argv: Iterable[str]) -> str:
    """Words of a POSIX shell's command line, which become just these arguments."""
    return " ".join(shlex.quote(word) for word in argv)


def cron_command(command: str) -> str:
    r"""A shell command as the rest of a crontab's line, where an unescaped `%` ends the command.

    cron takes the backslash away from `\%` only, and leaves all others: there is no writing a `\` right before a
    `%`. Two quotes between them, within single quotes, mean nothing to the shell and keep them apart for cron.
    Source: crontab(5), and cron's own reader, which skips whatever follows a backslash.
    """
    line = command.replace("\\%", "\\''%").replace("%", "\\%")
    if len(line.encode()) > CRON_COMMAND_BYTES:
        raise BootError(
            f"the command has {len(line.encode())} bytes and cron takes no more than {CRON_COMMAND_BYTES}:"
            " use shorter paths, or another --boot"
        )
    return line
