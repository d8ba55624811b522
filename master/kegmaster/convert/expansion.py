"""`%(name)s` in a supervisord.conf, and its lists of variables, as supervisord itself takes them.

Source: supervisor's manual, "Environment Variables", and Python's `%`. Pure.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Final

from .draft import SECRET, Notes, World
from .inifile import Part

_FORMAT: Final = re.compile(r"%(?:%|\((?P<name>[^()]{1,200})\)(?P<zero>0?)(?P<width>[1-9]?)(?P<type>[sd]))")


class Expansion:
    """`%(name)s` filled in, as supervisord does by Python's `%`, but with nothing that could grow."""

    def __init__(self, names: Mapping[str, str], world: World) -> None:
        self.names = dict(names)
        self.world = world
        self.unknown = False

    def fill_in(self, text: str, part: Part, key: str, notes: Notes) -> str:
        """The text with all names replaced that are known."""

        def one(match: re.Match[str]) -> str:
            name = match["name"]
            if name is None:
                return "%"
            value = self._value(name, part, key, notes)
            if value is None:
                return match[0]
            if match["type"] == "d" and not re.match(r"[0-9]{1,9}\Z", value):
                return value
            width = int(match["width"] or 0)
            return value.zfill(width) if match["zero"] else value.rjust(width)

        filled = _FORMAT.sub(one, text)
        if "%" in _FORMAT.sub("", text):
            notes.add(
                part.file,
                part.line_of(key),
                part.name,
                key,
                "has a lone %, with which supervisord does not start",
                "it was taken as it stands",
            )
        return filled

    def _value(self, name: str, part: Part, key: str, notes: Notes) -> str | None:
        if name in self.names:
            return self.names[name]
        variable = name.removeprefix("ENV_")
        line = part.line_of(key)
        if name != variable and variable in self.world.environment:
            if SECRET.search(variable):
                self.unknown = True
                notes.add(
                    part.file,
                    line,
                    part.name,
                    key,
                    f"%({name})s may be secret and was not filled in",
                    f"have the launcher hand it on: _pass_environment = {variable}",
                )
                return None
            notes.add(
                part.file,
                line,
                part.name,
                key,
                f"%({name})s was filled in with what it is here and now",
                "check it",
            )
            return self.world.environment[variable]
        self.unknown = True
        what = f"the variable {variable} is not set" if name != variable else "supervisord knows no such name"
        notes.add(
            part.file,
            line,
            part.name,
            key,
            f"%({name})s could not be filled in: {what}",
            "write what it stands for, and _enabled = True",
        )
        return None

    def environment(
        self, part: Part, text: str, notes: Notes, handed_on: dict[str, None]
    ) -> dict[str, str] | None:
        """NAME="value",NAME2='value' as supervisord splits it; None if it cannot be. Names become known as ENV_NAME.

        `handed_on` gets the names whose value is the variable of the same name.
        """
        # Non-POSIX: a quote has no way to be in its own kind of quotes, and no backslash helps.
        lexer = shlex.shlex(text)
        lexer.wordchars += "/.+-():%"
        variables: dict[str, str] = {}
        try:
            tokens = list(lexer)
        except ValueError:
            notes.add(
                part.file,
                part.line_of("environment"),
                part.name,
                "environment",
                "has a quote that is not closed",
                "close it",
            )
            return None
        for start in range(0, len(tokens), 4):
            group = tokens[start : start + 4]
            if len(group) < 3 or group[1] != "=":
                notes.add(
                    part.file,
                    part.line_of("environment"),
                    part.name,
                    "environment",
                    f'is no list of NAME="value" from its {start // 4 + 1}. member on',
                    "correct it",
                )
                break
            name, value = group[0], group[2].strip("'\"")
            if value == f"%(ENV_{name})s" and f"ENV_{name}" not in self.names:
                handed_on[name] = None
                continue
            variables[name] = self.fill_in(value, part, "environment", notes)
        self.names |= {f"ENV_{name}": value for name, value in variables.items()}
        return variables
