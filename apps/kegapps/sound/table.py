"""What is played when, as people write it: an INI file of events, conditions and sound files.

Knows the notation and its mistakes. Must not know files (their paths are text, `check` looks at them), kegnet, or
when anything happens. docs/sound.rst explains the notation to people.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

ML_PER_OUNCE: Final = 29.5735
FLOW_START: Final = 0.0
MAX_ML: Final = 100_000.0
MAX_ROWS: Final = 1000
MISSING: Final = "no such file"
KEYS: Final = ("on", "sound", "user", "tap")
EVENTS: Final = "flow start, user, drink, or a volume such as 330 ml or 12 oz"

_ML: Final = {"ml": 1.0, "cl": 10.0, "l": 1000.0, "oz": ML_PER_OUNCE}
_VOLUME: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*(ml|cl|l|oz)", re.IGNORECASE)

Trigger = float | Literal["user", "drink"]
"""What a row waits for: so many mL poured in one flow (FLOW_START: the first sign of it), or something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One of `sounds` (absolute paths; none: silence) is played for `trigger`, if it is of these.

    `users` and `taps` are names; empty: whoever and wherever it is.
    """

    trigger: Trigger
    sounds: tuple[str, ...]
    users: frozenset[str] = frozenset()
    taps: frozenset[str] = frozenset()

    @property
    def weight(self) -> int:
        """Of rows for the same the heaviest win: of a user at a tap, of a user, of a tap, of all."""
        return 2 * bool(self.users) + bool(self.taps)


class TableError(Exception):
    """All that is wrong with a table: `str()` is one line, each mistake with FILE:LINE."""


@dataclass(slots=True)
class _Section:
    name: str
    line: int
    values: dict[str, tuple[int, str]] = field(default_factory=dict)


class _Mistakes:
    """Collects (line, text)."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._found: list[tuple[int, str]] = []

    def add(self, line: int, text: str) -> None:
        self._found.append((line, text))

    def complain(self) -> None:
        """Raise TableError if there are any; beyond twenty they are counted only."""
        if self._found:
            told = [f"{self._source}:{line}: {text}" for line, text in sorted(self._found)[:20]]
            more = len(self._found) - len(told)
            raise TableError("; ".join(told) + (f"; and {more} more" if more else ""))


def parse(text: str, *, source: str, check: Callable[[str], str], shipped: str = "") -> tuple[Row, ...]:
    """The rows of the table `text`, which stands in the file `source` (an absolute path).

    Sounds are named relative to that file's folder; what is not there may be in the folder `shipped`. `check` says of
    an absolute path what is wrong with it, MISSING if it is not there, "" if nothing is. Raises TableError, which
    tells all mistakes at once.
    """
    mistakes = _Mistakes(source)
    sections = list(_sections(text, mistakes))
    folders = [posixpath.dirname(source), *([shipped] if shipped else [])]
    found = (_row(section, folders, check, mistakes) for section in sections)
    rows = tuple(row for row in found if row is not None)
    if not sections:
        mistakes.add(1, "no section; expected at least one, such as [flow start] with sound = start.wav")
    if len(rows) > MAX_ROWS:
        mistakes.add(1, f"{len(rows)} sections, at most {MAX_ROWS} are taken")
    mistakes.complain()
    return rows


def trigger(text: str) -> Trigger:
    """What `flow start`, `12 oz` and so on mean. Raises ValueError, its text for a person."""
    words = " ".join(text.lower().split())
    if words == "flow start":
        return FLOW_START
    if words == "user":
        return "user"
    if words == "drink":
        return "drink"
    if (found := _VOLUME.fullmatch(words)) and (ml := float(found[1]) * _ML[found[2]]) <= MAX_ML:
        return ml
    raise ValueError(f"{text!r} is no event; expected {EVENTS}")


def _sections(text: str, mistakes: _Mistakes) -> Iterator[_Section]:
    section: _Section | None = None
    key = ""
    names: dict[str, int] = {}
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        if raw[0] in " \t" and section is not None and key:  # goes on with the value before
            first, value = section.values[key]
            section.values[key] = first, f"{value}\n{line}"
        elif line[0] == "[":
            if section is not None:
                yield section
            section, key = _Section(line[1:].removesuffix("]").strip(), number), ""
            if line[-1] != "]" or not section.name:
                mistakes.add(number, f"{line!r} is no section; expected [NAME]")
            elif section.name in names:
                first = names[section.name]
                mistakes.add(
                    number, f"[{section.name}] stands in line {first}, too; give it a name, and on = ..."
                )
            names.setdefault(section.name, number)
        else:
            key = _read_value(line, number, section, mistakes)
    if section is not None:
        yield section


def _read_value(line: str, number: int, section: _Section | None, mistakes: _Mistakes) -> str:
    """Take `key = value` into its section; the key, "" if there is none to go on with."""
    key, equals, value = (part.strip() for part in line.partition("="))
    if not equals:
        mistakes.add(number, f"{line!r}: expected key = value")
    elif section is None:
        mistakes.add(number, f"{key} stands before the first [section]")
    elif key not in KEYS:
        mistakes.add(number, f"{key} is no key; there are {', '.join(KEYS)}")
    elif key in section.values:
        mistakes.add(number, f"{key} is given twice, first in line {section.values[key][0]}")
    else:
        section.values[key] = number, value
        return key
    return ""


def _row(
    section: _Section, folders: Sequence[str], check: Callable[[str], str], mistakes: _Mistakes
) -> Row | None:
    line, on = section.values.get("on", (section.line, section.name))
    event: Trigger = FLOW_START
    try:
        event = trigger(on)
    except ValueError as error:
        hint = "" if "on" in section.values else "; a section of another name says it with on = ..."
        mistakes.add(line, f"{error}{hint}")
    users, taps = (_names(section, key, mistakes) for key in ("user", "tap"))
    if "sound" not in section.values:
        mistakes.add(section.line, f"[{section.name}] has no sound = FILE; for silence leave the value empty")
        return None
    line, value = section.values["sound"]
    sounds = tuple(_sound(name, folders, check, mistakes, line) for name in _list(value))
    return Row(trigger=event, sounds=sounds, users=users, taps=taps)


def _sound(
    name: str, folders: Sequence[str], check: Callable[[str], str], mistakes: _Mistakes, line: int
) -> str:
    """The path of the sound `name`, in the first of `folders` where there is one."""
    paths = [posixpath.normpath(posixpath.join(folder, name)) for folder in folders]
    path = next((path for path in paths if check(path) != MISSING), paths[0])
    if wrong := check(path):
        mistakes.add(line, f"{path}: {wrong}")
    return path


def _names(section: _Section, key: str, mistakes: _Mistakes) -> frozenset[str]:
    line, value = section.values.get(key, (section.line, ""))
    names = frozenset(_list(value))
    if key in section.values and not names:
        mistakes.add(line, f"{key} is empty; leave it out to mean any")
    return names


def _list(value: str) -> list[str]:
    """Names, by commas or lines."""
    return [name.strip() for name in re.split(r"[,\n]", value) if name.strip()]
