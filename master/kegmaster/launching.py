"""From an app to a process about to be made: program, environment, user, log.

Knows the disk and the user database.
"""

from __future__ import annotations

import errno
import os
import stat

from . import proc
from .environment import credentials, environment
from .programs import Search
from .spawn import Launch
from .spec import App


def prepare(app: App, search: Search, *, cookie: str, run: str, notify_socket: str) -> Launch:
    """Find all that `app` needs and open its log, which the caller must close. `run`: the run directory.

    Raises ProgramError, OSError (log, directories), KeyError (user or group).
    """
    variables = environment(app, search, os.environ)
    variables |= {proc.COOKIE: cookie, proc.APP: app.name, proc.RUN: run, "NOTIFY_SOCKET": notify_socket}
    path = search.find(app.program, dict(app.context.environment).get("PATH", ""))
    uid, gid, groups = credentials(app.context)
    for file in (app.pidfile, app.logfile):
        os.makedirs(os.path.dirname(file), mode=0o755, exist_ok=True)
    return Launch(
        path=path, argv=app.argv, environment=variables, output=_open_log(app.logfile, uid, gid),
        umask=app.context.umask, nice=app.context.nice, limit_nofile=app.context.limit_nofile, tag=proc.tag(cookie),
        working_directory=app.context.working_directory, uid=uid, gid=gid, groups=groups,
    )  # fmt: skip


def _open_log(path: str, uid: int | None, gid: int | None) -> int:
    """Open a log to append to; a new one belongs to `uid`. Raises OSError, also for what is no plain file."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        fd = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o644)
        if uid is not None:
            os.fchown(fd, uid, -1 if gid is None else gid)
    except FileExistsError:
        fd = os.open(path, flags)
    mode = os.fstat(fd).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISCHR(mode)):
        os.close(fd)
        raise OSError(errno.EINVAL, "its log is no plain file", path)
    os.set_blocking(fd, True)
    return fd
