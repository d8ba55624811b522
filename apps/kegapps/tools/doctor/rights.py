"""What a user may do with a file: asked of the kernel where that is possible, else worked out from its mode.

Knows users, groups and modes. Must not know what the file is.
"""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import pwd
from dataclasses import dataclass

from kegapps.daemon.secret_file import user_name
from kegapps.tools.doctor.facts import Process


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A user with the groups that count: those of a process, or those in the system's books."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    is_me: bool = False

    @property
    def name(self) -> str:
        """As people know it."""
        return user_name(self.uid)


def me() -> User:
    """Who runs the doctor."""
    return User(uid=os.geteuid(), gid=os.getegid(), groups=tuple(os.getgroups()), is_me=True)


def of_process(process: Process) -> User:
    """Who runs a daemon, with the groups it really has."""
    return User(uid=process.uid, gid=process.gid, groups=process.groups)


def named(name: str) -> User:
    """A user by name or number, with the groups of the books. Raises KeyError."""
    entry = pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)
    groups = os.getgrouplist(entry.pw_name, entry.pw_gid)
    return User(uid=entry.pw_uid, gid=entry.pw_gid, groups=tuple(groups))


def may(user: User, path: str, mode: int) -> bool | None:
    """Whether `user` may use `path` as `mode` (os.R_OK and so on) says; None if it cannot be told.

    As root this process becomes that user for good: call it last, in a child.
    """
    if user.is_me or (user.uid, user.gid) == (os.geteuid(), os.getegid()):
        return os.access(path, mode, effective_ids=True)
    if os.geteuid() == 0:
        os.setgroups(user.groups)
        os.setresgid(user.gid, user.gid, user.gid)
        os.setresuid(user.uid, user.uid, user.uid)
        return os.access(path, mode, effective_ids=True)
    return _by_mode(user, path, mode)


def in_group(user: User, gid: int) -> bool:
    """Whether the books count `user` to the group, whatever this session knows of it."""
    with contextlib.suppress(KeyError):
        if user.name in grp.getgrgid(gid).gr_mem:
            return True
        return pwd.getpwuid(user.uid).pw_gid == gid
    return False


def group_name(gid: int) -> str:
    """The name of a group, or the number if there is none."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _by_mode(user: User, path: str, mode: int) -> bool | None:
    """By owner, group and mode of the file alone; folders above it and access lists may say otherwise."""
    if user.uid == 0:
        return True
    try:
        status = os.stat(path)
    except OSError as error:
        return None if error.errno == errno.EACCES else False
    if status.st_uid == user.uid:
        bits = status.st_mode >> 6
    elif status.st_gid in (user.gid, *user.groups):
        bits = status.st_mode >> 3
    else:
        bits = status.st_mode
    return bits & mode == mode
