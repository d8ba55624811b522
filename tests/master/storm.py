"""Random faults in random moments: whatever falls, each app is there exactly once afterwards, and nothing else is.

    python -m tests.master.storm --rounds=200 --seed=1

The truth is not asked of the launcher: each app takes a lock of its own and writes to a ledger that it found it
taken, so a double is recorded by the apps themselves; and what runs is looked up in /proc.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .conftest import Box, eventually, living, proc_stat, wait_for_end

KINDS = ("simple", "forking", "clean", "notify", "slow", "worker")
CANARY = ["sleep", "100000"]

APP = f"""#!{sys.executable} -IS
import fcntl, os, signal, socket, sys, time
name, kind, directory = sys.argv[1:4]

def settle():
    global held
    held = open(f"{{directory}}/{{name}}.lock", "a")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        with open(f"{{directory}}/ledger", "a") as ledger:
            ledger.write(f"{{name}} is there already\\n")
        sys.exit(1)

def wait():
    while True:
        signal.pause()

if kind in ("forking", "clean"):
    ready_r, ready_w = os.pipe()
    if os.fork():
        os.close(ready_w)
        sys.exit(0 if os.read(ready_r, 1) else 1)
    os.setsid()
    if os.fork():
        os._exit(0)
    os.set_inheritable(ready_w, True)
    if kind == "clean":
        os.execve(sys.executable, [sys.executable, "-IS", __file__, name, "cleaned", directory, str(ready_w)], {{}})
    sys.argv.append(str(ready_w))
settle()
if kind in ("forking", "cleaned"):
    with open(f"{{directory}}/run/{{name}}.pid", "w") as pidfile:
        pidfile.write(f"{{os.getpid()}}\\n")
    os.write(int(sys.argv[4]), b".")
    os.close(int(sys.argv[4]))
elif kind == "notify":
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        address = os.environ["NOTIFY_SOCKET"]
        sock.sendto(b"READY=1", "\\0" + address[1:] if address[0] == "@" else address)
elif kind == "worker" and os.fork() == 0:
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
elif kind == "slow":
    signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.15), sys.exit(0)))
wait()
"""


class Storm:
    """One directory, one master, one app of each kind."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.box = Box(directory)
        self.chance = random.Random(seed)
        self.violations: list[str] = []
        program = self.box.program("app", APP)
        lines = ["[DEFAULT]", "_enabled = True", "_timeout_start_sec = 20", "_timeout_stop_sec = 3"]
        for kind in KINDS:
            app_type = {"forking": "forking", "clean": "forking", "notify": "notify"}.get(kind, "simple")
            lines += [f"[{kind}]", f"_type = {app_type}", f"_command = {program} {kind} {kind} {directory}"]
        self.box.write(
            "\n".join(
                [*lines, "[after]", "_after = forking", f"_command = {program} after simple {directory}"]
            )
        )
        self.apps = [*KINDS, "after"]

    def processes(self) -> dict[str, list[int]]:
        """The apps' processes by name, as /proc has them."""
        found: dict[str, list[int]] = {}
        mark = str(self.box.directory / "app").encode()
        for entry in Path("/proc").iterdir():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
            except OSError:
                continue
            if mark in words and living(int(entry.name)):
                found.setdefault(words[words.index(mark) + 1].decode(), []).append(int(entry.name))
        return found

    def round(self, number: int) -> None:
        """One command, one fault in its middle; then everything must be as wanted."""
        chance = self.chance
        verb = chance.choice(["start", "stop", "restart"])
        names = [] if chance.random() < 0.5 else chance.sample(self.apps, 2)
        fault = chance.choice(["watchdog", "keeper", "both", "twice", "app", "term", "stopped", "none"])
        command = subprocess.Popen(
            self.box.command(verb, *names), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(chance.random() * 0.3)  # the moment is what is tried
        self._fell(fault)
        command.wait(timeout=20)
        what = f"round {number}: {verb} {' '.join(names)}, {fault}"
        eventually(
            lambda: self.box.master("start", *self.apps, expect=None).returncode == 0, what, within_s=60
        )
        seen = {name: len(pids) for name, pids in self.processes().items()}
        wrong = {name: seen.get(name, 0) for name in self.apps if seen.get(name, 0) != 1}
        if wrong.get("worker") == 2:  # it and its child, unless that child is what was killed in some round
            del wrong["worker"]
        if wrong:
            self.violations.append(f"{what}: {wrong}")
        self._read_ledger(what)

    def end(self) -> None:
        """Stop; nothing may be left."""
        if self.box.master("stop", expect=None).returncode or self.processes() or self.box.processes():
            self.violations.append(f"left after stop: {self.processes()} {self.box.processes()}")

    def _fell(self, fault: str) -> None:
        watchdog, keeper = self._masters()
        if fault in ("keeper", "both"):
            _kill(keeper)
        if fault in ("watchdog", "both", "twice"):
            _kill(watchdog)
        if fault == "twice":
            _kill(self._masters()[0])
        if fault == "term" and watchdog:
            os.kill(watchdog, signal.SIGTERM)
        if fault == "stopped" and watchdog:
            os.kill(watchdog, signal.SIGSTOP)
            time.sleep(0.05)
            os.kill(watchdog, signal.SIGCONT)
        if fault == "app":
            for pids in self.processes().values():
                _kill(self.chance.choice(pids))

    def _masters(self) -> tuple[int, int]:
        try:
            watchdog = int((self.box.run / "kegbot_master.pid").read_text())
            keeper = int(proc_stat(watchdog)[1])
        except (OSError, ValueError):
            return 0, 0
        ours = self.box.processes()
        return watchdog if watchdog in ours else 0, keeper if keeper in ours else 0

    def _read_ledger(self, what: str) -> None:
        ledger = self.box.directory / "ledger"
        if ledger.exists():
            self.violations.append(f"{what}: {ledger.read_text()}")
            ledger.unlink()


def _kill(pid: int) -> None:
    if pid:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        wait_for_end(pid)


def run(directory: Path, rounds: int, seed: int, *, say: bool = False) -> list[str]:
    """So many rounds; what went wrong."""
    storm = Storm(directory, seed)
    canary = subprocess.Popen(CANARY)
    try:
        for number in range(rounds):
            storm.round(number)
            if number % 10 == 9:
                storm.end()
            if say and sys.stderr.isatty():
                print(f"\r{number + 1} rounds, {len(storm.violations)} violations", end="", file=sys.stderr)
        storm.end()
        if canary.poll() is not None:
            storm.violations.append("a stranger was signalled")
    finally:
        storm.box.close()
        canary.kill()
        canary.wait()
    return storm.violations


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        violations = run(Path(directory), options.rounds, options.seed, say=True)
    print("\n".join(violations))
    print(f"{options.rounds} rounds with seed {options.seed}, {len(violations)} violations")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
