"""A machine of one's own for a test: boots, is entered, reboots, loses its power, and is thrown away.

    with Box(SYSTEMD) as box:
        box.run("systemctl", "status")
        box.reboot()

Knows namespaces. Must not know the init systems one by one (inits.py does), nor what is installed (product.py).
"""

from __future__ import annotations

import functools
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

from . import warden
from .tree import describe, within

PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PYTHON: Final = "/usr/bin/python3"
READY_SOCKET: Final = "/run/host/notify"
BOOT_WITHIN_S: Final = 60.0
_NAMESPACES: Final = {
    "mnt": "mount",
    "pid": "pid",
    "uts": "uts",
    "ipc": "ipc",
    "net": "net",
    "cgroup": "cgroup",
}
"""The names in /proc/PID/ns -> nsenter's."""
_WITHOUT: Final = (
    "sys_module",
    "sys_rawio",
    "sys_time",
    "mknod",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_control",
    "mac_admin",
    "mac_override",
)
"""Capabilities by which the real machine could be changed, and that no init system needs."""
_DROP: Final = ("setpriv", "--bounding-set", ",".join(f"-{name}" for name in _WITHOUT))
STARTING: Final = (
    "/etc/systemd/system/*.wants", "/etc/systemd/user/*.wants", "/etc/rc?.d", "/etc/service", "/etc/rc.local", "/etc/cron.d",
    "/var/spool/cron/crontabs",
)  # fmt: skip
"""What names that which starts at boot: folders of links or files, and files."""
# Units that would look for hardware, set the clock or keep what only a real machine has.
MASKED: Final = (
    "systemd-sysctl.service", "systemd-modules-load.service", "systemd-udevd.service", "systemd-udev-trigger.service",
    "systemd-udevd-control.socket", "systemd-udevd-kernel.socket", "systemd-timesyncd.service",
    "systemd-random-seed.service", "systemd-remount-fs.service", "systemd-binfmt.service", "proc-sys-fs-binfmt_misc.automount",
    "kmod-static-nodes.service", "console-getty.service", "getty.target", "apt-daily.timer", "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer", "e2scrub_all.timer", "fstrim.timer", "dev-hugepages.mount", "systemd-networkd-wait-online.service",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Init:
    """A pid 1: its words, and those that switch the machine off.

    Once all is started, somebody sends READY=1 to $NOTIFY_SOCKET of pid 1, which is `READY_SOCKET`.
    """

    words: tuple[str, ...]
    off: tuple[str, ...]


class BoxError(Exception):
    """A box that could not be made, booted or ended, with what its console said."""


@functools.cache
def why_not() -> str:
    """Why this machine cannot have boxes, for a test's skip; empty if it can."""
    if os.geteuid() != 0:
        return "only root can make a box"
    if not shutil.which(PYTHON):
        return f"no {PYTHON}"
    if missing := [
        name for name in ("unshare", "nsenter", "pivot_root", "setpriv") if not shutil.which(name)
    ]:
        return f"no {', '.join(missing)} here"
    base = warden.cgroup2()
    if base is None or not os.access(base, os.W_OK) or not (base / "cgroup.procs").exists():
        return "no cgroup v2 that could be written to"
    trial = subprocess.run(
        ["unshare", "--pid", "--fork", "--mount", "--uts", "--ipc", "--net", "--cgroup", "--propagation=private",
         "sh", "-c", "mount -t tmpfs none /mnt && cd /mnt && mkdir u w r && "
         "mount -t overlay -o lowerdir=/,upperdir=u,workdir=w none r && mount -t cgroup2 none r/sys"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return f"no namespaces: {trial.stderr.strip()}" if trial.returncode else ""


class Box:
    """One machine. Made, but not booted before `boot` or `with`."""

    def __init__(self, init: Init) -> None:
        self.init = init
        self.pid_1 = 0
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._warden = subprocess.Popen(
            [sys.executable, "-IS", warden.__file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self._said, text=True, start_new_session=True,
        )  # fmt: skip
        self._pins: dict[str, int] = {}
        self._below: dict[str, str] = {}
        held, _, cgroup = self._answer().partition(" ")
        if not held:
            self.close()
            raise BoxError(f"no box could be made: {self._complaint()}")
        self._cgroup = Path(cgroup)
        self._holder = self._pin_namespaces(int(held), ("mnt", "pid"))
        self._held = self._pin("held", f"/proc/{held}/root/mnt")
        self._ready = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._ready.bind(str(self._held / "notify"))
        self._furnish()

    def __enter__(self) -> Box:
        try:
            self.boot()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _furnish(self) -> None:
        """Take from the tree what this machine would start at boot: a box starts what its test puts there.

        Targets stay: a folder of links that is empty would be removed by the next `systemctl disable`.
        """
        for pattern in STARTING:
            above, _, name = pattern.rpartition("/")
            for folder in self.disk(above).glob(name):
                inside = self.disk(f"{above}/{folder.name}")
                for started in inside.iterdir() if inside.is_dir() else [inside]:
                    if started.is_dir() and not started.is_symlink():
                        shutil.rmtree(started)
                    elif started.suffix != ".target":
                        started.unlink()
        for unit in MASKED:
            link = self.disk("/etc/systemd/system") / unit
            link.unlink(missing_ok=True)
            link.symlink_to("/dev/null")
        for name, text in (
            ("hostname", "box\n"), ("hosts", "127.0.0.1 localhost box\n::1 localhost\n"), ("fstab", ""),
        ):  # fmt: skip
            self.disk(f"/etc/{name}").write_text(text)

    # What may never be mistaken: a pid may be another process's a moment later, one of this machine's own, and its
    # namespaces this machine's. What is open stays what it was.

    def _pin(self, name: str, path: str) -> Path:
        self._pins[name] = os.open(path, os.O_PATH)
        return Path(f"/proc/{os.getpid()}/fd/{self._pins[name]}")

    def _unpin(self, *names: str) -> None:
        for name in names:
            os.close(self._pins.pop(name))

    def _pin_namespaces(self, pid: int, names: Iterable[str]) -> list[str]:
        """The words for nsenter. Raises BoxError if the process is none of the box."""
        words = []
        for name in names:
            pin = self._pin(f"{pid}/{name}", f"/proc/{pid}/ns/{name}")
            if pin.samefile(f"/proc/self/ns/{name}"):
                raise BoxError(f"process {pid} is in this machine's own {name} namespace")
            words.append(f"--{_NAMESPACES[name]}={pin}")
        return words

    # Power.

    def boot(self) -> None:
        """Switch on; returns when the init system says that all it starts at boot is started."""
        assert not self.pid_1, "it is on"
        assert self._warden.stdin is not None
        self._warden.stdin.write(json.dumps({"boot": [*_DROP, *self.init.words]}) + "\n")
        self._warden.stdin.flush()
        try:
            self.pid_1 = int(self._answer())
        except ValueError:
            raise BoxError(f"no pid 1: {self._complaint()}") from None
        try:
            self._pins["life"] = os.pidfd_open(self.pid_1)
            self._inside = self._pin_namespaces(self.pid_1, _NAMESPACES)
            self._await_ready()
            self._inside.append(f"--root={self._pin('root', f'/proc/{self.pid_1}/root')}")
        except OSError as error:
            raise BoxError(f"pid 1 ended: {error}: {self._complaint()}") from None

    def _await_ready(self) -> None:
        while True:
            ready, _, _ = select.select([self._ready.fileno(), self._pins["life"]], [], [], BOOT_WITHIN_S)
            if self._ready.fileno() not in ready:
                raise BoxError(f"it did not boot: {self._complaint()}")
            if b"READY=1" in self._ready.recv(4096).split(b"\n"):
                return

    def poweroff(self) -> None:
        """Switch off as people do, so that everything is stopped; returns when it is off."""
        self.run(*self.init.off, expect=None)
        if not select.select([self._pins["life"]], [], [], BOOT_WITHIN_S)[0]:
            raise BoxError(f"it is still on: {self._complaint()}")
        self._is_off()

    def reboot(self) -> None:
        """Switch off and on again, with the same disk."""
        self.poweroff()
        self.boot()

    def cut_power(self) -> None:
        """Everything ends at once, unasked."""
        signal.pidfd_send_signal(self._pins["life"], signal.SIGKILL)
        select.select([self._pins["life"]], [], [])
        self._is_off()

    def _is_off(self) -> None:
        self._unpin("life", "root", *(f"{self.pid_1}/{name}" for name in _NAMESPACES))
        self.pid_1 = 0
        while select.select([self._ready], [], [], 0)[0]:
            self._ready.recv(4096)

    def close(self) -> None:
        """Throw it away. Nothing is left of it, whatever runs in it."""
        self._warden.communicate()
        self._said.close()
        self._unpin(*self._pins)
        if hasattr(self, "_ready"):
            self._ready.close()

    # Inside.

    def run(
        self, *words: str, user: str = "", expect: int | None = 0, environment: dict[str, str] | None = None,
        text: str | None = None, within_s: float = 60.0,
    ) -> subprocess.CompletedProcess[str]:  # fmt: skip
        """Run a program in the booted box to its end, as root or `user`, without a terminal or a login."""
        assert self.pid_1, "it is off"
        drop = [*_DROP]
        if user:
            drop += [f"--reuid={user}", f"--regid={user}", "--init-groups"]
        home = f"/home/{user}" if user else "/root"
        variables = {"PATH": PATH, "HOME": home, "LANG": "C.UTF-8", **(environment or {})}
        set_up = ["env", "-i", *(f"{name}={value}" for name, value in variables.items())]
        done = subprocess.run(
            [*self._joined(), "nsenter", *self._inside, "--", *drop, *set_up, *words], input=text or "", capture_output=True, text=True,
            timeout=within_s, check=False,
        )  # fmt: skip
        assert expect is None or done.returncode == expect, (
            f"{words} gave {done.returncode}:\n{done.stdout}{done.stderr}"
        )
        return done

    def _joined(self) -> list[str]:
        """The words before a command that put it into the box's cgroup: else systemd could not say where it belongs."""
        by_hand = max(self._cgroup.glob("boot-*"), key=lambda path: int(path.name[5:])) / "by-hand"
        by_hand.mkdir(exist_ok=True)
        return ["sh", "-c", 'echo $$ > "$0" && exec "$@"', str(by_hand / "cgroup.procs")]

    def on_disk(self, *words: str, network: bool = False) -> subprocess.CompletedProcess[str]:
        """Run a program on the box's tree while it is off: with the real network, to install packages."""
        enter = ["nsenter", *self._holder, "--"]
        apart = ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--propagation=private", "--uts", "--ipc",
                 *(() if network else ("--net",))]  # fmt: skip
        text = (Path(__file__).parent / "tree.sh").read_text(encoding="utf-8")
        set_up = ["env", "-i", f"PATH={PATH}", "LANG=C.UTF-8"]
        done = subprocess.run(
            [*enter, *apart, "sh", "-c", f'{text}furnish; live_in_it; exec "$@"', "sh", *_DROP, *set_up, *words],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        if done.returncode:
            raise BoxError(f"{words} gave {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def disk(self, inside: str) -> Path:
        """A file on the box's disk, also while it is off: without what is mounted while it runs."""
        return within(self._held / "root", inside)

    def path(self, inside: str) -> Path:
        """A file of the booted box, also of its /run and /tmp, to be looked at from here."""
        return within(Path(f"/proc/{os.getpid()}/fd/{self._pins['root']}"), inside)

    def changed(self) -> dict[str, str]:
        """How its disk differs from this machine's: path -> kind, mode, owner and content, to be compared."""
        upper = self._held / "upper"
        found = {}
        for folder, names, files in os.walk(upper):
            for path in (os.path.relpath(f"{folder}/{name}", upper) for name in (*names, *files)):
                found[path] = describe(upper / path)
                if path not in self._below:  # once: this machine's own may change meanwhile
                    self._below[path] = describe(Path("/", path))
        # The overlay also has the folders above of all that was written, just as they were.
        return {f"/{path}": here for path, here in found.items() if here != self._below[path]}

    # What went wrong.

    def _answer(self) -> str:
        assert self._warden.stdout is not None
        return self._warden.stdout.readline().strip()

    def _complaint(self) -> str:
        self._said.seek(0)
        try:
            console = (self._held / "console").read_text(encoding="utf-8", errors="replace")
        except (OSError, AttributeError):
            console = ""
        return f"{self._said.read()}{console}".strip()
