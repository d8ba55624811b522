"""What is wrong with a configuration, said so that a person can mend it.

Knows places and sentences. Must not know INI, files or terminals.
"""

from __future__ import annotations

from collections.abc import Iterable

from .lean import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One mistake: where it stands, what it is, and the cure. `line` 0: the file as a whole."""

    file: str
    line: int = 0
    section: str | None = None
    key: str | None = None
    wrong: str
    cure: str

    def __str__(self) -> str:
        """`FILE:LINE: [section] key: what is wrong; what to do`, on one line whatever the values hold."""
        place = f"{self.file}:{self.line}:" if self.line else f"{self.file}:"
        section = f" [{self.section}]" if self.section is not None else ""
        key = f" {self.key}:" if self.key is not None else ":" if section else ""
        return printable(f"{place}{section}{key} {self.wrong}; {self.cure}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What is no mistake but good to know. `line` 0: of the file as a whole."""

    file: str
    line: int = 0
    section: str
    key: str | None = None
    text: str

    def __str__(self) -> str:
        """`FILE:LINE: note: [section] key: text`, on one line."""
        place = f"{self.file}:{self.line}:" if self.line else f"{self.file}:"
        key = f" {self.key}:" if self.key is not None else ":"
        return printable(f"{place} note: [{self.section}]{key} {self.text}")


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word most like `word`, if one is near enough to be meant."""
    import difflib  # 8 ms that only a mistake should cost

    return next(iter(difflib.get_close_matches(word, list(known), 1, 0.6)), None)


def printable(text: str) -> str:
    """`text` on one line, with all that could play tricks on a terminal written as escapes."""
    return "".join(
        letter if letter.isprintable() else " " if letter.isspace() else ascii(letter)[1:-1]
        for letter in text
    )
