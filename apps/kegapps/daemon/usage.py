"""The help texts of a program, made for people: what it is for, then each flag with default and meaning.

Knows absl.flags' registry. Must not know what any flag is for.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from typing import Any

from absl import flags

from kegapps.daemon.version import number as package_version

FLAGS = flags.FLAGS

_OURS = "kegapps.daemon."
# absl handles these two before it looks at any defined flag, so they are in no registry we may read.
_SPECIAL = (
    (
        "--flagfile=PATH",
        "Read flags from this file, one --flag=value a line. Keeps secrets out of the process list.",
    ),
    ("--undefok=NAME,NAME", "Do not complain about these flags if they do not exist."),
)
_INDENT = " " * 6
_WIDTH = 79


def text(program: str, usage: str, *, everything: bool) -> str:
    """Help of `program`: its usage text, its own flags and, with `everything`, those every program has."""
    own: list[Any] = []
    common: list[Any] = []
    for module, defined in FLAGS.flags_by_module_dict().items():
        (common if module.startswith(_OURS) else own).extend(defined)
    parts = [inspect.cleandoc(usage)]
    if "usage:" not in usage.lower():
        parts.append(f"Usage: {program} [flags]")
    if own:
        parts.append("\n".join(["Flags of this program:", *map(_entry, _by_name(own))]))
    if everything:
        special = [_described(head, what) for head, what in _SPECIAL]
        parts.append("\n".join(["Flags of every program:", *map(_entry, _by_name(common)), *special]))
    else:
        parts.append("--help shows the flags that every program has, too.")
    return "\n\n".join(part for part in parts if part)


def version(program: str) -> str:
    """One line: the program and the version of the package it belongs to."""
    return f"{program} (kegmaster) {package_version()}"


def _by_name(defined: list[Any]) -> list[Any]:
    return sorted((flag for flag in defined if FLAGS[flag.name] is flag), key=lambda flag: str(flag.name))


def _entry(flag: Any) -> str:
    if question := getattr(flag, "is_question", False):
        head = f"--{flag.name}"
    elif flag.boolean:
        head = f"--[no]{flag.name}"
    else:
        head = f"--{flag.name}={_value(flag)}"
    if flag.short_name:
        head = f"-{flag.short_name}, {head}"
    # absl adds its own words to some: the values of an enumeration, and that a flag may be repeated.
    what = re.sub(r"\A<[^>]*>: |;\s+repeat this option to specify a list of values\Z", "", flag.help or "")
    if flag.flag_type().startswith("multi "):
        what += " May be given several times."
    return _described(head, what if question else f"{what} (default: {_default(flag)})")


def _value(flag: Any) -> str:
    if values := getattr(flag.parser, "enum_values", None):
        return "|".join(values)
    kind = flag.flag_type().removeprefix("multi ")
    if "list of" in kind:
        return "TEXT,TEXT"
    return {"int": "NUMBER", "float": "NUMBER"}.get(kind, "TEXT")


def _default(flag: Any) -> str:
    if not flag.default and not isinstance(flag.default, int | float):
        return "none"
    if flag.boolean:
        return "yes" if flag.default else "no"
    if isinstance(flag.default, list):
        return ", ".join(map(str, flag.default))
    return str(flag.default)


def _described(head: str, what: str) -> str:
    body = textwrap.fill(
        " ".join(what.split()),
        _WIDTH,
        initial_indent=_INDENT,
        subsequent_indent=_INDENT,
        break_on_hyphens=False,
        break_long_words=False,
    )
    return f"  {head}\n{body}"
