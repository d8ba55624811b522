"""A configuration and a user have one master, whatever directories it is asked for by."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from kegmaster import sole

from .conftest import TWO, Box, eventually, kill_masters, proc_stat


def _in(box: Box, directory: str, *words: str, expect: int) -> subprocess.CompletedProcess[str]:
    """The same configuration, asked for by another run directory."""
    usual, box.run = box.run, box.directory / directory
    try:
        return box.master(*words, expect=expect)
    finally:
        box.run = usual


def test_a_second_run_directory_is_refused_by_the_living_masters_name(box: Box) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    box.master("start")
    before = sorted(box.processes())
    for words in (("start",), ("restart",), ("run",), ("start", "--force")):
        told = _in(box, "other", *words, expect=1).stderr
        assert f"{box.config} has a master already, process {box.master_pid()} in {box.run}" in told
    assert sorted(box.processes()) == before
    box.master("stop")
    _in(box, "other", "start", expect=0)
    _in(box, "other", "stop", expect=0)
    assert box.processes() == []


@pytest.mark.parametrize("told", [True, False], ids=["with its run directory", "by the configuration alone"])
def test_the_logs_of_the_living_master_are_read_wherever_it_has_them(box: Box, told: bool) -> None:
    printer = box.program("printer", '#!/bin/sh\necho "said $1"\nexec sleep 1000\n')
    box.write(f"[app]\n_enabled = True\n_command = {printer} new\n")
    usual = box.home / "log"
    usual.mkdir(parents=True)
    (usual / "app.log").write_text("said old\n")
    box.master("start")
    eventually((box.log / "app.log").exists)
    flags = [f"--master_config={box.config}", *([f"--pidfile_dir={box.run}"] if told else [])]

    def ask(*words: str) -> str:
        return subprocess.run(
            [str(box.script), *words, *flags], env={"HOME": str(box.home), "KEGBOT_HOME": str(box.home), "PATH": os.environ["PATH"]},
            capture_output=True, text=True, timeout=60, check=True,
        ).stdout  # fmt: skip

    eventually(lambda: ask("logs", "app") == "said new\n")
    assert f"logfile: {box.log}/app.log" in ask("configtest", "--verbose")
    os.kill(box.pid("app"), signal.SIGKILL)
    eventually(lambda: "said new" in ask("logs", "--crash", "app"))
    ask("reexec")
    assert "said new" in ask("logs", "app"), "the version that follows has it written down, too"
    box.master("stop")
    assert ask("logs", "app") == "said old\n", "no master lives: as the shell has it"


@pytest.mark.parametrize("fallen", ["watchdog", "keeper"])
def test_the_name_is_borne_by_whoever_watches_after_a_fall(box: Box, fallen: str) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    box.master("start")
    watchdog = box.master_pid()
    os.kill(watchdog if fallen == "watchdog" else int(proc_stat(watchdog)[1]), signal.SIGKILL)
    eventually(lambda: (found := sole.elsewhere(str(box.config))) and found[0] != watchdog)
    assert sole.elsewhere(str(box.config)) == (box.master_pid(), str(box.run))
    box.config.write_text(box.config.read_text() + "# replaced, as editors do\n")
    _in(box, "other", "start", expect=1)


def test_a_master_that_was_killed_holds_nobody_up(box: Box) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    box.master("start")
    kill_masters(box)
    assert sole.elsewhere(str(box.config)) is None


def test_a_stranger_who_takes_the_name_holds_nobody_up(box: Box) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(b"\0" + sole._name(str(box.config)))
        box.master("start")
    box.master("stop")


def _copy(box: Box) -> tuple[Path, Path]:
    """The configuration that a master runs, and another one with an app of the same name."""
    box.write(TWO.format(probe=box.program("probe")))
    box.master("start")
    one, other = box.config, box.directory / "other.cfg"
    other.write_text(one.read_text().replace("probe", "probe again"))
    box.config = other
    return one, other


@pytest.mark.parametrize(
    "words",
    ["start", "restart", "try-restart", "reload", "reload one", "stop", "stop one", "status", "status one"],
)
def test_a_master_with_another_configuration_is_not_taken_for_ones_own(box: Box, words: str) -> None:
    one, other = _copy(box)
    before = sorted(box.processes())
    told = box.master(*words.split(), expect=4 if words.startswith("status") else 1)
    assert f"the master in {box.run} has the configuration {one}, not {other}" in told.stderr
    assert told.stdout == ""
    assert sorted(box.processes()) == before
    box.config = box.directory / "link.cfg"
    box.config.symlink_to(one)
    box.master(*words.split(), expect=6 if words == "reload one" else 0)


@pytest.mark.parametrize("default", ["", "[one]\n_enabled = True\n_command = true\n", "no configuration"])
def test_who_names_no_configuration_means_that_of_the_master_in_the_run_directory(
    box: Box, default: str
) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    box.master("start")
    if default:
        (box.home / "kegbot_master.cfg").write_text(default)
    words = ("status", "status one", "reload", "reload --dry_run", "restart one", "try-restart", "stop one",
             "start one --master_config", "events", "events one", "logs", "logs one", "restart", "status two", "stop")  # fmt: skip
    for line in words:
        verb, *rest = line.split()
        if rest[-1:] == ["--master_config"]:
            rest[-1] += f"={box.config}"
        done = subprocess.run(
            [box.script, verb, *rest, f"--pidfile_dir={box.run}"], cwd="/", text=True,
            env={"HOME": str(box.home), "KEGBOT_HOME": str(box.home), "PATH": os.environ["PATH"]}, capture_output=True, check=False, timeout=60,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, ""), line
    assert box.processes() == []


def test_force_takes_no_apps_over_for_another_configuration(box: Box) -> None:
    one, other = _copy(box)
    watchdog = int((box.run / "kegbot_master.pid").read_text())
    before = sorted(box.processes())
    os.kill(watchdog, signal.SIGSTOP)
    told = box.master("start", "--force", "--timeout=0.3", expect=1).stderr
    assert f"the master in {box.run} has the configuration {one}, not {other}" in told
    assert sorted(box.processes()) == before
    os.kill(watchdog, signal.SIGCONT)
    box.config = one
