"""What no init system must be given, said before any of them is asked.

Knows what names and paths may look like. Must not know any format.
"""

from __future__ import annotations

import posixpath
import re

from .plan import BootError, Service
from .quoting import plain

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}\$?")
_SUFFIXES = (".service", ".socket", ".target", ".conf", ".plist", ".bat", ".xml")


def check(service: Service, *, windows: bool = False) -> None:
    """Raises BootError for what would break every format, or mean something else in one of them.

    `windows`: it is for another machine, whose paths may have drives and whose users domains.
    """
    check_name(service.name)
    if not " ".join(service.description.split()):
        raise BootError("the description is empty; give a --description of a few words")
    plain(" ".join(service.description.split()), "the description")
    if len(service.argv) < 2:
        raise BootError("the command must name the interpreter and master.py")
    for what, text in (("user", service.user), ("group", service.group)):
        if text and not windows and not _USER.fullmatch(text):
            raise BootError(f"the {what} {text!r} is no name of a Unix {what}")
        plain(text, f"the {what}")
    places = {
        "the interpreter": service.argv[0] if service.argv else "",
        "the configuration": service.config,
        "pidfile_dir": service.pidfile_dir,
        "logfile_dir": service.logfile_dir,
        "state_dir": service.state_dir,
    }
    if service.home:
        places["the home directory"] = service.home
    for what, path in places.items():
        if not (posixpath.isabs(path) or (windows and has_drive(path))):
            raise BootError(
                f"{what}: {path!r} is not absolute: nobody's directory is the current one at boot"
            )
    for what, words in (("the command", service.argv), ("the flags", service.flags)):
        for word in words:
            plain(word, what)
    for path in places.values():
        plain(path, "a path")


def check_name(name: str) -> None:
    """Raises BootError for what cannot be the name of a service everywhere."""
    if not _NAME.fullmatch(name) or name.endswith(_SUFFIXES):
        raise BootError(
            f"the name {name!r}: letters, digits, _ . - and no ending such as .service; choose another --boot_name"
        )


def has_drive(path: str) -> bool:
    r"""`path` is absolute on Windows: C:\... or \\server\share..."""
    return bool(re.match(r"[A-Za-z]:[\\/]|\\\\[^\\]+\\[^\\]", path))


def below(path: str, *roots: str) -> str:
    """What comes after the first of `roots` that `path` is really below, without a slash; empty if none."""
    for root in roots:
        if path.startswith(f"{root}/") and ".." not in path.split("/"):
            return posixpath.normpath(path[len(root) + 1 :]).removeprefix(".")
    return ""
