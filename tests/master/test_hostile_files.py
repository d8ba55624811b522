"""Whatever stands in the run directory, the others are watched, and nothing is taken for gone that lives."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import TWO, Box, eventually, kill_masters, living


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("pid", 1 << 62),
        ("pid", 1 << 31),
        ("session", 1 << 31),
        ("pidfile", "/tmp/a\0b"),
        ("logfile", "/tmp/a\0b"),
        ("pidfile", "/tmp/\ud800"),
        ("pidfile", "relative.pid"),
        ("argv", ["a\0b"]),
    ],
)
def test_a_record_with_a_value_that_cannot_be_is_set_aside_and_the_others_are_watched(
    box: Box, field: str, value: object
) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    box.master("start")
    pids = [box.pid("one"), box.pid("two")]
    kill_masters(box)
    record = box.run / "kegbot_master.records" / "one.run"
    record.write_text(json.dumps(json.loads(record.read_text()) | {field: value}))
    box.master("start")
    assert [box.pid("one"), box.pid("two")] == pids  # one was found by its marks
    assert "unreadable run record" in (box.log / "kegbot_master.log").read_text()
    box.master("stop")
    assert box.processes() == []


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _stale(path: Path) -> None:
    path.write_text("{")


@pytest.mark.parametrize("make", [_fifo, _stale])
def test_what_lies_where_a_record_is_written_holds_nobody_up(box: Box, make: Callable[[Path], None]) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    box.master("start")
    kill_masters(box)
    make(box.run / "kegbot_master.records" / "one.run.new")
    box.master("start")
    box.master("restart", "one")
    assert box.app("one")["state"] == "running"


def test_a_record_that_cannot_be_set_aside_stays_and_refuses_nothing(box: Box) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    records = box.run / "kegbot_master.records"
    for name in ("one.run", "one.run.unreadable/full"):
        (records / name).mkdir(parents=True)
    box.run.chmod(0o700)
    records.chmod(0o700)
    box.master("start")
    assert box.app("two")["state"] == "running"


def test_records_behind_a_symlink_are_refused(box: Box) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    box.run.mkdir(mode=0o700)
    (box.directory / "elsewhere").mkdir()
    (box.run / "kegbot_master.records").symlink_to(box.directory / "elsewhere")
    assert "is a symlink or another user's; remove it" in box.master("start", expect=1).stderr
    (box.run / "kegbot_master.records").unlink()


def test_apps_whose_run_directory_was_lost_with_their_masters_are_seen_and_stopped(box: Box) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    box.master("start")
    pids = [box.pid("one"), box.pid("two")]
    kill_masters(box)
    for path in sorted(box.run.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    report = json.loads(box.master("status", "--json", expect=1).stdout)
    assert [(row["name"], row["state"], row["pid"]) for row in report["apps"]] == [
        ("one", "running", pids[0]),
        ("two", "running", pids[1]),
    ]
    box.master("stop")
    assert not any(living(pid) for pid in pids)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_apps_are_started_though_the_run_directory_is_full(box: Box) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    box.run.mkdir(mode=0o700)
    options = "size=64k,mode=700"
    if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", box.run], check=False).returncode:
        pytest.skip("mounts are not allowed here")
    try:
        with (box.run / "fill").open("wb", buffering=0) as fill, contextlib.suppress(OSError):
            while True:
                fill.write(b"." * 4096)
        box.master("start", expect=None)
        assert {row["state"] for row in box.status()["apps"]} == {"running"}
        (box.run / "fill").unlink()
        box.master("restart")
        eventually(lambda: (box.run / "one.pid").exists())
        box.master("stop")
        assert box.processes() == []
    finally:
        subprocess.run(["umount", "-l", box.run], check=True)


def test_an_app_that_makes_its_own_master_can_be_stopped_without_ending_that(box: Box) -> None:
    box.write("[one]\n_command = {probe}\n[two]\n_command = {probe}\n".format(probe=box.program("probe")))
    box.master("start", "one")
    kill_masters(box)
    # As the app would do it: a master that bears the app's marks.
    environ = Path(f"/proc/{max(box.processes())}/environ").read_bytes().split(b"\0")
    marks = dict(word.decode().split("=", 1) for word in environ if b"=" in word)
    subprocess.run(box.command("start", "two"), env=marks, check=True, stdout=subprocess.DEVNULL)
    box.master("stop", "one")
    assert box.status()["master"]["state"] == "running"
    assert box.app("two")["state"] == "running"


def test_a_fifo_in_place_of_the_launchers_own_log_holds_nobody_up(box: Box) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    box.master("start")
    (box.log / "kegbot_master.log").unlink()
    os.mkfifo(box.log / "kegbot_master.log")
    box.master("restart", "one")
    assert box.app("one")["state"] == "running"


@pytest.mark.parametrize(
    "key", ["_user", "_pidfile_dir", "_environment_file", "_health", "_on_failure", "port"]
)
def test_a_nul_in_the_configuration_is_a_line_with_its_place_and_ends_nothing(box: Box, key: str) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    box.master("start")
    before = box.master_pid()
    with box.config.open("a") as config:
        config.write(f"[nul]\n_enabled = True\n_command = {box.program('probe')}\n{key} = a\0b\n")
    assert "[nul]: there is a NUL character; take it out" in box.master("configtest", expect=6).stderr
    assert "there is a NUL character" in box.master("reload", expect=6).stderr
    assert box.master_pid() == before


@pytest.mark.parametrize(
    "words", ["DBPASS:sekret", "1PW=sekret", "PW sekret", 'PW="sekret', "A=1 TOK:sekret"]
)
def test_a_malformed_environment_is_said_without_its_values(box: Box, words: str) -> None:
    box.write(f"[app]\n_enabled = True\n_command = {box.program('probe')}\n_environment = {words}\n")
    told = box.master("configtest", expect=6)
    assert "_environment: its value is no good" in told.stderr
    assert "sekret" not in told.stderr + told.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="what others may write harms root only")
def test_an_environment_that_others_may_write_is_refused_for_root(box: Box) -> None:
    secrets = box.config.parent / "secrets"
    secrets.write_text("A=1\n")
    secrets.chmod(0o666)
    box.write(f"[app]\n_enabled = True\n_command = {box.program('probe')}\n_environment_file = {secrets}\n")
    told = box.master("configtest", expect=6).stderr
    assert f"_environment_file: {secrets} can be written by others than root; chown root {secrets}" in told
    secrets.chmod(0o644)
    box.master("configtest")


def test_a_master_in_the_foreground_waits_for_nobody_who_reads_what_it_says(box: Box) -> None:
    box.write(f"[bad]\n_enabled = True\n_restart_max_delay_sec = 0\n_command = {box.program('no')} x\n")
    box.program("no", "#!/bin/sh\nexit 3\n")
    read_end, write_end = os.pipe()
    fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, 4096)
    master = subprocess.Popen(box.command("run"), stdout=write_end, stderr=subprocess.DEVNULL)
    os.close(write_end)
    try:
        eventually(lambda: (box.run / "kegbot_master.sock").exists() and box.app("bad")["restarts"] > 50)
        master.terminate()
        assert master.wait(timeout=20) == 0
    finally:
        os.close(read_end)
        master.kill()
        master.wait()


def test_a_master_that_is_stopped_is_said_not_to_answer(box: Box) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    box.master("start")
    watchdog = box.master_pid()
    os.kill(watchdog, signal.SIGSTOP)
    told = box.master("status", "--timeout=0.3", expect=4)
    assert f"the master (process {watchdog}) does not answer" in told.stderr
    os.kill(watchdog, signal.SIGCONT)
