"""kill -9 at random moments: of the watchdog, of its keeper, of both. No app may notice, be doubled or be lost.

    python -m tests.master.kill_rounds --rounds=200
    python -m tests.master.kill_rounds --rounds=10000 --only=watchdog --jobs=32

With apps of type forking, simple and notify: after each round they are the same processes, no restart is counted, and
the ledger into which each app writes its start has not grown. Only after the end of both a `start` is given. Prints
how long it took until the next watchdog answered. A keeper whose watchdogs die young four times in a row waits a
second before the next; such rounds are counted, but not timed.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from kegmaster import client

from . import witness
from .conftest import Box, living, wait_for_end

APPS: Final = {"forking": "own", "shy": "shy", "simple": "simple", "notify": "notify"}
VICTIMS: Final = ("watchdog", "keeper", "both")
CANARY: Final = ["sleep", "100000"]
WITHIN_S: Final = 30.0
YOUNG_S: Final = 1.0
QUICK: Final = 3
LOOK_EVERY: Final = 20
"""After so many rounds all of /proc is searched for processes that should not be there."""


@dataclass(slots=True)
class Told:
    """What a series of rounds has to tell. `back_s`: from the kill to the next watchdog's answer, by victim."""

    rounds: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    back_s: dict[str, list[float]] = field(default_factory=dict)


class Rounds:
    """One box whose apps run from the first round to the last."""

    def __init__(self, directory: Path, seed: int, pause_s: float) -> None:
        self.box = Box(directory)
        self.box.program("app", witness.APP)
        self.box.config.write_text(
            "[DEFAULT]\n_enabled = True\n_timeout_start_sec = 20\n" + witness.sections(directory, APPS, {})
        )
        self.call = witness.Caller(self.box)
        self.told = Told()
        self._chance = random.Random(seed)
        self._pause_s = pause_s
        self._quick = 0
        self._number = 0
        assert self.call("start") == 0, self.call.said.read_text()
        self._born_s = time.monotonic()
        rows = self._status()["apps"]
        self._pids = {row["name"]: row["pid"] for row in rows}
        self._own = {pid for pids in witness.seen(self.box).values() for pid in pids}
        self._ledger = directory / "ledger"
        self._ledger_size = self._ledger.stat().st_size

    def round(self, victim: str) -> None:
        """One kill at a random moment, sometimes another in the middle of what follows; then all is looked at."""
        chance = self._chance
        self._number += 1
        time.sleep(chance.random() * self._pause_s)
        watchdog, keeper = witness.masters(self.box)
        self._quick = self._quick + 1 if time.monotonic() - self._born_s < YOUNG_S else 0
        quick = self._quick
        again = victim == "watchdog" and chance.random() < 0.2
        for pid in {"watchdog": (watchdog,), "keeper": (keeper,), "both": (keeper, watchdog)}[victim]:
            os.kill(pid, signal.SIGKILL)
        killed_s = time.monotonic()
        if again:
            time.sleep(chance.random() * 0.02)
            self._kill_child_of(keeper)
        what = f"round {self._number}: {victim}{', and again' if again else ''}"
        if victim == "both":
            wait_for_end(watchdog)
            wait_for_end(keeper)
            code = self.call("start")
            if code:
                self.told.violations.append(f"{what}: start gave {code}: {self.call.said.read_text()}")
        if victim != "watchdog":
            self._quick = 0
        report = self._answer(watchdog)
        if not again and quick <= QUICK:
            self.told.back_s.setdefault(victim, []).append(time.monotonic() - killed_s)
        self._born_s = time.monotonic()
        self.told.rounds[victim] += 1
        fault = "it is not back" if report is None else self._fault(report)
        if fault:
            self.told.violations.append(f"{what}: {fault}")

    def _kill_child_of(self, keeper: int) -> None:
        try:
            children = Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()
            for child in children:
                if int(child) not in self._own:
                    os.kill(int(child), signal.SIGKILL)
                    self._quick += 1
        except OSError:
            return

    def _status(self) -> dict[str, Any]:
        sock = client.connect(f"{self.box.run}/kegbot_master.sock")
        answer = next(client.ask(sock, 5, verb="status", names=[]), {}) if sock else {}
        report: dict[str, Any] = answer.get("status", {})
        return report

    def _answer(self, former: int) -> dict[str, Any] | None:
        """What the next watchdog says, once it answers."""
        until_s = time.monotonic() + WITHIN_S
        while time.monotonic() < until_s:
            report = self._status()
            if report and report["master"]["pid"] != former:
                return report
            time.sleep(0.001)
        return None

    def _fault(self, report: dict[str, Any]) -> str:
        faults = []
        for row in report["apps"]:
            name, pid = row["name"], self._pids.get(row["name"])
            if (row["pid"], row["restarts"], row["state"]) != (pid, 0, "running"):
                faults.append(
                    f"{name}, process {pid}, is shown as {row['pid']}, {row['state']}, {row['restarts']}"
                )
        faults += [f"{name} is lost" for name, pid in self._pids.items() if not living(pid)]
        if len(report["apps"]) != len(APPS):
            faults.append(f"{len(report['apps'])} apps are shown")
        if (size := self._ledger.stat().st_size) != self._ledger_size:
            faults.append(f"started besides: {self._ledger.read_text()[self._ledger_size :].splitlines()}")
            self._ledger_size = size
        if self._number % LOOK_EVERY == 0 and (text := witness.settle(self.box, APPS, [self.call.pid])):
            faults.append(text)
        return "; ".join(faults)

    def end(self) -> None:
        """Everything is as it was; then stop, and nothing may be left."""
        if text := witness.settle(self.box, APPS, [self.call.pid]):
            self.told.violations.append(f"at the end: {text}")
        if self.call("stop") or (text := witness.settle(self.box, {}, [self.call.pid])):
            self.told.violations.append(f"left after stop: {text} {self.call.said.read_text()}")

    def close(self) -> None:
        self.call.close()
        self.box.close()


def run(directory: Path, rounds: int, seed: int, only: str = "", pause_s: float = 1.5) -> Told:
    """So many rounds in one box. `only`: always this victim; otherwise each in its turn."""
    series = Rounds(directory, seed, pause_s)
    canary = subprocess.Popen(CANARY)
    try:
        for number in range(rounds):
            series.round(only or VICTIMS[number % len(VICTIMS)])
        series.end()
        if canary.poll() is not None:
            series.told.violations.append("a stranger was signalled")
    finally:
        canary.kill()
        canary.wait()
        series.close()
    return series.told


def _job(
    directory: str, rounds: int, seed: int, only: str, pause_s: float, out: multiprocessing.Queue[Told]
) -> None:
    try:
        told = run(Path(directory), rounds, seed, only, pause_s)
    except (AssertionError, OSError, KeyError) as error:
        told = Told(violations=[f"{type(error).__name__}: {error}"])
    out.put(told)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--only", choices=VICTIMS, default="")
    parser.add_argument("--jobs", type=int, default=2, help="boxes at once")
    parser.add_argument("--pause", type=float, default=1.5, help="the longest wait before a kill, in seconds")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    options = parser.parse_args()
    began_s = time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that no process is left
    out: multiprocessing.Queue[Told] = multiprocessing.Queue()
    total = Told()
    with tempfile.TemporaryDirectory() as directory:
        jobs = []
        for job in range(options.jobs):
            share = options.rounds // options.jobs + (job < options.rounds % options.jobs)
            own = os.path.join(directory, str(job))
            os.mkdir(own)
            words = (own, share, options.seed + job, options.only, options.pause, out)
            jobs.append(multiprocessing.Process(target=_job, args=words))
            jobs[-1].start()
        for _ in jobs:
            told = out.get()
            total.rounds.update(told.rounds)
            total.violations += told.violations
            for victim, times in told.back_s.items():
                total.back_s.setdefault(victim, []).extend(times)
        for process in jobs:
            process.join()
    print("\n".join(total.violations[:100]))
    for victim, count in total.rounds.items():
        times = sorted(total.back_s.get(victim, [])) or [0.0]
        p50_ms, worst_ms = times[len(times) // 2] * 1000, times[-1] * 1000
        print(
            f"{victim:10} {count:6} rounds, {len(times):6} timed: p50 {p50_ms:6.1f} ms, worst {worst_ms:7.1f} ms"
        )
    print(
        f"{sum(total.rounds.values())} rounds with seed {options.seed}, {len(total.violations)} violations,"
        f" {time.monotonic() - began_s:.0f} s"
    )
    return 1 if total.violations else 0


if __name__ == "__main__":
    sys.exit(main())
