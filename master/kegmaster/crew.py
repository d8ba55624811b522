"""The processes of all apps: made, watched, taken leave of. The watchdog's hands.

Knows pidfds, the selector, records and pidfiles. Must not decide: it turns what happens to processes into events
of the lifecycle table (`emit`) and carries out its actions.
"""

from __future__ import annotations

import os
import selectors
import signal
import time
from collections.abc import Callable, Collection, Sequence

from . import pidfiles, proc
from .attendance import Attendance
from .deaths import Deaths, Keeper
from .instance import Instance
from .journal import Journal
from .launches import Emit, Launches
from .launching import find_leaves
from .lean import TYPE_CHECKING
from .life import Life
from .lifecycle import Action, Event, State
from .mailbox import Mailbox
from .notify import Report
from .output import Output
from .paths import RunDirectory
from .proc import Process
from .programs import Search
from .records import Records
from .register import Register
from .restart import Exit
from .spec import App

if TYPE_CHECKING:
    from .cgroups import Leaf
    from .hookrun import Hooks

_FIRST_PROBE_S = 0.005
_LONGEST_PROBE_S = 0.25


class Crew:
    """Every process that belongs to an app."""

    def __init__(
        self, *, search: Search, run: RunDirectory, journal: Journal, keeper: Keeper,
        selector: selectors.BaseSelector, emit: Emit, inherited: int = -1,
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
        self.register = Register(self.records, journal)
        self.deaths = Deaths(keeper)
        self.output = Output(selector, journal)
        self.on_orphan: Callable[[int, int], None] = lambda _pid, _status: None
        """Called with pid and wait status of each child that ended and belongs to no app."""
        self.run = run.path
        self._leaves = find_leaves(run.path, journal)
        self._mailbox = Mailbox(
            run.notify, selector, self.instances, inherited=inherited, awaited=self._awaited, on_report=self._on_note
        )  # fmt: skip
        self.notify = self._mailbox.socket
        self._launches = Launches(
            search=search, run=run.path, notify_address=self.notify.address, output=self.output,
            register=self.register, emit=emit, attend=self._attend,
        )  # fmt: skip
        self.attendance = Attendance(
            selector=selector, search=search, journal=journal, emit=emit, on_ready=self._ready,
            drain=self._mailbox.drain, known=self.pids,
        )  # fmt: skip
        if keeper.deaths_r >= 0:
            selector.register(keeper.deaths_r, selectors.EVENT_READ, lambda _: self.deaths.take())

    @property
    def complete(self) -> bool:
        """Of the files we keep in the run directory, none is missing."""
        ours = [
            instance for instance in self.instances.values() if instance.main and not instance.app.detaches
        ]
        kept = [self.records.directory, *(instance.app.pidfile for instance in ours)]
        if not self.register.complete(name for name, instance in self.instances.items() if instance.alive):
            return False
        return not self.notify.missing and all(os.path.lexists(path) for path in kept)

    def restore(self) -> None:
        """Make what somebody removed from the run directory anew. Raises OSError."""
        self._mailbox.restore()
        self.register.restore(self.lives, self.instances)

    @property
    def parents(self) -> list[int]:
        """Who gets the orphans of our apps."""
        return [os.getpid(), *([self.keeper.pid] if self.keeper.alive else [])]

    def close(self) -> None:
        """All apps are gone: leave no file behind."""
        self.output.close_all()
        self.notify.close()
        self.records.discard()
        if self._leaves is not None:
            self._leaves.close()

    def let_go(self) -> None:
        """Leave the notify socket's file, and all processes, to whoever comes next."""
        self.attendance.close()
        self.output.close_all()
        self.notify.let_go()

    def next_probe_s(self) -> float | None:
        """When something is to be looked at next: a pidfile, an app's health, what it printed (monotonic)."""
        times = [self.output.due_s, self.register.due_s, self.attendance.next_s()]
        times += [instance.probe_s for instance in self.instances.values()]
        return min((time_s for time_s in times if time_s is not None), default=None)

    def on_time(self, now_s: float) -> None:
        """Look at the pidfiles, the output and the apps that are due."""
        self.output.on_time(now_s)
        for name, instance in list(self.instances.items()):
            if instance.probe_s is not None and instance.probe_s <= now_s:
                self._probe(self.lives[name], instance)
        self.attendance.on_time(now_s)

    def on_lost_time(self, lost_s: float) -> None:
        """The watchdog has not looked for so long: no app is late because of that."""
        for life in self.lives.values():
            if life.state is State.STARTING and life.deadline_s is not None:
                life.deadline_s += lost_s
        self.attendance.shift(lost_s)

    def why_not_ready(self, life: Life) -> str:
        """Why an app did not become ready in time."""
        instance = self.instances.get(life.app.name)
        return self.attendance.why_not_ready(life) or (instance.why_not_ready() if instance else "")

    # Actions

    def perform(self, life: Life, action: Action) -> None:
        """Carry out one action of the table."""
        instance = self.instances.get(life.app.name)
        self.attendance.forget(life)  # whatever is to be done with it, it does not run any more
        if action in (Action.TERMINATE, Action.ABORT):
            if action is Action.TERMINATE and instance is not None and self._ask(life, instance):
                return
            number = life.app.kill_signal if action is Action.TERMINATE else signal.SIGABRT
            if instance is None or not instance.terminate(number):
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
        for life in lives:
            instance = self.instances[life.app.name] = Instance(life.app, os.urandom(16).hex())
            instance.leaf = self.leaf(life.app.name)
        self._launches.make([(life, self.instances[life.app.name]) for life in lives])

    def _attend(self, life: Life, instance: Instance) -> None:
        """Hear of what becomes of it."""
        assert instance.report is not None
        self._selector.register(
            instance.report, selectors.EVENT_READ, lambda _: self._on_report(life, instance)
        )
        self._watch_all(life, instance)
        self.journal.info(f"{life.app.name}: starting, process {instance.session}")

    # Events

    def take_over(self, life: Life, instance: Instance) -> None:
        """Watch the processes of an adopted app."""
        self.instances[life.app.name] = instance
        instance.leaf = self.leaf(life.app.name, instance.main_pid)
        self.output.adopt(life.app, instance.main_pid, lambda pid: proc.stems_from(pid, instance.cookie))
        self._watch_all(life, instance)
        if instance.main is not None:
            self.attendance.attend(life, instance)

    def leaf(self, name: str, pid: int = 0) -> Leaf | None:
        """The app's cgroup, if there may be one; `pid`: its process, if an earlier master made it."""
        return self._leaves.of(name, pid) if self._leaves is not None else None

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
            self._work_begun(life, instance)

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
            ended = ended or self.deaths.of(process.pid)
            # A starter whose end nobody saw may well have left its daemon.
            if (ended is None or ended.status == 0) and life.state is State.STARTING:
                self._probe(life, instance)
            elif instance.main is None:
                self._main_ended(life, instance, ended)
        elif process is instance.stopper:
            self._asked(life, instance, ended)
        elif process is instance.main:
            instance.main = None
            ended = ended or self.deaths.of(process.pid)
            lived_s = time.monotonic() - life.started_s
            replaces = instance.app.detaches and life.state is State.RUNNING
            if replaces and instance.find_successor(ended, lived_s):
                self._succeeded(life, instance, process.pid)
            else:
                self._main_ended(life, instance, ended)

    def _succeeded(self, life: Life, instance: Instance, before: int) -> None:
        """The app has replaced its main process by itself."""
        self.journal.info(f"{life.app.name}: process {before} left its work to process {instance.main_pid}")
        self._watch_all(life, instance)
        self.register.write(life, instance)
        self.attendance.attend(life, instance)

    def _ask(self, life: Life, instance: Instance) -> bool:
        """Run its _stop_command, if it has one and runs; False: nothing is under way."""
        if not life.app.stop_command or instance.main is None or instance.report is not None:
            return False
        from . import asking

        if not asking.begin(life.app, instance, self._search, self.output, self.run, self.journal):
            return False
        instance.probe_s = time.monotonic() + life.app.timeout_stop_sec / 2
        self._watch_all(life, instance)
        return True

    def _asked(self, life: Life, instance: Instance, ended: Exit | None) -> None:
        """Its _stop_command is done: what is left is to end all the same."""
        from . import asking

        if wrong := asking.conclude(instance, ended):
            self.journal.warning(f"{life.app.name}: _stop_command: {wrong}")
        if not instance.alive:
            self._clear(life, instance)
        elif not instance.kill:
            instance.terminate(life.app.kill_signal)

    def _ready(self, life: Life, instance: Instance) -> None:
        self._emit(life, Event.READY)
        self.register.write(life, instance)
        self.attendance.attend(life, instance)

    def _work_begun(self, life: Life, instance: Instance) -> None:
        """By the rules of its type it is ready; if it has a `_ready` check, that decides."""
        if instance.app.ready is None:
            self._ready(life, instance)
        else:
            self.register.write(life, instance)
            self.attendance.attend(life, instance)

    def _main_ended(self, life: Life, instance: Instance, ended: Exit | None) -> None:
        instance.printed = self.output.drain(life.app.name)
        life.last_output = instance.last_output()
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
        if life.state is State.STOPPING and instance.stopper and not instance.kill:
            instance.terminate(life.app.kill_signal)
        if life.state is not State.STARTING:
            return
        if instance.find_main():
            if caveat := pidfiles.caveat(instance.app.pidfile):
                self.journal.warning(f"{life.app.name}: {caveat}")
            self._watch_all(life, instance)
            self._work_begun(life, instance)
            return
        if not instance.parent and not proc.kin(instance.cookie):
            self._main_ended(life, instance, None)  # adopted half made, it has come to nothing
            return
        # Only while an app starts, and ever more rarely: its pidfile is not there yet.
        instance.probes += 1
        instance.probe_s = time.monotonic() + min(_FIRST_PROBE_S * 2**instance.probes, _LONGEST_PROBE_S)

    def _clear(self, life: Life, instance: Instance | None) -> None:
        """See to it that no process of the app is left; then its life goes on."""
        if life.state is not State.STOPPING:
            return
        if instance is not None:
            if not (instance.made or instance.main or instance.stopper):
                instance.look_for_rest(self.parents, self.pids())
                self._watch_all(life, instance)
            if instance.alive:
                if life.stuck:
                    pids = ", ".join(str(process.pid) for process in instance.processes())
                    life.reason = f"cannot be ended: process {pids}"
                return
            del self.instances[life.app.name]
            self.output.close(life.app.name)
            if life.wanted and not life.again:
                life.printed = self.output.printed(life.app.name, life.app.logfile, instance.log_begun)
            # One that comes back is born in the same: to make and remove it would be the longest part of all this.
            if instance.leaf is not None and not life.wanted:
                instance.leaf.remove()
            if instance.main_pid:
                pidfiles.remove(instance.app.pidfile, instance.main_pid)
        self._emit(life, Event.CLEARED)

    def pids(self) -> set[int]:
        """The processes of all apps whose end is awaited."""
        return {process.pid for instance in self.instances.values() for process in instance.processes()}

    def make_hooks(self, apps: Collection[App]) -> Hooks:
        """Take up work for the hooks of these apps too."""
        from .hookrun import Hooks

        hooks = Hooks(
            search=self._search, run=self.run, journal=self.journal, selector=self._selector, apps=apps,
            known=self.pids,
        )  # fmt: skip
        self.on_orphan = hooks.ended
        return hooks

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
            elif not self.attendance.on_child(info.si_pid):
                self.on_orphan(*os.waitpid(info.si_pid, os.WNOHANG))

    def _owner(self, pid: int) -> tuple[Life, Instance, Process] | None:
        for name, instance in self.instances.items():
            for process in instance.processes():
                if process.pid == pid:
                    return self.lives[name], instance, process
        return None

    def _on_note(self, name: str, report: Report) -> None:
        """The app says something of itself."""
        life, instance = self.lives[name], self.instances[name]
        if report.status is not None:
            life.note = report.status
        if report.ready and instance.app.type == "notify" and life.state is State.STARTING:
            self._work_begun(life, instance)
        self.attendance.take(name, report, time.monotonic())

    def _awaited(self, report: Report) -> list[str]:
        """The apps that are to send what `report` says."""
        if report.alive:
            return self.attendance.awaiting_beat()
        notifying = [name for name, instance in self.instances.items() if instance.app.type == "notify"]
        return [name for name in notifying if report.ready and self.lives[name].state is State.STARTING]
