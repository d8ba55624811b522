"""The values of one unit as systemd would use them: specifiers filled in, and notes at the line they stand in.

Source: systemd.unit(5), "Specifiers". Must not know what a key means.
"""

from __future__ import annotations

import re
from typing import Final

from .draft import Draft, Notes, World
from .unitfile import Unit

_SPECIFIER: Final = re.compile(r"%(.)", re.DOTALL)


class Values:
    """What a unit says, for the app that it becomes."""

    def __init__(self, unit: Unit, draft: Draft, name: str, world: World, notes: Notes) -> None:
        """`name`: of the unit, without .service; of an instance, with what follows its @."""
        self.unit = unit
        self.draft = draft
        self.world = world
        self.notes = notes
        prefix, _, instance = name.partition("@")
        # Of a unit that is no instance, %i is empty.
        self._specifiers = {
            "%": "%", "n": f"{name}.service", "N": name, "p": prefix, "i": instance, "I": instance.replace("-", "/"),
            "t": "/run", "S": "/var/lib", "C": "/var/cache", "L": "/var/log", "E": "/etc",
            "T": "/tmp", "V": "/var/tmp", "H": world.host, "l": world.host.partition(".")[0],
        }  # fmt: skip
        user = self.text("User") or "root"
        self.home = "/root" if user in ("root", "0") else f"/home/{user}"
        self._specifiers |= {"u": user, "h": self.home}

    def say(self, key: str, wrong: str, cure: str, section: str = "Service") -> None:
        """A note on `key`, where it was assigned last."""
        found = self.unit.all(section, key)
        file, line = (found[-1].file, found[-1].line) if found else (self.draft.file, 0)
        self.notes.add(file, line, section, key, wrong, cure)

    def text(self, key: str, section: str = "Service") -> str:
        """The value of `key`, specifiers filled in; empty if it has none."""
        return self.specify(self.unit.text(section, key), key)

    def specify(self, text: str, key: str) -> str:
        """`text` with its specifiers filled in; one that cannot be is said, and disables the app."""

        def one(match: re.Match[str]) -> str:
            value = self._specifiers.get(match[1])
            if value is None:
                self.say(
                    key,
                    f"%{match[1]} could not be filled in",
                    "write what it stands for, and _enabled = True",
                )
                self.draft.enabled = False
                return match[0]
            if match[1] == "h" and value != "/root":
                self.say(key, f"%h was taken for {value}", "check it")
            return value

        return _SPECIFIER.sub(one, text)
