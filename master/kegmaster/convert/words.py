"""Command lines of other launchers as words, and what of them only a shell can do.

Source: POSIX, "Shell Command Language", 2.2 and 2.3, for the signs that mean something to a shell. Pure.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Mapping
from typing import Final

ASSIGNMENT: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)\Z", re.DOTALL)
_BUILTINS: Final = frozenset({
    ".", ":", "alias", "bg", "break", "case", "cd", "command", "continue", "eval", "exit", "export", "fg", "for",
    "function", "if", "jobs", "read", "readonly", "return", "set", "shift", "source", "times", "trap", "ulimit",
    "umask", "unset", "until", "wait", "while", "{", "!",
})  # fmt: skip


class WordsError(ValueError):
    """A command line that is none."""


def split(text: str) -> list[str]:
    """Words as a shell would quote them, and nothing else of a shell. Raises WordsError."""
    try:
        return shlex.split(text)
    except ValueError as error:
        raise WordsError(f"cannot be split into words ({str(error).lower()})") from None


def take_env(words: list[str]) -> tuple[dict[str, str], list[str]]:
    """The variables of a leading `env NAME=value ...`, and the command behind it; no option of env is known."""
    if words and posixpath.basename(words[0]) == "env":
        found, rest = assignments(words[1:])
        if rest and not rest[0].startswith("-"):
            return found, rest
    return {}, words


def assignments(words: list[str]) -> tuple[dict[str, str], list[str]]:
    """The NAME=value words in front, and what follows."""
    found: dict[str, str] = {}
    for number, word in enumerate(words):
        match = ASSIGNMENT.match(word)
        if match is None:
            return found, words[number:]
        found[match[1]] = match[2]
    return found, []


def needs_shell(text: str) -> str:
    """The first sign in `text` that means something to a shell beyond words and quotes; empty if none does."""
    quote = ""
    place = 0
    begins = True
    while place < len(text):
        letter = text[place]
        if quote == "'":
            quote = "" if letter == "'" else quote
        elif letter == "\\":
            place += 1
        elif letter in "$`":
            return letter
        elif quote == '"':
            quote = "" if letter == '"' else quote
        elif letter in "'\"":
            quote = letter
        elif letter in "|&;<>()*?[\n" or (begins and letter in "~#"):
            return letter
        begins = not quote and letter in " \t="
        place += 1
    try:
        _, words = assignments(shlex.split(text))
    except ValueError:
        return ""
    return words[0] if words and words[0] in _BUILTINS else ""


def fill_in(text: str, values: Mapping[str, str]) -> str:
    """`$NAME` and `${NAME}` replaced by plain values (letters, digits, ./:_-), outside single quotes; others stay."""
    plain = {name: value for name, value in values.items() if re.match(r"[A-Za-z0-9_./:-]*\Z", value)}
    pieces = re.split(r"('[^']*')", text)
    for number, piece in enumerate(pieces):
        if number % 2 == 0:
            pieces[number] = re.sub(
                r"(?<!\\)\$(?:\{(\w+)\}|(\w+))",
                lambda match: plain.get(match[1] or match[2], match[0]),
                piece,
            )
    return "".join(pieces)
