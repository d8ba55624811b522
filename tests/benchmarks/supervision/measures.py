"""The measurements: what is done to the contenders, turn by turn, and the figures that come of it.

Knows contenders and their ledgers. Must not know targets or tables. Figures are ms unless their name says otherwise;
all contenders of a phase take turns, in a new order each round.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import statistics
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from . import machine
from .contenders import Contender, Kegmaster, Supervisord, Tools, Yardstick
from .machine import now_ns

_OLD_S = 1.3
"""runit holds back restarts of apps younger than a second: those killed are older."""
_KILLS_A_LIFE = 3
"""So many crashes in a row we answer at once; then we hold back, as we should."""
_LATE_S = 15.0
_TURN_S = 0.03


@dataclass(slots=True)
class Figures:
    """What was measured: figures[measure][contender] is the list of its samples."""

    samples: defaultdict[str, defaultdict[str, list[float]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )

    def add(self, measure: str, contender: str, value: float) -> None:
        """One sample."""
        self.samples[measure][contender].append(value)

    def median(self, measure: str, contender: str) -> float | None:
        """The median of the samples that came in time; None if there is none."""
        good = [value for value in self.samples[measure][contender] if value >= 0]
        return statistics.median(good) if good else None

    def worst(self, measure: str, contender: str) -> float | None:
        """The largest sample; None if there is none."""
        return max(self.samples[measure][contender], default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much is measured."""

    sizes: tuple[int, ...]
    lives: int
    kills: int
    idle_s: float
    loop_s: float
    commands: int


FULL = Scale(sizes=(1, 10, 100), lives=5, kills=40, idle_s=30.0, loop_s=10.0, commands=11)
QUICK = Scale(sizes=(1, 10), lives=2, kills=9, idle_s=5.0, loop_s=3.0, commands=3)


class Run:
    """One run of everything."""

    def __init__(
        self, tools: Tools, contenders: tuple[type[Contender], ...], scale: Scale, say: Callable[[str], None]
    ) -> None:
        self.tools = tools
        self.contenders = contenders
        self.scale = scale
        self.figures = Figures()
        self._say = say
        self._random = random.Random(4711)

    def everything(self) -> Figures:
        """Measure all; returns the figures."""
        self._floor()
        for size in self.scale.sizes:
            self._lives(size)
        for size in self.scale.sizes:
            self._crashes(size)
        self._bursts(self.scale.sizes[-1])
        self._young()
        self._idle()
        self._commands(100)
        self._loop()
        for stubborn in (1, 5, 20):
            self._stubborn(stubborn)
        self._orphaned()
        return self.figures

    # The phases

    def _floor(self) -> None:
        """What the machine and the interpreter need for one process."""
        self._say("floor")
        for _ in range(9):
            began_ns = now_ns()
            subprocess.run([self.tools.python, "-I", "-S", "-c", "pass"], check=True)
            self.figures.add("py", "floor", (now_ns() - began_ns) / 1e6)
        source = str(Path(__file__).parent / "floor.py")
        makers = {
            "fork + exec, C": [str(self.tools.yardstick), "fork"],
            "posix_spawn, Python": [self.tools.python, "-I", "-S", source, "spawn"],
            "double fork, Python": [self.tools.python, "-I", "-S", source, "double"],
        }
        for name, words in makers.items():
            ledger = machine.Ledger(self.tools.folder / f"floor-{now_ns()}")
            said = subprocess.run(
                [*words, str(self.tools.app), str(ledger.path), "50"],
                check=True,
                capture_output=True,
                text=True,
            )
            began = {line.split()[0]: int(line.split()[1]) for line in said.stdout.splitlines()}
            machine.eventually(lambda ledger=ledger: len(ledger.read()) == 50, 5)  # type: ignore[misc]
            for start in ledger.starts:
                self.figures.add(name, "floor", (start.at_ns - began[start.name]) / 1e6)

    def _lives(self, size: int) -> None:
        """Start, memory, stop; one contender at a time."""
        for number in range(self.scale.lives):
            self._say(f"start, memory and stop of {size}: {number + 1} of {self.scale.lives}")
            for kind in self._shuffled():
                with self._one(kind, size) as contender:
                    self.figures.add(f"start {size}", kind.name, contender.start())
                    time.sleep(0.5)
                    self.figures.add(f"memory {size}, KiB", kind.name, machine.pss_kib(contender.masters()))
                    self.figures.add(f"stop {size}", kind.name, contender.stop())

    def _crashes(self, size: int) -> None:
        """One app killed at a time, in all contenders side by side; who is slow recovers while others have their turn."""
        left = {
            kind: min(self.scale.kills, 10) if kind.slow else self.scale.kills for kind in self.contenders
        }
        while any(left.values()):
            with self._all(size, tuple(kind for kind in self.contenders if left[kind])) as contenders:
                time.sleep(_OLD_S)
                killed: dict[str, int] = defaultdict(int)
                for turn in range(_KILLS_A_LIFE * min(size, self.scale.kills)):
                    name = f"app{turn % size:03}"
                    for contender in self._random.sample(contenders, len(contenders)):
                        if left[type(contender)] > 0:
                            self._crash(contender, name, f"MTTR {size}")
                            left[type(contender)] -= 1
                            killed[name] += 1
                    self._say(f"MTTR of {size}: {sum(left.values())} kills left")
                    if not any(left[type(contender)] for contender in contenders):
                        break
                    if size == 1:
                        time.sleep(_OLD_S)

    def _crash(self, contender: Contender, name: str, measure: str) -> None:
        age_s = (now_ns() - contender.ledger.latest()[name].at_ns) / 1e9
        time.sleep(max(0.0, _OLD_S - age_s))
        if contender.slow:  # it looks once a second: not always at the same moment of that
            time.sleep(self._random.random())
        self.figures.add(measure, contender.name, self._kill(contender, name))
        time.sleep(_TURN_S)

    def _kill(self, contender: Contender, name: str) -> float:
        """Kill an app; returns the ms until its successor's main()."""
        pid = contender.ledger.latest()[name].pid
        at_ns = now_ns()
        os.kill(pid, signal.SIGKILL)
        back = machine.eventually(lambda: contender.ledger.after(name, at_ns), _LATE_S, 0.0005)
        return (back.at_ns - at_ns) / 1e6 if back else -1.0

    def _bursts(self, size: int) -> None:
        """All apps of one contender killed at once."""
        with self._all(size) as contenders:
            for number in range(3):
                self._say(f"burst of {size}: {number + 1} of 3")
                time.sleep(_OLD_S)
                for contender in self._random.sample(contenders, len(contenders)):
                    self.figures.add(f"burst {size}", contender.name, self._burst(contender))

    def _burst(self, contender: Contender) -> float:
        """Kill all apps; returns the ms until the last successor's main()."""
        pids = [start.pid for start in contender.ledger.latest().values()]
        at_ns = now_ns()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        back = machine.eventually(lambda: _all_after(contender, at_ns), _LATE_S)
        last_ns = max(start.at_ns for start in contender.ledger.latest().values())
        return (last_ns - at_ns) / 1e6 if back else -1.0

    def _young(self) -> None:
        """An app killed 100 ms after it came back, twice; then once more: who answers at once, who holds back?"""
        self._say("crashes of a young app")
        for number in range(3):
            with self._all(10) as contenders:
                time.sleep(_OLD_S)
                for contender in self._random.sample(contenders, len(contenders)):
                    name = f"app{number:03}"
                    for crash in ("first", "second", "third", "fourth"):
                        self.figures.add(f"{crash} crash", contender.name, self._kill(contender, name))
                        time.sleep(0.1)

    def _idle(self) -> None:
        """Context switches and CPU of masters with nothing to do."""
        self._say(f"idle, {self.scale.idle_s:g} s")
        with self._all(10) as contenders:
            time.sleep(_OLD_S)
            before = {contender: (pids := contender.masters(), machine.use(pids)) for contender in contenders}
            time.sleep(self.scale.idle_s)
            for contender, (pids, used) in before.items():
                self.figures.add("idle, switches", contender.name, (machine.use(pids) - used).switches)

    def _commands(self, size: int) -> None:
        """Commands to masters of `size` apps."""
        with self._all(
            size, (Kegmaster, *(kind for kind in self.contenders if kind is not Kegmaster))
        ) as contenders:
            for number in range(self.scale.commands):
                self._say(f"status and configtest of {size}: {number + 1} of {self.scale.commands}")
                for contender in self._random.sample(contenders, len(contenders)):
                    for verb in ("status", "configtest"):
                        if (took_ms := contender.time_ms(verb)) >= 0:
                            self.figures.add(f"{verb} {size}", contender.name, took_ms)
                began_ns = now_ns()
                subprocess.run([self.tools.python, "-I", "-S", "-c", "pass"], check=True)
                self.figures.add("py", "floor", (now_ns() - began_ns) / 1e6)

    def _loop(self) -> None:
        """An app that ends as soon as it began, for ever."""
        for kind in self._shuffled():
            if kind is Yardstick:  # it knows no restraint
                continue
            self._say(f"crash loop: {kind.name}")
            with self._one(kind, 1, "end") as contender:
                contender.start()
                time.sleep(0.5)
                pids = contender.masters()
                began, used = len(contender.ledger.read()), machine.use(pids)
                time.sleep(self.scale.loop_s)
                used = machine.use(pids) - used
                starts = len(contender.ledger.read()) - began
                self.figures.add("crash loop, CPU ms/s", kind.name, used.cpu_ns / 1e6 / self.scale.loop_s)
                self.figures.add("crash loop, starts/s", kind.name, starts / self.scale.loop_s)

    def _stubborn(self, size: int) -> None:
        """Apps that ignore SIGTERM, with a stop timeout of 1 s where one can be set."""
        for kind in (Supervisord, Kegmaster):
            if kind in self.contenders:
                self._say(f"{size} stubborn apps: {kind.name}")
                with self._one(kind, size, "stubborn", 1) as contender:
                    contender.start()
                    time.sleep(_OLD_S)
                    self.figures.add(f"stop, {size} stubborn", kind.name, contender.stop(30))

    def _orphaned(self) -> None:
        """kill -9 of the watchdog: when the next one answers, and whether an app was started twice."""
        for number in range(max(3, self.scale.lives)):
            self._say(f"kill -9 of the watchdog: {number + 1}")
            with self._one(Kegmaster, 10) as contender:
                assert isinstance(contender, Kegmaster)
                contender.start()
                machine.eventually(lambda contender=contender: _answers(contender), 5)  # type: ignore[misc]
                time.sleep(_OLD_S)
                before, at_ns = contender.apps(), now_ns()
                os.kill(contender.watchdog(), signal.SIGKILL)
                back = machine.eventually(lambda contender=contender: _answers(contender), 10)  # type: ignore[misc]
                self.figures.add("watchdog back", contender.name, (now_ns() - at_ns) / 1e6 if back else -1.0)
                contender.time_ms("status")
                doubles = len(set(contender.apps()) - set(before))
                self.figures.add("doubles", contender.name, doubles)
                self.figures.add("lost", contender.name, len(set(before) - set(contender.apps())))

    # Their parts

    def _shuffled(self) -> list[type[Contender]]:
        return self._random.sample(self.contenders, len(self.contenders))

    @contextmanager
    def _one(
        self, kind: type[Contender], size: int, mode: str = "idle", stop_s: int = 0
    ) -> Iterator[Contender]:
        contender = kind(self.tools, size, mode, stop_s)
        try:
            yield contender
        finally:
            contender.close()

    @contextmanager
    def _all(self, size: int, kinds: tuple[type[Contender], ...] = ()) -> Iterator[list[Contender]]:
        """All contenders, up with `size` apps each."""
        up: list[Contender] = []
        try:
            for kind in kinds or self.contenders:
                up.append(kind(self.tools, size))
                if up[-1].start() < 0:
                    raise RuntimeError(f"{kind.name} has not started {size} apps")
            yield up
        finally:
            for contender in up:
                contender.close()


def _all_after(contender: Contender, at_ns: int) -> bool:
    return all(start.at_ns > at_ns for start in contender.ledger.latest().values())


def _answers(contender: Kegmaster) -> bool:
    """A watchdog answers a request. One that was just killed does not: its end closes the connection."""
    (path,) = (contender.folder / "run").glob("*.sock")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(5)
        try:
            sock.connect(str(path))
            sock.sendall(b'{"verb": "status"}\n')
            return bool(sock.recv(1))
        except OSError:
            return False
