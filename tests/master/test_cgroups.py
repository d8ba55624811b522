"""A cgroup for each app, where the kernel lets us make one: what dropped all marks does not get away."""

from __future__ import annotations

import binascii
import os
import signal
import sys
from pathlib import Path

import pytest

from kegmaster import cgroups, launching, spawn
from kegmaster.cgroups import Leaves
from kegmaster.journal import Journal

from .conftest import Box, eventually, living, proc_stat, wait_for_end

HYBRID = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:7 - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:8 master:2 - cgroup2 cgroup2 rw
"""


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (HYBRID, ("/sys/fs/cgroup/unified", "")),
        ("30 24 0:26 /pod/one /sys/fs/cgroup ro - cgroup2 cgroup rw", ("/sys/fs/cgroup", "/pod/one")),
        ("30 24 0:26 / /mnt/cgroup2 rw - tmpfs cgroup2 rw", None),
        ("30 24 0:26 / /with\\040blank rw - cgroup2 cgroup2 rw", None),
        ("nonsense\n - cgroup2 \n", None),
        ("", None),
    ],
)
def test_the_mount_is_found_by_its_type(text: str, found: tuple[str, str] | None) -> None:
    assert cgroups.mount_of(text) == found


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("9:name=systemd:/\n4:memory:/x\n0::/user.slice/a:b\n", "/user.slice/a:b"),
        ("0::/\n", "/"),
        ("4:memory:/x\n", ""),
        ("", ""),
    ],
)
def test_our_place_is_that_of_the_unified_hierarchy(text: str, place: str) -> None:
    assert cgroups.place_in(text) == place


@pytest.mark.parametrize(
    ("place", "above", "answer"),
    [("/a/b", "/a", True), ("/a", "/a", True), ("/ab", "/a", False), ("/a", "/", True), ("", "/", False)],
)
def test_a_place_is_within_another_by_whole_names(place: str, above: str, answer: bool) -> None:
    assert cgroups.within(place, above) is answer


def journal(tmp_path: Path) -> Journal:
    return Journal(str(tmp_path / "log"), verbose=True)


def fake(tmp_path: Path, *names: str) -> str:
    for name in names:
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "cgroup.procs").touch()
    return str(tmp_path)


def test_each_master_and_app_has_its_own_below_the_masters_place(tmp_path: Path) -> None:
    point = fake(tmp_path, "ours")
    leaf = Leaves("/run/kegbot", (point, ""), "/ours", journal(tmp_path)).of("app")
    other = Leaves("/run/other", (point, ""), "/ours", journal(tmp_path)).of("app")
    assert leaf is not None
    assert other is not None
    assert leaf.place == f"/ours/kegmaster-{binascii.crc32(b'/run/kegbot'):08x}-app"
    assert leaf.path == f"{point}{leaf.place}"
    assert leaf.path != other.path


def test_in_a_container_places_are_counted_from_the_mounts_root(tmp_path: Path) -> None:
    point = fake(tmp_path, "ours")
    leaf = Leaves("/run", (point, "/pod"), "/pod/ours", journal(tmp_path)).of("app")
    assert leaf is not None
    assert leaf.path.startswith(f"{point}/ours/kegmaster-")
    for outside in ("/", "/other", "/pod/../other", ""):
        with pytest.raises(OSError, match="is not below"):
            Leaves("/run", (point, "/pod"), outside, journal(tmp_path))


def test_an_app_that_started_its_own_master_again_is_not_caught_with_that_master(tmp_path: Path) -> None:
    name = f"kegmaster-{binascii.crc32(b'/run'):08x}-app"
    found = Leaves("/run", (fake(tmp_path, name), ""), f"/{name}", journal(tmp_path))
    inner = found.of("app")
    assert inner is not None
    assert inner.place == f"/{name}/{name}", "below our own place, and not that"
    found._place = f"/{name}/elsewhere"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cgroups, "place_of", lambda _: f"/{name}")
        assert found.of("app", 4711) is None


def test_where_it_cannot_be_written_to_there_are_none_and_one_debug_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroups, "mount_of", lambda _: (str(tmp_path / "nothing"), ""))
    assert launching.find_leaves("/run", journal(tmp_path)) is None
    log = tmp_path / "log"
    if log.exists():  # else there is no cgroup2 at all
        assert log.read_text().count("going on without cgroups") == 1


def test_what_the_kernel_refuses_is_not_tried_again(tmp_path: Path) -> None:
    found = Leaves("/run", (fake(tmp_path, "ours"), ""), "/ours", journal(tmp_path))
    leaf, second = found.of("one"), found.of("two")
    assert leaf is not None
    assert second is not None
    for one in (leaf, second):
        with pytest.raises(OSError, match="clone3"):  # a plain directory is no cgroup
            one.fork()
    assert found.of("one") is None
    assert (tmp_path / "log").read_text().count("DEBUG") == 1


def test_an_app_is_launched_all_the_same_where_the_kernel_refuses(tmp_path: Path) -> None:
    leaf = Leaves("/run", (fake(tmp_path, "ours"), ""), "/ours", journal(tmp_path)).of("app")
    with open(os.devnull, "wb") as output:
        launch = spawn.Launch(
            path="/bin/true", argv=("true",), environment={}, output=output.fileno(), leaf=leaf
        )
        batch = spawn.hold([launch])
        batch.release()
    (held,) = batch.held
    assert isinstance(held, spawn.Held)
    assert os.waitpid(held.pid, 0) == (held.pid, 0)
    os.close(held.report)


# For real

REAL = launching.find_leaves("/nowhere", Journal(os.devnull))
real = pytest.mark.skipif(REAL is None, reason="no cgroup2 hierarchy that may be written to")

# Drops every mark, leaves its parents and says who it is.
ESCAPER = """#!{python} -IS
import os, resource, signal, sys
if sys.argv[1:] != ["free"]:
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        hard = resource.getrlimit(resource.RLIMIT_MSGQUEUE)[1]
        resource.setrlimit(resource.RLIMIT_MSGQUEUE, (12345, hard))
        os.execve(sys.executable, [sys.executable, "-IS", __file__, "free"], {{}})
    os.wait()
else:
    os.setsid() if os.getsid(0) != os.getpid() else None
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with open(__file__ + ".new", "w") as file:
        file.write(str(os.getpid()))
    os.rename(__file__ + ".new", __file__ + ".pid")
while True:
    signal.pause()
"""


def leaf_of(box: Box, app: str) -> Path:
    found = launching.find_leaves(str(box.run), Journal(os.devnull))
    leaf = found.of(app) if found else None
    assert leaf is not None
    return Path(leaf.path)


def escapee(program: Path) -> int:
    file = program.with_suffix(".py.pid")
    eventually(file.exists)
    pid = int(file.read_text())
    file.unlink()
    assert Path(f"/proc/{pid}/environ").read_bytes() == b""
    return pid


@real
def test_a_process_that_dropped_all_marks_is_gone_after_a_stop_and_before_a_restart(box: Box) -> None:
    program = box.program("app.py", ESCAPER.format(python=sys.executable))
    box.write(f"[app]\n_enabled = True\n_timeout_stop_sec = 0.5\n_command = {program}\n")
    pids = []
    try:
        box.master("start")
        pids.append(escapee(program))
        main = box.pid("app")
        assert str(main) in (leaf_of(box, "app") / "cgroup.procs").read_text().split()
        os.kill(main, signal.SIGKILL)
        pids.append(escapee(program))
        assert not living(pids[0]), "the next instance began when nothing of the last one lived"
        box.master("stop")
        assert [pid for pid in pids if living(pid)] == []
        assert not leaf_of(box, "app").exists()
    finally:
        for pid in pids:
            if living(pid) and int(proc_stat(pid)[3]) != os.getsid(0):
                os.kill(pid, signal.SIGKILL)


@real
@pytest.mark.parametrize("main_too", [False, True])
def test_it_is_found_by_the_next_master_too(box: Box, main_too: bool) -> None:
    program = box.program("app.py", ESCAPER.format(python=sys.executable))
    box.write(f"[app]\n_enabled = True\n_timeout_stop_sec = 0.5\n_command = {program}\n")
    pid = 0
    try:
        box.master("start")
        pid, app, watchdog = escapee(program), box.pid("app"), box.master_pid()
        for one in (int(proc_stat(watchdog)[1]), watchdog, *[app] * main_too):
            os.kill(one, signal.SIGKILL)
            wait_for_end(one)
        box.master("stop")
        assert not living(pid)
        assert box.processes() == []
        assert not leaf_of(box, "app").exists()
    finally:
        if pid and living(pid):
            os.kill(pid, signal.SIGKILL)


@real
def test_cgroups_that_the_app_made_below_its_own_are_searched_and_removed(box: Box) -> None:
    program = box.program("app.py", ESCAPER.format(python=sys.executable))
    box.write(f"[app]\n_enabled = True\n_timeout_stop_sec = 0.5\n_command = {program}\n")
    pid = 0
    try:
        box.master("start")
        pid, leaf = escapee(program), leaf_of(box, "app")
        inner = leaf / "made" / "deeper"
        inner.mkdir(parents=True)
        (inner / "cgroup.procs").write_text(str(pid))
        box.master("stop")
        assert not living(pid)
        assert not leaf.exists()
    finally:
        if pid and living(pid):
            os.kill(pid, signal.SIGKILL)
