"""The pages docs/coming-from-*.rst as something to be followed: their steps, and the commands of each.

Knows how a page is written. Must not know what it is about, nor run anything.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PAGES: Final = Path(__file__).parents[2] / "docs"
_STEPS: Final = re.compile(r"(?s)\nWord by word\n-+\n(.*?)\n(?=[^\n]+\n-+\n)")
_NUMBER: Final = re.compile(r"(?m)^(\d+)\. ")
_MARGIN: Final = re.compile(r"\n\n(?=\S)")
_LITERAL: Final = re.compile(r"(?m)::\n\n((?:(?:    +.*)?\n)+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """commands: what is typed, a line each, without comments. configuration: the text of an INI that it shows, or ""."""

    number: int
    commands: tuple[str, ...]
    configuration: str


def steps(text: str) -> list[Step]:
    """The numbered steps of a page. Raises ValueError if it has none."""
    found = _STEPS.search(text)
    if not found:
        raise ValueError("no steps below 'Word by word'")
    heads = list(_NUMBER.finditer(found[1]))
    ends = [head.start() for head in heads[1:]] + [len(found[1])]
    made = []
    for head, end in zip(heads, ends, strict=True):
        # A paragraph at the margin is a remark after the step.
        own = _MARGIN.split(found[1][head.end() : end] + "\n", maxsplit=1)[0]
        blocks = [textwrap.dedent(block[1]).strip("\n") for block in _LITERAL.finditer(own)]
        shell = "\n".join(block for block in blocks if not block.startswith("["))
        made.append(
            Step(
                number=int(head[1]),
                commands=tuple(
                    line
                    for written in re.sub(r"\\\n\s*", "", shell).splitlines()
                    if (line := re.sub(r"(^|\s{2,})#.*", "", written).strip())
                ),
                configuration="\n".join(block + "\n" for block in blocks if block.startswith("[")),
            )
        )
    return made
