"""From an app to a process about to be made: program, environment, user, log.

Knows the disk and the user database.
"""

from __future__ import annotations

import os

from . import footing, pidfiles, proc
from .environment import credentials, variables
from .journal import Journal
from .lean import TYPE_CHECKING
from .output import Output
from .programs import Search
from .spawn import Launch
from .spec import App

if TYPE_CHECKING:
    from .cgroups import Leaf, Leaves


def prepare(
    app: App, search: Search, output: Output, *, cookie: str, run: str, notify_socket: str, leaf: Leaf | None = None,
) -> Launch:  # fmt: skip
    """Find all that `app` needs and open what it prints to, which the caller must close. `run`: the run directory.

    Raises ProgramError, OSError (log, directories), KeyError (user or group).
    """
    given = variables(app, search, cookie=cookie, run=run, notify_socket=notify_socket)
    path = search.find(
        app.program, dict(app.context.environment).get("PATH", ""), may_lack_py=app.may_lack_py
    )
    uid, gid, groups = credentials(app.context)
    if app.detaches:
        pidfiles.clear_away(app.pidfile)
    for file in (app.pidfile, app.logfile):
        # Such as /run/redis, which no reboot survives.
        own = file is app.pidfile and app.detaches
        footing.make_directory(os.path.dirname(file), uid if own else None)
    return Launch(
        path=path, argv=app.argv, environment=given, output=output.open(app, uid, gid),
        umask=app.context.umask, nice=app.context.nice, limit_nofile=app.context.limit_nofile, tag=proc.tag(cookie),
        working_directory=app.context.working_directory, uid=uid, gid=gid, groups=groups,
        leaf=leaf,
    )  # fmt: skip


def find_leaves(run: str, journal: Journal) -> Leaves | None:
    """The cgroups for our apps, if a cgroup2 hierarchy is mounted and our place in it may be written to."""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            mountinfo = file.read()
        if " - cgroup2 " not in mountinfo:
            return None
        from . import cgroups

        mount = cgroups.mount_of(mountinfo)
        return cgroups.Leaves(run, mount, cgroups.place_of("self"), journal) if mount else None
    except OSError as error:
        journal.debug(f"going on without cgroups: {error}")
        return None
