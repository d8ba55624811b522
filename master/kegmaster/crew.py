"""The processes of all apps: made, watched, taken leave of. The watchdog's hands.

Knows pidfds, the selector, records and pidfiles. Must not decide: it turns what happens to processes into events
of the lifecycle table (`emit`) and carries out its actions.
"""

from __future__ import annotations

import errno
import os
import select
import selectors
import signal
import stat
import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from . import pidfiles, proc
from . import spawn as making
from .environment import credentials, environment
from .instance import Instance
from .journal import Journal
from .life import Life
from .lifecycle import Action, Event, State
from .notify import NotifySocket, Report
from .paths import RunDirectory
from .proc import Process
from .programs import ProgramError, Search
from .records import Record, Records
from .restart import Exit, from_wait_status

_FIRST_PROBE_S = 0.005
_LONGEST_PROBE_S = 0.25
_DEATH_NEWS_S = 0.1
_MAX_DEATHS = 1024
_BATCH = 64  # each process of a batch costs three descriptors until it is made


class Emit(Protocol):
    """Carries an app's life on."""

    def __call__(self, life: Life, event: Event, *, exit: Exit | None = None, reason: str = "") -> None:
        """Take one event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeper:
    """Our parent, which gets our orphans when we die: its pid, and the pipe on which it tells how they ended.

    `young`: it has had no other watchdog than us, so no app can have been its child.
    """

    pid: int = 0
    deaths_r: int = -1
    young: bool = True

    @property
    def alive(self) -> bool:
        """It is still our parent."""
        return self.pid != 0 and os.getppid() == self.pid

    @property
    def lost(self) -> bool:
        """There was one."""
        return self.pid != 0 and not self.alive


class Crew:
    """Every process that belongs to an app."""

    def __init__(
        self, *, search: Search, run: RunDirectory, journal: Journal, keeper: Keeper,
        selector: selectors.BaseSelector, emit: Emit,
    ) -> None:  # fmt: skip
        """Take up work: the notify socket and the record directory are made. Raises OSError."""
        self.instances: dict[str, Instance] = {}
        self.lives: dict[str, Life] = {}
        self.journal = journal
        self.keeper = keeper
        self.records = Records(run.records)
        self.records.prepare()
        self._search = search
        self._selector = selector
        self._emit = emit
        self._recorded: dict[str, State | None] = {}
        """In which state each app's record has it; None: it has no record."""
        self._deaths: OrderedDict[int, Exit] = OrderedDict()
        self._notify = NotifySocket(run.notify)
        selector.register(self._notify, selectors.EVENT_READ, lambda _: self._on_reports())
        if keeper.deaths_r >= 0:
            selector.register(keeper.deaths_r, selectors.EVENT_READ, lambda _: self._take_news())

    def restore(self) -> None:
        """Make what somebody removed from the run directory anew. Raises OSError."""
        if self._notify.missing:
            self._selector.unregister(self._notify)
            self._notify.restore()
            self._selector.register(self._notify, selectors.EVENT_READ, lambda _: self._on_reports())
        if not self.records.complete(self.lives):
            self.records.prepare()
            self._recorded.clear()
            for name, instance in self.instances.items():
                self.write_down(self.lives[name], instance)

    @property
    def parents(self) -> list[int]:
        """Who gets the orphans of our apps."""
        return [os.getpid(), *([self.keeper.pid] if self.keeper.alive else [])]

    def close(self) -> None:
        """All apps are gone: leave no file behind."""
        self._notify.close()
        self.records.discard()

    def let_go(self) -> None:
        """Forget all processes, without touching any."""
        for instance in self.instances.values():
            for process in instance.processes():
                process.close()

    def next_probe_s(self) -> float | None:
        """When a pidfile is to be looked at next (monotonic)."""
        return min((i.probe_s for i in self.instances.values() if i.probe_s is not None), default=None)

    def on_time(self, now_s: float) -> None:
        """Look at the pidfiles that are due."""
        for name, instance in list(self.instances.items()):
            if instance.probe_s is not None and instance.probe_s <= now_s:
                self._probe(self.lives[name], instance)

    def why_not_ready(self, life: Life) -> str:
        """Why an app did not become ready in time."""
        instance = self.instances.get(life.app.name)
        return instance.why_not_ready() if instance else ""

    # Actions

    def perform(self, life: Life, action: Action) -> None:
        """Carry out one action of the table."""
        instance = self.instances.get(life.app.name)
        if action is Action.TERMINATE:
            if instance is None or not instance.terminate(life.app.kill_signal):
                self._emit(life, Event.ENDED)
        elif action is Action.KILL and instance is not None:
            instance.kill = True
            if life.kills:
                instance.kill_all()
                self._watch_all(life, instance)
        elif action is Action.CLEAR:
            self._clear(life, instance)

    def spawn(self, lives: Sequence[Life]) -> None:
        """Make the processes of these apps, all together."""
        launches: list[tuple[Life, Instance, making.Launch]] = []
        for life in lives:
            instance = self.instances[life.app.name] = Instance(life.app, os.urandom(16).hex())
            try:
                launches.append((life, instance, self._prepare(instance)))
            except ProgramError as error:
                self._emit(life, Event.ENDED, reason=f"{error}; {error.cure}")
            except (OSError, KeyError) as error:
                self._emit(life, Event.ENDED, reason=f"cannot be started: {error}")
        for start in range(0, len(launches), _BATCH):
            self._launch(launches[start : start + _BATCH])

    def _launch(self, launches: Sequence[tuple[Life, Instance, making.Launch]]) -> None:
        try:
            batch = making.hold([launch for _, _, launch in launches])
        except OSError as error:
            for life, _, launch in launches:
                os.close(launch.output)
                self._emit(life, Event.ENDED, reason=f"cannot be started: {error}")
            return
        failed = []
        for (life, instance, launch), held in zip(launches, batch.held, strict=True):
            os.close(launch.output)
            if isinstance(held, OSError):
                failed.append((life, held))
            else:
                self._take_on(life, instance, held)
        batch.release()
        for life, refusal in failed:
            self._emit(life, Event.ENDED, reason=str(refusal))

    def _prepare(self, instance: Instance) -> making.Launch:
        app = instance.app
        variables = environment(app, self._search, os.environ, instance.cookie, self._notify.address)
        path = self._search.find(app.program, dict(app.context.environment).get("PATH", ""))
        uid, gid, groups = credentials(app.context)
        for file in (app.pidfile, app.logfile):
            os.makedirs(os.path.dirname(file), mode=0o755, exist_ok=True)
        log = _open_log(app.logfile, uid, gid)
        return making.Launch(
            path=path, argv=app.argv, environment=variables, output=log, umask=app.context.umask,
            nice=app.context.nice, limit_nofile=app.context.limit_nofile,
            tag=proc.tag(instance.cookie),
            working_directory=app.context.working_directory, uid=uid, gid=gid, groups=groups,
        )  # fmt: skip

    def _take_on(self, life: Life, instance: Instance, held: making.Held) -> None:
        """Write down which process it is, before it is let loose."""
        process = Process(held.pid)
        instance.session = held.pid
        instance.report = held.report
        if instance.app.detaches:
            instance.made = process
        else:
            instance.main, instance.main_pid = process, held.pid
        self.write_down(life, instance)
        self._selector.register(held.report, selectors.EVENT_READ, lambda _: self._on_report(life, instance))
        self._watch_all(life, instance)
        self.journal.info(f"{life.app.name}: starting, process {held.pid}")

    def remember(self, lives: Iterable[Life]) -> None:
        """Keep a record of each wanted app that has no process just now, and none of those not wanted."""
        for life in lives:
            name = life.app.name
            wanted = life.state if life.wanted else None
            # What another watchdog recorded is not known here: absent is not None.
            if name in self.instances or (name in self._recorded and self._recorded[name] == wanted):
                continue
            try:
                if life.wanted:
                    self.records.write(
                        Record(
                            app=name, boot_id=proc.boot_id(), state=life.state.value, restarts=life.restarts,
                            exit_status=life.last_exit.status if life.last_exit else None,
                            exit_signal=life.last_exit.signal if life.last_exit else None,
                            pidfile=life.app.pidfile, logfile=life.app.logfile, argv=life.app.argv,
                        )
                    )  # fmt: skip
                else:
                    self.records.remove(name)
            except OSError as error:
                self.journal.error(f"{name}: cannot be written down: {error}")
            self._recorded[name] = wanted

    def write_down(self, life: Life, instance: Instance) -> None:
        """Bring the app's record up to date, and its pidfile where it does not write one itself."""
        self._recorded[life.app.name] = life.state
        try:
            self.records.write(instance.record(life, time.time()))
            if not instance.app.detaches and instance.main:
                pidfiles.write(instance.app.pidfile, instance.main_pid)
        except OSError as error:
            # The app is worth more than its record: it runs, and a master after us would have to look for it.
            self.journal.error(f"{life.app.name}: cannot be written down: {error}")

    # Events

    def take_over(self, life: Life, instance: Instance) -> None:
        """Watch the processes of an adopted app."""
        self.instances[life.app.name] = instance
        self._watch_all(life, instance)

    def _watch_all(self, life: Life, instance: Instance) -> None:
        for process in instance.processes():
            if self._selector.get_map().get(process.fd) is None:
                self._selector.register(
                    process,
                    selectors.EVENT_READ,
                    lambda _, ended=process: self._on_end(life, instance, ended),
                )

    def _on_report(self, life: Life, instance: Instance) -> None:
        fd = instance.report
        if fd is None or not instance.read_report():
            return
        self._selector.unregister(fd)
        if not instance.failure and instance.app.type == "simple":
            self._ready(life, instance)

    def _on_end(self, life: Life, instance: Instance, process: Process) -> None:
        ended = process.reap()
        self._selector.unregister(process)
        process.close()
        if (fd := instance.report) is not None:
            # It has ended, so what it reported is complete, whichever of the two we were told of first.
            instance.read_report(last=True)
            self._selector.unregister(fd)
        if process is instance.left.get(process.pid):
            del instance.left[process.pid]
            if not instance.alive:
                self._clear(life, instance)
        elif process is instance.made:
            instance.made = None
            if ended and ended.status == 0 and life.state is State.STARTING:
                self._probe(life, instance)
            elif instance.main is None:
                self._main_ended(life, instance, ended)
        elif process is instance.main:
            instance.main = None
            self._main_ended(life, instance, ended or self.news_of(process.pid))

    def _ready(self, life: Life, instance: Instance) -> None:
        self._emit(life, Event.READY)
        self.write_down(life, instance)

    def _main_ended(self, life: Life, instance: Instance, ended: Exit | None) -> None:
        if (
            instance.app.type == "oneshot"
            and life.state is State.STARTING
            and ended
            and ended.succeeded(life.app.policy)
        ):
            self._emit(life, Event.DONE, exit=ended)
            return
        reason = instance.explain(ended, time.monotonic() - life.started_s)
        if life.state is not State.STOPPING:
            self.journal.warning(f"{life.app.name}: {reason}")
        self._emit(life, Event.ENDED, exit=ended, reason=reason)

    def _probe(self, life: Life, instance: Instance) -> None:
        """Its starter is done: look for the process it left behind."""
        instance.probe_s = None
        if life.state is not State.STARTING:
            return
        if instance.find_main():
            self._watch_all(life, instance)
            self._ready(life, instance)
            return
        # Only while an app starts, and ever more rarely: its pidfile is not there yet.
        instance.probes += 1
        instance.probe_s = time.monotonic() + min(_FIRST_PROBE_S * 2**instance.probes, _LONGEST_PROBE_S)

    def _clear(self, life: Life, instance: Instance | None) -> None:
        """See to it that no process of the app is left; then its life goes on."""
        if life.state is not State.STOPPING:
            return
        if instance is not None:
            if not (instance.made or instance.main):
                known = {process.pid for other in self.instances.values() for process in other.processes()}
                instance.look_for_rest(self.parents, known)
                self._watch_all(life, instance)
            if instance.alive:
                if life.stuck:
                    pids = ", ".join(str(process.pid) for process in instance.processes())
                    life.reason = f"cannot be ended: process {pids}"
                return
            del self.instances[life.app.name]
            if instance.main_pid:
                pidfiles.remove(instance.app.pidfile, instance.main_pid)
        self._emit(life, Event.CLEARED)

    def reap(self) -> None:
        """Take leave of children that ended: apps' own processes, and orphans that came to us."""
        while True:
            try:
                info = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if info is None:
                return
            owner = self._owner(info.si_pid)
            if owner is not None:
                self._on_end(*owner)
            else:
                os.waitpid(info.si_pid, os.WNOHANG)

    def _owner(self, pid: int) -> tuple[Life, Instance, Process] | None:
        for name, instance in self.instances.items():
            for process in instance.processes():
                if process.pid == pid:
                    return self.lives[name], instance, process
        return None

    def news_of(self, pid: int) -> Exit | None:
        """How a process that was the keeper's child ended; the keeper may be just about to tell."""
        until_s = time.monotonic() + _DEATH_NEWS_S
        while pid not in self._deaths and self.keeper.alive and not self.keeper.young:
            wait_s = until_s - time.monotonic()
            if wait_s <= 0 or not select.select([self.keeper.deaths_r], [], [], wait_s)[0]:
                return None
            self._take_news()
        return self._deaths.pop(pid, None)

    def _take_news(self) -> None:
        try:
            news = os.read(self.keeper.deaths_r, 65536)
        except BlockingIOError:  # taken already, by another callback of the same turn
            return
        for line in news.splitlines():
            pid, status = line.split()
            self._deaths[int(pid)] = from_wait_status(int(status))
        while len(self._deaths) > _MAX_DEATHS:
            self._deaths.popitem(last=False)

    def _on_reports(self) -> None:
        for report in self._notify.receive():
            sender = self._sender(report)
            if sender is None:
                continue
            life, instance = sender
            if report.status is not None:
                life.note = report.status
            if report.ready and instance.app.type == "notify" and life.state is State.STARTING:
                self._ready(life, instance)

    def _sender(self, report: Report) -> tuple[Life, Instance] | None:
        for name, instance in self.instances.items():
            if report.pid == instance.main_pid or proc.stems_from(report.pid, instance.cookie):
                return self.lives[name], instance
        # A helper of the app (systemd-notify in a script) may be gone before its report is read. If only one app is
        # waiting to be ready, it is the one that is meant.
        awaited = [
            (self.lives[name], instance)
            for name, instance in self.instances.items()
            if instance.app.type == "notify" and self.lives[name].state is State.STARTING
        ]
        gone = proc.stat(report.pid) is None and report.uid in (0, os.geteuid())
        return awaited[0] if gone and report.ready and len(awaited) == 1 else None


def _open_log(path: str, uid: int | None, gid: int | None) -> int:
    """Open a log to append to; a new one belongs to `uid`. Raises OSError, also for what is no plain file."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        fd = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o644)
        if uid is not None:
            os.fchown(fd, uid, -1 if gid is None else gid)
    except FileExistsError:
        fd = os.open(path, flags)
    mode = os.fstat(fd).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISCHR(mode)):
        os.close(fd)
        raise OSError(errno.EINVAL, "its log is no plain file", path)
    os.set_blocking(fd, True)
    return fd


def end_at_once(process: Process, within_s: float) -> bool:
    """SIGKILL, and wait until it is gone; False if it is not within `within_s` seconds."""
    process.signal(signal.SIGKILL)
    gone = bool(select.select([process], [], [], within_s)[0])
    process.close()
    return gone
