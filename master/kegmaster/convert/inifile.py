"""Files that other launchers read by Python's configparser: text in, sections and settings with their lines out.

configparser itself forgets line numbers; the tests hold this reader against it. Must not know what is read with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from .draft import Notes

_HEADER = re.compile(r"\[(?P<name>.+)\]")


@dataclass(slots=True)
class Setting:
    """One `key = value`."""

    key: str
    value: str
    file: str
    line: int


@dataclass(slots=True)
class Part:
    """One `[name]`, with what all places that bear its name say; the last word on a key counts."""

    name: str
    file: str
    line: int
    settings: dict[str, Setting] = field(default_factory=dict)

    def text(self, key: str, default: str = "") -> str:
        """The value of `key`."""
        found = self.settings.get(key)
        return found.value if found else default

    def line_of(self, key: str) -> int:
        """Where `key` stands, or the section."""
        found = self.settings.get(key)
        return found.line if found else self.line


def read(
    text: str,
    file: str,
    notes: Notes,
    *,
    inline: str = ";#",
    parts: dict[str, Part] | None = None,
    lower: bool = True,
    first: bool = False,
) -> dict[str, Part]:
    """Read as a RawConfigParser that is not strict, with these signs of comments behind a value; never raises.

    `parts`: what was read of other files before; it is added to. `lower`: case of keys is nothing. `first`: of two
    settings of one key the first counts, not the last.
    """
    found = {} if parts is None else parts
    part: Part | None = None
    setting: Setting | None = None
    indent = 0
    for number, line in _lines(text):
        value, commented = _uncomment(line, inline)
        if not value:
            if not commented and setting is not None:
                setting.value += "\n"
            continue
        here = len(line) - len(line.lstrip())
        if setting is not None and here > indent:
            setting.value += "\n" + value
            continue
        indent = here
        if header := _HEADER.match(value):
            setting = None
            part = found.setdefault(header["name"], Part(header["name"], file, number))
        elif part is None:
            notes.add(file, number, None, None, "stands before any [section]", "put it where it belongs")
        else:
            end = min((place for place in (value.find("="), value.find(":")) if place >= 0), default=-1)
            if end < 1:
                setting = None
                notes.add(
                    file, number, part.name, None, "this is no key = value", "correct or remove the line"
                )
                continue
            key = value[:end].rstrip()
            key = key.lower() if lower else key
            setting = Setting(key, value[end + 1 :].strip(), file, number)
            if not (first and key in part.settings):
                part.settings[key] = setting
    for part in found.values():
        for setting in part.settings.values():
            setting.value = setting.value.rstrip()
    return found


def _lines(text: str) -> Iterator[tuple[int, str]]:
    plain = text.replace("\r\n", "\n").replace("\r", "\n")
    return enumerate(plain.split("\n"), 1)


def _uncomment(line: str, inline: str) -> tuple[str, bool]:
    """What of the line is no comment, stripped, and whether there was one."""
    if line.strip().startswith(("#", ";")):
        return "", True
    for place, letter in enumerate(line):
        if letter in inline and (place == 0 or line[place - 1].isspace()):
            return line[:place].strip(), True
    return line.strip(), False
