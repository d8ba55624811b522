"""The flags in a program's command line, as the program itself would read them.

Knows how absl spells flags and flagfiles. Must not know files, processes or what any flag is for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

MAX_FLAGFILE_DEPTH: Final = 8


def program_of(argv: Sequence[str]) -> str:
    """The script that `argv` runs, without folder and `.py`: itself, or Python's first word; "" if neither."""
    words = list(argv)
    if words and _name(words[0]).startswith("python"):
        del words[0]
        while words and words[0].startswith("-") and words[0] not in ("-c", "-m"):
            del words[0]
    if not words or not _name(words[0]).endswith(".py"):
        return ""
    return _name(words[0]).removesuffix(".py")


def read_flags(
    words: Iterable[str], wanted: Iterable[str], flagfile: Callable[[str], str | None]
) -> dict[str, str]:
    """The last value of each flag in `wanted` (all take a value) among `words`.

    `flagfile(path)` gives the text of a flagfile, None if it cannot be read; then what is in it is missing here.
    """
    found: dict[str, str] = {}
    _read(list(words), frozenset(wanted), flagfile, found, depth=0)
    return found


def _read(
    words: list[str],
    wanted: frozenset[str],
    flagfile: Callable[[str], str | None],
    found: dict[str, str],
    *,
    depth: int,
) -> None:
    while words:
        word = words.pop(0)
        if word == "--":
            return
        if not word.startswith("-"):
            continue
        name, given, value = word.lstrip("-").partition("=")
        if name != "flagfile" and name not in wanted:
            continue
        if not given:
            if not words:
                return
            value = words.pop(0)
        if name == "flagfile":
            if depth < MAX_FLAGFILE_DEPTH and (text := flagfile(value)) is not None:
                _read(_lines(text), wanted, flagfile, found, depth=depth + 1)
        else:
            found[name] = value


def _lines(text: str) -> list[str]:
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith(("#", "//"))]


def _name(path: str) -> str:
    return path.rpartition("/")[2]
