"""Our lines in a file that is somebody else's: a block between two marks, put in and taken out. Text in, text out.

Must not open files, nor know what the lines mean.
"""

from __future__ import annotations

from .script import end as end_of_script


def begin(name: str) -> str:
    """The line above the block of the service `name`."""
    return f"# begin of what `master.py install` wrote for {name}; `master.py remove` takes it out\n"


def end(name: str) -> str:
    """The line below it."""
    return f"# end of what `master.py install` wrote for {name}\n"


def block(name: str, text: str) -> str:
    """The block with its marks; each line ended."""
    return begin(name) + (text if text.endswith("\n") or not text else f"{text}\n") + end(name)


def put(text: str | None, name: str, lines: str, frame: tuple[str, str], *, script: bool = False) -> str:
    """`text` with the block in it: where it was, else at the end; in a `script` before the line that ends it.

    None: there is no such file; it is made of the block within `frame`. Raises script.ScriptError.
    """
    new = block(name, lines)
    if text is None:
        return frame[0] + new + frame[1]
    others = cut(text, name)
    last = end_of_script(others) if script else len(others)
    if (place := _find(text, name)) is not None and place[0] <= last:
        return text[: place[0]] + new + text[place[1] :]
    before, after = others[:last], others[last:]
    return before + ("" if not before or before.endswith("\n") else "\n") + new + after


def within(text: str, name: str) -> str | None:
    """The lines between the marks of the service `name`; None if there are none."""
    place = _find(text, name)
    return None if place is None else text[place[0] + len(begin(name)) : place[1] - len(end(name))]


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
