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
import stat
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

from . import warden

PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PYTHON: Final = "/usr/bin/python3"
READY_SOCKET: Final = "/run/host/notify"
BOOT_WITHIN_S: Final = 60.0
# Units that would look for hardware, set the clock or keep what only a real machine has.
MASKED: Final = (
    "systemd-sysctl.service", "systemd-modules-load.service", "systemd-udevd.service", "systemd-udev-trigger.service",
    "systemd-udevd-control.socket", "systemd-udevd-kernel.socket", "systemd-timesyncd.service",
    "systemd-random-seed.service", "systemd-remount-fs.service", "systemd-binfmt.service", "proc-sys-fs-binfmt_misc.automount",
    "kmod-static-nodes.service", "console-getty.service", "getty.target", "apt-daily.timer", "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer", "e2scrub_all.timer", "fstrim.timer", "systemd-networkd-wait-online.service",
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
        held = self._answer()
        if not held:
            self.close()
            raise BoxError(f"no box could be made: {self._complaint()}")
        self._held = Path(f"/proc/{held}/root/mnt")
        self.root = self._held / "root"
        """The file tree as it is on the box's disk: also while it is off, without what is mounted while it runs."""
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

        Links to targets stay: a folder of links that is empty would be removed by the next `systemctl disable`.
        """
        etc = self.root / "etc"
        for folder in (
            *etc.glob("systemd/system/*.wants"),
            *etc.glob("systemd/user/*.wants"),
            *etc.glob("rc?.d"),
        ):
            for link in folder.iterdir():
                if link.suffix != ".target":
                    link.unlink()
        for unit in MASKED:
            link = etc / "systemd/system" / unit
            link.unlink(missing_ok=True)
            link.symlink_to("/dev/null")
        (etc / "hostname").write_text("box\n")
        (etc / "hosts").write_text("127.0.0.1 localhost box\n::1 localhost\n")
        (etc / "fstab").write_text("")

    # Power.

    def boot(self) -> None:
        """Switch on; returns when the init system says that all it starts at boot is started."""
        assert not self.pid_1, "it is on"
        assert self._warden.stdin is not None
        self._warden.stdin.write(json.dumps({"boot": self.init.words}) + "\n")
        self._warden.stdin.flush()
        try:
            self.pid_1 = int(self._answer())
        except ValueError:
            raise BoxError(f"no pid 1: {self._complaint()}") from None
        self._await_ready()

    def _await_ready(self) -> None:
        end = os.pidfd_open(self.pid_1)
        try:
            while True:
                ready, _, _ = select.select([self._ready.fileno(), end], [], [], BOOT_WITHIN_S)
                if self._ready.fileno() in ready:
                    if b"READY=1" in self._ready.recv(4096).split(b"\n"):
                        return
                    continue
                raise BoxError(f"it did not boot: {self._complaint()}")
        finally:
            os.close(end)

    def poweroff(self) -> None:
        """Switch off as people do, so that everything is stopped; returns when it is off."""
        end = os.pidfd_open(self.pid_1)
        try:
            self.run(*self.init.off, expect=None)
            if not select.select([end], [], [], BOOT_WITHIN_S)[0]:
                raise BoxError(f"it is still on: {self._complaint()}")
        finally:
            os.close(end)
        self.pid_1 = 0
        self._forget_messages()

    def reboot(self) -> None:
        """Switch off and on again, with the same disk."""
        self.poweroff()
        self.boot()

    def cut_power(self) -> None:
        """Everything ends at once, unasked."""
        end = os.pidfd_open(self.pid_1)
        signal.pidfd_send_signal(end, signal.SIGKILL)
        select.select([end], [], [])
        os.close(end)
        self.pid_1 = 0
        self._forget_messages()

    def _forget_messages(self) -> None:
        while select.select([self._ready], [], [], 0)[0]:
            self._ready.recv(4096)

    def close(self) -> None:
        """Throw it away. Nothing is left of it, whatever runs in it."""
        self._warden.communicate()
        self._said.close()

    # Inside.

    def run(
        self, *words: str, user: str = "", expect: int | None = 0, environment: dict[str, str] | None = None,
        text: str | None = None, within_s: float = 60.0,
    ) -> subprocess.CompletedProcess[str]:  # fmt: skip
        """Run a program in the booted box to its end, as root or `user`, without a terminal or a login."""
        enter = ["nsenter", f"--target={self.pid_1}", "--all", "--root", "--wd", "--"]
        drop = ["setpriv", "--bounding-set=-sys_module,-sys_rawio,-sys_time,-mknod,-syslog"]
        if user:
            drop += [f"--reuid={user}", f"--regid={user}", "--init-groups"]
        home = f"/home/{user}" if user else "/root"
        variables = {"PATH": PATH, "HOME": home, "LANG": "C.UTF-8", **(environment or {})}
        set_up = ["env", "-i", *(f"{name}={value}" for name, value in variables.items())]
        done = subprocess.run(
            [*self._joined(), *enter, *drop, *set_up, *words], input=text or "", capture_output=True, text=True,
            timeout=within_s, check=False,
        )  # fmt: skip
        assert expect is None or done.returncode == expect, (
            f"{words} gave {done.returncode}:\n{done.stdout}{done.stderr}"
        )
        return done

    def _joined(self) -> list[str]:
        """The words before a command that put it into the box's cgroup: else systemd could not say where it belongs."""
        lines = Path(f"/proc/{self.pid_1}/cgroup").read_text(encoding="utf-8").splitlines()
        base = warden.cgroup2()
        assert base is not None
        own = next(line.partition("::")[2] for line in lines if line.startswith("0::"))
        top = base / "/".join(part for part in own.split("/")[:3] if part)
        by_hand = top / "by-hand"
        by_hand.mkdir(exist_ok=True)
        return ["sh", "-c", 'echo $$ > "$0" && exec "$@"', str(by_hand / "cgroup.procs")]

    def on_disk(self, *words: str, network: bool = False) -> subprocess.CompletedProcess[str]:
        """Run a program on the box's tree while it is off: with the real network, to install packages."""
        proc = 'mount -t proc proc /mnt/root/proc && mount --bind /dev /mnt/root/dev && exec chroot /mnt/root "$@"'
        enter = ["nsenter", f"--mount={self._held.parent.parent}/ns/mnt", "--"]
        apart = ["unshare", "--mount", "--propagation=private"] + ([] if network else ["--net"])
        done = subprocess.run(
            [*enter, *apart, "sh", "-c", proc, "sh", "env", "-i", f"PATH={PATH}", "LANG=C.UTF-8", *words],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        if done.returncode:
            raise BoxError(f"{words} gave {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def path(self, inside: str) -> Path:
        """A file of the booted box, also of its /run and /tmp, to be looked at from here."""
        return Path(f"/proc/{self.pid_1}/root") / inside.lstrip("/")

    def changed(self) -> dict[str, str]:
        """How its disk differs from this machine's: path -> kind, mode, owner and content, to be compared."""
        upper = self._held / "upper"
        found = {
            path: (_describe(upper / path), _describe(Path("/", path)))
            for folder, names, files in os.walk(upper)
            for path in (os.path.relpath(f"{folder}/{name}", upper) for name in (*names, *files))
        }
        # The overlay also has the folders above of all that was written, just as they were.
        return {f"/{path}": here for path, (here, there) in found.items() if here != there}

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


def _describe(path: Path) -> str:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return ""
    head = f"{stat.filemode(found.st_mode)} {found.st_uid}:{found.st_gid}"
    if stat.S_ISLNK(found.st_mode):
        return f"{head} -> {path.readlink()}"
    if stat.S_ISREG(found.st_mode):
        return f"{head} {path.read_bytes().hex()}"
    return head
