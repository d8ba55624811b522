"""The INI dialect of the configuration: text in, sections with line numbers out, and every mistake at once.

The dialect is that of Python's configparser (strict, no inline comments, no keys without a value, key case kept),
which is what kegbot_master read. configparser itself stops at the first duplicate and forgets line numbers;
the tests hold this reader against it. Must not know what sections and keys mean, nor open files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from .lean import dataclass, field
from .problems import Problem

DEFAULT = "DEFAULT"
MAX_VALUE_CHARS = 65536
"""A value after substitution; the kernel takes no more than 128 KiB for one word of a command line."""
MAX_SUBSTITUTIONS = 1000
"""In one value, those within other values counted too: a handful of lines can ask for billions."""
MAX_DEPTH = 50

_HEADER = re.compile(r"\[(?P<name>.+)\]")
_REFERENCE = re.compile(r"%(?:%|\((?P<name>[^()]+)\)s)")


@dataclass(slots=True)
class Entry:
    """One `key = value`, the value as written (lines of a continued value joined by newlines)."""

    key: str
    line: int
    value: str


@dataclass(slots=True)
class Section:
    """One `[name]` and what stands below it."""

    name: str
    line: int
    entries: dict[str, Entry] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Document:
    """A whole file: sections in its order, `[DEFAULT]` apart, and what could not be read."""

    file: str
    sections: Mapping[str, Section]
    default: Section
    problems: tuple[Problem, ...]


def read(text: str, file: str) -> Document:
    """Read a whole configuration; never raises for any text."""
    return _Reader(file).read(text)


class _Reader:
    def __init__(self, file: str) -> None:
        self.file = file
        self.sections: dict[str, Section] = {}
        self.default = Section(DEFAULT, 0)
        self.problems: list[Problem] = []
        self.section: Section | None = None
        self.entry: Entry | None = None
        self.indent = 0

    def read(self, text: str) -> Document:
        # Only these end a line for configparser, which reads files: not \f, \x1c or U+2028.
        for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1):
            self._line(number, line)
        for section in (*self.sections.values(), self.default):
            for entry in section.entries.values():
                entry.value = entry.value.rstrip()
        return Document(self.file, self.sections, self.default, tuple(self.problems))

    def _line(self, number: int, line: str) -> None:
        if "\0" in line:
            # No path, word or variable can hold one: whoever gets it further down would only stumble over it.
            self._wrong(
                number,
                self.section.name if self.section else None,
                None,
                "there is a NUL character",
                "take it out",
            )
            return
        text = line.strip()
        if text.startswith(("#", ";")):
            return
        if not text:
            if self.entry is not None:
                self.entry.value += "\n"
            return
        indent = len(line) - len(line.lstrip())
        if self.entry is not None and indent > self.indent:
            self.entry.value += "\n" + text
            return
        self.indent = indent
        if header := _HEADER.match(text):
            self._header(number, header["name"])
        elif self.section is None:
            cure = (
                "close the section's name with ]" if text.startswith("[") else "put a [section] line above it"
            )
            self._wrong(number, None, None, f"{_short(text)} stands before any section", cure)
        else:
            self._setting(number, text)

    def _setting(self, number: int, text: str) -> None:
        assert self.section is not None
        end = min((place for place in (text.find("="), text.find(":")) if place >= 0), default=-1)
        if end > 0:
            self._entry(number, text[:end].rstrip(), text[end + 1 :].strip())
            return
        self.entry = None
        wrong = "there is nothing before the =" if end == 0 else f"{_short(text)} is no setting"
        cure = "close the section's name with ]" if text.startswith("[") else "write key = value"
        self._wrong(number, self.section.name, None, wrong, cure)

    def _header(self, number: int, name: str) -> None:
        self.entry = None
        if name == DEFAULT:
            self.section = self.default
            self.default.line = self.default.line or number
            return
        earlier = self.sections.get(name)
        if earlier is None:
            self.section = self.sections[name] = Section(name, number)
            return
        self._wrong(
            number, name, None, f"this section stands in line {earlier.line} already", "give it another name"
        )
        # What follows still belongs somewhere, so that its own mistakes are found too.
        self.section = Section(name, number)

    def _entry(self, number: int, key: str, value: str) -> None:
        assert self.section is not None
        earlier = self.section.entries.get(key)
        self.entry = Entry(key, number, value)
        if earlier is None:
            self.section.entries[key] = self.entry
        else:
            self._wrong(
                number, self.section.name, key, f"set in line {earlier.line} already", "keep one of the two"
            )

    def _wrong(self, line: int, section: str | None, key: str | None, wrong: str, cure: str) -> None:
        self.problems.append(
            Problem(file=self.file, line=line, section=section, key=key, wrong=wrong, cure=cure)
        )


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")


class SubstitutionError(ValueError):
    """A `%(name)s` that cannot be filled in; the text says which and why, `cure` what to do."""

    def __init__(self, wrong: str, cure: str) -> None:
        super().__init__(wrong)
        self.cure = cure


def unquote(value: str) -> str:
    """Take one pair of matching quotes from around `value`; the old launcher's shell did that."""
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value


def substitute(value: str, names: Mapping[str, str], used: set[str], path: tuple[str, ...] = ()) -> str:
    """Fill in `%(name)s` from `names`, recursively; `%%` is `%`, any other `%` is itself.

    `used` collects the names that were looked up. Raises SubstitutionError for an unknown name, a name that
    leads back to itself, or a result beyond the limits above.
    """
    return _Substitution(names, used).fill_in(value, path)


class _Substitution:
    def __init__(self, names: Mapping[str, str], used: set[str]) -> None:
        self.names = names
        self.used = used
        self.count = 0

    def fill_in(self, value: str, path: tuple[str, ...]) -> str:
        pieces: list[str] = []
        end = length = 0
        for match in _REFERENCE.finditer(value):
            for piece in (value[end : match.start()], self.value_of(match["name"], path)):
                pieces.append(piece)
                length += len(piece)
            end = match.end()
            self.limit(length <= MAX_VALUE_CHARS, f"comes to more than {MAX_VALUE_CHARS} characters")
        pieces.append(value[end:])
        result = "".join(pieces)
        self.limit(len(result) <= MAX_VALUE_CHARS, f"comes to more than {MAX_VALUE_CHARS} characters")
        return result

    def value_of(self, name: str | None, path: tuple[str, ...]) -> str:
        if name is None:
            return "%"
        if name not in self.names:
            raise SubstitutionError(
                f"%({name})s names no key of this section or [DEFAULT]",
                "define it, or write %% for a plain %",
            )
        if name in path:
            circle = " -> ".join((*path, name))
            raise SubstitutionError(f"%({name})s leads back to itself: {circle}", "take one of them out")
        self.count += 1
        self.limit(self.count <= MAX_SUBSTITUTIONS, f"needs more than {MAX_SUBSTITUTIONS} substitutions")
        self.limit(len(path) <= MAX_DEPTH, f"needs substitutions more than {MAX_DEPTH} deep")
        self.used.add(name)
        return unquote(self.fill_in(self.names[name], (*path, name)))

    def limit(self, kept: bool, wrong: str) -> None:
        if not kept:
            raise SubstitutionError(wrong, "make it simpler")
