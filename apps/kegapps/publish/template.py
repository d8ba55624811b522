"""What is said of a drink: a text with names in braces, checked when it is given, filled in without surprises.

Knows braces and names. Must not know drinks, networks or flags.
Not `str.format`: there a template may reach into objects, and one of a user's name that holds braces is a template.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

_PART: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


class TemplateError(ValueError):
    """The template cannot be used; `str(error)` is one line: what is wrong with it, and what to do."""


@dataclass(frozen=True, slots=True)
class Template:
    """A checked template: texts, and between them names; `parts` begins and ends with a text."""

    parts: tuple[str, ...]

    def fill(self, values: Mapping[str, str]) -> str:
        """The text with each name's value in its place; the values are text, whatever is in them."""
        return "".join(part if at % 2 == 0 else values[part] for at, part in enumerate(self.parts))


def parse(text: str, names: Sequence[str]) -> Template:
    """The template `text`, in which `{name}` stands for one of `names`, `{{` and `}}` for braces.

    Raises TemplateError.
    """
    if not text.strip():
        raise TemplateError("is empty; leave the flag out for the usual words")
    parts = [""]
    end = 0
    for found in _PART.finditer(text):
        parts[-1] += text[end : found.start()]
        end = found.end()
        whole, name = found[0], found[1]
        if whole in ("{{", "}}"):
            parts[-1] += whole[0]
        elif name is None:
            raise TemplateError(f"has a single {whole}; write {whole * 2} for a brace, {{name}} for a name")
        elif name in names:
            parts += [name, ""]
        else:
            raise TemplateError(
                f"has no meaning for {{{name}}}{_nearest(name, names)}; it knows {_listed(names)}"
            )
    parts[-1] += text[end:]
    return Template(tuple(parts))


def _nearest(name: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, names, 1)
    return f", perhaps {{{near[0]}}}?" if near else ""


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"{{{name}}}" for name in names)
