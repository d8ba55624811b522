"""A box's file tree, looked at and written to from outside, where its links would lead to this machine's own files.

Pure but for reading. Must not know how a box is made.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePosixPath
from typing import Final

_MOST_LINKS: Final = 40
"""As the kernel's own limit, path_resolution(7)."""


def within(root: Path, inside: str) -> Path:
    """Where `inside` is for one who has `root` for his root: no link and no `..` leads out of it.

    Raises OSError if links lead in a circle.
    """
    to_go = [*reversed(PurePosixPath(inside).parts)]
    found: list[str] = []
    links = 0
    while to_go:
        part = to_go.pop()
        here = root.joinpath(*found, part.lstrip("/"))
        if part.startswith("/"):
            found = []
        elif part == "..":
            found = found[:-1]
        elif here.is_symlink():
            links += 1
            if links > _MOST_LINKS:
                raise OSError(f"{inside}: too many links")
            to_go += reversed(PurePosixPath(os.readlink(here)).parts)
        else:
            found.append(part)
    return root.joinpath(*found)


def describe(path: Path) -> str:
    """Kind, mode, owner and content, to be compared; empty if there is none."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return ""
    head = f"{stat.filemode(found.st_mode)} {found.st_uid}:{found.st_gid}"
    if stat.S_ISLNK(found.st_mode):
        return f"{head} -> {path.readlink()}"
    if stat.S_ISREG(found.st_mode):
        return f"{head} {path.read_bytes().hex()}"
    return head
