"""Relative paths inside a program's own configuration files: found, told, and never changed.

Knows how values stand in INI, YAML, TOML and JSON, roughly: enough to find what may be a path. Must not open files.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from .absolute import beside, looks_relative
from .lean import Final, dataclass
from .needs import lines

MAX_QUESTIONS: Final = 5000
"""In one file, so often the disk is asked."""

_VALUE = re.compile(r"(?:- +|[^=:\[\]{}]+[=:])[ \t]*(.+)\Z")
_EDGES = " \t'\",[]{}"
_PIECES = re.compile(r"[\s,]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Relative:
    """A word in line `line` that, seen from `directory`, is something that exists: `found`."""

    word: str
    line: int
    directory: str
    found: str


def relative_paths(
    text: str, directories: tuple[str, ...], exists: Callable[[str], bool]
) -> Iterator[Relative]:
    """What may be a relative path in `text`, and exists as seen from one of `directories`; the first of them counts."""
    questions = 0
    seen = set()
    for number, line in lines(text):
        for word in _candidates(line):
            if word in seen or not looks_relative(word, names="all") or not word.strip("."):
                continue
            seen.add(word)
            for directory in directories:
                questions += 1
                if questions > MAX_QUESTIONS:
                    return
                found = beside(word, directory)
                if exists(found):
                    yield Relative(word=word, line=number, directory=directory, found=found)
                    break


def _candidates(line: str) -> Iterator[str]:
    if not (match := _VALUE.match(line)):
        return
    whole = match[1].strip(_EDGES)
    yield whole
    pieces = _PIECES.split(whole)
    if len(pieces) > 1:
        yield from (piece.strip(_EDGES) for piece in pieces)
