"""The same program anew in the same process: what is handed on through exec, and to whom.

Knows exec, descriptors and the words of the command line. Must not know apps, the loop or the configuration.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

from .lean import Final, dataclass

CHECK: Final = "_check_successor"
TAKE_OVER: Final = "_take_over"
VERBS: Final = (CHECK, TAKE_OVER)
"""Verbs for the launcher's own use. The version before and the one after a change must agree on them."""
REPLACE_KEEPER: Final = signal.SIGUSR1
"""Tells the keeper, if its watchdog sends it, to be replaced too."""
READY_WITHIN_S: Final = 30
"""A successor that does not listen by then is ended by SIGALRM, and the keeper brings the version before it back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """How master.py was called: interpreter, its options, the script and the flags that say where everything is."""

    interpreter: tuple[str, ...]
    script: str
    flags: tuple[str, ...]

    def command(self, verb: str, words: Sequence[str] = ()) -> list[str]:
        """The whole command line for a verb."""
        return [*self.interpreter, self.script, verb, *self.flags, *words]


def this_program(script: str, flags: Sequence[str]) -> Program:
    """The program that runs here; `script`: its path as called."""
    options = sys.orig_argv[1 : len(sys.orig_argv) - len(sys.argv)]
    return Program(interpreter=(sys.executable, *options), script=os.path.abspath(script), flags=tuple(flags))


@dataclass(frozen=True, slots=True, kw_only=True)
class Inheritance:
    """What goes through exec. Descriptors are -1, and pids 0, where there is none.

    `role` is watchdog or keeper; `keeper` and `watchdog` are the other's pid. `young`: see deaths.Keeper.
    `before`: the version that hands on; `since_s`: when (monotonic). `clients`: who waits to hear how it went.
    """

    role: str = ""
    lock: int = -1
    news_r: int = -1
    news_w: int = -1
    control: int = -1
    notify: int = -1
    clients: tuple[int, ...] = ()
    keeper: int = 0
    watchdog: int = 0
    young: bool = False
    before: str = ""
    since_s: float = 0.0

    def words(self) -> list[str]:
        """As words of a command line."""
        fields = {
            "role": self.role, "lock": self.lock, "news_r": self.news_r, "news_w": self.news_w,
            "control": self.control, "notify": self.notify, "clients": ",".join(map(str, self.clients)),
            "keeper": self.keeper, "watchdog": self.watchdog, "young": int(self.young), "before": self.before,
            "since_s": self.since_s,
        }  # fmt: skip
        return [f"{name}={value}" for name, value in fields.items()]

    @property
    def descriptors(self) -> list[int]:
        """All that are to stay open."""
        fds = (self.lock, self.news_r, self.news_w, self.control, self.notify, *self.clients)
        return [fd for fd in fds if fd >= 0]


def inherited(words: Sequence[str]) -> Inheritance:
    """What those words tell; unknown ones are a later version's and mean nothing. Raises ValueError."""
    told = dict(word.partition("=")[::2] for word in words)
    clients = told.get("clients", "")
    return Inheritance(
        role=told.get("role", ""),
        lock=int(told.get("lock", -1)),
        news_r=int(told.get("news_r", -1)),
        news_w=int(told.get("news_w", -1)),
        control=int(told.get("control", -1)),
        notify=int(told.get("notify", -1)),
        clients=tuple(int(fd) for fd in clients.split(",") if fd),
        keeper=int(told.get("keeper", 0)),
        watchdog=int(told.get("watchdog", 0)),
        young=told.get("young") == "1",
        before=told.get("before", ""),
        since_s=float(told.get("since_s", 0)),
    )


def replace(program: Program, inheritance: Inheritance) -> None:
    """Become the program as it is installed now. Signals must be blocked: what comes meanwhile stays pending.

    Returns only by raising OSError; then nothing has changed.
    """
    from . import spawn  # commands have no use for it

    command = program.command(TAKE_OVER, inheritance.words())
    for fd in inheritance.descriptors:
        os.set_inheritable(fd, True)
    spawn.restore_file_limit()
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        os.execv(command[0], command)
    finally:
        spawn.raise_file_limit()
        for fd in inheritance.descriptors:
            os.set_inheritable(fd, False)


def keep_to_ourselves(inheritance: Inheritance) -> None:
    """No process that we make gets what we were handed. Raises OSError if one of it is not there."""
    for fd in inheritance.descriptors:
        os.set_inheritable(fd, False)
