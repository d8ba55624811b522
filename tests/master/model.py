"""The lifecycle explored: the real watchdog on a simulated kernel, random commands and faults, and an independent judge.

    python -m tests.master.model --steps=1000000 --seed=1

A step is one turn of the watchdog's loop: news of processes in any order and any batch, time that passes, a process
that forks, detaches, hides, hangs, ignores its signals or ends, a device that comes or goes, a command, SIGKILL to the
watchdog in the middle of any system call, to its keeper, or both. After each, the judge looks at the kernel's truth,
not at what the launcher believes. At the end of each episode the world calms down: then all that is wanted must run,
all commands must have been answered, and a stop must leave nothing.
"""

# ruff: noqa: ARG002  # what stands in for something takes what that takes
from __future__ import annotations

import argparse
import itertools
import os
import random
import selectors
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any, cast

from kegmaster import order
from kegmaster.commands import Desk
from kegmaster.deaths import Keeper
from kegmaster.life import Life
from kegmaster.lifecycle import ALIVE, TRANSITIONS, Event, State
from kegmaster.notify import Report
from kegmaster.paths import RunDirectory
from kegmaster.restart import STABLE_S
from kegmaster.spec import App, Config, RestartPolicy
from kegmaster.watchdog import Setup, Watchdog

from .simulated import Descriptor, Kernel, Killed, Pause, Process, Quiet, Selector, inside

APPS = 5
CALM_S = 400.0
"""Longer than any timeout and any wait of an app here."""
TURNS = 400
"""Of an episode before it calms down."""
MAX_CALM_TURNS = 4000


class OverError(BaseException):
    """The episode is over."""


Ready = list[tuple[Any, int]]
Action = Callable[[Selector, float | None], Ready]
"""One step of the world: what the selector returns."""


@dataclass(eq=False)
class Talk:
    """A client and its command; it asks the next watchdog if one dies."""

    world: World
    verb: str
    names: list[str]
    revives: bool = True
    answered: bool = False

    def send(self, **fields: Any) -> None:
        if self.verb == "stop" and fields.get("ok"):
            self.world.stopped(self, fields["app"])
        elif self.verb != "stop" and "stopped meanwhile" in str(fields.get("text")):
            self.world.said_to_be_stopped(fields["app"])

    def finish(self, **fields: Any) -> None:
        self.answered = True


class Control(Descriptor):
    """Clients stand in line here."""

    def __init__(self, world: World, selector: Selector, on_request: Callable[..., None]) -> None:
        super().__init__(world.kernel)
        self._on_request = on_request
        self._world = world
        self.line: list[Talk] = []
        selector.register(self, selectors.EVENT_READ, lambda _: self.take())

    def take(self) -> None:
        talk = self.line.pop(0)
        self.flag.readable = bool(self.line)
        self._world.begun(talk)
        request = {"verb": talk.verb, "names": talk.names, "fresh": False}
        self._on_request(request, talk)
        self._world.accepted(talk)

    def let_go(self) -> None:
        self.close()


@dataclass(eq=False)
class World:
    """One configuration, one kernel, one master after the other."""

    chance: random.Random
    rows: Counter[tuple[State, Event]]
    stepwise: bool = False
    """Each `turn` waits for `act` instead of choosing by itself."""
    steps: int = 0
    phase: str = "wild"
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.kernel = Kernel(self.chance)
        self.kernel.at_select = self.turn
        self.kernel.may_start = self._may_start
        self.stranger = self.kernel.make(1)
        self.config = Config(file="model.cfg", apps=tuple(self._app(n) for n in range(APPS)))
        self.apps = {app.name: app for app in self.config.apps}
        self.edges = {app.name: app.requires for app in self.config.apps}
        self.needed_by = {name: [o for o, names in self.edges.items() if name in names] for name in self.apps}
        self.wanted: dict[str, bool | None] = dict.fromkeys(self.apps, False)
        """What people want, as far as it is settled; None: a command was cut short."""
        self.watchdog: Watchdog | None = None
        self.made: dict[str, Descriptor] = {}
        self.talks: list[Talk] = []
        self.control: Control | None = None
        self.todo: list[Action] = []
        self.calm_turns, self.calm_s = 0, 0.0

    def _app(self, number: int) -> App:
        pick = self.chance.choice
        earlier = [f"app{n}" for n in range(number)]
        policy = RestartPolicy(
            restart=pick(["always", "always", "always", "on-failure", "no"]), restart_sec=pick([0.0, 0.0, 0.0, 2.0]),
            restart_max_delay_sec=pick([5.0, 60.0]), start_limit_burst=pick([0, 0, 0, 2]),
        )  # fmt: skip
        return App(
            name=f"app{number}", line=1, enabled=number > 0, argv=("/bin/app",),
            type=pick(["forking", "simple", "notify", "oneshot"]), pidfile=f"/run/app{number}.pid", logfile="/nowhere/log",
            after=tuple(name for name in earlier if self.chance.random() < 0.15),
            requires=tuple(name for name in earlier if self.chance.random() < 0.15),
            wait_for=pick(["", "", "", "/dev/tap"]), policy=policy, timeout_start_sec=pick([2.0, 10.0]),
            timeout_stop_sec=pick([2.0, 10.0]), stop_command=pick([(), (), ("/bin/stop",)]),
            key_lines=pick([{}, {}, {"_command": 1}]),
        )  # fmt: skip

    # The master's lives

    def live(self) -> None:
        """Let one watchdog after the other run until the episode is over, or the next step is to be said."""
        while True:
            try:
                if self.watchdog is None:
                    self._begin()
                assert self.watchdog is not None
                done = self.watchdog.run()
                watchdog, self.watchdog = self.watchdog, None
                if done:
                    watchdog.close()
                    self._left()
                else:
                    watchdog.let_go()
                    self.kernel.become_keeper()
                    self.counts["keeper replaced"] += 1
            except Killed:
                self._watchdog_killed()
            except (Pause, OverError):
                return

    def _begin(self) -> None:
        kernel = self.kernel
        fresh = not kernel.keeper
        talk = None
        if fresh:  # somebody must start it, by `start` or, after a crash, by `stop`
            talk = next((talk for talk in self.talks if not talk.answered), None)
            if talk is None:
                verb = "stop" if kernel.records and self.chance.random() < 0.3 else "start"
                talk = Talk(self, verb, self._names())
                self.talks = [talk]
            if talk.verb == "stop":
                self.wanted = dict.fromkeys(self.wanted)
        kernel.begin(keeper=fresh)
        if self.phase == "wild" and self.chance.random() < 0.1:
            kernel.fuse = self.chance.randrange(60)
        news = Keeper(pid=kernel.keeper, deaths_r=kernel.deaths_fd, young=fresh)
        lock = Quiet(acquire=True, held=True, holder=kernel.watchdog)
        setup = Setup(
            source=cast(Any, Quiet(load=(self.config, frozenset()))), run=RunDirectory(path="/run"),
            journal=cast(Any, Quiet(path="/log/master.log")), lock=cast(Any, lock), keeper=news,
        )  # fmt: skip
        self.counts["watchdogs"] += 1
        self.watchdog = Watchdog(setup, self.config, revive=not (talk and talk.verb == "stop"))
        Desk(self.watchdog)
        assert self.control is not None
        self.control.line = [talk for talk in self.talks if not talk.answered]
        self.control.flag.readable = bool(self.control.line)

    def _watchdog_killed(self) -> None:
        self.counts["watchdog killed"] += 1
        self.kernel.kill_watchdog()
        self.watchdog = None
        for talk in self.talks:
            if not talk.answered:
                self._unsettle(talk)
        # Some clients are interrupted, all others ask again.
        self.talks = [talk for talk in self.talks if not talk.answered and self.chance.random() < 0.8]

    def _left(self) -> None:
        """It ended because everything is stopped."""
        kernel = self.kernel
        self.counts["left"] += 1
        for name in self.apps:
            if kernel.of(name):
                self._violation(f"{name} lives though the master has left")
            if self.wanted[name]:
                self._violation(f"{name} is wanted though the master has left")
        if kernel.leaving:
            self._violation("the mark of leaving is left")
        descriptors = [what for what in kernel.fds.values() if isinstance(what, Process) and what.app]
        if descriptors:
            self._violation(f"{len(descriptors)} pidfds are left open")
        kernel.kill_watchdog()
        kernel.kill_keeper()
        self.talks = []
        if self.phase == "leaving":
            raise OverError

    # What people want, and what may therefore happen

    def _names(self) -> list[str]:
        return [] if self.chance.random() < 0.3 else [self.chance.choice(list(self.apps))]

    def _meant(self, talk: Talk) -> list[str]:
        if talk.verb == "stop":
            return order.closure(talk.names, self.needed_by) if talk.names else list(self.apps)
        names = talk.names or [app.name for app in self.config.apps if app.enabled]
        return order.closure(names, self.edges)

    def begun(self, talk: Talk) -> None:
        """The watchdog has read the command."""
        if talk.verb != "stop":
            for name in self._meant(talk):
                self.wanted[name] = True if self.wanted[name] else None

    def accepted(self, talk: Talk) -> None:
        """It has agreed to carry it out."""
        if signal.SIGTERM in self.kernel.wake.data:
            self._unsettle(talk)  # what is next will undo it
        elif talk.verb != "status":
            for name in self._meant(talk):
                life = self._life(name)
                if talk.verb == "restart" and not (life and life.wanted):
                    continue  # what a running app requires is left as it is
                self.wanted[name] = talk.verb != "stop"

    def _unsettle(self, talk: Talk) -> None:
        if talk.verb != "status":
            for name in self._meant(talk):
                self.wanted[name] = None

    def stopped(self, talk: Talk, name: str) -> None:
        """The client was told that the app is gone."""
        self.counts["stops completed"] += 1
        if self.wanted[name] is False and (left := self.kernel.of(name)):
            self._violation(f"{name} is said to be stopped, but {len(left)} processes of it live")

    def said_to_be_stopped(self, name: str) -> None:
        """Whoever wanted it started was told that somebody stopped it."""
        if self.wanted[name]:
            self._violation(f"{name} is said to be stopped by another command, and there was none")

    def _may_start(self, name: str) -> str:
        if self.wanted[name] is False:
            return f"{name} is started though it was stopped"
        for other in self.apps[name].requires:
            life = self._life(other)
            if life is None or life.state not in (State.RUNNING, State.EXITED):
                return f"{name} is started before {other}, which it requires"
        return ""

    def _life(self, name: str) -> Life | None:
        return self.watchdog.lives.get(name) if self.watchdog else None

    # The judge

    def _violation(self, text: str) -> None:
        self.kernel.violations.append(f"step {self.steps}: {text}")

    def judge(self, selector: Selector) -> None:
        """Look whether every app is where it may be, and has a way on from there."""
        assert self.watchdog is not None
        now_s, instances = self.kernel.now_s, self.watchdog.crew.instances
        for name, life in self.watchdog.lives.items():
            state, instance = life.state, instances.get(name)
            if state in (State.STARTING, State.STOPPING) and life.deadline_s is None:
                self._violation(f"{name} may stay {state.value} for ever")
            elif state is State.BACKOFF:
                policy = life.app.policy
                longest_s = max(policy.restart_sec, policy.restart_max_delay_sec)
                if life.deadline_s is None or life.deadline_s - now_s > longest_s + 0.001:
                    self._violation(f"{name} waits until {life.deadline_s}")
            elif state is State.WAITING and not life.blocked and name not in self.watchdog.stopping:
                self._violation(f"{name} waits for nothing")
            elif state is State.FATAL and not life.app.policy.start_limit_burst:
                self._violation(f"{name} is given up without a limit")
            elif state is State.STOPPED and life.wanted:
                self._violation(f"{name} is wanted, but nobody starts it")
            elif state is State.RUNNING and (instance is None or instance.main is None):
                self._violation(f"{name} is called running without a process")
            if (
                state not in (State.STOPPED, State.STOPPING)
                and not life.wanted
                and name not in self.watchdog.stopping
            ):
                self._violation(f"{name} is {state.value}, but not wanted")
            if instance is not None:
                if state not in ALIVE:
                    self._violation(f"{name} is {state.value}, but has processes")
                for process in instance.processes():
                    if process.fd not in selector.keys:
                        self._violation(f"the end of process {process.pid} of {name} would not be noticed")

    def judge_calm(self) -> None:
        """Nothing has gone wrong for long: now everything must be as people want it."""
        assert self.watchdog is not None
        for name, wanted in self.wanted.items():
            life = self._life(name)
            if wanted is not None and wanted != bool(life and life.wanted):
                self._violation(f"{name}: people want {wanted}, the watchdog {bool(life and life.wanted)}")
            if life is None or not life.wanted or life.state is State.RUNNING:
                continue
            final = life.app.type == "oneshot" or life.app.policy.restart != "always"
            allowed = (life.state is State.EXITED and final) or (
                life.state is State.FATAL and life.app.policy.start_limit_burst
            )
            waits = life.state is State.WAITING and any(
                (other := self._life(o)) is None or other.state is not State.RUNNING
                for o in (*life.app.requires, *life.app.after)
            )
            if not allowed and not waits:
                self._violation(f"{name} is wanted, but {life.state.value} {life.blocked or life.reason}")
        for process in self.kernel.processes.values():
            if process.dead:
                self._violation(f"process {process.pid} of {process.app} is a zombie for ever")
        for talk in self.talks:
            if not talk.answered:
                self._violation(f"{talk.verb} {' '.join(talk.names)} is never answered")

    # What happens

    def turn(self, selector: Selector, timeout: float | None) -> Ready:
        """The watchdog waits; the world goes on by one step."""
        self.judge(selector)
        if self.stepwise and self.phase == "wild":
            if not self.todo:
                raise Pause
            self.steps += 1
            return self.todo.pop(0)(selector, timeout)
        self.steps += 1
        if self.phase != "wild":
            return self._calmly(selector, timeout)
        number = self.chance.random()
        if number < 0.45:
            return self.deliver(selector, timeout)
        if number < 0.65:
            return self.pass_time(selector, timeout)
        if number < 0.93:
            return self.move(selector, timeout)
        if number < 0.975:
            return self.command(selector, timeout)
        return self.fault(selector, timeout)

    def deliver(self, selector: Selector, timeout: float | None) -> Ready:
        """Some of the news, in any order."""
        ready = [(key, selectors.EVENT_READ) for fd, key in selector.keys.items() if self.kernel.readable(fd)]
        if len(ready) > 1:
            self.chance.shuffle(ready)
            ready = ready[: self.chance.randint(1, len(ready))]
        return ready

    def pass_time(self, selector: Selector, timeout: float | None) -> Ready:
        """Until something is due, or not so long, or, on a busy machine, longer."""
        much = self.chance.choice([0.1, 1.0, 1.0, 1.0, 1.5])
        self.kernel.now_s += (timeout if timeout is not None else 20.0 * self.chance.random()) * much
        return []

    def move(self, selector: Selector, timeout: float | None) -> Ready:
        """One process does something."""
        ours = [p for p in self.kernel.processes.values() if p.app and not p.dead]
        if not ours:
            return []
        process = self.chance.choice(ours)
        if self.chance.random() < 0.7:
            self.well(process)
        else:
            self.badly(process)
        return []

    def well(self, process: Process) -> bool:
        """The process does what is expected of it; False if there is nothing left to do."""
        kernel = self.kernel
        if process.stage == "held" and not process.doomed:
            return False
        if process.doomed:
            kernel.end(process, 0)
        elif process.stage == "released":
            kernel.execute(process)
        elif process.stuck or process.stopped:
            process.stuck = process.stopped = False
            if process.pending:
                kernel.end(process, process.pending)
        elif process.pending:
            kernel.end(process, process.pending)
        elif process.made and not process.did_its_part:
            process.did_its_part = True
            kind = self.apps[process.app].type
            if kind == "oneshot":
                kernel.end(process, 0)
            elif kind == "notify":
                self._report(process.pid)
            elif kind == "forking":
                daemon = kernel.fork(process)
                daemon.session = daemon.pid
                if not self.apps[process.app].names_no_pidfile:
                    kernel.pidfiles[self.apps[process.app].pidfile] = daemon.pid
                kernel.end(process, 0)
        elif process.stopper:
            self.counts["asked to end"] += 1
            for other in kernel.of(process.app, launch=process.launch):
                if other is not process:
                    kernel.signal(other, signal.SIGTERM)
            kernel.end(process, self.chance.choice([0, 0, 1 << 8]))
        else:
            return False
        return True

    def badly(self, process: Process) -> None:
        """The process does anything."""
        kernel, pick, chance = self.kernel, self.chance.choice, self.chance.random
        if process.stage == "released" and chance() < 0.3:
            if process.report:
                process.report.data = b"cannot run"
            kernel.end(process, 127 << 8)
        if process.stage != "running" or process.dead:
            return
        what = self.chance.randrange(8)
        if what <= 1:
            kernel.end(process, pick([0, 0, 1 << 8, 3 << 8, 9, 11]))
        elif what <= 3 and len(kernel.of(process.app)) < 5:
            child = kernel.fork(process)
            child.deaf = chance() < 0.4
            if chance() < 0.5:
                child.session = child.pid
            if chance() < 0.3:
                child.cookie = ""
            if chance() < 0.3:
                kernel.end(process, pick([0, 1 << 8]))
        elif what == 4:
            process.deaf = True
        elif what == 5:
            process.stopped = True
        elif what == 6:
            process.stuck = chance() < 0.3
        else:
            path = self.apps[process.app].pidfile
            kernel.pidfiles[path] = pick([None, process.pid, self.stranger.pid, 4000, *kernel.processes])
            if chance() < 0.3:
                self._report(pick([process.pid, 4000, *kernel.processes]))

    def _report(self, pid: int) -> None:
        if self.watchdog is not None:
            self.kernel.reports.append(Report(pid=pid, uid=0, fields={"READY": "1"}))
            self.made["notify"].flag.readable = True

    def command(self, selector: Selector, timeout: float | None) -> Ready:
        """Somebody gives a command."""
        assert self.control is not None
        verb = self.chance.choice(["start", "start", "start", "stop", "stop", "restart", "status"])
        names = (
            self._names() or []
            if verb != "stop" or self.chance.random() < 0.15
            else [self.chance.choice(list(self.apps))]
        )
        return self.ask(verb, names)

    def ask(self, verb: str, names: list[str]) -> Ready:
        assert self.control is not None
        self.talks = [talk for talk in self.talks if not talk.answered]
        talk = Talk(self, verb, names)
        self.talks.append(talk)
        self.control.line.append(talk)
        self.control.flag.readable = True
        return []

    def fault(self, selector: Selector, timeout: float | None) -> Ready:
        """The machine, or somebody on it, does harm."""
        kernel = self.kernel
        what = self.chance.randrange(10)
        if what <= 2:
            kernel.fuse = self.chance.randrange(40)
        elif what == 3:
            raise Killed
        elif what == 4 and kernel.keeper:
            kernel.kill_keeper()
        elif what == 5 and kernel.keeper:
            kernel.kill_keeper()
            raise Killed
        elif what == 6:
            kernel.wake.data += bytes([signal.SIGTERM])
            self._leave_by_signal()
        elif what == 7:
            kernel.devices ^= {"/dev/tap"}
            self.made["inotify"].flag.readable = True
        elif what == 8 and self.watchdog:
            lives = [life for life in self.watchdog.lives.values() if life.state is State.RUNNING]
            for life in lives[:1]:  # as its checks find out
                event = self.chance.choice([Event.HUNG, Event.UNHEALTHY])
                self.watchdog.handle(life, event, reason="gives no sign of life")
        else:
            kernel.faults = self.chance.choice([0.0, 0.1, 0.5])
        return []

    def _leave_by_signal(self) -> None:
        self.talks.append(Talk(self, "stop", [], answered=True))
        for name in self.apps:
            self.wanted[name] = None

    def _calmly(self, selector: Selector, timeout: float | None) -> Ready:
        kernel = self.kernel
        kernel.fuse, kernel.faults = -1, 0.0
        self.calm_turns += 1
        if self.calm_turns > MAX_CALM_TURNS:
            self._violation(f"{self.phase} does not come to an end")
            raise OverError
        if "/dev/tap" not in kernel.devices:
            kernel.devices.add("/dev/tap")
            self.made["inotify"].flag.readable = True
        if ready := self.deliver(selector, timeout):
            return ready
        alive = [process for process in kernel.processes.values() if process.app and not process.dead]
        if sum(self.well(process) for process in alive):
            return []
        if timeout is not None and kernel.now_s < self.calm_s + CALM_S:
            kernel.now_s += timeout + 0.001  # as epoll rounds
            return []
        if self.phase == "calm":
            self.judge_calm()
            self.phase, self.calm_turns, self.calm_s = "leaving", 0, kernel.now_s
            self.talks = []
            return self.ask("stop", [])
        self._violation("the master does not leave")
        raise OverError

    def episode(self, turns: int) -> None:
        """So many wild turns, then calm."""
        until = self.steps + turns
        ordinary = self.turn

        def turn(selector: Selector, timeout: float | None) -> Ready:
            if self.phase == "wild" and self.steps >= until:
                self.calm()
            return ordinary(selector, timeout)

        self.kernel.at_select = turn
        self.live()

    def calm(self) -> None:
        """From now on nothing goes wrong any more."""
        self.phase, self.calm_s = "calm", self.kernel.now_s


def _watch_the_count(world: World) -> Callable[[Life, float, float], Any]:
    """`Life.cleared`, with a look at the count of failures: a stable run starts it anew, all else adds one."""
    cleared = Life.cleared

    def judged(life: Life, now_s: float, jitter: float) -> Any:
        earlier, lived_s, stable_s = life.failures, life.ended_s - life.started_s, max(STABLE_S, life.delay_s)
        deaths = life.deaths
        actions = cleared(life, now_s, jitter)
        if life.deaths > deaths and life.failures != (1 if lived_s >= stable_s else earlier + 1):
            world.kernel.violations.append(
                f"{life.app.name}: {life.failures} failures after a run of {lived_s} s"
            )
        if life.state is State.FATAL and not 0 < life.app.policy.start_limit_burst <= life.failures:
            world.kernel.violations.append(f"{life.app.name}: given up after {life.failures} failures")
        return actions

    return judged


def enter(world: World) -> Any:
    """The context in which a world lives."""
    import contextlib

    stack = contextlib.ExitStack()

    def control(path: str, selector: Selector, on_request: Callable[..., None]) -> Control:
        world.control = Control(world, selector, on_request)
        return world.control

    cleared = Life.cleared
    stack.callback(lambda: setattr(Life, "cleared", cleared))
    setattr(Life, "cleared", _watch_the_count(world))  # noqa: B010  # mypy refuses the plain assignment
    stack.enter_context(inside(world.kernel, world.rows, control, world.made))
    return stack


def explore(steps: int, seed: int) -> tuple[int, Counter[tuple[State, Event]], Counter[str], list[str]]:
    """Episodes until so many steps are done; steps, rows visited, other counts, violations."""
    rows: Counter[tuple[State, Event]] = Counter()
    counts: Counter[str] = Counter()
    violations: list[str] = []
    done = 0
    for number in itertools.count():
        if done >= steps or len(violations) > 20:
            break
        world = World(random.Random(f"{seed}.{number}"), rows)
        with enter(world):
            world.episode(TURNS)
        done += world.steps
        counts += world.counts
        counts["episodes"] += 1
        counts["system calls"] += world.kernel.calls
        violations += [f"seed {seed}, episode {number}: {text}" for text in world.kernel.violations[:5]]
    return done, rows, counts, violations


def unvisited(rows: Iterable[tuple[State, Event]]) -> list[str]:
    """The rows of the table that nothing has led through."""
    return [f"{state.name} {event.name}" for state, event in TRANSITIONS if (state, event) not in set(rows)]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--jobs", type=int, default=min(4, os.cpu_count() or 1))
    options = parser.parse_args()
    begun_s = time.monotonic()
    rows: Counter[tuple[State, Event]] = Counter()
    counts: Counter[str] = Counter()
    violations: list[str] = []
    steps = 0
    share = -(-options.steps // options.jobs)
    with ProcessPoolExecutor(options.jobs) as pool:
        for part in pool.map(
            explore, [share] * options.jobs, [options.seed * 64 + job for job in range(options.jobs)]
        ):
            steps += part[0]
            rows += part[1]
            counts += part[2]
            violations += part[3]
    for state, event in TRANSITIONS:
        print(f"{state.name:<9}{event.name:<17}{rows[state, event]:>9}")
    never = unvisited(rows)
    print(*violations, *(f"row {row} was never visited" for row in never), sep="\n")
    print(", ".join(f"{count} {what}" for what, count in sorted(counts.items())))
    print(
        f"{steps} steps with seed {options.seed} in {time.monotonic() - begun_s:.0f} s,"
        f" {len(TRANSITIONS) - len(never)} of {len(TRANSITIONS)} rows visited, {len(violations)} violations"
    )
    return 1 if violations or never else 0


if __name__ == "__main__":
    sys.exit(main())
