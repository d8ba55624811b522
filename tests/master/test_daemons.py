"""Programs with manners of their own: they make daemons of themselves, want to be asked before they end, or reload."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kegmaster import asking

from .conftest import Box, eventually, kill_masters, living, wait_for_end

# A daemon that writes its own pidfile, PATH. USR2: another takes its place, as nginx's do. HUP: noted in PATH.hup.
DAEMON = f"""#!{sys.executable} -IS
import os, signal, sys
path = sys.argv[1]

def write(name, text):
    with open(name + ".new", "w") as file:
        file.write(text)
    os.rename(name + ".new", name)

def replace(*_):
    if os.fork() == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {{signal.SIGUSR2}})
        write(path, f"{{os.getpid()}}\\n")
        os.kill(before, signal.SIGTERM)

signal.signal(signal.SIGHUP, lambda *_: write(path + ".hup", str(os.getpid())))
signal.signal(signal.SIGUSR2, replace)
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
before = os.getpid()
write(path, f"{{os.getpid()}}\\n")
while True:
    signal.pause()
"""

# The same without a pidfile; `late` seconds pass in the middle of its second fork.
SHY = f"""#!{sys.executable} -IS
import os, signal, sys, time
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    time.sleep(float(sys.argv[1]))
    os._exit(0)
while True:
    signal.pause()
"""

# Ends when the file `asked` says so; notes each signal that it gets.
POLITE = f"""#!{sys.executable} -IS
import os, signal, sys
directory = sys.argv[1]
def note(number, _):
    os.write(os.open(f"{{directory}}/signals", os.O_WRONLY | os.O_APPEND | os.O_CREAT), b"%d\\n" % number)
    if number != signal.SIGHUP or "deaf" not in sys.argv:
        os._exit(0)
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR1, signal.SIGWINCH):
    signal.signal(number, note)
open(f"{{directory}}/ready", "w").close()
while True:
    signal.pause()
"""


@pytest.fixture
def daemon(box: Box) -> Path:
    """The configuration of one daemon, whose pidfile this is."""
    program = box.program("daemon", DAEMON)
    box.write(
        f"""
        [app]
        _enabled = True
        _type = forking
        _pidfile = {box.directory}/own/%(__name__)s.pid
        _command = {program} %(_pidfile)s
        _reload_signal = HUP
        """
    )
    (box.directory / "own").mkdir()
    return box.directory / "own" / "app.pid"


def test_a_daemon_is_found_by_its_own_pidfile_and_is_the_one_that_stops(box: Box, daemon: Path) -> None:
    box.master("start")
    pid = box.pid("app")
    assert daemon.read_text() == f"{pid}\n", "it is there the moment start returns"
    assert box.app("app")["pidfile"] == str(daemon)
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: box.app("app")["restarts"] == 1 and box.app("app")["state"] == "running")
    again = box.pid("app")
    kill_masters(box)
    box.master("start")
    assert (box.pid("app"), daemon.read_text()) == (again, f"{again}\n")
    box.master("stop", "app")
    assert not living(again)
    assert not daemon.exists()


def test_a_stale_pidfile_neither_blocks_a_daemon_nor_harms_a_stranger(box: Box, daemon: Path) -> None:
    stranger = subprocess.Popen(["sleep", "100000"])
    ended = subprocess.Popen(["true"])
    ended.wait()
    try:
        for claim in (ended.pid, stranger.pid):
            daemon.write_text(f"{claim}\n")
            box.master("start")
            assert box.pid("app") != claim
            box.master("stop")
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_daemon_that_refuses_a_stale_pidfile_starts_all_the_same(box: Box) -> None:
    """As older daemons do: a pidfile that is there is taken for a lock."""
    program = box.program(
        "refuser",
        DAEMON.replace("path = sys.argv[1]", "path = sys.argv[1]\nif os.path.exists(path): os._exit(1)"),
    )
    own = box.directory / "own.pid"
    box.write(f"[app]\n_enabled = True\n_type = forking\n_pidfile = {own}\n_command = {program} {own}\n")
    box.master("start")
    pid = box.pid("app")
    kill_masters(box)
    os.kill(pid, signal.SIGKILL)
    wait_for_end(pid)
    (box.run / "records" / "app.run").unlink(
        missing_ok=True
    )  # as after a power cut: /run is gone, the pidfile is not
    assert own.read_text() == f"{pid}\n"
    box.master("start")
    assert own.read_text() == f"{box.pid('app')}\n"


def test_a_daemon_that_replaces_itself_is_the_same_app(box: Box, daemon: Path) -> None:
    box.master("start")
    before = box.pid("app")
    os.kill(before, signal.SIGUSR2)
    wait_for_end(before)
    eventually(lambda: box.app("app")["pid"] not in (None, before))
    row = box.app("app")
    assert (row["state"], row["restarts"]) == ("running", 0)
    assert daemon.read_text() == f"{row['pid']}\n"
    box.master("stop", "app")
    assert not living(row["pid"])


@pytest.mark.parametrize("late", ["0", "0.2"])
def test_a_daemon_without_a_pidfile_is_the_one_process_that_its_starter_leaves(box: Box, late: str) -> None:
    box.write(f"[app]\n_enabled = True\n_type = forking\n_command = {box.program('shy', SHY)} {late}\n")
    box.master("start")
    eventually(lambda: _of(box, "shy") == [box.app("app")["pid"]])
    pid = box.pid("app")
    assert box.app("app")["restarts"] == 0
    assert (box.run / "app.pid").read_text() == f"{pid}\n"
    kill_masters(box)
    box.master("start")
    assert box.pid("app") == pid
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: box.app("app")["restarts"] == 1 and box.app("app")["state"] == "running")
    box.master("stop")
    assert _of(box, "shy") == []


def test_of_two_that_a_starter_leaves_none_is_taken_for_the_daemon(box: Box) -> None:
    box.write(
        "[app]\n_enabled = True\n_type = forking\n_timeout_start_sec = 0.3\n_command = sh -c 'sleep 999 & sleep 999 &'\n"
    )
    said = box.master("start", expect=1).stderr
    assert "which is the main one? Name its own pidfile with _pidfile" in said
    box.master("stop")
    assert box.processes() == []


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("_command = sleep 9\n_pidfile = /run/x.pid", "[app] _pidfile: is for programs that make daemons of themselves"),
        ("_type = forking\n_command = a\n_pidfile = /run/x.pid\npidfile = /run/y.pid", "_pidfile: stands beside pidfile"),
        ("_type = forking\n_command = sleep 9\n_pidfile = x.pid", "[app] _pidfile: 'x.pid' is no good; expected an abso"),
        ("_command = sleep 9\n_reload_signal = KILL", "_reload_signal: 'KILL' is no good; no program can take that"),
        ("_command = sleep 9\n_reload_signal = FOO", "[app] _reload_signal: 'FOO' is no good; expected a signal"),
        ("_command = sleep 9\n_stop_command = /no/such", "[app] _stop_command: there is no program /no/such"),
    ],
)  # fmt: skip
def test_manners_that_cannot_work_are_said_by_configtest(box: Box, lines: str, said: str) -> None:
    box.write(f"[app]\n_enabled = True\n{lines}\n")
    assert said in box.master("configtest", expect=6).stderr


def test_a_flag_of_the_program_leads_to_its_own_pidfile(box: Box) -> None:
    box.write(
        f"[app]\n_enabled = True\n_program_name = {box.program('app.py')}\n_pidfile = {box.directory}/x.pid\n"
    )
    assert f"--pidfile={box.directory}/x.pid" in box.master("configtest").stdout


# Asking it to end


def polite(box: Box, stop: str, more: str = "", deaf: str = "") -> int:
    """Start one app with that _stop_command; its process."""
    program = box.program("polite", POLITE)
    box.program("stopper", f"#!/bin/sh\n{stop}\n")
    box.write(
        f"[app]\n_enabled = True\n_command = {program} {box.directory} {deaf}\n_ready = file:{box.directory}/ready\n"
        + (f"_stop_command = {box.directory}/stopper 'two words' '$HOME'\n" if stop else "")
        + f"{more}\n"
    )
    box.master("start")
    return box.pid("app")


def signals(box: Box) -> list[int]:
    path = box.directory / "signals"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def test_a_stop_command_asks_the_app_to_end_and_no_signal_is_sent(box: Box) -> None:
    pid = polite(
        box, 'echo "$# $1 $2 $MAINPID"; kill -USR1 $MAINPID; while kill -0 $MAINPID; do :; done 2>&-'
    )
    box.master("stop", "app")
    assert not living(pid)
    assert signals(box) == [signal.SIGUSR1]
    assert f"2 two words $HOME {pid}\n" in (box.log / "app.log").read_text()
    assert "_stop_command" not in (box.log / "kegbot_master.log").read_text()


@pytest.mark.parametrize("word", ["$MAINPID", "${MAINPID}"])
def test_a_stop_command_is_given_the_process_as_systemd_gives_it(box: Box, word: str) -> None:
    asks = box.program("asks", "#!/bin/sh\nkill -USR1 $1; while kill -0 $1; do :; done 2>&-\n")
    polite(box, "", f"_stop_command = {asks} {word}")
    box.master("stop", "app")
    assert signals(box) == [signal.SIGUSR1]
    assert "_stop_command" not in (box.log / "kegbot_master.log").read_text()


def test_what_is_no_word_for_the_process_is_left_as_it_is() -> None:
    command = ("a", "$MAINPID.", "$$MAINPID", "$MAINPIDS", "-p${MAINPID}", "$MAINPID")
    assert asking.words(command, 7) == ("a", "$MAINPID.", "$$MAINPID", "$MAINPIDS", "-p7", "7")


def test_a_starter_that_leaves_nothing_is_not_blamed_for_a_pidfile_it_need_not_write(box: Box) -> None:
    box.write(
        "[app]\n_enabled = True\n_type = forking\n_command = sh -c 'exit 0'\n_timeout_start_sec = 0.3\n"
    )
    assert "its starter left no process within 0.3 s" in box.master("start", expect=1).stderr


@pytest.mark.parametrize(
    ("stop", "said"),
    [
        ("exit 0", ""),
        ("exit 3", "_stop_command: exited 3"),
        ("kill -9 $$", "_stop_command: killed by signal 9"),
    ],
)
def test_what_a_stop_command_leaves_gets_the_kill_signal(box: Box, stop: str, said: str) -> None:
    pid = polite(box, stop, "_kill_signal = INT")
    box.master("stop", "app")
    assert not living(pid)
    assert signals(box) == [signal.SIGINT]
    assert said in (box.log / "kegbot_master.log").read_text()


def test_a_stop_command_that_cannot_be_run_costs_the_app_nothing(box: Box) -> None:
    pid = polite(box, "exit 0", "_kill_signal = QUIT")
    (box.directory / "stopper").write_text("neither a script nor a program\n")
    (box.directory / "ready").unlink()
    box.master("restart", "app", expect=None)
    assert not living(pid)
    (box.directory / "stopper").unlink()
    box.master("stop", "app", expect=None)
    assert signals(box) == [signal.SIGQUIT] * 2
    log = (box.log / "kegbot_master.log").read_text()
    assert "app: _stop_command: cannot run" in log
    assert "app: _stop_command cannot be run: there is no program" in log


def test_a_stop_command_that_hangs_is_ended_with_all_of_the_app(box: Box) -> None:
    hang = "trap '' TERM\n(setsid sleep 1000 &)\nwhile :; do sleep 1000; done"
    pid = polite(box, hang, "_timeout_stop_sec = 0.6\n_kill_signal = HUP", deaf="deaf")
    done = box.master("stop", "app")
    assert "did not end within 0.6 s, killed" in done.stdout
    assert not living(pid)
    assert signals(box) == [signal.SIGHUP], "at half time it got its _kill_signal"
    assert len(box.processes()) == 2, "the watchdog and its keeper"
    assert "_stop_command: killed by signal 9" in (box.log / "kegbot_master.log").read_text()


@pytest.mark.parametrize("both", [False, True])
def test_a_master_that_falls_while_it_asks_leaves_neither_app_nor_command(box: Box, both: bool) -> None:
    pid = polite(box, f"echo > {box.directory}/asking; exec sleep 1000", "_timeout_stop_sec = 1")
    with subprocess.Popen(
        box.command("stop"), env={"HOME": str(box.home), "PATH": os.environ["PATH"]}, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as stop:  # fmt: skip
        eventually((box.directory / "asking").exists)
        if both:
            kill_masters(box)
            stop.wait()
            box.master("stop")
        else:
            os.kill(int((box.run / "kegbot_master.pid").read_text()), signal.SIGKILL)
            assert stop.wait() == 0
    assert not living(pid)
    eventually(lambda: box.processes() == [])


def test_an_app_that_crashes_is_not_asked_to_end(box: Box) -> None:
    pid = polite(box, f"echo > {box.directory}/asked")
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: box.app("app")["restarts"] == 1)
    assert not (box.directory / "asked").exists()


@pytest.mark.parametrize("name", ["HUP", "INT", "QUIT", "USR1", "WINCH"])
def test_every_kill_signal_is_sent_as_it_is_written(box: Box, name: str) -> None:
    polite(box, "", f"_kill_signal = {name}")
    box.master("stop", "app")
    assert signals(box) == [getattr(signal, f"SIG{name}")]


# Asking it to read its configuration again


def test_reload_of_an_app_sends_its_reload_signal_and_is_no_restart(box: Box, daemon: Path) -> None:
    box.master("start")
    pid = box.pid("app")
    assert box.master("reload", "app").stdout == f"app: running, process {pid}: SIGHUP sent\n"
    told = daemon.with_name("app.pid.hup")
    eventually(lambda: told.exists() and told.read_text() == str(pid))
    row = box.app("app")
    assert (row["pid"], row["restarts"], row["state"]) == (pid, 0, "running")


def test_an_app_that_cannot_reload_is_refused_and_lives_on(box: Box) -> None:
    line = "_enabled = True\n_command = sleep 1000\n"
    box.write(f"[none]\n{line}[deaf]\n{line}_reload_signal = HUP\n[rest]\n{line}_reload_signal = USR1\n"
              "[idle]\n_ready = file:" + f"{box.directory}/idle\n_reload_signal = HUP\n"
              f"_command = sh -c 'trap \"\" HUP; touch {box.directory}/idle; exec sleep 1000'\n")  # fmt: skip
    box.master("start", "none", "deaf", "idle")
    pids = box.pid("none"), box.pid("deaf")
    assert "none: has no _reload_signal, and was sent none" in box.master("reload", "none", expect=6).stderr
    said = box.master("reload", "deaf", expect=1).stderr
    assert f"deaf: process {pids[1]} has no handler for SIGHUP and might die of it; it was not sent" in said
    assert "ignores SIGHUP; it was not sent" in box.master("reload", "idle", expect=1).stderr
    assert "rest: does not run (stopped)" in box.master("reload", "rest", expect=7).stderr
    assert "there is no section [nobody]" in box.master("reload", "nobody", expect=2).stderr
    assert "--dry_run is for the whole file" in box.master("reload", "none", "--dry_run", expect=2).stderr
    assert (box.pid("none"), box.pid("deaf")) == pids
    assert box.app("deaf")["restarts"] == 0
    box.master("stop")
    assert "no master runs" in box.master("reload", "deaf", expect=7).stderr


def _of(box: Box, program: str) -> list[int]:
    """The living processes of a program of the box."""
    mark = str(box.directory / program).encode()
    return [pid for pid in box.processes() if mark in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")]
