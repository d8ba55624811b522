"""A file that is there as a whole or not at all.

Knows files. Must not know what is in them.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable, Iterator

from kegapps.daemon.errors import StartError


@contextlib.contextmanager
def new_file(path: str, *, force: bool, spare: Iterable[str] = ()) -> Iterator[str]:
    """The path of an empty file, mode 0600, that becomes `path`, on the disk, when the body is left without an error.

    Otherwise nothing is left of it. Raises StartError: if there is a `path` already and not `force`, if it is something
    else than a file, if it is one of `spare`, by whatever name, or if the system refuses.
    """
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.{os.getpid()}.new")
    try:
        _check(path, force=force, spare=spare)
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        try:
            yield temporary
            _sync(temporary)
            if force:
                os.replace(temporary, path)
            else:
                os.link(temporary, path)  # unlike a renaming, this never replaces what came meanwhile
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
        _sync(folder or ".")
    except FileExistsError:
        raise StartError(_exists(path)) from None
    except OSError as error:
        raise StartError(f"{path}: {error.strerror or error}") from None


def _check(path: str, *, force: bool, spare: Iterable[str]) -> None:
    for name in spare:
        if _is_same(path, name):
            raise StartError(f"{path}: is {name}, which is in use; name another file")
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        raise StartError(f"{path}: exists and is no file; name another one")
    if not force:
        raise StartError(_exists(path))


def _is_same(path: str, name: str) -> bool:
    """They lead to one file, or would if there were one."""
    with contextlib.suppress(OSError):
        if os.path.samefile(path, name):
            return True
    return os.path.realpath(path) == os.path.realpath(name)


def _exists(path: str) -> str:
    return f"{path}: exists already; name another file, or replace it with --force"


def _sync(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
