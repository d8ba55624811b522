"""The token by which an app may talk to a core, read from a file that nobody else can read.

Knows the file's owner, mode and form. Must not know sockets or flags.
"""

from __future__ import annotations

import os
import pwd
import stat

from kegapps.kegnet.fields import MAX_TOKEN_CHARS, TOKEN_FORM, is_token


class TokenFileError(Exception):
    """The file cannot serve; `str(error)` is one line: what is wrong with it, and what to do."""


def read_token(path: str) -> str:
    """The token in the file `path`, on one line. Raises TokenFileError."""
    try:
        # A FIFO would wait for a writer, for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise TokenFileError(f"{path}: {error.strerror}") from None
    except ValueError:
        raise TokenFileError(f"{path!r} is no path") from None
    try:
        _check_access(path, os.fstat(descriptor))
        text = os.read(descriptor, MAX_TOKEN_CHARS + 3)
    except OSError as error:
        raise TokenFileError(f"{path}: {error.strerror}") from None
    finally:
        os.close(descriptor)
    token = text.decode("latin-1").rstrip("\r\n")
    if not is_token(token):
        raise TokenFileError(
            f"{path}: expected {TOKEN_FORM} on one line; make one: openssl rand -hex 32 > {path}"
        )
    return token


def _check_access(path: str, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise TokenFileError(f"{path} is no plain file")
    if found.st_uid not in (os.geteuid(), 0):
        raise TokenFileError(
            f"{path} belongs to {_user(found.st_uid)}; this runs as {_user(os.geteuid())}: run it as the owner, or: "
            f"chown {_user(os.geteuid())} {path}"
        )
    if found.st_mode & 0o077:
        raise TokenFileError(
            f"{path} has mode {stat.S_IMODE(found.st_mode):04o}, so others may read or change it; chmod 600 {path}"
        )


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
