"""The environment and the user of an app's process: the same whether a shell, cron or an init system started us.

Knows the user database and files of variables. Must not make processes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from . import proc
from .loading import read_environment_file
from .paths import HOME_VARIABLE
from .programs import Search
from .spec import App, Context

_KEPT = ("HOME", "USER", "LOGNAME", "TZ")
"""Handed on where set: they say who we are and what time it is. XDG_ directories move with HOME."""
_OURS = ("XDG_", HOME_VARIABLE)
"""So do variables that begin like this, but only to apps that run as our own user: they say where its files are."""


def environment(app: App, search: Search, own: Mapping[str, str]) -> dict[str, str]:
    """The variables the app starts with, those of the launcher itself aside.

    Raises ProgramError for an unreadable _environment_file, KeyError for an unknown user.
    """
    kept = {name: value for name, value in own.items() if name in _KEPT or name.startswith(_OURS)}
    if app.context.user:
        import pwd

        user = pwd.getpwnam(app.context.user)
        kept = {name: value for name, value in kept.items() if not name.startswith(_OURS)}
        kept |= {"HOME": user.pw_dir, "USER": user.pw_name, "LOGNAME": user.pw_name}
    found = {"PATH": search.path, "LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1", **kept}
    found |= {name: own[name] for name in app.context.pass_environment if name in own}
    found |= dict(app.context.environment)
    if app.context.environment_file:
        found |= read_environment_file(app.context.environment_file)
    return found


def credentials(context: Context) -> tuple[int | None, int | None, tuple[int, ...]]:
    """(uid, gid, supplementary groups) to take on; None where the launcher's own stay. Raises KeyError."""
    if not context.user and not context.group:
        return None, None, ()
    import grp
    import pwd

    gid = grp.getgrnam(context.group).gr_gid if context.group else None
    if not context.user:
        return None, gid, tuple(os.getgroups())
    user = pwd.getpwnam(context.user)
    if not context.group and user.pw_uid == os.geteuid() != 0:
        return user.pw_uid, None, ()  # that is who we are; only root may take on groups
    gid = user.pw_gid if gid is None else gid
    return user.pw_uid, gid, tuple(os.getgrouplist(user.pw_name, gid))


def variables(
    app: App, search: Search, *, cookie: str = "", run: str = "", notify_socket: str = ""
) -> dict[str, str]:
    """The whole environment of the app, with what only the launcher knows of a launch.

    Raises ProgramError for an unreadable _environment_file, KeyError for an unknown user.
    """
    found = environment(app, search, os.environ)
    found |= {proc.COOKIE: cookie, proc.APP: app.name, proc.RUN: run, "NOTIFY_SOCKET": notify_socket}
    if app.watchdog_sec:
        # No WATCHDOG_PID: a program that makes a daemon of itself has another number in the end.
        found["WATCHDOG_USEC"] = str(round(app.watchdog_sec * 1e6))
    return found
