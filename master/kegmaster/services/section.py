"""A section of an INI file added, replaced or taken out, and nothing else of the file touched: text in, text out.

Which lines begin a section is decided as `ini` reads them; the tests hold the two against each other. Must not open
files. What cannot be written into an INI file at all is refused here.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")
_HEADER = re.compile(r"\[(?P<name>.+)\]")
_BOM = "\ufeff"


class UnwritableError(ValueError):
    """No INI file can hold it; the text says what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a section stands: characters `start` to `end`, the header included.

    Comment lines right above the next header belong to that, blank lines before them to nobody.
    """

    name: str
    start: int
    end: int


def places(text: str) -> Iterator[Place]:
    """Every section but [DEFAULT], in the file's order; one that stands twice comes twice."""
    found: tuple[str, int] | None = None
    end = 0
    for start, stop, name in _lines(text):
        if name is None:
            end = stop
            continue
        if name == "":
            continue
        if found:
            yield Place(name=found[0], start=found[1], end=end)
        found, end = (name, start), stop
    if found:
        yield Place(name=found[0], start=found[1], end=end)


def _lines(text: str) -> Iterator[tuple[int, int, str | None]]:
    """(start, stop, name) of each line: its section's name if it is a header, "" if it says nothing, else None."""
    inside = entry = False
    indent = 0
    for match in _LINE.finditer(text):
        line = match[0].removeprefix(_BOM) if match.start() == 0 else match[0]
        stripped = line.strip()
        if not stripped or stripped.startswith(("#", ";")) or "\0" in line:
            yield match.start(), match.end(), ""
            continue
        depth = len(line) - len(line.lstrip())
        if entry and depth > indent:
            yield match.start(), match.end(), None
            continue
        indent = depth
        if header := _HEADER.match(stripped):
            inside, entry = True, False
            start = 1 if match.start() == 0 and text.startswith(_BOM) else match.start()
            yield start, match.end(), header["name"]
            continue
        ends = [place for place in (stripped.find("="), stripped.find(":")) if place >= 0]
        entry = inside and min(ends, default=-1) > 0
        yield match.start(), match.end(), None


def find(text: str, name: str) -> Place | None:
    """Where the section stands; the first if it stands twice."""
    return next((place for place in places(text) if place.name == name), None)


def line_end(text: str) -> str:
    """How the file ends its lines: as its first line does; a newline if it has none."""
    match = re.search(r"\r\n|\r|\n", text)
    return match[0] if match else "\n"


def append(text: str, section: str) -> tuple[str, str]:
    """`text` with `section` at its end, and what was put between the two: `remove` takes that out again."""
    end = line_end(text)
    if not text or text == _BOM:
        return text + section, ""
    glue = end if text.endswith(("\n", "\r")) else end + end
    return f"{text}{glue}{section}", glue


def replace(text: str, place: Place, section: str) -> str:
    """`text` with `section` in the place of another."""
    return text[: place.start] + section + text[place.end :]


def remove(text: str, place: Place, glue: str = "") -> str:
    """`text` without that section, nor the `glue` right before it; two lines never become one."""
    before, after = text[: place.start].removesuffix(glue), text[place.end :]
    joined = before.removeprefix(_BOM) and after and not before.endswith(("\n", "\r"))
    return before + (line_end(text) if joined and not after.startswith(("\n", "\r")) else "") + after


def compose(name: str, settings: Iterable[tuple[str, str]], end: str = "\n") -> str:
    """A section of these keys and values, as they are to stand in the file."""
    lines = [f"[{name}]", *(f"{key} = {value}".rstrip() for key, value in settings)]
    return "".join(line.replace("\n", end) + end for line in lines)


def plain(value: str) -> str:
    """`value` as the value of a key that takes no words. Raises UnwritableError."""
    _writable(value, "a value")
    if "\n" in value:
        raise UnwritableError("a value of several lines")
    value = value.replace("%", "%%")
    edged = value != value.strip() or (len(value) > 1 and value[0] == value[-1] and value[0] in "'\"")
    return f'"{value}"' if edged else value


def command(words: Sequence[str]) -> str:
    r"""The value of `_command` that is read back as exactly these words. Raises UnwritableError.

    A line break inside a word is a line break inside quotes, which end one line and begin the next: the reader strips
    lines and skips those that begin with # or ;, but none of that happens to a quote.
    """
    return " ".join(_word(word) for word in words)


def _word(word: str) -> str:
    _writable(word, f"the word {word[:40]!r}")
    pieces = [shlex.quote(piece).replace("%", "%%") for piece in word.split("\n")]
    return '"\n  "'.join(pieces)


def _writable(text: str, what: str) -> None:
    if "\r" in text:
        raise UnwritableError(f"{what} holds a carriage return, which ends a line in any INI file")
    if "\0" in text:
        raise UnwritableError(f"{what} holds a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UnwritableError(f"{what} is not UTF-8") from None
