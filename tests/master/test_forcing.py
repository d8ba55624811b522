"""One master a directory: what stands in the way of a start, and what --force does about it, with real processes."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import TWO, Box, eventually, kill_masters, living, proc_stat, wait_for_end


def _up(box: Box) -> tuple[list[int], int, int]:
    """The pids of two apps, of the watchdog and of the keeper."""
    box.write(TWO.format(probe=box.program("probe")))
    box.master("start")
    watchdog = box.master_pid()
    return [box.pid("one"), box.pid("two")], watchdog, int(proc_stat(watchdog)[1])


@pytest.mark.parametrize("verb", ["start", "restart"])
@pytest.mark.parametrize("frozen", ["watchdog", "both"])
def test_a_frozen_master_is_refused_by_its_pid_and_ended_by_force_and_each_app_is_there_once(
    box: Box, verb: str, frozen: str
) -> None:
    apps, watchdog, keeper = _up(box)
    for pid in (watchdog, keeper) if frozen == "both" else (watchdog,):
        os.kill(pid, signal.SIGSTOP)
    began_s = time.monotonic()
    refused = box.master(verb, "--timeout=0.3", expect=1).stderr
    assert time.monotonic() - began_s < 10
    for words in (
        f"the master (process {watchdog}) does not answer; it runs since 20",
        "master.py start",
        "SIGSTOP",
    ):
        assert words in refused
    assert all(living(pid) for pid in (*apps, watchdog, keeper))
    forced = box.master(verb, "--force", "--timeout=3").stdout
    for pid in (watchdog, keeper):
        assert f"process {pid} " in forced
        wait_for_end(pid)
    assert len(box.processes()) == 4
    if verb == "start":
        assert [box.pid("one"), box.pid("two")] == apps
        for pid in apps:
            assert f"running, process {pid}" in forced
    box.master("stop")
    assert box.processes() == []
    assert list(box.run.iterdir()) == []


@pytest.mark.parametrize("verb", ["stop", "reload", "try-restart"])
def test_a_frozen_master_is_named_to_those_who_want_something_else_of_it_too(box: Box, verb: str) -> None:
    apps, watchdog, _ = _up(box)
    os.kill(watchdog, signal.SIGSTOP)
    refused = box.master(verb, "--timeout=0.3", expect=1).stderr
    assert f"the master (process {watchdog}) does not answer; it runs since 20" in refused
    os.kill(watchdog, signal.SIGCONT)
    eventually(lambda: box.master("status", expect=None).returncode == 0)
    assert [box.pid("one"), box.pid("two")] == apps, "what was refused is not done later"


def test_a_frozen_master_whose_files_were_removed_is_not_called_another_program(box: Box) -> None:
    apps, watchdog, _ = _up(box)
    os.kill(watchdog, signal.SIGSTOP)
    for path in box.run.glob("kegbot_master.[psln]*"):
        if path.is_file() or path.is_socket():
            path.unlink()
    told = box.master("start", "--force", "--timeout=0.3", expect=1).stderr
    assert "its files there were removed" in told
    assert "another program" not in told
    os.kill(watchdog, signal.SIGCONT)
    eventually((box.run / "kegbot_master.sock").exists)
    assert [box.pid("one"), box.pid("two")] == apps


def test_several_who_force_at_once_say_nothing_untrue(box: Box) -> None:
    apps, watchdog, keeper = _up(box)
    for pid in (watchdog, keeper):
        os.kill(pid, signal.SIGSTOP)
    several = [
        subprocess.Popen(box.command("start", "--force", "--timeout=20"), stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, text=True, env={"HOME": str(box.home)})
        for _ in range(4)
    ]  # fmt: skip
    for said in [process.communicate(timeout=60)[0] for process in several]:
        assert "cannot be seen from here" not in said
        assert f"answers, process {watchdog};" not in said
    assert [box.pid("one"), box.pid("two")] == apps


def test_a_frozen_keeper_alone_is_replaced_by_force(box: Box) -> None:
    apps, watchdog, keeper = _up(box)
    os.kill(keeper, signal.SIGSTOP)
    assert f"process {keeper} (keeper) was halted, ended" in box.master("start", "--force").stdout
    wait_for_end(keeper)
    eventually(lambda: box.status()["master"]["state"] == "running" and len(box.processes()) == 4)
    assert [box.pid("one"), box.pid("two")] == apps
    assert int(proc_stat(box.master_pid())[1]) == watchdog, "the watchdog took its place"


def test_start_with_force_twice_is_one_master_and_each_app_once(box: Box) -> None:
    apps, watchdog, _ = _up(box)
    before = sorted(box.processes())
    for _ in range(2):
        told = box.master("start", "--force").stdout
        assert f"master: runs and answers, process {watchdog}; nothing to force" in told
        assert f"running, process {apps[0]}" in told
    assert sorted(box.processes()) == before


def test_force_is_not_needed_after_a_crash_and_says_so(box: Box) -> None:
    apps, watchdog, _ = _up(box)
    kill_masters(box)
    told = box.master("start", "--force").stdout
    assert f"the master before (process {watchdog}, since " in told
    assert "is dead; nothing to end" in told
    assert [box.pid("one"), box.pid("two")] == apps
    box.master("stop")
    assert "no master runs" in box.master("start", "--force").stdout


def test_a_master_in_the_foreground_refuses_to_be_the_second_and_may_end_a_frozen_first(box: Box) -> None:
    apps, watchdog, keeper = _up(box)
    refused = box.master("run", expect=1).stderr
    for words in (f"process {watchdog}, since 20", "and answers", "; stop ends it\n"):
        assert words in refused
    box.master("reexec")
    refused = box.master("run", "one", expect=1).stderr
    assert refused.endswith("; stop ends it, or have it start and show them: start one, then logs -f one\n")
    assert "_take_over" not in refused
    watchdog = box.master_pid()
    keeper = int(proc_stat(watchdog)[1])
    os.kill(watchdog, signal.SIGSTOP)
    second = subprocess.Popen(
        box.command("run", "--force", "--timeout=0.3"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={"HOME": str(box.home), "PATH": os.environ["PATH"]},
    )  # fmt: skip
    for pid in (watchdog, keeper):
        wait_for_end(pid)
    eventually(
        lambda: (box.run / "kegbot_master.pid").exists() and box.status()["master"]["pid"] == second.pid
    )
    eventually(lambda: [box.pid("one"), box.pid("two")] == apps)
    box.master("stop")
    assert second.wait(20) == 0


@pytest.mark.parametrize("flags", [[], ["--force"]])
def test_another_program_that_holds_the_lock_is_named_and_left_alone(box: Box, flags: list[str]) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    box.run.mkdir(mode=0o755)
    read_end, write_end = os.pipe()
    stranger = subprocess.Popen(
        ["flock", str(box.run), "sh", "-c", "echo locked; exec sleep 1000"], stdout=write_end,
        env={"HOME": str(box.home), "PATH": os.environ["PATH"]},
    )  # fmt: skip
    os.close(write_end)
    assert select.select([read_end], [], [], 20)[0]
    os.close(read_end)
    (box.run / "kegbot_master.pid").write_text(f"{os.getpid()}\n")
    refused = box.master("start", "--timeout=0.3", *flags, expect=1).stderr
    assert f"another program (process {stranger.pid}, since 20" in refused
    assert f"`flock {box.run} sh" in refused
    assert f"The pidfile names process {os.getpid()}, which is `" in refused
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


def test_a_pidfile_that_names_a_stranger_has_force_refused_and_nobody_ended(box: Box) -> None:
    apps, watchdog, keeper = _up(box)
    os.kill(watchdog, signal.SIGSTOP)
    stranger = subprocess.Popen(["sleep", "1000"], env={"HOME": str(box.home)})
    try:
        (box.run / "kegbot_master.pid").write_text(f"{stranger.pid}\n")
        refused = box.master("start", "--force", "--timeout=0.3", expect=1).stderr
        assert f"names process {stranger.pid}, which is `sleep 1000` and does not hold it" in refused
        assert all(living(pid) for pid in (*apps, watchdog, keeper, stranger.pid))
    finally:
        stranger.kill()
        stranger.wait()
        os.kill(watchdog, signal.SIGCONT)


def _as_they_were(lock: dict[str, object]) -> dict[str, object]:
    return lock


def _of_another_boot(lock: dict[str, object]) -> dict[str, object]:
    return lock | {"boot_id": "00000000-0000-0000-0000-000000000000"}


def _of_a_stranger(lock: dict[str, object]) -> dict[str, object]:
    return lock | {"pid": os.getpid()}


@pytest.mark.parametrize("change", [_as_they_were, _of_another_boot, _of_a_stranger])
def test_what_was_left_from_before_a_power_cut_stands_in_no_ones_way(
    box: Box, change: Callable[[dict[str, object]], dict[str, object]]
) -> None:
    _up(box)
    kept = {path: path.read_bytes() for path in box.run.rglob("*") if path.is_file()}
    kill_masters(box)
    for pid in box.processes():
        os.kill(pid, signal.SIGKILL)
        wait_for_end(pid)
    for path, content in kept.items():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    lock = box.run / "kegbot_master.lock"
    changed = change(json.loads(lock.read_text()))
    lock.write_text(json.dumps(changed))
    for path in box.run.glob("*.pid"):
        if changed["pid"] == os.getpid():
            path.write_text(f"{os.getpid()}\n")
    box.master("start")
    assert len(box.processes()) == 4
    assert box.app("one")["state"] == "running"
    assert json.loads(lock.read_text())["pid"] == box.master_pid()


def test_of_fifty_starts_at_once_one_wins_and_all_are_content(box: Box) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    environment = {"HOME": str(box.home), "PATH": os.environ["PATH"]}
    crowd = [
        subprocess.Popen(
            box.command("start"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
        )
        for _ in range(50)
    ]
    for one in crowd:
        out, err = one.communicate(timeout=60)
        assert one.returncode == 0, (out, err)
    assert len(box.processes()) == 4
    box.master("stop")
    assert list(box.run.iterdir()) == []
    box.master("start")
    kill_masters(box)
    box.master("start")
    assert len(box.processes()) == 4


def test_who_has_the_lock_can_be_read_and_what_makes_no_sense_there_harms_nobody(box: Box) -> None:
    _, watchdog, _ = _up(box)
    lock = box.run / "kegbot_master.lock"
    told = json.loads(lock.read_text())
    assert (told["pid"], told["start_ticks"]) == (watchdog, int(proc_stat(watchdog)[19]))
    assert told["boot_id"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert (box.run / "kegbot_master.pid").read_text() == f"{watchdog}\n", (
        "kill $(cat PIDFILE) must hit one process"
    )
    os.kill(watchdog, signal.SIGSTOP)
    for content in (b"", b"{}", b"[1]", b"\xff\xfe", b"[" * 9000, json.dumps(told | {"pid": "1"}).encode()):
        lock.write_bytes(content)
        # A version before this one left no such file: then the command line must be a master's.
        assert "does not answer" in box.master("status", "--timeout=0.1", expect=4).stderr
    os.kill(watchdog, signal.SIGCONT)


def test_without_daemon_start_a_dead_master_is_named_and_none_is_made(box: Box) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    assert "no master runs" in box.master("start", "one", "--no_daemon_start", expect=7).stderr
    assert box.processes() == []
    box.master("start")
    watchdog = box.master_pid()
    assert box.master("start", "--no_daemon_start").returncode == 0
    kill_masters(box)
    left = box.processes()
    assert f"(process {watchdog}, since 20" in box.master("start", "--no_daemon_start", expect=7).stderr
    assert box.processes() == left
