"""Finding programs, as execvp would, but in the same places whoever starts the launcher.

Knows the disk. Must not know INI or processes.
"""

from __future__ import annotations

import os
import stat

from .lean import Final, dataclass

STANDARD_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class ProgramError(Exception):
    """Why a program cannot be run; `cure` says what to do, `missing` tells a lack from a fault."""

    def __init__(self, wrong: str, cure: str, *, missing: bool = False) -> None:
        super().__init__(wrong)
        self.cure = cure
        self.missing = missing


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Where programs are looked for, in this order.

    Beside master.py (relative paths: beside the configuration), in the standard places, in the caller's PATH.
    """

    beside: str
    base: str
    inherited: str = ""

    @property
    def path(self) -> str:
        """PATH for the apps: the same from a shell, cron or an init system."""
        return f"{self.beside}:{STANDARD_PATH}"

    def find(self, program: str, path: str = "", *, may_lack_py: bool = False) -> str:
        """The absolute path of `program`, found in `path` (an app's own PATH) or the usual places.

        If there is none, and it `may_lack_py`, then of that with .py behind it. Raises ProgramError with the reason
        and the cure.
        """
        try:
            return self._find(program, path)
        except ProgramError as error:
            if not (may_lack_py and error.missing) or program.endswith(".py"):
                raise
            try:
                return self._find(f"{program}.py", path)
            except ProgramError as other:
                raise (error if other.missing else other) from None

    def _find(self, program: str, path: str) -> str:
        if "/" in program:
            found = os.path.normpath(os.path.join(self.base, os.path.expanduser(program)))
            _check(found)
            return found
        blocked: ProgramError | None = None
        for directory in (path or f"{self.path}:{self.inherited}").split(":"):
            candidate = os.path.join(directory, program)
            if not directory.startswith("/") or not os.path.exists(candidate):
                continue
            try:
                _check(candidate)
            except ProgramError as error:
                blocked = blocked or error
            else:
                return candidate
        cure = f"install it beside master.py ({self.beside}) or on PATH, or give its full path"
        if " " in program:
            cure = "quotes make one word of what they enclose: leave them off, or put them around each word"
        raise blocked or ProgramError(f"there is no program {program}", cure, missing=True)


def _check(path: str) -> None:
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        missing = isinstance(error, FileNotFoundError | NotADirectoryError)
        wrong = f"there is no program {path}" if missing else f"program {path}: {error.strerror}"
        raise ProgramError(wrong, "correct the path or install it", missing=missing) from None
    if not stat.S_ISREG(mode):
        raise ProgramError(f"{path} is no program but a directory or a device", "name the program itself")
    if not os.access(path, os.X_OK):
        raise ProgramError(f"program {path} is not executable", f"chmod +x {path}")
    interpreter = _interpreter(path)
    if interpreter and not os.path.exists(interpreter):
        raise ProgramError(
            f"program {path} wants the interpreter {interpreter}, which is not there",
            "correct its first line",
        )


def _interpreter(path: str) -> str:
    """What the `#!` line of a script names; empty for other programs and unreadable ones."""
    try:
        with open(path, "rb") as file:
            first = file.readline(256)
    except OSError:
        return ""
    words = first[2:].split() if first.startswith(b"#!") else []
    return os.fsdecode(words[0]) if words else ""
