"""An app as data: everything the launcher must know to start it, watch it and end it.

Knows names and units. Must not know INI, the disk or processes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .lean import Literal, dataclass, field
from .problems import Note, Problem, nearest

Type = Literal["forking", "simple", "notify", "oneshot"]
Restart = Literal["always", "on-failure", "no"]
Kind = Literal["tcp", "unix", "http", "kegnet", "file", "command"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartPolicy:
    """When and how soon an app that ended is started again. `start_limit_burst` 0: never give up."""

    restart: Restart = "always"
    restart_sec: float = 0.0
    restart_max_delay_sec: float = 60.0
    start_limit_burst: int = 0
    success_exit_status: frozenset[int] = frozenset({0})


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What the app's process gets besides its command line. Empty user or group: the launcher's own."""

    user: str = ""
    group: str = ""
    umask: int = 0o022
    nice: int = 0
    limit_nofile: int = 0
    working_directory: str = "/"
    environment: tuple[tuple[str, str], ...] = ()
    environment_file: str = ""
    pass_environment: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One question to an app, and its terms. Times are seconds.

    text         the question as people read it
    written      all of it, as the configuration has it
    host, port   of tcp, http and kegnet; `host` is a numeric address or `localhost`
    path         of unix, http (what is asked for) and file
    argv         of a command
    grace_s      None: as long as the app may take to start
    """

    kind: Kind
    text: str
    written: str = ""
    host: str = ""
    port: int = 0
    path: str = ""
    argv: tuple[str, ...] = ()
    every_s: float = 10.0
    timeout_s: float = 3.0
    failures: int = 3
    grace_s: float | None = None
    max_age_s: float = 60.0

    def __str__(self) -> str:
        """As the configuration has it."""
        return self.written


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """One section. `argv[0]` is the program as written; where it lies on disk is found when it is started."""

    name: str
    line: int = field(compare=False)
    key_lines: Mapping[str, int] = field(default_factory=dict, compare=False, repr=False)
    enabled: bool
    argv: tuple[str, ...]
    type: Type
    pidfile: str
    logfile: str
    after: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    wait_for: str = ""
    policy: RestartPolicy = field(default_factory=RestartPolicy)
    timeout_start_sec: float = 10.0
    timeout_stop_sec: float = 10.0
    stop_command: tuple[str, ...] = ()
    kill_signal: int = 15
    reload_signal: int = 0
    logfile_dir: str = field(default="", compare=False)
    log_max_bytes: int = 1 << 20
    log_backups: int = 5
    context: Context = field(default_factory=Context)
    on_failure: tuple[str, ...] = ()
    on_change: tuple[str, ...] = ()
    ready: Check | None = None
    health: Check | None = None
    watchdog_sec: float = 0.0
    memory_max: int = 0

    @property
    def crash_log(self) -> str:
        """Where its deaths are told of."""
        return f"{self.logfile_dir or self.logfile.rpartition('/')[0]}/{self.name}.crash.log"

    @property
    def watched(self) -> bool:
        """While it runs, it must give signs of life."""
        return bool(self.health or self.watchdog_sec or self.memory_max)

    @property
    def program(self) -> str:
        """The program as the configuration names it."""
        return self.argv[0]

    @property
    def may_lack_py(self) -> bool:
        """The program may be named without its .py, as sections are; a _command is a whole command line."""
        return "_command" not in self.key_lines

    @property
    def detaches(self) -> bool:
        """It makes a daemon of itself, and its pidfile tells which process that is."""
        return self.type == "forking"

    @property
    def names_no_pidfile(self) -> bool:
        """It makes a daemon of itself, and nobody said where that writes its number, if it does."""
        return self.detaches and not self.may_lack_py and not {"_pidfile", "pidfile"} & self.key_lines.keys()

    @property
    def keeps_log(self) -> bool:
        """It writes its log file itself, so nobody else may move that away."""
        named = any(word.startswith("--logfile=") for word in self.argv)
        return named and "--log_to_file=False" not in self.argv


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A configuration file: the sound apps in the file's order, the others as far as they could be read, and why."""

    file: str
    apps: tuple[App, ...] = ()
    unsound: tuple[App, ...] = ()
    problems: tuple[Problem, ...] = ()
    notes: tuple[Note, ...] = ()
    """The words of command lines that do not go out as they are written."""
    stamp: tuple[int, ...] = ()
    """What told this content of the file from any other, when it was read; see loading.stamp."""

    def find(self, name: str) -> App | None:
        """The sound app of that name."""
        return next((app for app in self.apps if app.name == name), None)

    def unknown(self, names: Iterable[str]) -> list[str]:
        """Those of `names` that no section bears, sound or not."""
        known = {app.name for app in (*self.apps, *self.unsound)} | {
            problem.section for problem in self.problems
        }
        return [name for name in names if name not in known]

    def no_section(self, name: str) -> str:
        """What to say to somebody who asked for section `name`, which there is not."""
        meant = nearest(name, [app.name for app in (*self.apps, *self.unsound)])
        return f"{self.file}: there is no section [{name}]{f'; did you mean [{meant}]?' if meant else ''}"

    def logs_safely(self, name: str) -> bool:
        """The place of the app's logs is none of its problems."""
        return not any(
            problem.section == name and problem.key in ("_logfile_dir", "logfile")
            for problem in self.problems
        )

    def why_left_out(self, name: str) -> str:
        """Why an unsound app is not started, in words."""
        wrong = next((problem.wrong for problem in self.problems if problem.section == name), "")
        return f"left out: {wrong}" if wrong else "left out"
