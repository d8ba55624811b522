"""kegbot_master.cfg of 2012, read: nearly our own file; what differs is said.

Source: the old program's sample and its use of Python 2's ConfigParser: keys in small letters, comments behind ` ;`.
"""

from __future__ import annotations

import re
from typing import Final

from ..keys import KEYS
from ..problems import nearest
from . import inifile
from .draft import Draft, Names, Notes, World

_KEY: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\Z")


def read(text: str, file: str, world: World, names: Names, notes: Notes) -> list[Draft]:
    """The apps of the old file; never raises."""
    del world
    drafts = []
    parts = inifile.read(text, file, notes, inline=";")
    common = parts.pop("DEFAULT", inifile.Part("DEFAULT", file, 0)).settings
    for part in parts.values():
        if names.full:
            break
        draft = Draft(
            name=names.give(part.name), file=file, line=part.line, section=part.name, bare=True, enabled=False
        )
        if draft.name != part.name:
            draft.keys["_program_name"] = part.name
            notes.at(draft, None, "is no name of an app, or taken", f"it is called {draft.name} now")
        for key, setting in {**common, **part.settings}.items():
            value = setting.value.replace("%(__name__)s", part.name)
            if key == "_enabled":
                _enabled(draft, value, notes, setting.line)
            elif key.startswith("_") and key not in KEYS:
                near = nearest(key, KEYS)
                cure = f"did you mean {near}?" if near else "nothing is lost: see docs/configuration.rst"
                notes.at(draft, key, "the launcher has no such key", cure, setting.line)
            elif not _KEY.match(key):
                notes.at(draft, key, "is no name of a flag", "use letters, digits, _ . and -", setting.line)
            elif "\n" in value or "\0" in value:
                notes.at(draft, key, "goes on over several lines", "write it on one", setting.line)
            elif value or not key.startswith("_"):
                draft.plain[key] = value
        drafts.append(draft)
    if drafts:
        notes.add(
            file,
            0,
            None,
            None,
            "is nearly a file of this launcher already",
            "keep it as it is if configtest says nothing; docs/import-export.rst tells what differs",
        )
    else:
        notes.add(file, 0, None, None, "there is no section in it", "name the file that has them")
    return drafts


def _enabled(draft: Draft, value: str, notes: Notes, line: int) -> None:
    word = value.lower()
    draft.enabled = word in ("1", "yes", "true", "on")
    if word not in ("1", "yes", "true", "on", "0", "no", "false", "off"):
        notes.at(draft, "_enabled", f"{value[:40]!r} is neither True nor False", "False was taken", line)
