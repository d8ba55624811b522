"""One process a box, outside of it: makes its namespaces and cgroup, and leaves nothing of them.

Reads orders, a line of JSON each, from stdin; end of file means that who gave them is gone, by whatever death, and
the box goes too. Must not know what a box is for, nor anything of this project.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
NAME = "kegmaster-box-"


def cgroup2() -> Path | None:
    """Where this machine has cgroup v2 mounted."""
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        place, _, kind = line.partition(" - ")
        if kind.split()[0] == "cgroup2":
            return Path(place.split()[4])
    return None


def remove_cgroup(top: Path) -> None:
    """End who is in it, wait for their ends, remove it and all below."""
    try:
        (top / "cgroup.kill").write_text("1")
        with (top / "cgroup.events").open() as events:
            poll = select.poll()
            poll.register(events, select.POLLPRI)
            while "populated 1" in events.read():
                poll.poll(10_000)
                events.seek(0)
        for folder, _, _ in os.walk(top, topdown=False):
            Path(folder).rmdir()
    except FileNotFoundError:
        return


def claim(base: Path) -> tuple[Path, int]:
    """A cgroup of one's own, and the lock that says for one's lifetime, and no longer, that it is in use."""
    top = base / f"{NAME}{os.getpid()}"
    while True:
        with contextlib.suppress(FileExistsError):
            top.mkdir()
        try:
            lock = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if os.path.samestat(top.stat(), os.fstat(lock)):
                return top, lock
            os.close(lock)
        except FileNotFoundError:
            continue  # another took it for left behind, before it was locked


def sweep(base: Path) -> None:
    """Remove the cgroups of wardens that were killed themselves."""
    for left in base.glob(f"{NAME}*"):
        with contextlib.suppress(OSError):
            lock = os.open(left, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                remove_cgroup(left)
            finally:
                os.close(lock)


class Warden:
    """The processes outside of the box that it hangs on."""

    def __init__(self, base: Path) -> None:
        sweep(base)
        self.top, self._lock = claim(base)
        self.boots = 0
        self.holder = subprocess.Popen(
            ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--propagation=private",
             "sh", "-c", (HERE / "hold.sh").read_text(encoding="utf-8")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.holder.stdout is not None
        self.held = self.holder.stdout.readline().strip()

    def boot(self, init: list[str]) -> str:
        """Start pid 1; its pid as seen from here, empty if it did not come that far."""
        if self.boots:
            remove_cgroup(self.top / f"boot-{self.boots}")
        self.boots += 1
        cgroup = self.top / f"boot-{self.boots}"
        cgroup.mkdir()
        enter = ["nsenter", "--target", self.held, "--mount", "--pid", "--"]
        unshare = ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--propagation=private",
                   "--uts", "--ipc", "--net", "--cgroup"]  # fmt: skip
        text = "".join((HERE / name).read_text(encoding="utf-8") for name in ("tree.sh", "boot.sh"))
        # The cgroup is entered before its namespace is made: it becomes the box's root.
        join = ["sh", "-c", 'echo $$ > "$0" && exec "$@"', str(cgroup / "cgroup.procs")]
        pid_1 = subprocess.Popen(
            [*join, *enter, *unshare, "sh", "-c", text, "boot.sh", *init],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert pid_1.stdout is not None
        return pid_1.stdout.readline().strip()

    def close(self) -> None:
        """End everything. The holder's pid namespace takes all that is in it along."""
        self.holder.kill()
        self.holder.wait()
        remove_cgroup(self.top)


def main() -> int:
    """Obey until the end of stdin."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT):
        # A Ctrl-C ends the test, and the test's end the box. Not SIG_IGN, which all in the box would inherit.
        signal.signal(number, lambda *_: None)
    base = cgroup2()
    if base is None:
        return 1
    warden = Warden(base)
    try:
        print(warden.held, warden.top, flush=True)
        for line in sys.stdin:
            order = json.loads(line)
            print(warden.boot(order["boot"]), flush=True)
    finally:
        warden.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
