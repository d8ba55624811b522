"""DESTDIR: an image or a package for another machine is built here, and where its paths lie on this one.

All that install reads, writes and remembers then lies below that directory, and paths inside of it are spelled as
the other machine will see them. Must not know what is written.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from ..command import Command
from ..lean import replace
from ..paths import RunDirectory

VARIABLE = "DESTDIR"


class ImageError(Exception):
    """Why nothing can be put below DESTDIR, and what to do."""


def destination() -> str:
    """What is put before each path, absolute and without a slash at its end; empty: it is this machine's.

    Raises ImageError.
    """
    text = os.environ.get(VARIABLE, "")
    if text and not text.startswith("/"):
        raise ImageError(f"{VARIABLE} is {text!r}; it must be an absolute path")
    return os.path.realpath(text).rstrip("/") if text else ""


def outside(path: str) -> str:
    """Where the image's absolute `path` lies on this machine. One that is below DESTDIR already stays."""
    return destination() + inside(path)


def inside(path: str) -> str:
    """What the image's machine will call the absolute `path`."""
    for below in {destination(), os.environ.get(VARIABLE, "").rstrip("/")} - {""}:
        if path == below or path.startswith(f"{below}/"):
            return path[len(below) :] or "/"
    return path


def enter(command: Command) -> None:
    """Have all paths of `command` be those of the image, if one is built. Raises ImageError."""
    if not destination():
        return
    if command.options.verb.startswith("stop_and_"):
        raise ImageError(
            f"{command.options.verb}: nothing of an image runs, so nothing stops; leave out the stop"
        )
    if command.options.now:
        raise ImageError(f"--now: nothing of an image runs; leave it out, or unset {VARIABLE}")
    source, run = command.source, command.run_directory
    command.config_file = inside(command.config_file)
    command.script = inside(command.script)
    command.run_directory = RunDirectory(path=inside(run.path), state=inside(run.state or run.path))
    places = replace(source.directories, logfile_dir=inside(source.directories.logfile_dir),
                     pidfile_dir=inside(source.directories.pidfile_dir))  # fmt: skip
    command.source = replace(source, file=command.config_file, directories=places)


def escapes(paths: Iterable[str]) -> list[str]:
    """Those of these paths, as they lie here, that a symlink takes out of the image and into this machine."""
    below = destination()
    if not below:
        return []
    return [
        path for path in paths if not f"{os.path.realpath(os.path.dirname(path))}/".startswith(f"{below}/")
    ]


def home(user: str) -> str:
    """The home directory that the image's own user database gives `user`; empty if it knows none."""
    try:
        with open(outside("/etc/passwd"), encoding="utf-8", errors="replace") as file:
            for line in file:
                fields = line.rstrip("\n").split(":")
                if len(fields) >= 7 and fields[0] == user:
                    return fields[5]
    except OSError:
        pass
    return ""
