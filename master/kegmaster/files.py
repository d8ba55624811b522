"""Files that somebody else may have got at: opened only if they are plain ones, replaced in one step.

Knows system calls and their errors. Must not know what the files hold.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from . import footing

# Never through a symlink, never waiting (for a FIFO's other end), never becoming our terminal.
_WARILY = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def open_plain(
    path: str, flags: int = os.O_RDONLY, mode: int = 0o600, *, follow: bool = False, safely: bool = False
) -> int:
    """A descriptor of the plain file at `path`; `follow`: where a symlink may lead, for what people name themselves.

    `safely`: but, for root, no symlink that others can lay or move, as it is without `follow` on the way to the file.
    Raises OSError; its errno is ELOOP for a symlink and EINVAL for whatever else is no plain file.
    """
    try:
        if follow and not safely:
            fd = os.open(path, flags | (_WARILY & ~os.O_NOFOLLOW), mode)
        else:
            with footing.hold(os.path.abspath(path), follow=follow) as (directory, name):
                fd = os.open(name, flags | _WARILY, mode, dir_fd=directory)
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.EISDIR):  # a FIFO or a socket to write to; a directory
            raise _not_plain(path) from None
        raise
    try:
        if stat.S_ISREG(os.fstat(fd).st_mode):
            return fd
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    raise _not_plain(path)


def read_plain(path: str, limit: int, *, follow: bool = False) -> bytes:
    """The first `limit` bytes at most. Raises OSError as `open_plain` does."""
    fd = open_plain(path, follow=follow)
    try:
        return os.read(fd, limit)
    finally:
        os.close(fd)


def replace(path: str, data: bytes, mode: int, *, lasting: bool = False, inherit: bool = False) -> None:
    """Make `data` the content of `path` in one step: a crash leaves the old or the new, never half of it.

    Whatever lies there, a symlink too, is replaced. `lasting`: and it survives a power cut that follows at once.
    `inherit`: what root writes into a user's own directory is that user's.
    Raises OSError.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _WARILY
    with footing.hold(os.path.abspath(path)) as (directory, name):
        new = f"{name}.new"
        try:
            fd = os.open(new, flags, mode, dir_fd=directory)
        except FileExistsError:  # left by a write that was cut short, or laid there to harm us
            os.unlink(new, dir_fd=directory)
            fd = os.open(new, flags, mode, dir_fd=directory)
        try:
            try:
                if inherit and (owner := footing.heir(directory)):
                    os.fchown(fd, *owner)
                while data:
                    data = data[os.write(fd, data) :]
                if lasting:
                    os.fsync(fd)
            finally:
                os.close(fd)
            os.replace(new, name, src_dir_fd=directory, dst_dir_fd=directory)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(new, dir_fd=directory)
            raise
    if lasting:
        sync_directory(os.path.dirname(path) or ".")


def remove(path: str) -> None:
    """Remove the file at `path`. Raises OSError."""
    with footing.hold(os.path.abspath(path)) as (directory, name):
        os.unlink(name, dir_fd=directory)


def sync_directory(path: str) -> None:
    """Make the names in it survive a power cut. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _not_plain(path: str) -> OSError:
    return OSError(errno.EINVAL, "is no plain file", path)
