"""The watchdog: one loop that waits for the kernel's news and for due times, and moves each app on.

Knows the selector, signals and the clock. Nothing polls: with nothing starting or waiting to be restarted, it
sleeps until something happens.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import time
from collections.abc import Callable, Collection, Iterable

from . import adoption, holdups, notify, order, pidfiles, proc, spawn
from .control import ControlServer, Conversation, Request
from .crashes import Crashes
from .crew import Crew
from .deaths import Keeper
from .eventlog import EventLog, path_beside
from .history import History
from .inotify import COME, DELETED, GONE, Inotify, existing
from .intent import Intent
from .journal import Journal
from .keeper import WITHOUT_MEANING, ignore
from .lateness import Lateness
from .lean import dataclass, field
from .life import Life
from .lifecycle import ALIVE, Action, Event, State
from .loading import Source
from .paths import RunDirectory
from .reexec import Inheritance, Program
from .restart import Exit
from .spec import App, Config

_LONGEST_WAIT_S = 86400.0
_SIGNALS = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_UNHEEDED = (signal.SIGUSR1, *WITHOUT_MEANING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a watchdog is told at birth. `notify_address`: where to tell that we are ready; empty: nowhere."""

    source: Source
    run: RunDirectory
    journal: Journal
    lock: pidfiles.Lock
    keeper: Keeper = field(default_factory=Keeper)
    notify_address: str = ""
    program: Program | None = None
    """What this process runs, to become it anew."""
    inherited: Inheritance = field(default_factory=Inheritance)


class Watchdog:
    """All apps of one master."""

    def __init__(self, setup: Setup, config: Config, *, revive: bool = True) -> None:
        """Become the master of the run directory: signals, sockets, records, adoption.

        `revive`: apps that died while no watchdog was there are started again. Raises OSError.
        """
        self.setup = setup
        self.config = config
        self.journal = setup.journal
        self.started_unix = time.time()
        self.missing: frozenset[str] = frozenset()
        """Apps that cannot be started because their program is not installed."""
        self.stopping: set[str] = set()
        """Apps whose stop waits for those that come after them."""
        self.leaving = False
        """Everything is to be stopped, and then the master ends."""
        self.at_each_turn: Callable[[float], float | None] = lambda _: None
        """Called after each turn with the time; it may say when it wants to be called again at the latest."""
        self.on_request: Callable[[Request, Conversation], None] = lambda _, talk: talk.close()
        self.on_hangup: Callable[[], None] = lambda: None
        """Called on SIGHUP."""
        self.intent = Intent(setup.run.stopped)
        self.selector = selectors.DefaultSelector()
        self._to_spawn: list[Life] = []
        self._changed = True
        self._lateness = Lateness()
        self._pulse = notify.Pulse(setup.notify_address, os.environ, os.getpid())
        proc.become_subreaper()
        spawn.raise_file_limit()
        self._listen_to_signals()
        self.crew = Crew(
            search=setup.source.search, run=setup.run, journal=setup.journal, keeper=setup.keeper,
            selector=self.selector, emit=self.handle, inherited=setup.inherited.notify,
        )  # fmt: skip
        self.lives = self.crew.lives
        self.crashes = Crashes(setup.journal)
        log = EventLog(path_beside(setup.journal.path), setup.journal)
        self.history = History(log, lambda: self.crew.make_hooks(self.config.apps))
        if any(app.on_failure or app.on_change for app in config.apps):
            self.history.watch_hooks()
        adoption.adopt_all(self.crew, config, revive=revive)
        adopted = self.history.adopted(self.lives.values(), self._pid)
        for life in self.lives.values():
            if life.crashed and life.state is not State.STOPPING:
                self.crashes.died_unwatched(life)
        self.history.begun(adopted, setup.inherited.before, os.getpid())
        if self.intent.problem:
            self.journal.error(self.intent.problem)
        self.leaving = self.crew.records.leaving
        if self.leaving:
            self.stop(list(self.lives))
        for life in self.lives.values():
            # A stop that was noted but not begun when everything was killed.
            life.wanted &= life.app.name not in self.intent.stopped
            if life.wanted and life.state is State.STOPPED:
                self.handle(life, Event.START)
        self.stopping.update(life.app.name for life in self.lives.values() if not life.wanted)
        self._inotify = Inotify()
        self.selector.register(self._inotify, selectors.EVENT_READ, lambda _: self._on_files())
        if setup.keeper.alive:
            # Readable once the keeper has ended. If it has by now, `run` sees that first thing.
            with contextlib.suppress(ProcessLookupError):
                self.selector.register(os.pidfd_open(setup.keeper.pid), selectors.EVENT_READ, lambda _: None)
        # From here on it is noticed when the pidfile is removed; until here it may have been.
        self._inotify.watch([(setup.run.path, GONE)])
        setup.lock.renew()
        self.control = ControlServer(
            setup.run.socket, self.selector, lambda *call: self.on_request(*call), inherited=setup.inherited.control
        )  # fmt: skip
        setup.lock.config, setup.lock.logfile_dir = setup.source.file, setup.journal.path.rpartition("/")[0]
        setup.lock.claim(os.getpid())

    def run(self) -> bool:
        """Watch. True: everything is stopped and the master is to leave; False: the keeper is gone."""
        for number in _UNHEEDED:  # only now: SIGALRM ends a successor that does not get so far
            signal.signal(number, ignore)
        while True:
            if self.crew.keeper.lost:
                self._tell_of_master("running", "running", "the keeper was killed, taking its place")
                self.history.log.flush()
                return False
            self._settle()
            due_s = self.at_each_turn(time.monotonic())
            self.history.log.flush()
            leaving = self.leaving and not self.stopping
            gone = leaving and not any(life.state in ALIVE for life in self.lives.values())
            if gone:
                self.crashes.flush()
            if self.history.over(time.monotonic(), leaving=gone):
                return True
            now_s = time.monotonic()
            if not any(
                life.deadline_s is not None and life.deadline_s <= now_s for life in self.lives.values()
            ):
                # No app is waiting for us.
                self.crashes.flush()
                times = (due_s, self.history.call_hooks(now_s))
                due_s = min((time_s for time_s in times if time_s is not None), default=None)
            wait_s = self._lateness.going_to_wait(time.monotonic(), self._wait_s(due_s))
            ready = self.selector.select(wait_s)
            now_s = time.monotonic()
            if lost_s := self._lateness.woken(now_s):
                self.crew.on_lost_time(lost_s)
            # All that came before `now_s` is read first: a select that ran out of time while stopped did not look.
            for key, mask in ready if ready and not lost_s else self.selector.select(0):
                # An earlier callback of this batch may have let go of this one.
                if self.selector.get_map().get(key.fd) is key:
                    key.data(mask)
            self._on_time(now_s)

    def close(self) -> None:
        """Leave nothing behind: sockets, records, the lock."""
        self.set_leaving(False)
        self._tell_of_master("stopping", "stopped", "everything is stopped")
        self.history.log.flush()
        notify.tell(self.setup.notify_address, "STOPPING=1")
        self._inotify.close()
        self.control.close()
        self.crew.close()
        self.setup.lock.release()

    def let_go(self) -> None:
        """Stop listening, and leave all files to the watchdog that comes after us."""
        signal.set_wakeup_fd(-1)
        self._inotify.close()
        self.control.let_go()
        self.crew.let_go()
        self.selector.close()

    def _settle(self) -> None:
        """Carry out what the events so far have led to, until nothing moves any more."""
        while self._changed or self._to_spawn:
            self._changed = False
            for name in [
                name for name in self.stopping if not holdups.of_stop(name, self.lives, self.stopping)
            ]:
                self.stopping.discard(name)
                self._stop(self.lives[name])
            for life in self.lives.values():
                if life.state is State.BACKOFF and not life.delay_s:
                    # At once is at once: no turn of the loop, no record of a wait that there is not.
                    self.handle(life, Event.TIMER)
                # One that is to be stopped, once those that come after it are, does not come back in the meantime.
                if life.state is State.WAITING and life.app.name not in self.stopping:
                    first = not life.blocked
                    life.blocked = holdups.of_start(life.app, self.lives, self.stopping)
                    if not life.blocked:
                        self.handle(life, Event.UNBLOCKED)
                    elif first:
                        self.history.held_up(life)
            lives, self._to_spawn = self._to_spawn, []
            self.crew.spawn([life for life in lives if life.state is State.STARTING])
        self.crew.register.update(self.lives.values(), self.crew.instances)
        awaited = [life.app.wait_for for life in self.lives.values() if life.state is State.WAITING]
        watches = [(existing(path), COME) for path in awaited if path]
        ours = [(self.setup.run.path, GONE), (self.crew.records.directory, DELETED)]
        self._inotify.watch([*ours, *watches])

    def _wait_s(self, due_s: float | None) -> float | None:
        times = [due_s, self.crew.next_probe_s(), self.control.resume_s, self._pulse.beat(time.monotonic())]
        times += [life.deadline_s for life in self.lives.values()]
        soonest_s = min((time_s for time_s in times if time_s is not None), default=None)
        # epoll takes no more than 24 days.
        return None if soonest_s is None else min(max(0.0, soonest_s - time.monotonic()), _LONGEST_WAIT_S)

    def _on_time(self, now_s: float) -> None:
        self.crew.on_time(now_s)
        self.control.on_time(now_s)
        for life in list(self.lives.values()):
            if life.deadline_s is not None and life.deadline_s <= now_s:
                life.deadline_s = None
                reason = self.crew.why_not_ready(life) if life.state is State.STARTING else ""
                self.handle(life, Event.TIMER, reason=reason)

    def _listen_to_signals(self) -> None:
        wake_r, wake_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.wake_r = wake_r
        """Where the numbers of signals are read from."""
        signal.set_wakeup_fd(wake_w, warn_on_full_buffer=False)
        for number in _SIGNALS:
            signal.signal(number, ignore)  # the wakeup descriptor has it already
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        self.selector.register(
            wake_r, selectors.EVENT_READ, lambda _: self._on_signals(os.read(wake_r, 4096))
        )

    def _on_files(self) -> None:
        """A device may have come; or somebody cleans up where our own files are."""
        self._inotify.take()
        self._changed = True
        run = self.setup.run
        self.intent.restore()
        if self.setup.lock.held and os.path.lexists(run.socket) and self.crew.complete:
            return
        self.journal.warning(f"{run.path}: files of the running master were removed, making them anew")
        try:
            os.makedirs(run.path, mode=0o700, exist_ok=True)
            self.setup.lock.renew()
            self.setup.lock.claim(os.getpid())
            self.control.restore()
            self.crew.restore()
        except (OSError, pidfiles.PidfileError) as error:
            self.journal.error(f"{run.path}: {error}")

    def _on_signals(self, numbers: bytes) -> None:
        self.crew.reap()
        for number in set(numbers):
            if number in (signal.SIGTERM, signal.SIGINT):
                self.journal.info(f"{signal.Signals(number).name}: stopping everything")
                self.leave()
            elif number == signal.SIGHUP:
                self.on_hangup()

    # What people want

    def reload(self, names: Collection[str] = ()) -> Config:
        """Read the configuration again: each app uses it from its next start on. Raises UnreadableError.

        `names`: apps that will be started though they are not enabled.
        """
        self.config, self.missing = self.setup.source.load(names)
        return self.config

    def start(self, names: Iterable[str]) -> list[str]:
        """Want these apps and what they require; returns all of them, in an order in which they can start."""
        wanted = order.closure(names, {app.name: app.requires for app in self.config.apps})
        wanted = [name for name in wanted if name in self.lives or self.config.find(name)]
        self.set_leaving(False)
        for name in wanted:
            if name not in self.lives:
                self.lives[name] = Life(app=self._find(name))
            if not self.lives[name].again:  # a restart that waits for its turn is a start too
                self.stopping.discard(name)
            self.handle(self.lives[name], Event.START)
            self._write_down(name)
        return wanted

    def stop(self, names: Iterable[str]) -> list[str]:
        """Want these apps, and those that require them, no more; returns all of them."""
        needed_by: dict[str, list[str]] = {}
        # By way of an app that has never been started here, too.
        for app in (*self.config.apps, *(life.app for life in self.lives.values())):
            for other in app.requires:
                needed_by.setdefault(other, []).append(app.name)
        unwanted = [name for name in order.closure(names, needed_by) if name in self.lives]
        for name in unwanted:
            # At once, so that a crash on the way down leads to no restart.
            self.lives[name].wanted = self.lives[name].again = False
            self._write_down(name)
        self.stopping.update(unwanted)
        self._changed = True
        return unwanted

    def restart(self, names: Iterable[str]) -> list[str]:
        """Stop these apps and start them anew, as the configuration now has them; returns all of them."""
        names = list(names)
        running = [name for name in names if name in self.lives and self.lives[name].state in ALIVE]
        for name in running:
            self.lives[name].wanted = self.lives[name].again = True
            self._write_down(name)
        self.stopping.update(running)
        for name in set(names) - set(running):
            if name in self.lives:
                self.lives[name].wanted = False  # its count of restarts begins anew
        started = self.start(name for name in names if name not in running)
        self._changed = True
        return [*running, *(name for name in started if name not in running)]

    def leave(self) -> list[str]:
        """Stop everything and end."""
        if not self.leaving:
            self._tell_of_master("running", "stopping", "stopping everything")
        self.set_leaving(True)
        return self.stop(list(self.lives))

    def set_leaving(self, leaving: bool) -> None:
        """Note, also for whoever comes after us, whether all is to be stopped."""
        self.leaving = leaving
        try:
            self.crew.records.leaving = leaving
        except OSError as error:
            self.journal.error(f"cannot be written down: {error}")

    def _write_down(self, name: str) -> None:
        """Whether a running app is wanted, for whoever comes after us; `Register.update` sees to the others."""
        if name in self.crew.instances:
            self.crew.register.write(self.lives[name], self.crew.instances[name])

    def _find(self, name: str) -> App:
        app = self.config.find(name)
        assert app is not None
        return app

    # What happens

    def handle(self, life: Life, event: Event, *, exit: Exit | None = None, reason: str = "") -> None:
        """Carry the app's life on by one event, and do what follows from it."""
        now_s = time.monotonic()
        before = life.state
        if event is Event.CLEARED:
            actions = life.cleared(now_s, os.urandom(1)[0] / 255)
        else:
            actions = life.on(event, now_s, exit=exit, reason=reason)
        self._changed = True
        if life.state is not before:
            self._tell(life)
            self.history.moved(life, before, event, self._pid(life), exit=exit)
        if life.state is State.WAITING and (app := self.config.find(life.app.name)):
            life.app = app
        if event is Event.CLEARED and life.crashed:
            self.crashes.died(life, self.history.last_pid(life))
        for action in actions:
            if action is Action.SPAWN:
                self._to_spawn.append(life)
            else:
                self.crew.perform(life, action)

    def _tell(self, life: Life) -> None:
        reason = "" if life.state is State.RUNNING else life.reason  # that of the end before
        text = f"{life.app.name}: {life.state.value}{': ' + reason if reason else ''}"
        if life.state in (State.FATAL, State.BACKOFF):
            self.journal.warning(text)
        elif life.state in (State.RUNNING, State.STOPPED, State.EXITED):
            self.journal.info(text)
        else:
            self.journal.debug(text)

    def _tell_of_master(self, before: str, after: str, reason: str) -> None:
        self.history.master(before, after, reason, os.getpid())

    def _pid(self, life: Life) -> int:
        instance = self.crew.instances.get(life.app.name)
        return instance.main_pid if instance else 0

    def _stop(self, life: Life) -> None:
        wanted = life.wanted  # after all: it is to be restarted
        self.handle(life, Event.STOP)
        if wanted:
            self.handle(life, Event.START)
