"""The way to a file: root goes it through directories held open, and by no symlink that others can lay or move.

Knows openat(2) and whom directories belong to. Must not know what the files are for. An app's own user may own a
directory on the way to its log or pidfile; what is made in one that is somebody's is his. What is done there, is done
in the directory that was reached, not in what bears its name a moment later. Whoever is not root can do no more than
his own rights allow: nothing is asked of him.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Collection, Iterator
from functools import cache

from .lean import Final

_DIRECTORY: Final = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_MOST_LINKS: Final = 40
_EVERYBODY: Final = (1 << 32) - 1
"""So many users the machine's own user namespace has (user_namespaces(7))."""
_distrusted: Final[set[int]] = set()
"""Groups that apps run with."""


def distrust(groups: Collection[int]) -> None:
    """Apps run with these: a directory that such a group may write to is not root's alone, for this whole process.

    Every other group was given its right by root: /var/log is writable for one on Ubuntu, /var/mail on Debian.
    """
    _distrusted.update(groups)


@contextlib.contextmanager
def hold(path: str, *, make: bool = False, follow: bool = False) -> Iterator[tuple[int, str]]:
    """The directory of `path`, held open for calls that take a dir_fd, and the name in it; paths are absolute.

    `make`: directories that are missing are made. `follow`: a symlink in the last place is followed, too, as far as
    those on the way are. Errors of calls made with the name are given the whole path. Raises OSError.
    """
    fd = -1
    try:
        fd, name = _walk(path, make=make, follow=follow)
        yield fd, name
    except OSError as error:
        if isinstance(error.filename, str) and not error.filename.startswith("/"):
            error.filename = path
        raise
    finally:
        if fd >= 0:
            os.close(fd)


def make_directory(path: str, uid: int | None = None) -> None:
    """Make directory `path` and those above it; `uid`: whom it is to belong to, if it is new. Raises OSError."""
    if os.path.isdir(path):
        return
    with hold(path, make=True) as (above, name), contextlib.suppress(FileExistsError):
        _make(above, name, (uid, -1) if uid is not None else heir(above))


def heir(directory: int) -> tuple[int, int] | None:
    """User and group to whom belongs what root makes in that directory; None: it stays root's.

    In a user's own directory nothing is to be left that he cannot write to.
    """
    if os.geteuid() != 0:
        return None
    seen = os.fstat(directory)
    return None if _is_root(seen.st_uid) else (seen.st_uid, seen.st_gid)


def _make(above: int, name: str, owner: tuple[int, int] | None) -> None:
    os.mkdir(name, 0o755, dir_fd=above)
    if owner is None or os.geteuid() != 0:
        return
    fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
    try:
        # Whoever owns the directory above may have put another one here meanwhile, with something of root's in it.
        if os.fstat(fd).st_uid == 0 and not os.listdir(fd):
            os.fchown(fd, *owner)
    finally:
        os.close(fd)


def outsider(path: str, owners: Collection[int]) -> str:
    """The directory above `path` that others than these users, and root, could put another in place of; "" if none.

    Where a directory is sticky (/tmp), nobody else's file can be replaced in it; whose it is, is asked of the next.
    """
    above = os.path.dirname(os.path.realpath(path))
    while True:
        with contextlib.suppress(OSError):
            seen = os.stat(above)
            open_to_all = seen.st_mode & (stat.S_IWOTH | stat.S_ISVTX) == stat.S_IWOTH
            if open_to_all or not (seen.st_uid in owners or _is_root(seen.st_uid)):
                return above
        if above == "/":
            return ""
        above = os.path.dirname(above)


def _walk(path: str, *, make: bool, follow: bool) -> tuple[int, str]:
    if os.geteuid() != 0:
        directory, name = os.path.split(os.path.realpath(path) if follow else path)
        if make:
            os.makedirs(directory, mode=0o755, exist_ok=True)
        return os.open(directory, _DIRECTORY), name
    left = _parts(path)
    here = os.open("/", _DIRECTORY)
    shaky, links = False, 0
    try:
        while len(left) > 1 or (left and follow):
            name = left.pop()
            shaky = shaky or _shaky(os.fstat(here))  # below a directory of others, they can move everything
            step = _step(here, name, make=make and bool(left))
            if stat.S_ISLNK((seen := os.fstat(step)).st_mode):
                links += 1
                try:
                    _check_link(here, name, seen, shaky=shaky, links=links)
                    target = os.readlink("", dir_fd=step)
                finally:
                    os.close(step)
                left.extend(_parts(target))
                step = os.open("/" if target.startswith("/") else ".", _DIRECTORY, dir_fd=here)
            elif not left:
                os.close(step)
                left.append(name)
                break
            os.close(here)
            here = step
    except BaseException:
        os.close(here)
        raise
    return here, left.pop() if left else "."


def _step(here: int, name: str, *, make: bool) -> int:
    """What bears `name`: itself, and not where it leads. Raises OSError."""
    try:
        return os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
    except FileNotFoundError:
        if not make:
            raise
    with contextlib.suppress(FileExistsError):
        _make(here, name, heir(here))
    return os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=here)


def _check_link(here: int, name: str, seen: os.stat_result, *, shaky: bool, links: int) -> None:
    path = f"{os.readlink(f'/proc/self/fd/{here}').rstrip('/')}/{name}"
    if links > _MOST_LINKS:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
    # A symlink of root's with another name elsewhere may have been linked in here by others.
    if shaky or not _is_root(seen.st_uid) or seen.st_nlink > 1:
        text = "is a symlink that others than root can lay or move; name the directory it leads to"
        raise OSError(errno.ENOTDIR, text, path)


def _parts(path: str) -> list[str]:
    """The names in it, the first one last."""
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]


def _shaky(seen: os.stat_result) -> bool:
    """Others than root can rename and lay what is in this directory."""
    if not _is_root(seen.st_uid):
        return True
    by_group = seen.st_mode & stat.S_IWGRP and seen.st_gid in _distrusted
    return bool(by_group or seen.st_mode & stat.S_IWOTH) and not seen.st_mode & stat.S_ISVTX


def _is_root(uid: int) -> bool:
    """Or whoever stands for all whom we cannot name, in a namespace of users: the machine's own root among them."""
    return uid == 0 or uid == _unnamed()


@cache
def _unnamed() -> int:
    try:
        with open("/proc/self/uid_map", encoding="ascii") as file:
            if sum(int(line.split()[2]) for line in file) >= _EVERYBODY:
                return 0
        with open("/proc/sys/kernel/overflowuid", encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError, IndexError):
        return 0
