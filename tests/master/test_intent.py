"""What a person stopped by name stays stopped, whatever falls, until a person starts it."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kegmaster.intent import Intent

from .conftest import MASTER, Box, cared_for, eventually, kill_masters, wait_for_end

THREE = """
    [one]
    _enabled = True
    _command = {probe}
    [two]
    _enabled = True
    _command = {probe}
    _requires = one
    [three]
    _enabled = True
    _command = {probe}
"""


class Machine(Box):
    """A box whose run directory a reboot takes away, and whose state directory it does not."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.state = directory / "state"
        self.remembered = self.state / "kegbot_master.stopped"

    def command(self, *words: str) -> list[str]:
        return [*super().command(*words), f"--state_dir={self.state}"]

    def power_cut(self) -> None:
        """Nothing of the launcher, its apps and its run directory is left."""
        kill_masters(self)
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
            wait_for_end(pid)
        assert self.processes() == []
        shutil.rmtree(self.run)

    def running(self) -> list[str]:
        return [row["name"] for row in self.status()["apps"] if row["state"] == "running"]


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with cared_for(Machine(tmp_path)) as made:
        made.write(THREE.format(probe=made.program("probe")))
        yield made


def test_a_stop_by_hand_outlives_a_reboot(machine: Machine) -> None:
    machine.master("start")
    machine.master("stop", "three")
    assert machine.app("three")["reason"] == "stopped by hand"
    machine.power_cut()
    told = machine.master("start").stdout.splitlines()
    assert told[0] == "three: left stopped, as you asked; master.py start three starts it"
    assert machine.running() == ["one", "two"]
    assert (machine.app("three")["state"], machine.app("three")["reason"]) == ("stopped", "stopped by hand")
    assert machine.master("start", "three").stdout.startswith("three: running")
    machine.power_cut()
    machine.master("start")
    assert machine.running() == ["one", "two", "three"]
    assert not machine.remembered.exists()


def test_what_went_down_with_it_stays_down_with_it(machine: Machine) -> None:
    machine.master("start")
    machine.master("stop", "one")
    machine.power_cut()
    assert "two: left stopped" in machine.master("start").stdout
    assert machine.running() == ["three"]
    machine.master("start", "two")
    assert machine.running() == ["one", "two", "three"], "two requires one: both are wanted again"
    assert not machine.remembered.exists()


def test_an_app_that_cannot_do_without_a_stopped_one_is_left_stopped_too(machine: Machine) -> None:
    machine.master("start")
    machine.master("stop", "three")
    machine.power_cut()
    with machine.config.open("a") as file:
        file.write(f"[new]\n_enabled = True\n_command = {machine.directory / 'probe'}\n_requires = three\n")
    assert "new: left stopped" in machine.master("start").stdout
    assert machine.running() == ["one", "two"]


@pytest.mark.parametrize("verb", ["start", "restart"])
def test_who_starts_everything_by_hand_wants_everything(machine: Machine, verb: str) -> None:
    machine.master("start")
    machine.master("stop", "three")
    machine.master(verb)
    assert machine.running() == ["one", "two", "three"]
    assert not machine.remembered.exists()


def test_a_restart_by_name_is_a_start(machine: Machine) -> None:
    machine.master("start")
    machine.master("stop", "three")
    machine.master("restart", "three")
    machine.power_cut()
    machine.master("start")
    assert machine.running() == ["one", "two", "three"]


def test_neither_reload_nor_try_restart_starts_what_was_stopped_by_hand(machine: Machine) -> None:
    machine.master("start")
    machine.master("stop", "three")
    machine.master("reload")
    assert "three: left stopped" in machine.master("try-restart").stdout
    watchdog = machine.master_pid()
    os.kill(watchdog, signal.SIGKILL)
    wait_for_end(watchdog)
    eventually(lambda: machine.status()["master"]["state"] == "running")
    assert machine.master("reload").stdout == "nothing changed\n"
    assert machine.running() == ["one", "two"]


def test_a_shutdown_is_no_stop_by_hand_and_forgets_none(machine: Machine) -> None:
    machine.master("start")
    machine.master("stop", "three")
    machine.master("stop")
    machine.master("start")
    assert machine.running() == ["one", "two"]
    machine.master("start")
    machine.master("stop")
    machine.master("start")
    assert machine.running() == ["one", "two", "three"]


def test_a_stop_while_no_master_runs_is_remembered_as_well(machine: Machine) -> None:
    assert machine.master("stop", "three").stdout == "nothing is running\n"
    machine.master("start")
    assert machine.running() == ["one", "two"]
    assert (
        json.loads(machine.master("status", "--json", "three", expect=3).stdout)["apps"][0]["reason"]
        == "stopped by hand"
    )


def test_run_honours_it_too_and_says_so(machine: Machine) -> None:
    machine.master("stop", "three")
    master = subprocess.Popen(
        machine.command("run"), stdout=subprocess.PIPE, text=True, env={"HOME": str(machine.home)}
    )
    assert master.stdout is not None
    assert any("three: left stopped, as you asked" in line for line in master.stdout)
    eventually(lambda: machine.running() == ["one", "two"])
    master.terminate()
    master.communicate(timeout=20)
    assert master.returncode == 0


def test_a_stop_that_was_noted_is_carried_out_though_everything_was_killed_before(machine: Machine) -> None:
    machine.master("start")
    pid = machine.pid("three")
    kill_masters(machine)
    assert Intent(str(machine.remembered)).add(["three"]) == ""
    machine.master("start")
    wait_for_end(pid)
    assert machine.running() == ["one", "two"]


def test_the_file_is_its_owners_and_holds_names(machine: Machine) -> None:
    machine.master("start")
    machine.master("stop", "one")
    assert machine.remembered.read_text() == "one\ntwo\n"
    assert machine.remembered.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in machine.state.iterdir()] == ["kegbot_master.stopped"]


def test_without_a_state_directory_it_is_kept_in_the_run_directory(box: Box) -> None:
    box.write(THREE.format(probe=box.program("probe")))
    box.master("start")
    box.master("stop", "three")
    assert (box.run / "kegbot_master.stopped").read_text() == "three\n"
    shutil.rmtree(box.run, ignore_errors=True)  # the master makes its files anew meanwhile
    assert eventually((box.run / "kegbot_master.stopped").exists), "it is made anew with the other files"
    box.master("stop")
    box.master("start")
    assert box.app("three")["reason"] == "stopped by hand"


@pytest.mark.parametrize("root", [True, False])
def test_users_have_it_where_their_state_is(
    tmp_path: Path, root: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kegmaster.command import Command
    from kegmaster.flags import parse

    monkeypatch.setattr(os, "geteuid", lambda: 0 if root else 1000)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", f"{tmp_path}/state")
    made = Command(parse(["status"], "master.py"), str(MASTER))
    assert (
        made.run_directory.stopped
        == f"{'/var/lib' if root else tmp_path / 'state'}/kegbot/kegbot_master.stopped"
    )
    given = Command(parse(["status", f"--pidfile_dir={tmp_path}/run"], "master.py"), str(MASTER))
    assert given.run_directory.stopped == f"{tmp_path}/run/kegbot_master.stopped"


def _link(path: Path) -> None:
    path.with_suffix(".elsewhere").write_text("three\n")
    path.symlink_to(path.with_suffix(".elsewhere"))


def _loose(path: Path) -> None:
    path.write_text("three\n")
    path.chmod(0o666)


BAD: dict[str, Callable[[Path], object]] = {
    "a FIFO": lambda path: os.mkfifo(path),
    "a directory": lambda path: path.mkdir(),
    "a symlink": _link,
    "writable by all": _loose,
    "no names": lambda path: path.write_bytes(b"three\n../../etc/passwd\n"),
    "bytes": lambda path: path.write_bytes(bytes(range(256))),
    "too long": lambda path: path.write_bytes(b"three\n" * 400_000),
    "the launcher's own name": lambda path: path.write_text("kegbot_master\n"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_an_unusable_file_is_said_set_aside_and_survived(machine: Machine, what: str) -> None:
    machine.state.mkdir()
    BAD[what](machine.remembered)
    done = machine.master("start")
    assert str(machine.remembered) in done.stderr
    assert "set aside" in done.stderr
    assert machine.running() == ["one", "two", "three"]
    assert os.path.lexists(f"{machine.remembered}.unreadable")
    machine.master("stop", "three")
    assert machine.remembered.read_text() == "three\n"


def test_a_state_directory_that_cannot_be_stops_no_stop(machine: Machine) -> None:
    machine.state.write_text("in the way")
    machine.master("start")
    done = machine.master("stop", "three")
    assert done.stdout == "three: stopped\n"
    assert f"{machine.remembered}: " in done.stderr
    assert "forgotten" in done.stderr
    assert machine.running() == ["one", "two"]
    assert machine.app("three")["reason"] == "stopped by hand"
    machine.state.unlink()
    machine.master("stop", "two")
    assert machine.remembered.read_text() == "three\ntwo\n", "it is tried again with the next command"


def test_on_a_full_disk_the_stop_works_and_the_start_is_noted(machine: Machine) -> None:
    machine.state.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k,mode=755", "none", machine.state], check=False
    )
    if mounted.returncode:
        pytest.skip("needs root to mount a full disk")
    try:
        machine.master("start")
        machine.master("stop", "one", "three")
        with contextlib.suppress(OSError), (machine.state / "fill").open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
        machine.master("start", "three")
        assert set(Intent(str(machine.remembered)).stopped) == {"one", "two"}, "no room is needed for that"
        done = machine.master("stop", "three")
        assert done.stdout == "three: stopped\n"
        assert os.strerror(errno.ENOSPC) in done.stderr
        machine.master("stop")
    finally:
        subprocess.run(["umount", machine.state], check=True)
