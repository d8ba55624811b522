"""Kill the watchdog at its n-th system call, for n = 1, 2, 3 ... until the verb completes; each time all must end well.

    python -m tests.master.crash_points --verb=all
    python -m tests.master.crash_points --verb=restart --sample=50

Each point is tried twice: the watchdog falls alone, so that the keeper brings it back, and both fall, so that the
same command must be given once more. Then each wanted app is there exactly once and nothing else is; apps that the
verb does not concern have kept their process. Who is traced besides: for start all processes on the way to the
watchdog from their birth on; for adopt the watchdog that follows a killed one, and the keeper that makes it; for
reexec the keeper too. The fewer processes the machine has, the quicker: each looks through all of /proc.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from . import witness
from .conftest import Box, wait_for_end
from .tracer import Fall, Tracer

APPS = {"forking": "own", "shy": "shy", "notify": "notify", "worker": "worker"}
EXTRA = {"notify": "_after = forking", "worker": "_stop_command = sh -c 'kill $MAINPID'"}
CANARY = ["sleep", "100000"]
WITHIN_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One verb, and who falls in it: `depth` first forks below the one that is traced at first.

    `before` puts the box into the state in which it begins, `gone` are the apps that are not wanted afterwards,
    `kept` those whose process must stay the same, `renewed` those that must have another if the verb ends well.
    """

    name: str
    words: tuple[str, ...]
    first: str = "watchdog"
    """The command, the watchdog, its keeper; the heir: the keeper, whose watchdog falls just then."""
    depth: int = 0
    before: Callable[[World], None] = lambda world: world.up()
    recover: tuple[tuple[str, ...], ...] = ()
    """What is given if the verb ends badly; nothing: the verb once more."""
    gone: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    renewed: tuple[str, ...] = ()
    alone: bool = True
    """The keeper is another than who falls: it may fall too, or not."""


EVERYTHING = tuple(APPS)


def _stopped_one(world: World) -> None:
    world.up()
    world.must("stop", "notify")


def _about_to_lose_one(world: World) -> None:
    world.up()
    world.edit(without="worker")


def _about_to_get_one(world: World) -> None:
    world.up()
    world.edit(without="worker")
    world.must("reload")
    world.edit()


RELOAD = (("start",), ("reload",))
SCENARIOS: dict[str, tuple[Scenario, ...]] = {
    "start": (
        *(
            Scenario(
                name=f"start, {who}", words=("start",), first="command", depth=depth, alone=depth == 3,
                before=lambda world: world.down(),
            )
            for depth, who in enumerate(("the command", "its child", "the keeper", "the watchdog"))
        ),
        Scenario(name="start of one", words=("start", "notify"), before=_stopped_one, kept=("forking", "shy", "worker")),
    ),
    "stop": (
        Scenario(name="stop", words=("stop",), gone=EVERYTHING),
        Scenario(name="stop of one", words=("stop", "notify"), gone=("notify",), kept=("forking", "shy", "worker")),
    ),
    "restart": (
        Scenario(name="restart", words=("restart",), renewed=EVERYTHING),
        Scenario(name="restart of one", words=("restart", "notify"), renewed=("notify",), kept=("forking", "shy", "worker")),
    ),
    "reload": (
        Scenario(
            name="reload, one app less", words=("reload",), recover=RELOAD, before=_about_to_lose_one,
            gone=("worker",), renewed=("notify",), kept=("forking", "shy"),
        ),
        Scenario(
            name="reload, one app more", words=("reload",), recover=RELOAD, before=_about_to_get_one,
            renewed=("notify", "worker"), kept=("forking", "shy"),
        ),
    ),
    "reexec": (
        Scenario(name="reexec", words=("reexec",), recover=(("start",), ("reexec",)), kept=EVERYTHING),
        Scenario(
            name="reexec, the keeper", words=("reexec",), recover=(("start",), ("reexec",)), kept=EVERYTHING,
            first="keeper", alone=False,
        ),
    ),
    "adopt": (
        Scenario(name="adopt, the next watchdog", words=("start",), first="heir", depth=1, kept=EVERYTHING),
        Scenario(name="adopt, the keeper", words=("start",), first="heir", kept=EVERYTHING, alone=False),
    ),
}  # fmt: skip


class World:
    """One box with its apps, used for many points."""

    def __init__(self, directory: Path) -> None:
        self.box = Box(directory)
        self.box.program("app", witness.APP)
        self._generation = 0
        self._whole = False
        self.edit()
        self.call = witness.Caller(self.box)
        self.ledger = witness.Ledger(self.box)

    def edit(self, without: str = "") -> None:
        """Write the configuration anew: [notify] gets another command line, the section [`without`] goes."""
        self._generation += 1
        self._whole = not without
        apps = {name: kind for name, kind in APPS.items() if name != without}
        text = "[DEFAULT]\n_enabled = True\n_timeout_start_sec = 20\n_timeout_stop_sec = 0.3\n"
        for name, kind in apps.items():
            generation = self._generation if name == "notify" else 0
            text += witness.sections(self.box.directory, {name: kind}, EXTRA, generation)
        self.box.config.write_text(text)

    def must(self, *words: str) -> None:
        code = self.call(*words)
        assert code == 0, f"{words} gave {code}: {self.call.said.read_text()}"

    def up(self) -> None:
        """Everything runs."""
        if not self._whole:
            self.edit()
            if all(witness.masters(self.box)):
                self.must("reload")
        if not all(witness.masters(self.box)) or len(witness.seen(self.box)) < len(APPS):
            self.must("start", *APPS)

    def down(self) -> None:
        """Nothing does."""
        if self.box.run.exists():
            self.must("stop")

    def pids(self) -> dict[str, int]:
        """Each app's main process, which is its oldest."""
        return {name: pids[0] for name, pids in witness.seen(self.box).items()}

    def fault(self, scenario: Scenario, before: dict[str, int], *, well: bool, late: bool) -> str:
        """What is not as it must be after the verb, in words. `late`: all fell when it was done, on their way out."""
        wanted = {name: kind for name, kind in APPS.items() if name not in scenario.gone}
        faults = [witness.settle(self.box, wanted, [self.call.pid]), *self.ledger.doubles()]
        now = self.pids()
        faults += [
            f"{name} was process {before[name]} and is {now.get(name)}"
            for name in scenario.kept
            if before[name] != now.get(name)
        ]
        if well:
            faults += [
                f"{name} was not renewed" for name in scenario.renewed if before.get(name) == now.get(name)
            ]
        if scenario.words == ("reload",) and not self.is_new(now.get("notify", 0)):
            faults.append("notify runs as it was before the reload")
        if not wanted and not late:
            faults += [f"{path} is left" for path in self.box.run.iterdir()]
        return "; ".join(text for text in faults if text)

    def is_new(self, notify: int) -> bool:
        """The process was started with the command line that the file has now."""
        try:
            return Path(f"/proc/{notify}/cmdline").read_bytes().split(b"\0")[-2] == b"%d" % self._generation
        except OSError:
            return False

    def close(self) -> None:
        self.call.close()
        self.box.close()


@dataclass(slots=True)
class Outcome:
    """What became of one point."""

    fall: Fall
    fault: str = ""


def try_point(world: World, scenario: Scenario, at: int, *, both: bool) -> Outcome:
    """Let the one who is traced fall at its call number `at` (0: never), recover, and look."""
    scenario.before(world)
    before = world.pids()
    watchdog, keeper = witness.masters(world.box)

    def before_kill(victim: int) -> None:
        if both and (
            parent := keeper or int(Path(f"/proc/{victim}/stat").read_text().rpartition(")")[2].split()[1])
        ):
            os.kill(parent, signal.SIGKILL)

    tracer = Tracer(at, scenario.depth, before_kill)
    if scenario.first == "command":
        command = world.call.begin(*scenario.words, held=True)
        tracer.attach(command)
        os.kill(command, signal.SIGUSR1)
    else:
        tracer.attach(watchdog if scenario.first == "watchdog" else keeper)
        if scenario.first == "heir":
            os.kill(watchdog, signal.SIGKILL)
            wait_for_end(watchdog)
        world.call.begin(*scenario.words)
    fall = tracer.run(world.call.fileno(), WITHIN_S)
    code = first_code = world.call.end()
    if code:
        first = world.call.said.read_text()
        for words in scenario.recover or (scenario.words,):
            code = world.call(*words)
        if code:
            return Outcome(
                fall, f"given again, it ends with {code}: {world.call.said.read_text()} (first: {first})"
            )
    elif both and fall.killed and len(scenario.gone) < len(APPS) and not all(witness.masters(world.box)):
        world.must("start")  # they fell when the verb was done
    late = both and fall.killed and first_code == 0
    fault = world.fault(scenario, before, well=first_code == 0, late=late)
    if not fall.killed and first_code:
        fault = f"nobody fell, and it ends with {first_code}: {world.call.said.read_text()}; {fault}"
    return Outcome(fall, fault)


@dataclass(slots=True)
class Tally:
    """What a worker has to tell of one scenario."""

    scenario: str
    points: int = 0
    calls: int = 0
    failures: list[str] = field(default_factory=list)


class Worker:
    """Tries points in a world of its own, and in a new one after each failure."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._worlds = 0
        self._world: World | None = None

    def try_points(self, scenario: Scenario, points: Iterator[int]) -> Tally:
        """Try these until one lies beyond the verb's end."""
        tally = Tally(scenario.name)
        for at in points:
            falls = [
                self._try(tally, scenario, at, both=both) for both in (False, True)[: 1 + scenario.alone]
            ]
            if not any(falls):
                break
        return tally

    def count(self, scenario: Scenario) -> int:
        """How many calls it makes when nobody falls."""
        tally = Tally(scenario.name)
        self._try(tally, scenario, 0, both=False)
        assert not tally.failures, tally.failures
        return tally.calls

    def _try(self, tally: Tally, scenario: Scenario, at: int, *, both: bool) -> bool:
        if self._world is None:
            self._worlds += 1
            directory = self._directory / str(self._worlds)
            directory.mkdir()
            self._world = World(directory)
        try:
            outcome = try_point(self._world, scenario, at, both=both)
        except (AssertionError, OSError, subprocess.TimeoutExpired) as error:
            outcome = Outcome(Fall(killed=True, calls=at), f"{type(error).__name__}: {error}")
        tally.calls = max(tally.calls, outcome.fall.calls)
        tally.points += outcome.fall.killed
        if outcome.fault:
            log = self._world.box.log / "kegbot_master.log"
            lines = log.read_text().splitlines()[-12:] if log.exists() else []
            tally.failures.append(
                f"{scenario.name}, call {at} ({outcome.fall.number}),"
                f" {'and the keeper' if both else 'alone'}: {outcome.fault}\n    " + "\n    ".join(lines)
            )
            self.close()
        return outcome.fall.killed

    def close(self) -> None:
        if self._world:
            self._world.close()
            self._world = None


def sample(directory: Path, verb: str, count: int) -> list[Tally]:
    """So many points of a verb, spread evenly over who falls and when."""
    worker = Worker(directory)
    scenarios = SCENARIOS[verb]
    tallies = []
    try:
        for scenario in scenarios:
            calls = worker.count(scenario)
            each = max(1, count // len(scenarios) // (1 + scenario.alone))
            points = (1 + (2 * number + 1) * calls // (2 * each) for number in range(each))
            tallies.append(worker.try_points(scenario, points))
            tallies[-1].calls = calls
    finally:
        worker.close()
    return tallies


def _whole(
    directory: str, verbs: Sequence[str], start: int, step: int, told: multiprocessing.Queue[Tally | None]
) -> None:
    os.setpgid(0, 0)
    worker = Worker(Path(directory))
    try:
        for verb in verbs:
            for scenario in SCENARIOS[verb]:
                told.put(worker.try_points(scenario, iter(range(start, 1 << 30, step))))
    finally:
        worker.close()
        told.put(None)


def whole(verbs: Sequence[str], first: int, jobs: int) -> dict[str, Tally]:
    """Every point of these verbs from `first` on, in so many boxes at once."""
    told: multiprocessing.Queue[Tally | None] = multiprocessing.Queue()
    sums: dict[str, Tally] = {
        scenario.name: Tally(scenario.name) for verb in verbs for scenario in SCENARIOS[verb]
    }
    with tempfile.TemporaryDirectory() as directory:
        workers = []
        for job in range(jobs):
            own = os.path.join(directory, str(job))
            os.mkdir(own)
            workers.append(multiprocessing.Process(target=_whole, args=(own, verbs, first + job, jobs, told)))
            workers[-1].start()
        running = jobs
        while running:
            tally = told.get()
            if tally is None:
                running -= 1
                continue
            total = sums[tally.scenario]
            total.points += tally.points
            total.calls = max(total.calls, tally.calls)
            total.failures += tally.failures
            for failure in tally.failures:
                print(failure, flush=True)
        for process in workers:
            process.join()
    return sums


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--verb", choices=[*SCENARIOS, "all"], default="all")
    parser.add_argument("--sample", type=int, default=0, help="so many points a verb, spread evenly; 0: all")
    parser.add_argument("--from", dest="first", type=int, default=1, help="begin with this call")
    parser.add_argument("--jobs", type=int, default=2 * (os.cpu_count() or 1), help="boxes at once")
    options = parser.parse_args()
    verbs = list(SCENARIOS) if options.verb == "all" else [options.verb]
    began_s = time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that no process is left
    canary = subprocess.Popen(CANARY)
    try:
        if options.sample:
            tallies = []
            for verb in verbs:
                with tempfile.TemporaryDirectory() as directory:
                    tallies += sample(Path(directory), verb, options.sample)
            print("\n".join(failure for tally in tallies for failure in tally.failures))
        else:
            tallies = list(whole(verbs, options.first, options.jobs).values())
        failures = sum(len(tally.failures) for tally in tallies)
        if canary.poll() is not None:
            print("a stranger was signalled")
            failures += 1
    finally:
        canary.kill()
        canary.wait()
    print(f"{'':32} {'system calls':>12} {'points tried':>12} {'failures':>8}")
    for tally in tallies:
        print(f"{tally.scenario:32} {tally.calls:12} {tally.points:12} {len(tally.failures):8}")
    points = sum(tally.points for tally in tallies)
    print(f"{'in all':32} {'':12} {points:12} {failures:8}, {time.monotonic() - began_s:.0f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
