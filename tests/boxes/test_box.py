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
from tests.boxes.box import PYTHON, Box, Init
from tests.boxes.inits import PLAIN, SYSTEMD
from tests.boxes.tree import within
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
        assert "Read-only" in box.run("mkdir", "/sys/made", expect=None).stderr
        assert box.run("cat", "/proc/swaps").stdout == ""
        box.run("mknod", "/tmp/disk", "b", "254", "0", expect=1)
        box.run("date", "--set=2001-01-01", expect=1)
        assert box.run("stat", "--format=%d %i", ".").stdout == box.run("stat", "--format=%d %i", "/").stdout
        box.run("hostname", "changed")
        outside = box.run("sh", "-c", "cat /proc/self/cgroup /sys/fs/cgroup/cgroup.procs").stdout
        assert "0::/by-hand\n" in outside
        assert "kegmaster-box" not in box.run("ls", "/sys/fs/cgroup").stdout
    assert look() == before


def test_nothing_is_mounted_in_a_box_but_what_is_its_own(init: Init) -> None:
    """A new instance of each but sysfs, which is read-only: nothing like debugfs or efivarfs, one for all."""
    with Box(init) as box:
        mounts = [
            line.partition(" - ") for line in box.run("cat", "/proc/self/mountinfo").stdout.splitlines()
        ]
        kinds = {end.split()[0] for _, _, end in mounts}
        assert kinds <= {"overlay", "proc", "sysfs", "tmpfs", "devpts", "cgroup2", "mqueue"}
        assert all(start.split()[5].startswith("ro") for start, _, end in mounts if end.startswith("sysfs"))


def test_whoever_removes_and_kills_all_in_a_box_removes_and_kills_nothing_else() -> None:
    bystander = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    mine = [path for path in ("/etc/passwd", "/etc/hostname", "/home", PYTHON) if os.path.exists(path)]
    before = [os.stat(path).st_ino for path in mine]
    with Box(PLAIN) as box:
        box.run("sh", "-c", "rm -rf /etc /home /srv /boot; kill -9 -1", expect=None)
        assert not box.disk("/etc/passwd").exists()
    assert [os.stat(path).st_ino for path in mine] == before
    assert bystander.poll() is None
    bystander.communicate()


def test_links_in_a_box_lead_to_places_in_it(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/hosts").symlink_to("/store/hosts")
    (tmp_path / "store").symlink_to("../../../real")
    (tmp_path / "circle").symlink_to("circle")
    assert within(tmp_path, "/etc/hosts") == tmp_path / "real/hosts"
    assert within(tmp_path, "../../etc/./x/../passwd") == tmp_path / "etc/passwd"
    with pytest.raises(OSError, match="too many links"):
        within(tmp_path, "/circle/x")


@pytest.mark.parametrize("script", ["hold.sh", "tree.sh", "plain_init.py"])
def test_a_script_for_a_box_does_nothing_when_it_is_run_by_hand(script: str) -> None:
    file = Path(boxes.__file__).parent / script
    apart = [
        "unshare",
        "--mount",
        "--propagation=private",
        "--pid",
        "--fork",
        "sh",
        "-c",
        '"$@"; exit $?',
        "sh",
    ]
    by_hand = [*apart, PYTHON if script.endswith(".py") else "sh", str(file)]
    done = subprocess.run(
        by_hand, env={"NOTIFY_SOCKET": ""}, stdin=subprocess.DEVNULL, timeout=60, check=False
    )
    assert done.returncode == 1


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
