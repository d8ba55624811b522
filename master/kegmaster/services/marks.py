"""Our lines in a file that is somebody else's: a block between two marks, put in and taken out. Text in, text out.

Must not open files, nor know what the lines mean.
"""

from __future__ import annotations

from collections.abc import Sequence

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


def put(
    text: str | None,
    name: str,
    lines: str,
    frame: tuple[str, str],
    *,
    script: bool = False,
    known: Sequence[str] = (),
) -> str:
    """`text` with the block in it: where it was, else at the end; in a `script` before the line that ends it.

    None: there is no such file; it is made of the block within `frame`. `known`: as for `cut`. Raises
    script.ScriptError.
    """
    new = block(name, lines)
    if text is None:
        return frame[0] + new + frame[1]
    others = cut(text, name, known)
    last = end_of_script(others) if script else len(others)
    if (place := _find(text, name, known)) is not None and place[0] <= last:
        return text[: place[0]] + new + cut(text[place[1] :], name, known)
    before, after = others[:last], others[last:]
    return before + ("" if not before or before.endswith("\n") else "\n") + new + after


def within(text: str, name: str, known: Sequence[str] = ()) -> str | None:
    """The lines between the marks of the service `name`, or what is left of them; None if there are none."""
    place = _find(text, name, known)
    return None if place is None else text[slice(*place)].removeprefix(begin(name)).removesuffix(end(name))


def cut(text: str, name: str, known: Sequence[str] = ()) -> str:
    """`text` without the block; as it is if there is none.

    `known`: what may stand in it. By that it is found, too, when somebody has taken a mark of it away.
    """
    while place := _find(text, name, known):
        text = text[: place[0]] + text[place[1] :]
    return text


def marked(text: str, name: str) -> bool:
    """A mark of the service `name` is there."""
    return any(_line(text, mark) is not None for mark in (begin(name), end(name)))


def _find(text: str, name: str, known: Sequence[str]) -> tuple[int, int] | None:
    first, last = begin(name), end(name)
    start = _line(text, first)
    if start is not None:
        inner = start + len(first)
        stop, another = _line(text, last, inner), _line(text, first, inner)
        if stop is not None and (another is None or stop < another):
            return start, stop + len(last)
    for lines in filter(None, known):
        whole = lines if lines.endswith("\n") else f"{lines}\n"
        if (at := _line(text, whole)) is None:
            continue
        stop = at + len(whole)
        above = at - len(first) if text[:at].endswith(first) else at
        return above, stop + len(last) if text.startswith(last, stop) else stop
    return None


def _line(text: str, lines: str, start: int = 0) -> int | None:
    """Where these whole lines stand first, from `start` on, where a line begins."""
    if text.startswith(lines, start):
        return start
    found = text.find(f"\n{lines}", start)
    return None if found < 0 else found + 1
