"""The boxes themselves: real boots, and nothing of them reaches this machine or stays on it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.boxes import box as boxes
from tests.boxes import warden
from tests.boxes.box import Box, Init
from tests.boxes.inits import PLAIN, SYSTEMD
from tests.master.conftest import eventually

pytestmark = pytest.mark.skipif(bool(boxes.why_not()), reason=boxes.why_not() or "can")
needs_systemd = pytest.mark.skipif(not os.path.exists(SYSTEMD.words[0]), reason="no systemd")


@pytest.fixture(
    params=[pytest.param(SYSTEMD, marks=needs_systemd, id="systemd"), pytest.param(PLAIN, id="plain")]
)
def init(request: pytest.FixtureRequest) -> Init:
    made: Init = request.param
    return made


def test_a_box_boots_reboots_and_keeps_its_disk(init: Init) -> None:
    with Box(init) as box:
        first = box.run("cat", "/proc/sys/kernel/random/boot_id").stdout
        box.run("sh", "-c", "echo kept > /etc/written; echo lost > /run/written")
        box.reboot()
        assert box.run("cat", "/proc/sys/kernel/random/boot_id").stdout != first
        assert box.run("cat", "/etc/written").stdout == "kept\n"
        box.run("test", "-e", "/run/written", expect=1)
        box.cut_power()
        box.boot()
        assert box.run("cat", "/etc/written").stdout == "kept\n"
        assert "/etc/written" in box.changed()
    assert not os.path.exists("/etc/written")


def test_kernel_settings_and_cgroups_of_this_machine_are_out_of_reach(init: Init) -> None:
    def look() -> list[str]:
        return [Path(name).read_text() for name in ("/proc/sys/kernel/hostname", "/proc/sys/vm/swappiness")]

    before = look()
    with Box(init) as box:
        assert "Read-only" in box.run("sh", "-c", "echo 1 > /proc/sys/vm/swappiness", expect=None).stderr
        assert "Read-only" in box.run("mkdir", "/sys/kernel/made", expect=None).stderr
        box.run("mknod", "/tmp/disk", "b", "254", "0", expect=1)
        assert box.run("stat", "--format=%d %i", ".").stdout == box.run("stat", "--format=%d %i", "/").stdout
        box.run("hostname", "changed")
        outside = box.run("sh", "-c", "cat /proc/self/cgroup /sys/fs/cgroup/cgroup.procs").stdout
        assert "0::/by-hand\n" in outside
        assert "kegmaster-box" not in box.run("ls", "/sys/fs/cgroup").stdout
    assert look() == before


HANGS = """
import sys
from tests.boxes.box import Box
from tests.boxes.inits import SYSTEMD
with Box(SYSTEMD) as box:
    print(box._warden.pid, box.pid_1, flush=True)
    sys.stdin.read()
"""


@needs_systemd
def test_a_test_that_is_killed_leaves_nothing_of_its_box() -> None:
    """No process, no cgroup; and the mounts are the namespaces' own, which end with their processes."""
    root = Path(__file__).resolve().parent.parent.parent
    test = subprocess.Popen(
        [sys.executable, "-c", HANGS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root
    )
    assert test.stdout is not None
    warden_pid, pid_1 = (int(word) for word in test.stdout.readline().split())
    base = warden.cgroup2()
    assert base is not None
    left = base / f"{warden.NAME}{warden_pid}"
    assert left.exists()
    test.send_signal(signal.SIGKILL)
    test.communicate()
    eventually(
        lambda: not any(path.exists() for path in (Path(f"/proc/{warden_pid}"), Path(f"/proc/{pid_1}"), left))
    )
