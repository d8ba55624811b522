"""--daemon: what the shell's command says, and what kind of process it leaves behind."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from tests.apps.daemon.harness import (
    PATIENCE_S,
    PROBE,
    background,
    command,
    environment,
    exit_status_of_daemon,
    file_says,
    foreground,
    held,
    run,
)


def test_the_command_returns_0_when_the_program_is_ready_and_not_before(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "go")
    with foreground(
        "--daemon", "--behave=wait_for_writer", f"--file={tmp_path / 'go'}", "--pidfile=p", cwd=tmp_path
    ) as parent:
        go = open(tmp_path / "go", "wb")  # noqa: SIM115 - opens once the daemon waits on the other side
        with held(tmp_path / "p") as daemon:
            assert parent.poll() is None
            go.close()
            assert parent.wait(PATIENCE_S) == 0
            assert not daemon.ended(0)


def test_the_pidfile_holds_the_daemons_number_when_the_command_returns_and_is_gone_after_it(
    tmp_path: Path,
) -> None:
    with background(cwd=tmp_path) as (done, daemon):
        assert (done.stdout, done.stderr) == ("", "")
        assert (tmp_path / "probe.pid").read_text() == f"{daemon.pid}\n"
        assert (tmp_path / "probe.pid").stat().st_mode & 0o777 == 0o644
        daemon.signal(signal.SIGTERM)
        assert daemon.ended()
    assert not (tmp_path / "probe.pid").exists()


def test_the_daemon_leads_a_session_of_its_own_without_a_terminal(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()

    def take_terminal() -> None:
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

    with background(
        cwd=tmp_path,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=take_terminal,
    ) as (_, daemon):
        stat = daemon.stat()
        assert (stat["session"], stat["pgrp"], stat["tty_nr"]) == (daemon.pid, daemon.pid, 0)
        assert [os.readlink(f"/proc/{daemon.pid}/fd/{fd}") for fd in (0, 1, 2)] == [os.devnull] * 3
    os.close(ours)
    os.close(theirs)


def test_the_daemon_has_umask_022_root_directory_and_nothing_odd_about_signals(tmp_path: Path) -> None:
    with background(cwd=tmp_path, umask=0o077) as (_, daemon):
        assert daemon.status("Umask") == "0022"
        assert os.readlink(f"/proc/{daemon.pid}/cwd") == "/"
        assert ordinary(daemon.status("SigBlk")) == 0
        # The interpreter itself ignores these two, and the `subprocess` module puts them back for children.
        assert ordinary(daemon.status("SigIgn")) == 1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1


def ordinary(mask: str) -> int:
    """The signals below 32: glibc's posix_spawn lets its children ignore the two after them."""
    return int(mask, 16) & (1 << 31) - 1


def test_the_daemon_keeps_no_descriptor_of_whoever_started_it(tmp_path: Path) -> None:
    (tmp_path / "inherited").touch()
    fd = os.open(tmp_path / "inherited", os.O_RDONLY)
    with background(cwd=tmp_path, pass_fds=[fd]) as (_, daemon):
        targets = [os.readlink(entry) for entry in Path(f"/proc/{daemon.pid}/fd").iterdir()]
        own = re.compile(
            r"/dev/null|pipe:\[\d+\]|anon_inode:\[eventpoll\]|" + re.escape(str(tmp_path / "probe.pid"))
        )
        assert [target for target in targets if not own.fullmatch(target)] == []
    os.close(fd)


def test_a_child_of_the_daemon_starts_clean(tmp_path: Path) -> None:
    with background("--behave=spawn", f"--file={tmp_path / 'report'}", cwd=tmp_path):
        report = (tmp_path / "report").read_text().split()
    assert report[:4] == ["0", "1", "2", "0022"]
    assert (ordinary(report[5]), ordinary(report[7])) == (0, 0)


def test_no_process_between_the_command_and_the_daemon_is_left_behind(tmp_path: Path) -> None:
    code = (
        "import ctypes, os, subprocess, sys\n"
        "ctypes.CDLL(None).prctl(36, ctypes.c_ulong(1), 0, 0, 0)\n"
        "subprocess.run(sys.argv[1:], check=True)\n"
        "print(open(f'/proc/self/task/{os.getpid()}/children').read())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *command("--daemon", "--pidfile=p")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_S,
    )
    with held(tmp_path / "p") as daemon:
        assert done.stdout.split() == [str(daemon.pid)]


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (["--behave=refuse"], "no tap here; connect one"),
        (["--behave=crash"], "ended by an unexpected error: RuntimeError: a prepared crash"),
        (["--behave=killed"], "died before it was ready (signal 9)"),
        (["--behave=leave", "0"], "ended before it was ready (exit status 0)"),
        (["--behave=leave", "3"], "ended before it was ready (exit status 3)"),
        (["--behave=leave_by_exit"], "gone on purpose"),
        (
            ["--log_to_file", "--logfile=/nowhere/x.log"],
            "--logfile=/nowhere/x.log: there is no directory /nowhere",
        ),
        (["--log_to_file", "--logfile=."], ": is a directory; name a file"),
        (["--log_to_file", "--logfile=fifo"], "fifo: is not a regular file; name another"),
        (["--pidfile=/nowhere/x.pid"], "--pidfile=/nowhere/x.pid: there is no directory /nowhere"),
    ],
)
def test_a_failed_start_is_told_in_one_line_with_status_1(
    args: list[str], reason: str, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "fifo")
    done = run("--daemon", "--pidfile=p", *args, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("probe.py: ")
    assert done.stderr.count("\n") == 1
    assert reason in done.stderr
    if "signal 9" not in reason:
        assert not (tmp_path / "p").exists()


def test_a_failed_start_is_in_the_log_too(tmp_path: Path) -> None:
    run("--daemon", "--log_to_file", "--behave=refuse", cwd=tmp_path)
    assert "ERROR    (daemon) no tap here; connect one\n" in (tmp_path / "probe.log").read_text()


def test_a_crash_before_ready_names_the_log_that_holds_its_traceback(tmp_path: Path) -> None:
    done = run("--daemon", "--log_to_file", "--behave=crash", cwd=tmp_path)
    assert done.stderr.endswith(f"; see {tmp_path / 'probe.log'}\n")
    log = (tmp_path / "probe.log").read_text()
    assert "CRITICAL (daemon) ended by an unexpected error\nTraceback" in log
    assert "RuntimeError: a prepared crash" in log


@pytest.mark.parametrize("mode", ["--daemon", "--nodaemon"])
def test_a_mistake_that_only_the_program_itself_finds_is_status_2_too(mode: str, tmp_path: Path) -> None:
    done = run(mode, "--behave=misunderstand", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "probe.py: --file=x: no such thing (try --help)\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_interrupting_the_command_while_it_waits_ends_the_daemon(number: int, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "go")
    with (
        foreground(
            "--daemon", "--behave=wait_for_writer", f"--file={tmp_path / 'go'}", "--pidfile=p", cwd=tmp_path
        ) as parent,
        open(tmp_path / "go", "wb"),
        held(tmp_path / "p") as daemon,
    ):
        parent.send_signal(number)
        assert parent.wait(PATIENCE_S) == 1
        assert parent.stderr is not None
        name = signal.Signals(number).name
        assert parent.stderr.read().decode() == f"probe.py: interrupted before it was ready ({name})\n"
        assert daemon.ended(0)


@pytest.mark.parametrize(
    ("args", "signals", "status"),
    [
        (["--behave=serve"], [signal.SIGTERM], 0),
        (["--behave=serve"], [signal.SIGINT], 0),
        (["--behave=crash_later"], [], 1),
        (["--behave=hang_in_sleep"], [signal.SIGTERM], 1),
    ],
)
def test_the_daemons_own_exit_status_tells_the_truth(
    args: list[str], signals: list[int], status: int, tmp_path: Path
) -> None:
    assert exit_status_of_daemon(*args, cwd=tmp_path, signals=signals) == status


def test_a_second_start_with_the_same_pidfile_names_the_first(tmp_path: Path) -> None:
    with background("--log_to_file", cwd=tmp_path) as (_, daemon):
        before = (tmp_path / "probe.log").read_text()
        for mode in ("--daemon", "--nodaemon"):
            done = run(mode, "--pidfile=probe.pid", "--log_to_file", cwd=tmp_path)
            path = tmp_path / "probe.pid"
            assert (
                done.stderr
                == f"probe.py: --pidfile={path}: locked by process {daemon.pid}, which is running\n"
            )
            assert (done.returncode, done.stdout) == (1, "")
        assert (tmp_path / "probe.log").read_text() == before
        assert not daemon.ended(0)


@pytest.mark.parametrize("left", ["1\n", "", "4194304\n", "not a number\n", "\0\0\0\0"])
def test_what_a_crash_left_in_the_pidfile_is_no_obstacle(left: str, tmp_path: Path) -> None:
    (tmp_path / "probe.pid").write_text(left)
    with background(cwd=tmp_path) as (_, daemon):
        assert (tmp_path / "probe.pid").read_text() == f"{daemon.pid}\n"


def test_after_kill_9_the_next_start_just_works(tmp_path: Path) -> None:
    with background(cwd=tmp_path) as (_, first):
        first.signal(signal.SIGKILL)
        assert first.ended()
        with background(cwd=tmp_path) as (_, second):
            assert second.pid != first.pid


def test_of_50_starts_at_once_exactly_one_wins_and_the_others_name_it(tmp_path: Path) -> None:
    starts = [
        subprocess.Popen(
            command("--daemon", "--pidfile=p"),
            cwd=tmp_path,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(50)
    ]
    told = [start.communicate(timeout=60)[1] for start in starts]
    with held(tmp_path / "p") as daemon:
        losers = [text for start, text in zip(starts, told, strict=True) if start.returncode == 1]
        assert sorted(start.returncode for start in starts) == [0] + [1] * 49
        assert set(losers) == {
            f"probe.py: --pidfile={tmp_path / 'p'}: locked by process {daemon.pid}, which is running\n"
        }


def test_output_goes_on_into_a_regular_file(tmp_path: Path) -> None:
    with (
        open(tmp_path / "out", "wb") as out,
        background("--behave=complain_on_stderr", cwd=tmp_path, stdout=out, stderr=out) as (_, daemon),
    ):
        file_says(tmp_path / "out", "said on descriptor 2\n")
        daemon.signal(signal.SIGTERM)
        assert daemon.ended()
    said = (tmp_path / "out").read_text()
    assert "INFO     (daemon) ready\n" in said
    assert "INFO     (daemon) stopping: SIGTERM\n" in said


def test_lines_are_not_doubled_if_output_is_the_log_file(tmp_path: Path) -> None:
    with (
        open(tmp_path / "log", "ab") as out,
        background("--log_to_file", "--logfile=log", cwd=tmp_path, stdout=out, stderr=out),
    ):
        assert file_says(tmp_path / "log", "ready").count("ready") == 1


@pytest.mark.parametrize(
    ("behave", "text"),
    [
        ("crash_later", "RuntimeError: a prepared crash"),
        ("crash_in_thread", "CRITICAL (daemon) thread reader ended by an unexpected error\nTraceback"),
        ("complain_on_stderr", "said on descriptor 2\n"),
    ],
)
def test_what_goes_wrong_in_the_background_is_found_in_the_log(
    behave: str, text: str, tmp_path: Path
) -> None:
    done = run("--daemon", "--pidfile=p", "--log_to_file", f"--behave={behave}", cwd=tmp_path)
    assert done.returncode == 0
    file_says(tmp_path / "probe.log", text)
    if (tmp_path / "p").exists() and behave != "crash_later":
        with held(tmp_path / "p"):
            pass


def test_a_relative_logfile_and_flagfile_mean_the_directory_of_the_start(tmp_path: Path) -> None:
    (tmp_path / "my.flags").write_text("--log_to_file\n--logfile=sub/my.log\n")
    (tmp_path / "sub").mkdir()
    with background("--flagfile=my.flags", cwd=tmp_path):
        assert "ready" in (tmp_path / "sub" / "my.log").read_text()


@pytest.mark.parametrize("redirections", ["<&-", "<&- >&-", "<&- >&- 2>&-", ">&-", "2>&-"])
@pytest.mark.parametrize("mode", ["--daemon", "--nodaemon"])
def test_closed_standard_descriptors_do_not_matter(mode: str, redirections: str, tmp_path: Path) -> None:
    script = f'exec "$0" "$@" {redirections}'
    with subprocess.Popen(
        ["sh", "-c", script, *command(mode, "--log_to_file", "--pidfile=p")],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as start:
        log = file_says(tmp_path / "probe.log", "ready")
        assert "Traceback" not in log
        with held(tmp_path / "p") as daemon:
            for fd in (0, 1, 2) if mode == "--daemon" else ():
                assert os.readlink(f"/proc/{daemon.pid}/fd/{fd}") in (os.devnull, str(tmp_path / "probe.log"))
            daemon.signal(signal.SIGTERM)
            assert daemon.ended()
        assert start.wait(PATIENCE_S) == 0


def test_a_current_directory_that_is_gone_matters_only_to_relative_paths(tmp_path: Path) -> None:
    script = 'mkdir gone && cd gone && rmdir ../gone && exec "$0" "$@"'

    def start(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-c", script, sys.executable, str(PROBE), *args],
            cwd=tmp_path, capture_output=True, text=True, check=False, timeout=PATIENCE_S,
        )  # fmt: skip

    done = start("--daemon", "--pidfile=p")
    assert (done.returncode, done.stderr) == (
        1, "probe.py: --pidfile=p: the current directory does not exist any more; give an absolute path\n",
    )  # fmt: skip
    assert start("--daemon", f"--pidfile={tmp_path / 'p'}").returncode == 0
    with held(tmp_path / "p"):
        pass


def test_signals_that_a_careless_parent_blocked_or_ignored_are_heard(tmp_path: Path) -> None:
    def careless() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGALRM})
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    with background(cwd=tmp_path, preexec_fn=careless) as (_, daemon):
        daemon.signal(signal.SIGTERM)
        assert daemon.ended()


def test_a_failed_start_tells_the_reason_once_where_log_and_errors_go_to_one_file(tmp_path: Path) -> None:
    with open(tmp_path / "said", "wb") as said:
        flags = ("--daemon", "--log_to_file", "--behave=refuse")
        assert run(*flags, cwd=tmp_path, stdout=said, stderr=said).returncode == 1
    assert (tmp_path / "said").read_text().count("no tap here") == 1
    assert (tmp_path / "probe.log").read_text().count("no tap here") == 1
