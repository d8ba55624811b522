"""What apps are to one another, and every way in which that can be wrong.

Knows specs. Must not know INI, the disk or processes.
"""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterable, Mapping

from .problems import Problem, nearest
from .spec import App


def clashes(apps: Mapping[str, App], own: str, file: str) -> Iterable[Problem]:
    """Two apps must not write one pidfile, nor one log; nor any that begins like `own`, the launcher's."""
    for kind in ("pidfile", "logfile"):
        seen: dict[str, str] = {}
        for app in apps.values():
            path = posixpath.normpath(getattr(app, kind)).replace("//", "/")
            if path == "/dev/null":
                continue  # nothing is lost there that was not to be
            if path.startswith(own):
                key = f"_{kind}" if f"_{kind}" in app.key_lines else kind
                yield _at(app, key, f"{path} is the launcher's own file", "name another", file)
            if not app.enabled:
                continue  # a stand-in for another may well have its files
            first = seen.setdefault(path, app.name)
            if first != app.name:
                wrong = f"its {kind} {getattr(app, kind)} is that of [{first}] too"
                cure = f"give each its own, such as %(__name__)s in {kind}"
                yield Problem(file=file, line=app.line, section=app.name, wrong=wrong, cure=cure)


def dependencies(apps: Mapping[str, App], known: Mapping[str, int], file: str) -> Iterable[Problem]:
    """What an app comes after, or requires, must be a section: one of `known`."""
    for app in apps.values():
        for key in ("after", "requires"):
            for other in getattr(app, key):
                if other not in known:
                    near = nearest(other, known)
                    cure = f"did you mean {near}?" if near else "name the section of an app"
                    yield _at(app, f"_{key}", f"there is no section [{other}]", cure, file)


def circle(apps: Mapping[str, App], path: tuple[str, ...], file: str) -> Problem:
    """Of apps that wait for one another, the first of which stands at both ends of `path`."""
    key = "_requires" if path[1] in apps[path[0]].requires else "_after"
    return _at(apps[path[0]], key, f"{' -> '.join(path)} goes in a circle", "take one of them out", file)


def orphaned(app: App, broken: Collection[str | None], file: str) -> Iterable[Problem]:
    """It requires one of the `broken`."""
    for other in app.requires:
        if other in broken:
            yield _at(
                app, "_requires", f"[{other}] is left out because of its own problem", "mend that", file
            )
            return


def _at(app: App, key: str, wrong: str, cure: str, file: str) -> Problem:
    line = app.key_lines.get(key, app.line)
    return Problem(file=file, line=line, section=app.name, key=key, wrong=wrong, cure=cure)
