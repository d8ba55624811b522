"""The environment variables that an app names, as $NAME or ${NAME}, and nobody sets.

They stand in its command line, or in its own configuration files that the command line names. Nothing of a shell is
meant: the program itself replaces them, or a `$` is just a `$`. So this finds what may be missing, not what is wrong.
Must not open files: `read` does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence

from .absolute import split
from .lean import Final, dataclass

SUFFIXES: Final = (
    ".ini", ".cfg", ".conf", ".config", ".cnf", ".yaml", ".yml", ".toml", ".json", ".properties", ".env",
)  # fmt: skip
"""What a configuration file's name ends with; others are not looked into."""
MAX_FILES: Final = 32
COMMAND_LINE: Final = "its command line"

# Capitals only, as environment variables have them: $host is nginx's, $ref JSON Schema's, $Id$ a version control's.
# What has a default (${NAME:-text}) is not needed. A $ before or a letter or digit directly before a plain $NAME
# makes something else of it: $$ is a $, and $1$SALT$ part of a password's hash.
_NAME = r"_*[A-Z][A-Z0-9_]*"
_VARIABLE = re.compile(
    rf"(?<![$\\])\$(?:\{{({_NAME})(?:\}}|:?\?)|(?<![A-Za-z0-9]\$)({_NAME})(?![A-Za-z0-9_]))", re.ASCII
)
# In a file, all of a value (`username = $kafka_user`) may have small letters too.
_WHOLE = re.compile(r"""[=:]\s*["']?\$(\{?)([A-Za-z_][A-Za-z0-9_]*)(?(1)\})["']?,?\Z""", re.ASCII)
_COMMENTS = ("#", ";", "//")


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """A variable that is named and not set. `where`: FILE:LINE, or COMMAND_LINE; the first place only."""

    name: str
    where: str


def unset(
    words: Sequence[str], environment: Collection[str], read: Callable[[str], str | None]
) -> tuple[Need, ...]:
    """The variables that `words` (a command line), or the files it names, need and `environment` lacks.

    `read` gives a file's text, None if it cannot or should not be read; it is asked for paths just as they stand in
    `words`, by their suffix. In the order in which they are found.
    """
    found: dict[str, str] = {}
    for word in words:
        for name in variables(word):
            found.setdefault(name, COMMAND_LINE)
    for path, text in texts(words, read):
        for number, line in lines(text):
            whole = _WHOLE.search(line)
            for name in (*variables(line), *([whole[2]] if whole else [])):
                found.setdefault(name, f"{path}:{number}")
    return tuple(Need(name=name, where=where) for name, where in found.items() if name not in environment)


def variables(text: str) -> list[str]:
    """The names in `text`, in its order."""
    return [match[1] or match[2] for match in _VARIABLE.finditer(text)]


def texts(words: Sequence[str], read: Callable[[str], str | None]) -> Iterator[tuple[str, str]]:
    """(path, text) of the configuration files that a command line names, each once, MAX_FILES at most."""
    paths = dict.fromkeys(split(word)[1] for word in words[1:])
    chosen = [path for path in paths if path.lower().endswith(SUFFIXES) and not path.startswith("-")]
    for path in chosen[:MAX_FILES]:
        text = read(path)
        if text is not None and "\0" not in text:  # with a NUL in it, it is no text
            yield path, text


def lines(text: str) -> Iterator[tuple[int, str]]:
    """(number from 1, line) of all that is no comment and not blank."""
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip()
        if stripped and not stripped.startswith(_COMMENTS):
            yield number, stripped
