"""What the last install of a name was, as data: kept for remove and reinstall, versioned, checked on reading.

Values of variables are no part of it, only their names. Must not know files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from ..boot.plan import Artefact, Attempt, Plan

VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """An app that was installed by name.

    section    as it was written into `config`, with `glue` before it
    variables  names of those kept in `env_file`
    made       files and directories that were made for it, outermost first
    boot       its install saw to the boot entry, too, and so will reinstall
    installed  its section stands there now; else only reinstall needs this
    """

    name: str
    config: str
    words: tuple[str, ...]
    section: str
    glue: str = ""
    env_file: str = ""
    variables: tuple[str, ...] = ()
    made: tuple[str, ...] = ()
    boot: bool = False
    installed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """The master's boot entry. `before`: what stood at the paths of its artefacts, as snapshots; in their order.

    `by_app`: it came with an app, by one command, and goes with the last one.
    """

    plan: Plan
    name: str
    user: str = ""
    description: str = ""
    config: str = ""
    made: tuple[str, ...] = ()
    before: tuple[Any, ...] = ()
    after: tuple[Any, ...] = ()
    """The same, as they were when install was done."""
    attempted: tuple[Any, ...] = ()
    """Which of the plan's attempts were carried out, and so are ours to undo."""
    by_app: bool = False
    installed: bool = True


def to_json(answers: App | Boot) -> dict[str, Any]:
    """As it is written."""
    return {"version": VERSION, **asdict(answers)}


def app(row: object) -> App:
    """What was written for an app. Raises ValueError."""
    return App(**_checked(App, row))


def boot(row: object) -> Boot:
    """What was written for the boot entry. Raises ValueError."""
    values = _checked(Boot, row, plan=dict)
    plan = _checked(Plan, {"version": VERSION, **values["plan"]}, artefacts=list, attempts=list)
    for key in ("enable", "start", "stop", "disable", "forget"):
        plan[key] = tuple(_words(words) for words in plan[key])
    plan["artefacts"] = tuple(
        Artefact(**{**_checked(Artefact, {"version": VERSION, **part}), "frame": tuple(part["frame"])})
        for part in plan["artefacts"]
    )
    plan["attempts"] = tuple(
        Attempt(**_checked(Attempt, {"version": VERSION, **part})) for part in plan["attempts"]
    )
    return Boot(**{**values, "plan": Plan(**plan)})


_TYPES: Mapping[str, type] = {"str": str, "bool": bool, "int": int, "Plan": dict, "Role": str}


def _checked(kind: type, row: object, **types: type) -> dict[str, Any]:
    if not isinstance(row, dict) or row.get("version") != VERSION:
        raise ValueError(f"is of another version than {VERSION}")
    found = {}
    for field in fields(kind):
        value = row.get(field.name)
        expected = types.get(field.name) or _TYPES.get(str(field.type), list)
        if not isinstance(value, expected) or (expected is int and isinstance(value, bool)):
            raise ValueError(f"{field.name} is no {expected.__name__}")
        if str(field.type) == "tuple[str, ...]":
            value = _words(value)
        found[field.name] = tuple(value) if isinstance(value, list) else value
    return found


def _words(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise ValueError("a list of words is none")
    return tuple(value)


def as_found(known: App, section: str) -> App:
    """The same with the section as somebody has left it by hand: which words that means, only the file can say."""
    return known if known.section == section else replace(known, section=section, words=())


def later(answers: Boot, before: Boot | None, *, by_app: bool) -> Boot:
    """The same, with what an earlier install of it made before; `by_app`: this one was for an app."""
    if before is None or not before.installed:
        return replace(answers, made=(*(before.made if before else ()), *answers.made), by_app=by_app)
    made = tuple(dict.fromkeys((*before.made, *answers.made)))
    return replace(answers, made=made, by_app=by_app and before.by_app)
