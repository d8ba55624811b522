"""Files of systemd's syntax: text in, assignments with their lines out; and its ways of quoting.

Source: systemd.syntax(7). Must not know what the assignments mean.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from .draft import Notes

_ESCAPES: Final[Mapping[str, str]] = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", '"': '"', "'": "'",
    "s": " ", ";": ";", " ": " ", "$": "$",
}  # fmt: skip
_NUMBERS: Final = (("x", 2, 16), ("u", 4, 16), ("U", 8, 16))


@dataclass(frozen=True, slots=True)
class Assignment:
    """One `Key=value`."""

    value: str
    file: str
    line: int


@dataclass(slots=True)
class Unit:
    """A unit with its drop-ins: section to key to all that was assigned, an empty assignment having undone the rest."""

    sections: dict[str, dict[str, list[Assignment]]] = field(default_factory=dict)

    def all(self, section: str, key: str) -> list[Assignment]:
        """What was assigned to `key`, first to last."""
        return self.sections.get(section, {}).get(key, [])

    def text(self, section: str, key: str, default: str = "") -> str:
        """What was assigned last."""
        found = self.all(section, key)
        return found[-1].value if found else default

    def line(self, section: str, key: str) -> int:
        """Where that is; 0 if nowhere."""
        found = self.all(section, key)
        return found[-1].line if found else 0


def read(text: str, file: str, unit: Unit, notes: Notes) -> None:
    """Add what `text` says to `unit`; never raises."""
    section = ""
    logical, start = "", 0
    for number, line in enumerate([*text.replace("\r\n", "\n").split("\n"), ""], 1):
        if logical and line.lstrip().startswith(("#", ";")):
            continue
        if not logical:
            start = number
        if line.endswith("\\") and not (not logical and line.lstrip().startswith(("#", ";"))):
            logical += line[:-1] + " "
            continue
        whole, logical = (logical + line).strip(), ""
        if not whole or whole[0] in "#;":
            continue
        if whole.startswith("[") and whole.endswith("]"):
            section = whole[1:-1]
            continue
        key, equals, value = whole.partition("=")
        if not equals or not section:
            notes.add(
                file, start, section or None, None, "is no Key=value of a section", "correct or remove it"
            )
            continue
        found = unit.sections.setdefault(section, {}).setdefault(key.strip(), [])
        if value.strip():
            found.append(Assignment(value.strip(), file, start))
        else:
            found.clear()


def split(text: str) -> list[str]:
    """Words, with quotes and escapes undone. Raises ValueError for a quote that is not closed or a bad escape."""
    return [word for word, _ in tokens(text)]


def tokens(text: str) -> list[tuple[str, bool]]:
    """The same; each with whether any of it was quoted or escaped."""
    words: list[tuple[str, bool]] = []
    place, end = 0, len(text)
    while place < end:
        if text[place].isspace():
            place += 1
            continue
        word: list[str] = []
        quoted, quote = False, ""
        while place < end and (quote or not text[place].isspace()):
            letter = text[place]
            place += 1
            if letter == "\\":
                piece, place = _escape(text, place)
                word.append(piece)
                quoted = True
            elif quote:
                if letter == quote:
                    quote = ""
                else:
                    word.append(letter)
            elif letter in "'\"":
                quote, quoted = letter, True
            else:
                word.append(letter)
        if quote:
            raise ValueError(f"has a {quote} that is not closed")
        words.append(("".join(word), quoted))
    return words


def _escape(text: str, place: int) -> tuple[str, int]:
    letter = text[place : place + 1]
    if letter in _ESCAPES and letter:
        return _ESCAPES[letter], place + 1
    for sign, digits, base in _NUMBERS:
        number = text[place + 1 : place + 1 + digits]
        if (
            letter == sign
            and re.match(rf"[0-9a-fA-F]{{{digits}}}\Z", number)
            and 0 < int(number, base) < 0x110000
        ):
            return chr(int(number, base)), place + 1 + digits
    octal = text[place : place + 3]
    if re.match(r"[0-3][0-7]{2}\Z", octal) and int(octal, 8):
        return chr(int(octal, 8)), place + 3
    raise ValueError("has a \\ that makes no escape")
