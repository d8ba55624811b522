"""Apps that are their own witnesses, and what is looked up of them: the truth is not asked of the launcher.

Each app takes a lock of its own and writes its start to a ledger, and there too if the lock was taken: a double is
recorded by the apps themselves. What runs is looked up in /proc.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Collection, Mapping
from pathlib import Path

from .conftest import MASTER, Box, living, proc_stat

TYPES = {
    "forking": "forking",
    "clean": "forking",
    "own": "forking",
    "shy": "forking",
    "notify": "notify",
    "oneshot": "oneshot",
}
"""The `_type` of a kind of app; all others are simple. `own` writes a pidfile of its own, `shy` writes none."""
PROCESSES = {"worker": (1, 2), "oneshot": (0, 1)}
"""How many processes a sound app of a kind has, if not one. A worker's child may itself have been killed."""

APP = f"""#!{sys.executable} -IS
import fcntl, os, signal, socket, sys, time
name, kind, directory = sys.argv[1:4]

def note(text):
    ledger = os.open(f"{{directory}}/ledger", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(ledger, f"{{name}} {{os.getpid()}} {{text}}\\n".encode())
    os.close(ledger)

def settle():
    global held
    held = open(f"{{directory}}/{{name}}.lock", "a")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        note("is a double")
        sys.exit(1)
    note("starts")

def wait():
    while True:
        signal.pause()

if kind in ("forking", "clean", "own", "shy"):
    ready_r, ready_w = os.pipe()
    if os.fork():
        os.close(ready_w)
        sys.exit(0 if os.read(ready_r, 1) else 1)
    os.setsid()
    if os.fork():
        os._exit(0)
    os.set_inheritable(ready_w, True)
    sys.argv.append(str(ready_w))
    if kind == "clean":
        os.execve(sys.executable, [sys.executable, "-IS", __file__, name, "cleaned", *sys.argv[3:]], {{}})
settle()
if kind in ("forking", "cleaned", "own", "shy"):
    if kind != "shy":
        with open(f"{{directory}}/{{'' if kind == 'own' else 'run/'}}{{name}}.pid", "w") as pidfile:
            pidfile.write(f"{{os.getpid()}}\\n")
    os.write(int(sys.argv[-1]), b".")
    os.close(int(sys.argv[-1]))
elif kind == "notify":
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        address = os.environ["NOTIFY_SOCKET"]
        try:
            sock.sendto(b"READY=1", "\\0" + address[1:] if address[0] == "@" else address)
        except OSError:
            pass  # nobody listens just now: as sd_notify(3) has it, no reason to end
elif kind == "worker" and os.fork() == 0:
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
elif kind == "slow":
    signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.15), sys.exit(0)))
elif kind == "oneshot":
    sys.exit(0)
while kind == "printing":
    print("beer", flush=True)
    time.sleep(0.1)
wait()
"""

# master.py without the 60 ms that an interpreter and its imports take: a process that forks for each command line.
STAND_IN = """
import json, os, signal, sys
from kegmaster import afterlife, birth, command
for line in sys.stdin:
    words, output, held = json.loads(line)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    child = os.fork()
    if child == 0:
        code = 70
        try:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            said = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(said, 1)
            os.dup2(said, 2)
            os.closerange(3, 1 << 20)
            if held:
                signal.sigwait({signal.SIGUSR1})
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
            sys.argv = words
            code = command.main(words)
        except SystemExit as leaving:
            code = leaving.code
        finally:
            sys.stdout.flush()
            os._exit(code if isinstance(code, int) else 70)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""


class Caller:
    """Runs master.py's verbs on a box, one at a time, quickly."""

    def __init__(self, box: Box) -> None:
        self._box = box
        self.said = box.directory / "said"
        self._process = subprocess.Popen(
            [sys.executable, "-c", STAND_IN],
            cwd="/",
            env={"HOME": str(box.home), "PATH": os.environ["PATH"]},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.pid = self._process.pid

    def begin(self, *words: str, held: bool = False) -> int:
        """Start a verb; returns its process, which waits for SIGUSR1 if `held`."""
        assert self._process.stdin
        argv = self._box.command(*words)
        assert argv[0] == str(MASTER)
        self.said.write_text(f"{' '.join(words)}\n")
        self._process.stdin.write(json.dumps([argv, str(self.said), held]).encode() + b"\n")
        self._process.stdin.flush()
        return int(self._line())

    def end(self) -> int:
        """Wait for the verb's end; its exit status, or minus the signal that ended it."""
        return os.waitstatus_to_exitcode(int(self._line()))

    def fileno(self) -> int:
        """Readable once the verb has ended."""
        assert self._process.stdout
        return self._process.stdout.fileno()

    def _line(self) -> bytes:
        # Unbuffered on purpose: `fileno` must be readable as long as anything is to come.
        line = b""
        while not line.endswith(b"\n"):
            byte = os.read(self.fileno(), 1)
            assert byte, "the caller has died"
            line += byte
        return line

    def __call__(self, *words: str) -> int:
        """Run a verb to its end."""
        self.begin(*words)
        return self.end()

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


def sections(directory: Path, apps: Mapping[str, str], extra: Mapping[str, str], generation: int = 0) -> str:
    """The configuration of these apps (name: kind); `extra`: more lines for some of them."""
    lines = []
    for name, kind in apps.items():
        command = f"{directory}/app {name} {kind} {directory} {generation}"
        lines += [f"[{name}]", f"_type = {TYPES.get(kind, 'simple')}", f"_command = {command}"]
        lines += [f"_pidfile = {directory}/{name}.pid"] if kind == "own" else []
        lines += [extra[name]] if name in extra else []
    return "\n".join(lines) + "\n"


def seen(box: Box) -> dict[str, list[int]]:
    """The apps' living processes by name, oldest first."""
    found: dict[str, list[int]] = {}
    mark = str(box.directory / "app").encode()
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                words = file.read(4096).split(b"\0")
        except OSError:
            continue
        if mark in words and living(int(entry)):
            found.setdefault(words[words.index(mark) + 1].decode(), []).append(int(entry))
    for pids in found.values():
        pids.sort(key=_born)
    return found


def masters(box: Box) -> tuple[int, int]:
    """The living watchdog and its keeper, 0 for one that is not there."""
    try:
        watchdog = int((box.run / "kegbot_master.pid").read_text())
        keeper = int(proc_stat(watchdog)[1])
    except (OSError, ValueError):
        return 0, 0
    return (watchdog, keeper) if _ours(box, watchdog) and _ours(box, keeper) else (0, 0)


def wrong(box: Box, wanted: Mapping[str, str], others: Collection[int]) -> str:
    """What is not as it must be, in words: each wanted app once, nothing else, one master if anything is wanted.

    `others`: processes that may carry the box's mark besides.
    """
    found = seen(box)
    faults = []
    for name, kind in wanted.items():
        count = len(found.get(name, ()))
        if count not in PROCESSES.get(kind, (1, 1)):
            faults.append(f"{name} has {count} processes {found.get(name, [])}")
    faults += [f"{name} is not wanted, but runs: {found[name]}" for name in found.keys() - wanted.keys()]
    ours = {pid for pids in found.values() for pid in pids}
    pair = masters(box)
    if wanted and not all(pair):
        faults.append("no master")
    rest = set(box.processes()) - ours - set(others) - (set(pair) if wanted else set())
    faults += [f"process {pid} is left" for pid in rest if living(pid)]
    return "; ".join(faults)


def settle(box: Box, wanted: Mapping[str, str], others: Collection[int], within_s: float = 10.0) -> str:
    """Wait until nothing is wrong; what still is after `within_s` seconds."""
    until_s = time.monotonic() + within_s
    wait_s = 0.01
    while text := wrong(box, wanted, others):
        if time.monotonic() > until_s:
            return text
        time.sleep(wait_s)
        wait_s = min(2 * wait_s, 0.2)
    return ""


class Ledger:
    """What the apps wrote of themselves, read on from where the last look ended."""

    def __init__(self, box: Box) -> None:
        self._path = box.directory / "ledger"
        self._read = 0

    def doubles(self) -> list[str]:
        """The new lines that tell of a double."""
        if not self._path.exists():
            return []
        with self._path.open() as file:
            file.seek(self._read)
            lines = file.readlines()
            self._read = file.tell()
        return [line.strip() for line in lines if not line.endswith("starts\n")]


def _born(pid: int) -> int:
    try:
        return int(proc_stat(pid)[19])
    except OSError:
        return 0


def _ours(box: Box, pid: int) -> bool:
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
    return f"HOME={box.home}".encode() in environment.split(b"\0") and living(pid)
