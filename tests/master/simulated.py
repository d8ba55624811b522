"""A kernel of one's own, in which the real watchdog runs: processes, pidfds, pipes, signals and time, all simulated.

`Kernel` holds the truth; `inside` puts it in the place of what kegmaster's modules ask of the real one. A call that
is not simulated fails loudly (AttributeError), so the model cannot reach past its own world.
"""

# ruff: noqa: ARG002, ARG005  # what stands in for something takes what that takes
from __future__ import annotations

import contextlib
import importlib
import os
import random
import select
import selectors
import signal
import sys
import time
import types
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from kegmaster import lifecycle, pidfiles
from kegmaster.notify import Report
from kegmaster.pidfiles import PidfileError
from kegmaster.proc import Stat, tag
from kegmaster.programs import ProgramError
from kegmaster.records import Record

INIT = 1
LOWEST_PID, PIDS = 100, 300  # few numbers, so that they are used again soon
MODULES = (
    "asking",
    "adoption",
    "commands",
    "control",
    "crew",
    "deaths",
    "holdups",
    "instance",
    "launches",
    "life",
    "mailbox",
    "proc",
    "register",
    "watchdog",
)


class Killed(BaseException):
    """The watchdog got SIGKILL in the middle of a system call."""


class Pause(BaseException):
    """The world stands still until somebody says how it goes on."""


@dataclass(eq=False, slots=True)
class Process:
    """One process. `launch` is the cookie of its launch by whatever way it is known; `cookie` what /proc shows."""

    pid: int
    ticks: int
    born_s: float
    parent: int = INIT
    app: str = ""
    launch: str = ""
    cookie: str = ""
    tag: int = 0
    session: int = 0
    made: bool = False
    """It is the one that the watchdog made."""
    stopper: bool = False
    """It is the _stop_command of a launch."""
    stage: str = "running"
    """held (on the pipe), released (not yet exec'ed), running."""
    doomed: bool = False
    """Held, and its maker died: it ends as soon as it gets to run."""
    report: Pipe | None = None
    dead: bool = False
    status: int = 0
    deaf: bool = False
    stuck: bool = False
    stopped: bool = False
    pending: int = 0
    did_its_part: bool = False


@dataclass(eq=False, slots=True)
class Pipe:
    """The reading end."""

    data: bytes = b""
    open: bool = True

    @property
    def readable(self) -> bool:
        return bool(self.data) or not self.open


@dataclass(eq=False, slots=True)
class Flag:
    """Anything else that can be waited for."""

    readable: bool = False


@dataclass(frozen=True, slots=True)
class Held:
    pid: int
    report: int


@dataclass(frozen=True, slots=True)
class Launch:
    app: str
    cookie: str
    output: int
    stopper: bool = False


class Batch:
    def __init__(self, kernel: Kernel, held: Sequence[Held | OSError]) -> None:
        self.held = held
        self._kernel = kernel

    def release(self) -> None:
        self._kernel.call()
        for one in self.held:
            if isinstance(one, Held) and (process := self._kernel.processes.get(one.pid)):
                process.stage = "released"


@dataclass(eq=False)
class Kernel:
    """The truth about all processes."""

    chance: random.Random
    violations: list[str] = field(default_factory=list)
    now_s: float = 1000.0
    processes: dict[int, Process] = field(default_factory=dict)
    keeper: int = 0
    watchdog: int = 0
    fds: dict[int, Any] = field(default_factory=dict)
    deaths: Pipe = field(default_factory=Pipe)
    deaths_fd: int = 0
    wake: Pipe = field(default_factory=Pipe)
    pidfiles: dict[str, int | None] = field(default_factory=dict)
    """None: nonsense stands in it."""
    records: dict[str, Record] = field(default_factory=dict)
    leaving: bool = False
    stopped: frozenset[str] = frozenset()
    devices: set[str] = field(default_factory=set)
    reports: list[Report] = field(default_factory=list)
    fuse: int = -1
    """After so many system calls more, the watchdog is killed; -1: never."""
    calls: int = 0
    faults: float = 0.1
    """How likely a system call that can fail does."""
    may_start: Callable[[str], str] = lambda _: ""
    """Why an app must not be started now; empty: it may."""
    at_select: Callable[[Selector, float | None], list[tuple[Any, int]]] = lambda *_: []
    _ticks: int = 0
    _fd: int = 10

    # Processes

    def make(self, parent: int, **fields: Any) -> Process:
        self._ticks += 1
        pid = next(
            p for n in range(PIDS) if (p := LOWEST_PID + (self._ticks + n) % PIDS) not in self.processes
        )
        made = Process(pid, self._ticks, self.now_s, parent, **fields)
        self.processes[pid] = made
        return made

    def fork(self, parent: Process) -> Process:
        child = self.make(
            parent.pid, app=parent.app, launch=parent.launch, cookie=parent.cookie, tag=parent.tag
        )
        child.session = parent.session
        return child

    def of(self, app: str, *, launch: str = "") -> list[Process]:
        """The living processes of an app that have exec'ed; of one launch of it, if that is given."""
        return [
            process
            for process in self.processes.values()
            if process.app == app and not process.dead and process.stage == "running"
            if not launch or process.launch == launch
        ]

    def execute(self, process: Process) -> None:
        others = {other.launch for other in self.of(process.app)} - {process.launch}
        if others:
            self.violations.append(f"two instances of {process.app} live")
        process.stage, process.cookie = "running", process.launch
        if process.report:
            process.report.open = False

    def end(self, process: Process, status: int) -> None:
        if process.dead:
            return
        process.dead, process.status = True, status
        if process.report:
            process.report.open = False
        above = self._reaper(process)
        for child in list(self.processes.values()):
            if child.parent == process.pid:
                child.parent = above
                if child.dead:
                    self._tell(child)
        self._tell(process)

    def _reaper(self, process: Process) -> int:
        parent = process.parent
        while parent not in (self.watchdog, self.keeper, INIT):
            parent = self.processes[parent].parent
        return parent

    def _tell(self, process: Process) -> None:
        if process.parent == self.watchdog:
            self.wake.data += bytes([signal.SIGCHLD])
            return
        del self.processes[process.pid]
        if process.parent == self.keeper:
            self.deaths.data += b"%d %d\n" % (process.pid, process.status)

    def signal(self, process: Process, number: int) -> None:
        if self.processes.get(process.pid) is not process:
            raise ProcessLookupError
        if not process.app:
            self.violations.append(f"a stranger got signal {number}")
        if process.dead:
            return
        if number == signal.SIGKILL:
            if process.stuck:
                process.pending = number
            else:
                self.end(process, number)
        elif number == signal.SIGCONT:
            process.stopped = False
            if process.pending and not process.stuck:
                self.end(process, process.pending)
        elif process.stage != "running" or process.deaf:
            return  # what is held on the pipe still has the watchdog's handlers, which only take note
        elif process.stopped or process.stuck:
            process.pending = process.pending or number
        elif self.chance.random() < 0.2:
            process.pending = number  # it takes its time
        else:
            self.end(process, number)

    # The master's own fate

    def begin(self, *, keeper: bool) -> None:
        """Make a watchdog, and a keeper above it if wanted."""
        if keeper:
            self.keeper = self.make(INIT).pid
            self.deaths = Pipe()
        self.watchdog = self.make(self.keeper or INIT).pid
        self.deaths_fd = self.open(self.deaths)
        self.fuse = -1

    def kill_watchdog(self) -> None:
        """All of its descriptors are gone, its children are the keeper's or init's."""
        process = self.processes[self.watchdog]
        self._forget_descriptors()
        self.watchdog, above = 0, self.keeper or INIT
        process.dead = True
        del self.processes[process.pid]
        for child in list(self.processes.values()):
            if child.parent == process.pid:
                child.parent = above
                if child.dead:
                    self._tell(child)
        for held in self.processes.values():
            held.doomed = held.doomed or held.stage == "held"

    def kill_keeper(self) -> None:
        keeper, self.keeper = self.keeper, 0
        del self.processes[keeper]
        for child in self.processes.values():
            if child.parent == keeper:
                child.parent = INIT

    def become_keeper(self) -> None:
        """The watchdog takes the place of its keeper; another watchdog is made by `begin`."""
        self._forget_descriptors()
        self.keeper, self.watchdog = self.watchdog, 0
        self.deaths = Pipe()
        for child in list(self.processes.values()):
            if child.parent == self.keeper and child.dead:
                self._tell(child)

    def _forget_descriptors(self) -> None:
        self.fds.clear()
        self.wake, self.reports, self.fuse = Pipe(), [], -1

    # System calls

    def call(self) -> None:
        """Every call of the watchdog passes here."""
        self.calls += 1
        if self.fuse >= 0:
            self.fuse -= 1
            if self.fuse < 0:
                raise Killed

    def fails(self) -> bool:
        return self.chance.random() < self.faults

    def open(self, what: object) -> int:
        self._fd += 1
        self.fds[self._fd] = what
        return self._fd

    def readable(self, fd: int) -> bool:
        what = self.fds[fd]
        return what.dead if isinstance(what, Process) else bool(what.readable)

    def hold(self, launches: Sequence[Launch]) -> Batch:
        self.call()
        if self.fails() and self.fails():
            raise OSError(24, "too many open files")
        held: list[Held | OSError] = []
        for launch in launches:
            if self.fails() and self.fails():
                held.append(OSError(11, "cannot fork"))
                continue
            if not launch.stopper and (wrong := self.may_start(launch.app)):
                self.violations.append(wrong)
            report = Pipe()
            # The tag is set before it is forked, so a process of a launch bears it from its birth.
            process = self.make(self.watchdog, app=launch.app, launch=launch.cookie, tag=tag(launch.cookie))
            process.session, process.stage, process.report = process.pid, "held", report
            process.made, process.stopper = not launch.stopper, launch.stopper
            held.append(Held(process.pid, self.open(report)))
        self.call()
        return Batch(self, held)

    def stat(self, pid: int) -> Stat | None:
        process = self.processes.get(pid)
        if process is None:
            return None
        return Stat(
            pid=pid, state="Z" if process.dead else "S", parent=process.parent, group=process.session,
            session=process.session, start_ticks=process.ticks,
        )  # fmt: skip

    def ended_within(self, pidfds: Collection[Any], within_s: float) -> list[Any]:
        """select.select on one descriptor."""
        self.call()
        ready = [one for one in pidfds if self.readable(one if isinstance(one, int) else one.fileno())]
        if not ready:
            self.now_s += within_s
        return ready


class Os:
    """What the modules ask of `os`."""

    path = types.SimpleNamespace(
        dirname=os.path.dirname, join=os.path.join, basename=os.path.basename, lexists=lambda _: True
    )
    strerror, fsdecode, fsencode, environ = os.strerror, os.fsdecode, os.fsencode, os.environ

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    def __getattr__(self, name: str) -> Any:
        if isinstance(value := getattr(os, name), str | int):
            return value
        raise AttributeError(f"the simulated kernel has no os.{name} yet: add it to {__file__}")

    def getpid(self) -> int:
        return self._kernel.watchdog

    def getppid(self) -> int:
        return self._kernel.keeper or INIT

    def geteuid(self) -> int:
        return 0

    def urandom(self, size: int) -> bytes:
        return self._kernel.chance.randbytes(size)

    def pipe2(self, flags: int) -> tuple[int, int]:
        pipe = Pipe()
        return self._kernel.open(pipe), self._kernel.open(pipe)

    def close(self, fd: int) -> None:
        self._kernel.call()
        del self._kernel.fds[fd]

    def read(self, fd: int, size: int) -> bytes:
        self._kernel.call()
        pipe = self._kernel.fds[fd]
        data: bytes = pipe.data
        if not data and pipe.open:
            raise BlockingIOError
        pipe.data = b""
        return data

    def pidfd_open(self, pid: int) -> int:
        self._kernel.call()
        process = self._kernel.processes.get(pid)
        if process is None:
            raise ProcessLookupError
        return self._kernel.open(process)

    def waitpid(self, pid: int, options: int) -> tuple[int, int]:
        self._kernel.call()
        process = self._kernel.processes.get(pid)
        if process is None or process.parent != self._kernel.watchdog:
            raise ChildProcessError
        if not process.dead:
            return 0, 0
        del self._kernel.processes[pid]
        return pid, process.status

    def waitid(self, kind: int, number: int, options: int) -> types.SimpleNamespace | None:
        self._kernel.call()
        ours = [p for p in self._kernel.processes.values() if p.parent == self._kernel.watchdog]
        if not ours:
            raise ChildProcessError
        return next((types.SimpleNamespace(si_pid=p.pid) for p in ours if p.dead), None)

    def stat(self, path: str) -> types.SimpleNamespace:
        if path not in self._kernel.devices:
            raise FileNotFoundError(2, "No such file or directory", path)
        return types.SimpleNamespace(st_size=0)

    def open(self, path: str, flags: int) -> int:
        raise FileNotFoundError(2, "No such file or directory", path)

    def access(self, path: str, mode: int) -> bool:
        return True


class Signals:
    """What the modules ask of `signal`: the constants are the real ones."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self.signal = self.pthread_sigmask = lambda *_: None

    def __getattr__(self, name: str) -> Any:
        return getattr(signal, name)

    def set_wakeup_fd(self, fd: int, *, warn_on_full_buffer: bool = True) -> None:
        if fd >= 0:
            self._kernel.wake = self._kernel.fds[fd]

    def pidfd_send_signal(self, fd: int, number: int) -> None:
        self._kernel.call()
        self._kernel.signal(self._kernel.fds[fd], number)


class Selector:
    """The place where the watchdog waits, and where the world goes on."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self.keys: dict[int, selectors.SelectorKey] = {}

    def register(self, what: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        self._kernel.call()
        fd = what if isinstance(what, int) else what.fileno()
        if fd in self.keys:
            raise KeyError(f"{fd} is registered already")
        key = self.keys[fd] = selectors.SelectorKey(what, fd, events, data)
        return key

    def unregister(self, what: Any) -> selectors.SelectorKey:
        return self.keys.pop(what if isinstance(what, int) else what.fileno())

    def get_map(self) -> dict[int, selectors.SelectorKey]:
        return self.keys

    def select(self, timeout: float | None = None) -> list[tuple[Any, int]]:
        return self._kernel.at_select(self, timeout)

    def close(self) -> None:
        self.keys.clear()


class Records:
    """The record directory, which the watchdog's death does not touch."""

    directory = "/run/records"

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    def prepare(self) -> None:
        self._kernel.call()

    def write(self, record: Record) -> None:
        self._kernel.call()
        self._kernel.records[record.app] = record

    def has(self, app: str) -> bool:
        return app in self._kernel.records

    def remove(self, app: str) -> None:
        self._kernel.call()
        self._kernel.records.pop(app, None)

    def read_all(self) -> Iterator[Record]:
        return iter(list(self._kernel.records.values()))

    def discard(self) -> None:
        if self._kernel.records:
            self._kernel.violations.append(f"records are left: {sorted(self._kernel.records)}")

    @property
    def leaving(self) -> bool:
        return self._kernel.leaving

    @leaving.setter
    def leaving(self, leaving: bool) -> None:
        self._kernel.call()
        self._kernel.leaving = leaving


class Intent:
    """The list of what people stopped by name."""

    problem = ""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    @property
    def stopped(self) -> frozenset[str]:
        return self._kernel.stopped

    def _keep(self, names: frozenset[str]) -> str:
        self._kernel.call()
        self._kernel.stopped = names
        return ""

    def add(self, names: Iterable[str]) -> str:
        return self._keep(self.stopped.union(names))

    def discard(self, names: Iterable[str]) -> str:
        return self._keep(self.stopped.difference(names))

    def clear(self) -> str:
        return self._keep(frozenset())

    def restore(self) -> None:
        """Nobody removes it here."""


class Descriptor:
    """Notify socket, inotify and control socket: something that can be waited for, told of by the world."""

    missing = False
    address = "/run/notify"
    resume_s: float | None = None

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.flag = Flag()
        self._fd = kernel.open(self.flag)

    def fileno(self) -> int:
        return self._fd

    def receive(self) -> list[Report]:
        reports, self.kernel.reports, self.flag.readable = self.kernel.reports, [], False
        return reports

    def watch(self, wanted: object) -> None:
        """The world tells of everything."""

    def take(self) -> None:
        self.flag.readable = False

    def on_time(self, now_s: float) -> None:
        """Nothing pauses here."""

    def close(self) -> None:
        del self.kernel.fds[self._fd]

    let_go = close


class Quiet:
    """Stands in for what is of no matter here: numbers, texts and None are attributes, all else is a method's answer."""

    def __init__(self, **answers: Any) -> None:
        self._answers = answers

    def __getattr__(self, name: str) -> Any:
        answer = self._answers.get(name)
        if (
            name in self._answers
            and (answer is None or isinstance(answer, int | str))
            and not isinstance(answer, bool)
        ):
            return answer
        return lambda *_, **__: answer


@contextlib.contextmanager
def inside(
    kernel: Kernel,
    rows: Counter[tuple[lifecycle.State, lifecycle.Event]],
    control: Callable[..., Any],
    made: dict[str, Descriptor],
) -> Iterator[None]:
    """Kegmaster's modules live in `kernel` until the end of the block; `rows` counts those of the table that are used.

    `control` is what stands in the place of the control server; `made` gets the other descriptors by name.
    """

    def keep(name: str) -> Descriptor:
        made[name] = Descriptor(kernel)
        return made[name]

    def read(path: str) -> int | None:
        kernel.call()
        if kernel.pidfiles.get(path, 0) is None:
            raise PidfileError(f"pidfile {path} holds no pid")
        return kernel.pidfiles.get(path)

    def write(path: str, pid: int) -> None:
        kernel.call()
        kernel.pidfiles[path] = pid

    def remove(path: str, pid: int) -> None:
        if kernel.pidfiles.get(path) == pid:
            del kernel.pidfiles[path]

    def prepare(app: Any, *_: object, cookie: str, **__: object) -> Launch:
        if kernel.fails() and kernel.fails():
            raise ProgramError("no such file", "install it")
        return Launch(app.name, cookie, kernel.open(Flag()))

    def prepare_stop(app: Any, instance: Any, *_: object) -> Launch:
        if kernel.fails():
            raise ProgramError("no such file", "install it")
        return Launch(app.name, instance.cookie, kernel.open(Flag()), stopper=True)

    def step(state: lifecycle.State, event: lifecycle.Event) -> Any:
        if (state, event) in lifecycle.TRANSITIONS:
            rows[state, event] += 1
        return lifecycle.step(state, event)

    def marks(pid: int) -> dict[str, str]:
        process = kernel.processes.get(pid)
        if process is None or not process.cookie:
            return {}
        return {"KEGMASTER_COOKIE": process.cookie, "KEGMASTER_APP": process.app, "KEGMASTER_RUN": "/run"}

    def field_of(pid: int, name: str, otherwise: Any) -> Any:
        process = kernel.processes.get(pid)
        return otherwise if process is None or process.dead else getattr(process, name)

    clock = types.SimpleNamespace(
        monotonic=lambda: kernel.now_s,
        time=lambda: 0.0,
        clock_gettime=lambda _: kernel.now_s,
        CLOCK_BOOTTIME=7,
    )
    replaced: dict[str, dict[str, Any]] = {
        "proc": {
            "stat": kernel.stat, "marks_of": marks, "boot_id": lambda: "boot", "become_subreaper": lambda: True,
            "cookie_of": lambda pid: marks(pid).get("KEGMASTER_COOKIE", ""),
            "tag_of": lambda pid: field_of(pid, "tag", 0), "owner": lambda pid: 0,
            "children": lambda pid: [p.pid for p in kernel.processes.values() if p.parent == pid],
            "all_pids": lambda: list(kernel.processes),
            "age_s": lambda ticks: next(
                (kernel.now_s - p.born_s for p in kernel.processes.values() if p.ticks == ticks), 0.0
            ),
        },
        "pidfiles": {"read": read, "write": write, "remove": remove, "caveat": lambda _: ""},
        "spawn": {"hold": kernel.hold, "raise_file_limit": lambda: None},
        "crew": {"Records": lambda _: Records(kernel),
                 "Output": lambda *_: Quiet(drain=(), due_s=None), "find_leaves": lambda *_: None},
        "launches": {"prepare": prepare},
        "asking": {"_prepare": prepare_stop},
        "mailbox": {"NotifySocket": lambda *_: keep("notify")},
        "watchdog": {
            "Inotify": lambda: keep("inotify"), "ControlServer": lambda *given, **_: control(*given), "existing": os.path.dirname,
            "EventLog": lambda *_: Quiet(), "Intent": lambda _: Intent(kernel),
        },
        "life": {"step": step},
    }  # fmt: skip
    shells: dict[types.ModuleType, Any] = {
        os: Os(kernel), signal: Signals(kernel), time: clock, random: kernel.chance,
        select: types.SimpleNamespace(select=lambda r, w, x, within_s: (kernel.ended_within(r, within_s), [], [])),
        selectors: types.SimpleNamespace(
            DefaultSelector=lambda: Selector(kernel), EVENT_READ=selectors.EVENT_READ, EVENT_WRITE=selectors.EVENT_WRITE,
            BaseSelector=selectors.BaseSelector,
        ),
    }  # fmt: skip
    saved: list[tuple[types.ModuleType, str, Any]] = []
    for name in MODULES:
        module = importlib.import_module(f"kegmaster.{name}")
        for real, simulated in shells.items():
            if getattr(module, real.__name__, None) is real:
                replaced.setdefault(name, {})[real.__name__] = simulated
    try:
        for name, values in replaced.items():
            module = sys.modules[f"kegmaster.{name}"]
            for attribute, value in values.items():
                saved.append((module, attribute, getattr(module, attribute)))
                setattr(module, attribute, value)
        yield
    finally:
        for module, attribute, value in saved:
            setattr(module, attribute, value)


assert pidfiles.MAX_PID > LOWEST_PID + PIDS
