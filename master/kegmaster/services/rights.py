"""What somebody may do here, asked of the kernel as that user, before anything is written.

Knows users, and who may read and write which paths. Changes nothing.
"""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Iterable

_MOST_BYTES = 1 << 20


def user(name: str) -> pwd.struct_passwd | None:
    """The account; None if there is none."""
    try:
        return pwd.getpwnam(name)
    except (KeyError, ValueError):
        return None


def obstacles(
    account: pwd.struct_passwd | None, *, reads: Iterable[str], runs: Iterable[str], writes: Iterable[str]
) -> list[str]:
    """What keeps this user (None: ourselves) from reading, running, and writing into directories; in words.

    A directory that is not there is no obstacle: whoever installs or starts the master makes it.
    """
    if account is None or account.pw_uid == os.geteuid():
        return _obstacles(reads, runs, writes)
    # In a process of its own: taking on a user cannot be taken back, and only so the kernel itself decides.
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            os.setgroups(os.getgrouplist(account.pw_name, account.pw_gid))
            os.setgid(account.pw_gid)
            os.setuid(account.pw_uid)
            os.write(writer, json.dumps(_obstacles(reads, runs, writes)).encode()[:_MOST_BYTES])
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as file:
        data = file.read(_MOST_BYTES)
    os.waitpid(child, 0)
    try:
        found = json.loads(data)
    except ValueError:
        return [f"{account.pw_name}: what this user may do cannot be found out"]
    return [f"{account.pw_name} {text}" for text in found]


def _obstacles(reads: Iterable[str], runs: Iterable[str], writes: Iterable[str]) -> list[str]:
    found = [f"cannot read {path}" for path in reads if not os.access(path, os.R_OK)]
    found += [f"cannot run {path}" for path in runs if not os.access(path, os.X_OK)]
    for path in writes:
        if os.path.lexists(path) and not (os.path.isdir(path) and os.access(path, os.W_OK | os.X_OK)):
            found.append(f"cannot write into {path}")
    return found


def unwritable(paths: Iterable[str]) -> list[str]:
    """Those of these paths where we ourselves could not put a file, its directory made if need be."""
    found = []
    for path in paths:
        place = os.path.dirname(path)
        while not os.path.lexists(place or "/"):
            place = os.path.dirname(place)
        place = place or "/"
        if not (os.path.isdir(place) and os.access(place, os.W_OK | os.X_OK)):
            found.append(path)
    return found


def reason(path: str) -> str:
    """What, other than rights, keeps files from being put there: a file system that is mounted read-only."""
    place = os.path.dirname(path)
    while not os.path.lexists(place):
        place = os.path.dirname(place) or "/"
    return "the file system is read-only" if os.statvfs(place).f_flag & os.ST_RDONLY else ""


def said(blocked: list[str]) -> str:
    """That these paths cannot be written, and why, if it is not for want of rights."""
    why = reason(blocked[0])
    return f"{', '.join(blocked)}: cannot be written" + (f", since {why}" if why else "")
