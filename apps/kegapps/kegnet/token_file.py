"""The token by which an app may talk to a core, read from a file that nobody else can read.

Knows the file's owner, mode and form. Must not know sockets or flags.
"""

from __future__ import annotations

import os

from kegapps.daemon.secret_file import FileError, check_private, is_trusted, read_plain, user_name
from kegapps.kegnet.fields import MAX_TOKEN_CHARS, TOKEN_FORM, is_token


class TokenFileError(Exception):
    """The file cannot serve; `str(error)` is one line: what is wrong with it, and what to do."""


def read_token(path: str) -> str:
    """The token in the file `path`, on one line. Raises TokenFileError."""
    try:
        text, found = read_plain(path, MAX_TOKEN_CHARS + 3)
        if not is_trusted(found.st_uid):
            us = user_name(os.geteuid())
            raise FileError(
                f"{path} belongs to {user_name(found.st_uid)}; this runs as {us}: run it as the owner, or: "
                f"chown {us} {path}"
            )
        check_private(path, found)
    except FileError as error:
        raise TokenFileError(str(error)) from None
    token = text.decode("latin-1").rstrip("\r\n")
    if not is_token(token):
        raise TokenFileError(
            f"{path}: expected {TOKEN_FORM} on one line; make one: openssl rand -hex 32 > {path}"
        )
    return token
