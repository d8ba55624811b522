"""Our lines in a file that is somebody else's: a block between two marks, put in and taken out. Text in, text out.

Must not open files, nor know what the lines mean.
"""

from __future__ import annotations

import re

_EXIT = re.compile(r"^[ \t]*exit[ \t]+0[ \t]*;?[ \t]*(?:#.*)?$", re.MULTILINE)


def begin(name: str) -> str:
    """The line above the block of the service `name`."""
    return f"# begin of what `master.py install` wrote for {name}; `master.py remove` takes it out\n"


def end(name: str) -> str:
    """The line below it."""
    return f"# end of what `master.py install` wrote for {name}\n"


def block(name: str, text: str) -> str:
    """The block with its marks; each line ended."""
    return begin(name) + (text if text.endswith("\n") or not text else f"{text}\n") + end(name)


def put(text: str | None, name: str, lines: str, frame: tuple[str, str]) -> str:
    """`text` with the block in it: where it was, else before a final `exit 0`, else at the end.

    None: there is no such file; it is made of the block within `frame`.
    """
    new = block(name, lines)
    if text is None:
        return frame[0] + new + frame[1]
    if (place := _find(text, name)) is not None:
        return text[: place[0]] + new + text[place[1] :]
    exits = list(_EXIT.finditer(text))
    # Only the last command of all ends the script for good; one inside an `if` does not.
    if exits and not _commands(text[exits[-1].end() :]):
        start = exits[-1].start()
        return text[:start] + new + text[start:]
    return text + ("" if not text or text.endswith("\n") else "\n") + new


def cut(text: str, name: str) -> str:
    """`text` without the block; as it is if there is none."""
    place = _find(text, name)
    return text if place is None else text[: place[0]] + text[place[1] :]


def _find(text: str, name: str) -> tuple[int, int] | None:
    first, last = begin(name), end(name)
    start = 0 if text.startswith(first) else text.find(f"\n{first}") + 1
    if not start and not text.startswith(first):
        return None
    stop = text.find(last, start)
    return None if stop < 0 else (start, stop + len(last))


def _commands(text: str) -> bool:
    return any(line.strip() and not line.strip().startswith("#") for line in text.splitlines())
