"""Random faults in random moments, several at once: whatever falls, each wanted app is there once, and nothing else.

    python -m tests.master.storm --faults=1000 --apps=30 --seed=1

The truth is not asked of the launcher: see `witness`. Between settling points a burst of faults and commands goes
over the apps and their masters. A burst with commands ends with a `start`; after one without, the apps must come back
by themselves, those stopped by hand must not, and only if watchdog and keeper both fell is a `start` given.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

from . import witness
from .conftest import Box, eventually, proc_stat

KINDS: Final = ("simple", "forking", "clean", "notify", "slow", "worker", "printing", "oneshot")
CANARY: Final = ["sleep", "100000"]
BURST: Final = 20
FULL_STOP_EVERY: Final = 10
"""After so many bursts everything is stopped, and nothing may be left."""
HEAD: Final = """[DEFAULT]
_enabled = True
_timeout_start_sec = 8
_timeout_stop_sec = 1
_restart_max_delay_sec = 2
"""


class Storm:
    """One directory, one master, apps of each kind."""

    def __init__(self, directory: Path, seed: int, apps: int) -> None:
        self.box = Box(directory)
        self.box.program("app", witness.APP)
        self.chance = random.Random(seed)
        self.violations: list[str] = []
        self.done: Counter[str] = Counter()
        self.canary = subprocess.Popen(CANARY)
        self._apps = {f"{KINDS[n % len(KINDS)]}{n // len(KINDS)}": KINDS[n % len(KINDS)] for n in range(apps)}
        names = list(self._apps)
        # Every third comes after its predecessor, every ninth requires it.
        self._extra = {
            name: f"{'_requires' if n % 9 == 8 else '_after'} = {names[n - 1]}"
            for n, name in enumerate(names)
            if n % 3 == 2
        }
        self._required = {line.split()[-1] for line in self._extra.values() if line.startswith("_requires")}
        self._generation = dict.fromkeys(names, 0)
        self._held: set[str] = set()
        self._halted: list[int] = []
        self._ledger = witness.Ledger(self.box)
        self._callers = [witness.Caller(self.box) for _ in range(4)]
        self._busy: list[witness.Caller] = []
        self._history: list[str] = []
        self._write()
        self._must("start")

    # What can happen

    def burst(self, faults: int, *, commands: bool) -> None:
        """So many faults, hardly a pause between them; then everything must be as wanted."""
        falls: dict[str, Callable[[], None]] = {
            "app killed": self._kill_app, "watchdog killed": self._kill_watchdog,
            "keeper killed": self._kill_keeper, "both killed": self._kill_both, "app halted": self._halt_app,
            "watchdog halted": self._halt_watchdog, "keeper halted": self._halt_keeper,
            "socket removed": self._remove_socket, "pidfile removed": self._remove_pidfile,
            "pidfile of the master removed": self._remove_master_pidfile, "pidfile lies": self._lie,
            "logs removed": self._remove_logs, "records removed": self._remove_records,
        }  # fmt: skip
        orders: dict[str, Callable[[], None]] = {
            "restart": lambda: self._command("restart"), "restart of some": lambda: self._command("restart", *self._some()),
            "stop of some": lambda: self._command("stop", *self._some()),
            "start of some": lambda: self._command("start", *self._some()),
            "reload, changed": self._reload_changed, "reload, unchanged": lambda: self._command("reload"),
            "reload, broken": self._reload_broken,
        }  # fmt: skip
        weights = {"app killed": 4, "watchdog killed": 2, "restart": 0.4}
        choice = {**falls, **(orders if commands else {})}
        self._history = []
        for _ in range(faults):
            name = self.chance.choices(list(choice), [weights.get(name, 1) for name in choice])[0]
            self._history.append(name)
            self.done[name] += 1
            with contextlib.suppress(ProcessLookupError):
                choice[name]()
            time.sleep(self.chance.random() ** 3 * 0.2)
        self._settle(commands=commands)

    def _kill_app(self) -> None:
        pids = [pid for pids in witness.seen(self.box).values() for pid in pids]
        if pids:
            os.kill(self.chance.choice(pids), signal.SIGKILL)

    def _kill_watchdog(self) -> None:
        if watchdog := witness.masters(self.box)[0]:
            os.kill(watchdog, signal.SIGKILL)

    def _kill_keeper(self) -> None:
        if keeper := witness.masters(self.box)[1]:
            os.kill(keeper, signal.SIGKILL)

    def _kill_both(self) -> None:
        pair = witness.masters(self.box)
        if all(pair):
            for pid in self.chance.sample(pair, 2):
                os.kill(pid, signal.SIGKILL)

    def _halt(self, pid: int) -> None:
        os.kill(pid, signal.SIGSTOP)
        self._halted.append(pid)

    def _halt_app(self) -> None:
        pids = [pid for pids in witness.seen(self.box).values() for pid in pids]
        if pids:
            self._halt(self.chance.choice(pids))

    def _halt_watchdog(self) -> None:
        if watchdog := witness.masters(self.box)[0]:
            self._halt(watchdog)
            time.sleep(self.chance.random() * 0.1)
            os.kill(watchdog, signal.SIGCONT)

    def _halt_keeper(self) -> None:
        if keeper := witness.masters(self.box)[1]:
            self._halt(keeper)

    def _remove_socket(self) -> None:
        (self.box.run / "kegbot_master.sock").unlink(missing_ok=True)

    def _remove_pidfile(self) -> None:
        (self.box.run / f"{self._any()}.pid").unlink(missing_ok=True)

    def _remove_master_pidfile(self) -> None:
        (self.box.run / "kegbot_master.pid").unlink(missing_ok=True)

    def _lie(self) -> None:
        """A pidfile names a stranger."""
        (self.box.run / f"{self._any()}.pid").write_text(f"{self.canary.pid}\n")

    def _remove_logs(self) -> None:
        for path in self.box.log.iterdir():
            path.unlink(missing_ok=True)

    def _remove_records(self) -> None:
        # Of an app that has cleared its environment too, nobody could tell any more whose it is: so a watchdog must
        # be there to write them anew, and is left alone until it has.
        records = self.box.run / "kegbot_master.records"
        clean = [name for name in witness.seen(self.box) if self._apps[name] == "clean"]
        if all(witness.masters(self.box)) and all((records / f"{name}.run").exists() for name in clean):
            shutil.rmtree(records, ignore_errors=True)
            with contextlib.suppress(AssertionError):
                eventually(lambda: all((records / f"{name}.run").exists() for name in clean), within_s=2)

    def _reload_changed(self) -> None:
        self._generation[self._any()] += 1
        self._write()
        self._command("reload")

    def _reload_broken(self) -> None:
        self.box.config.write_text(self.box.config.read_text() + "_no_such_key = 1\n")
        self._command("reload")

    # How it is done

    def _any(self) -> str:
        return self.chance.choice(list(self._apps))

    def _some(self) -> list[str]:
        return self.chance.sample(list(self._apps), self.chance.randint(1, 3))

    def _write(self) -> None:
        text = HEAD
        for name, kind in self._apps.items():
            text += witness.sections(self.box.directory, {name: kind}, self._extra, self._generation[name])
        self.box.config.write_text(text)

    def _command(self, *words: str) -> None:
        """Give a command and do not wait for it, unless too many are under way."""
        if len(self._busy) == len(self._callers):
            self._busy.pop(0).end()
        free = next(caller for caller in self._callers if caller not in self._busy)
        free.begin(*words)
        self._busy.append(free)

    def _must(self, *words: str) -> None:
        """Give a command until it succeeds: an app that has just been killed makes a start fail."""
        call = self._callers[0]
        until_s = time.monotonic() + 90
        while code := call(*words):
            if time.monotonic() > until_s:
                self._blame(f"{words} gives {code} for 90 s: {call.said.read_text()}")
                return
            time.sleep(0.1)

    def _settle(self, *, commands: bool) -> None:
        for pid in self._halted:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self._halted = []
        while self._busy:
            self._busy.pop().end()
        if commands:
            self._write()
            self._held.clear()
            self._must("start", *self._apps)
        elif not self._somebody_comes():
            self._must("start")
        self._look("")
        if commands:
            some = [name for name in self._some() if name not in self._required]
            if some:
                self._must("stop", *some)
                self._held.update(some)
                self._look(f", then stop {' '.join(some)}")

    def _somebody_comes(self) -> bool:
        """A watchdog is there, or will be: one of the two lives."""
        until_s = time.monotonic() + 5
        while not all(witness.masters(self.box)):
            apps = {pid for pids in witness.seen(self.box).values() for pid in pids}
            if set(self.box.processes()) <= apps | {caller.pid for caller in self._callers}:
                return False
            if time.monotonic() > until_s:
                return True
            time.sleep(0.05)
        return True

    def _look(self, after: str) -> None:
        wanted = {name: kind for name, kind in self._apps.items() if name not in self._held}
        others = [caller.pid for caller in self._callers]
        if text := witness.settle(self.box, wanted, others, within_s=60):
            self._blame(f"{text}{after}")
        doubles = Counter(line.split()[0] for line in self._ledger.doubles())
        if doubles:
            self._blame(f"doubles: {dict(doubles)}{after}")
        if self.canary.poll() is not None or proc_stat(self.canary.pid)[0] == "T":
            self._blame("a stranger was signalled")

    def _blame(self, text: str) -> None:
        log = self.box.log / "kegbot_master.log"
        lines = log.read_text().splitlines()[-30:] if log.exists() else []
        self.violations.append(f"{text}\n  burst: {', '.join(self._history)}\n    " + "\n    ".join(lines))
        print(self.violations[-1], file=sys.stderr, flush=True)

    def stop(self) -> None:
        """Stop everything; nothing may be left."""
        self._must("stop")
        if text := witness.settle(self.box, {}, [caller.pid for caller in self._callers]):
            self._blame(f"after stop: {text}")
        self._held.clear()

    def start(self) -> None:
        """Start everything again."""
        self._must("start", *self._apps)

    def close(self) -> None:
        self.canary.kill()
        self.canary.wait()
        for caller in self._callers:
            caller.close()
        self.box.close()


def run(
    directory: Path, faults: int, seed: int, apps: int, *, say: bool = False
) -> tuple[list[str], Counter[str]]:
    """So many faults; what went wrong, and how often what was done."""
    storm = Storm(directory, seed, apps)
    left, number = faults, 0
    try:
        while left > 0:
            size = min(left, BURST)
            storm.burst(size, commands=number % 2 == 0)
            left -= size
            number += 1
            if number % FULL_STOP_EVERY == 0:
                storm.stop()
                storm.start()
            if say:
                print(
                    f"{faults - left} faults, {len(storm.violations)} violations", file=sys.stderr, flush=True
                )
        storm.stop()
    finally:
        storm.close()
    return storm.violations, storm.done


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--faults", type=int, default=1000)
    parser.add_argument("--apps", type=int, default=30)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    options = parser.parse_args()
    began_s = time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that no process is left
    with tempfile.TemporaryDirectory() as directory:
        violations, done = run(Path(directory), options.faults, options.seed, options.apps, say=True)
    print("\n".join(f"{count:6}  {name}" for name, count in sorted(done.items())))
    print(
        f"{sum(done.values())} faults over {options.apps} apps with seed {options.seed}, {len(violations)} violations,"
        f" {time.monotonic() - began_s:.0f} s"
    )
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
