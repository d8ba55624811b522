"""What a reload does: the apps that run, held against the file. Pure decisions, and how they read.

Knows specs. Must not know files, processes or clocks.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Mapping

from . import order
from .keys import SIGNALS
from .lean import Any, Final, Literal, dataclass
from .problems import printable
from .settings import ARGV, OWN, settings
from .spec import App, Config

Kind = Literal["start", "stop", "restart", "update", "later"]
"""`update`: taken over while the app runs on. `later`: it has done its work; its next start will be the new one."""

_SECRET: Final = frozenset({"_environment"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """An app that is wanted, as it was started. `over`: it ended as it should, and no process of it is expected."""

    app: App
    over: bool = False
    stale: frozenset[str] = frozenset()
    """Settings that are known to differ from those of `app`, though not what they were."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What happens to one app. `keys`: the settings that differ, in the order of the specification."""

    name: str
    kind: Kind
    old: App | None = None
    new: App | None = None
    keys: tuple[str, ...] = ()
    why: str = ""


def decide(running: Mapping[str, Running], held: Collection[str], config: Config) -> list[Change]:
    """What must happen so that what runs is what `config` says, and nothing else; in the file's order.

    `running`: every app that is wanted now. `held`: apps that a person stopped; neither they nor what requires them
    is started. An app that was started by name though it is not enabled stays as long as it has a section.
    """
    apps = {app.name: app for app in config.apps}
    by_hand = [name for name, run in running.items() if name in apps and not run.app.enabled]
    enabled = [app.name for app in config.apps if app.enabled]
    wanted = set(order.closure([*enabled, *by_hand], {app.name: app.requires for app in config.apps}))
    left = withheld(config.apps, held)
    found = []
    for name in apps:
        if name not in wanted:
            continue
        if name in running:
            found += _compare(running[name], apps[name])
        elif name not in left:
            found.append(Change(name=name, kind="start", new=apps[name]))
    for name, run in running.items():
        if name not in wanted:
            why = "it is not enabled any more" if name in apps else "its section is gone"
            found.append(Change(name=name, kind="stop", old=run.app, new=apps.get(name), why=why))
    return found


def withheld(apps: Iterable[App], held: Collection[str]) -> frozenset[str]:
    """`held`, and every app that cannot run without one of them."""
    needed_by: dict[str, list[str]] = {}
    for app in apps:
        for other in app.requires:
            needed_by.setdefault(other, []).append(app.name)
    return frozenset(order.closure(held, needed_by))


def _compare(run: Running, new: App) -> list[Change]:
    before, after = settings(run.app), settings(new)
    keys = tuple(key for key in after if before[key] != after[key] or (key in run.stale and key not in OWN))
    if not keys:
        return []
    kind: Kind = "update"
    if not OWN.issuperset(keys):
        kind = "later" if run.over else "restart"
    return [Change(name=new.name, kind=kind, old=run.app, new=new, keys=keys)]


# How they read


def row(change: Change) -> dict[str, Any]:
    """The change as plain data, for the control channel and --json. Secrets are left out."""
    before = settings(change.old) if change.old and change.new else {}
    after = settings(change.new) if before and change.new else {}
    keys = []
    for key in change.keys:
        if key == ARGV:
            continue
        unknown = key in _SECRET or before[key] == after[key]
        pair = (None, None) if unknown else (_shown(key, before[key]), _shown(key, after[key]))
        keys.append({"key": key, "old": pair[0], "new": pair[1]})
    return {
        "name": change.name,
        "change": change.kind,
        "why": change.why,
        "old_argv": list(change.old.argv) if change.old else None,
        "new_argv": list(change.new.argv) if change.new and change.kind != "stop" else None,
        "keys": keys,
    }


def headline(row: Mapping[str, Any]) -> str:
    """One line for a person."""
    what = {"update": "no restart needed", "later": "as the file says from its next start on"}.get(
        row["change"], row["change"]
    )
    return f"{row['name']}: {what}{', ' + row['why'] if row['why'] else ''}"


def details(row: Mapping[str, Any]) -> list[str]:
    """What differs: the command lines one under the other, then the other settings."""
    old, new = row["old_argv"], row["new_argv"]
    lines = []
    if old != new:
        lines += [f"  - {_command(old)}"] if old else []
        lines += [f"  + {_command(new)}"] if new else []
    for key in row["keys"]:
        if key["key"] in ("pidfile", "logfile") and old != new:
            continue  # it stands in the command line, or follows from it
        told = "changed" if key["old"] is None else f"{key['old'] or 'none'} -> {key['new'] or 'none'}"
        lines.append(f"  {key['key']}: {printable(told)}")
    return lines


def _command(argv: Iterable[str]) -> str:
    return printable(shlex.join(argv))


def _shown(key: str, value: Any) -> str:
    if value is None:
        return ""
    if key == "_umask":
        return f"{value:03o}"
    if key in ("_kill_signal", "_reload_signal"):
        if not value:
            return ""
        return next((name for name, number in SIGNALS.items() if number == value), str(value))
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, frozenset):
        return " ".join(str(item) for item in sorted(value))
    if isinstance(value, tuple):
        return " ".join(str(item) for item in value)
    return str(value)
