"""How a program ends: by signals, by itself, by force; and what its exit status says."""

from __future__ import annotations

import fcntl
import functools
import os
import pty
import resource
import signal
import subprocess
import termios
import time
from pathlib import Path

import pytest

from tests.apps.daemon.harness import (
    PATIENCE_S,
    background,
    command,
    environment,
    file_says,
    foreground,
    read_until,
    run,
)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_sigterm_and_sigint_end_it_within_a_second_with_status_0(number: int, tmp_path: Path) -> None:
    with foreground(cwd=tmp_path) as program:
        read_until(program.stdout, b"ready: serving\n")
        start_s = time.monotonic()
        program.send_signal(number)
        assert program.wait(PATIENCE_S) == 0
        assert time.monotonic() - start_s < 1
        said, complained = program.communicate()
    assert said.decode().endswith(f"INFO     (daemon) stopping: {signal.Signals(number).name}\n")
    assert complained == b""


def test_a_second_signal_changes_nothing(tmp_path: Path) -> None:
    with foreground(cwd=tmp_path) as program:
        read_until(program.stdout, b"ready")
        program.send_signal(signal.SIGTERM)
        program.send_signal(signal.SIGTERM)
        program.send_signal(signal.SIGINT)
        assert program.wait(PATIENCE_S) == 0


@pytest.mark.parametrize("behave", ["hang_in_sleep", "hang_in_c", "hang_after_loop", "hang_in_thread"])
def test_a_program_that_does_not_end_when_told_is_ended_by_force(behave: str, tmp_path: Path) -> None:
    with foreground(f"--behave={behave}", "--log_to_file", "--pidfile=p", cwd=tmp_path) as program:
        read_until(program.stdout, b"ready")
        start_s = time.monotonic()
        program.send_signal(signal.SIGTERM)
        assert program.wait(PATIENCE_S) == 1
        assert time.monotonic() - start_s < 1.5
        said = program.communicate()[0].decode()
    line = "CRITICAL (daemon) did not end within 0.8 s of being told to; ended by force\n"
    assert said.endswith(line)
    assert (tmp_path / "probe.log").read_text().endswith(line)
    assert not (tmp_path / "p").exists()


def test_a_program_whose_output_nobody_reads_ends_all_the_same(tmp_path: Path) -> None:
    with foreground("--behave=print_lines", cwd=tmp_path) as program:
        read_until(program.stdout, b"line\n")
        program.send_signal(signal.SIGTERM)
        assert program.wait(PATIENCE_S) == 1


@pytest.mark.parametrize(
    ("args", "status", "reason"),
    [
        (["--behave=leave", "0"], 0, ""),
        (["--behave=leave", "3"], 3, ""),
        (["--behave=leave", "256"], 1, ""),
        (["--behave=leave", "-1"], 2, "-1: no such flag; if it is none, write -- before it"),
        (["--behave=leave", "--", "-1"], 1, ""),
        (["--behave=leave_by_exit"], 1, "probe.py: gone on purpose\n"),
        (["--behave=refuse"], 1, "probe.py: no tap here; connect one\n"),
        (["--behave=crash"], 1, "probe.py: ended by an unexpected error: RuntimeError: a prepared crash\n"),
        (["--behave=crash_later"], 1, "RuntimeError: a prepared crash\n"),
        (["--behave=killed"], -signal.SIGKILL, ""),
        (
            ["--log_to_file", "--logfile=/nowhere/x"],
            1,
            "probe.py: --logfile=/nowhere/x: there is no directory",
        ),
        (["--pidfile=/nowhere/x"], 1, "probe.py: --pidfile=/nowhere/x: there is no directory /nowhere"),
        (["--pidfile=."], 1, ": is a directory; name a file\n"),
    ],
)
def test_the_exit_status_is_0_only_after_success(
    args: list[str], status: int, reason: str, tmp_path: Path
) -> None:
    done = run(*args, cwd=tmp_path)
    assert done.returncode == status
    assert reason in done.stderr
    assert done.stderr.count("\n") == bool(reason)


def test_a_crash_leaves_its_traceback_in_the_log_and_no_pidfile(tmp_path: Path) -> None:
    done = run("--behave=crash", "--pidfile=p", cwd=tmp_path)
    assert (
        "CRITICAL (daemon) ended by an unexpected error\nTraceback (most recent call last):\n" in done.stdout
    )
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize("most", [6, 64])
def test_too_few_file_descriptors_are_one_line(most: int, tmp_path: Path) -> None:
    limit = functools.partial(resource.setrlimit, resource.RLIMIT_NOFILE, (most, most))
    done = run("--behave=use_up_descriptors", cwd=tmp_path, preexec_fn=limit)
    assert done.returncode == 1
    assert done.stderr.endswith(
        "probe.py: too few file descriptors (Too many open files): raise the limit (ulimit -n)\n"
    )
    assert "Traceback" not in done.stdout + done.stderr


def test_the_foreground_holds_the_pidfile_too(tmp_path: Path) -> None:
    with foreground("--pidfile=p", cwd=tmp_path) as program:
        read_until(program.stdout, b"ready")
        assert (tmp_path / "p").read_text() == f"{program.pid}\n"
        program.send_signal(signal.SIGTERM)
        assert program.wait(PATIENCE_S) == 0
    assert not (tmp_path / "p").exists()


def test_printing_into_a_closed_pipe_ends_quietly(tmp_path: Path) -> None:
    with foreground("--behave=print_lines", "--nolog_to_stdout", cwd=tmp_path) as program:
        read_until(program.stdout, b"line\n")
        assert program.stdout is not None
        program.stdout.close()
        assert program.wait(PATIENCE_S) == 1
        assert program.stderr is not None
        assert program.stderr.read() == b""


def test_logging_into_a_closed_pipe_does_not_end_a_program(tmp_path: Path) -> None:
    with foreground("--behave=log_on_signal", "--log_to_file", cwd=tmp_path) as program:
        read_until(program.stdout, b"ready")
        assert program.stdout is not None
        program.stdout.close()
        program.send_signal(signal.SIGUSR1)
        file_says(tmp_path / "probe.log", "asked")
        program.send_signal(signal.SIGTERM)
        assert program.wait(PATIENCE_S) == 0
        assert program.stderr is not None
        assert program.stderr.read() == b""
    assert "stopping: SIGTERM" in (tmp_path / "probe.log").read_text()


def test_a_hangup_opens_the_log_again(tmp_path: Path) -> None:
    with background("--log_to_file", cwd=tmp_path) as (_, daemon):
        (tmp_path / "probe.log").rename(tmp_path / "old.log")
        daemon.signal(signal.SIGHUP)
        file_says(tmp_path / "probe.log", "log file opened again")
        daemon.signal(signal.SIGTERM)
        assert daemon.ended()
    assert "stopping" in (tmp_path / "probe.log").read_text()
    assert "stopping" not in (tmp_path / "old.log").read_text()


def test_under_nohup_a_hangup_is_ignored(tmp_path: Path) -> None:
    def nohup() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    with foreground("--log_to_file", cwd=tmp_path, preexec_fn=nohup) as program:
        read_until(program.stdout, b"ready")
        program.send_signal(signal.SIGHUP)
        program.send_signal(signal.SIGTERM)
        assert program.wait(PATIENCE_S) == 0
    assert "opened again" not in (tmp_path / "probe.log").read_text()


def test_a_program_in_the_foreground_ends_with_its_terminal(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()

    def take_terminal() -> None:
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

    with subprocess.Popen(
        command("--log_to_file"),
        cwd=tmp_path,
        env=environment(),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=take_terminal,
    ) as program:
        os.close(theirs)
        file_says(tmp_path / "probe.log", "ready")
        os.close(ours)
        assert program.wait(PATIENCE_S) == 0
    assert "stopping: SIGHUP" in (tmp_path / "probe.log").read_text()
