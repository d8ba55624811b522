"""What an import may read of this machine: bounded, plain files, and those of an include near by only.

Knows the disk and the user database.
"""

from __future__ import annotations

import glob
import grp
import os
import platform
import pwd
import re

from ..files import open_plain
from .draft import World

MAX_BYTES = 1 << 18
MAX_FILES = 200


class Reader:
    """Reads for one import; all of it together is bounded, too."""

    def __init__(self, base: str) -> None:
        """`base`: the directory of the file that was named; what it includes lies below it or below /etc."""
        self.base = os.path.realpath(base)
        self.left = 4 * MAX_BYTES

    def world(self) -> World:
        """What readers are given."""
        return World(
            read=self.read,
            files=self.files,
            environment=dict(os.environ),
            user_name=_user_name,
            group_name=_group_name,
            host=platform.node(),
        )

    def read(self, path: str) -> str:
        """The text of a file, empty if it is masked. Raises OSError, or ValueError with what is wrong."""
        if os.path.realpath(path) == os.devnull:
            return ""
        try:
            fd = open_plain(path, follow=True)
        except OSError as error:
            reason = "is no plain file" if error.strerror in (None, "Invalid argument") else error.strerror
            raise ValueError(f"cannot be read ({reason})") from error
        with open(fd, "rb") as file:
            data = file.read(min(MAX_BYTES, self.left) + 1)
        if len(data) > min(MAX_BYTES, self.left):
            raise ValueError("is too large for a configuration")
        self.left -= len(data)
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = data[: error.start].count(b"\n") + 1
            raise ValueError(f"is not UTF-8, line {line}") from None

    def files(self, pattern: str) -> list[str]:
        """The files of a pattern, sorted. Raises ValueError if they may not be read."""
        if "**" in pattern or "\0" in pattern:
            raise ValueError("is too wide")
        found = []
        for path in sorted(glob.iglob(pattern)):
            real = os.path.realpath(path)
            if not any(real.startswith(f"{base.rstrip('/')}/") for base in (self.base, "/etc")):
                raise ValueError(f"lies neither below {self.base} nor below /etc")
            found.append(os.path.abspath(path))
            if len(found) == MAX_FILES:
                break
        return found


def _user_name(text: str) -> str:
    if re.match(r"[0-9]{1,9}\Z", text):
        try:
            return pwd.getpwuid(int(text)).pw_name
        except KeyError:
            return text
    return text


def _group_name(text: str) -> str:
    if re.match(r"[0-9]{1,9}\Z", text):
        try:
            return grp.getgrgid(int(text)).gr_name
        except KeyError:
            return text
    return text
