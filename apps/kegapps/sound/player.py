"""Plays sound files, a few at once, none for ever, none waited for: through a program of the system.

Knows processes. Must not know kegnet or flags.
"""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from kegapps.daemon.loop import READ, Loop, Timer

log = logging.getLogger("sound")

# How each known program is told to play a file; found in this order.
KNOWN: Final = {
    "pw-play": ("pw-play",),
    "paplay": ("paplay",),
    "aplay": ("aplay", "-q"),
    "afplay": ("afplay",),
}
MAX_SECONDS: Final = 60.0
_APLAY_KNOWS: Final = (b"RIFF", b".snd", b"Crea")


class Player(Protocol):
    """Whatever plays sound files. Nothing here raises or blocks."""

    def play(self, path: str) -> None:
        """Begin to play the file `path` (absolute), unless as many are playing as may."""

    def close(self) -> None:
        """Silence."""


def find(program: str = "") -> tuple[str, ...]:
    """The command, to be followed by a file name, that plays it: by `program`, else by a known one.

    Empty if that is not on this system. `program` is a name or a path; only known ones get options.
    """
    for name in (program,) if program else KNOWN:
        if path := shutil.which(name):
            return (path, *KNOWN.get(os.path.basename(name), (name,))[1:])
    return ()


def unplayable(command: tuple[str, ...], path: str) -> str:
    """Why the program must not be given this file; "" if nothing speaks against it. Raises OSError."""
    if not command or os.path.basename(command[0]) != "aplay":
        return ""
    with open(path, "rb") as file:
        head = file.read(4)
    # Of what it does not know it makes a loud noise: raw samples.
    return "" if head in _APLAY_KNOWS else "aplay plays WAV files only; convert it, or name another --player"


class ProgramPlayer:
    """Runs `command` for each file; what exceeds `most` at once is not played, what exceeds MAX_SECONDS is cut.

    `on_problem` is told why a sound was not played, and "" of one that was.
    """

    def __init__(
        self, loop: Loop, command: tuple[str, ...], *, most: int, on_problem: Callable[[str], None]
    ) -> None:
        self._loop = loop
        self._command = command
        self._most = most
        self._on_problem = on_problem
        self._playing: dict[int, tuple[subprocess.Popen[bytes], Timer, str]] = {}  # by pidfd
        self._complained = False

    @property
    def playing(self) -> int:
        """How many sounds are being played."""
        return len(self._playing)

    def play(self, path: str) -> None:
        """Begin to play `path`; raises nothing."""
        if len(self._playing) >= self._most:
            log.debug("not played, %d sounds are playing: %s", self._most, path)
            return
        try:
            process = subprocess.Popen(
                [*self._command, path],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            self._complain(f"cannot start {self._command[0]}: {error.strerror}", path)
            return
        try:
            pidfd = os.pidfd_open(process.pid)
        except OSError as error:
            _silence(process)
            process.wait()
            self._complain(f"cannot watch {self._command[0]}: {error.strerror}", path)
            return
        cut = self._loop.call_later(MAX_SECONDS, partial(_silence, process))
        self._playing[pidfd] = (process, cut, path)
        self._loop.watch(pidfd, READ, lambda _ready: self._reap(pidfd))

    def close(self) -> None:
        """Silence."""
        for pidfd, (process, _, _) in tuple(self._playing.items()):
            _silence(process)
            self._reap(pidfd)

    def _reap(self, pidfd: int) -> None:
        process, timer, path = self._playing.pop(pidfd)
        timer.cancel()
        self._loop.unwatch(pidfd)
        os.close(pidfd)
        status = process.wait()
        if status == 0:
            self._complained = False
            self._on_problem("")
        elif status > 0:
            self._complain(f"{os.path.basename(self._command[0])} ended with status {status}", path)

    def _complain(self, problem: str, path: str) -> None:
        """Once until a sound was heard again: without a sound card every drink would say the same."""
        self._on_problem(problem)
        if not self._complained:
            self._complained = True
            log.warning("%s; try it by hand: %s", problem, shlex.join((*self._command, path)))


def _silence(process: subprocess.Popen[bytes]) -> None:
    """Kill it, which was not waited for yet, and what it started: a script leaves the playing to another program."""
    os.killpg(process.pid, signal.SIGKILL)
