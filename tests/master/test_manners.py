"""What people who have kept daemons by other means rely on, each seen from outside: pidfiles, ends, ports, stdin."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ports import free_port

from . import witness
from .conftest import Box, eventually, kill_masters, living, proc_stat, wait_for_end

# Holds a port and a terminal for itself alone, and so does a helper that outlives it.
HOLDER = f"""#!{sys.executable} -IS
import fcntl, os, signal, socket, sys, termios
port, device, ready = int(sys.argv[1]), sys.argv[2], sys.argv[3]
line = os.open(device, os.O_RDWR | os.O_NOCTTY)
fcntl.flock(line, fcntl.LOCK_EX | fcntl.LOCK_NB)
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", port))
listener.listen()
if os.fork() == 0:
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        signal.pause()
open(ready, "w").close()
while True:
    listener.accept()[0].sendall(b"%d" % os.getpid())
"""

# Ends when somebody writes into the FIFO, after it was asked to; notes its beginning and its end.
SLOW = f"""#!{sys.executable} -IS
import os, signal, sys
directory = sys.argv[1]
def note(text):
    os.write(os.open(f"{{directory}}/ledger", os.O_WRONLY | os.O_APPEND | os.O_CREAT), text.encode() + b"\\n")
def end(*_):
    note("asked")
    os.read(os.open(f"{{directory}}/fifo", os.O_RDONLY), 1)
    note("ends")
    os._exit(0)
signal.signal(signal.SIGTERM, end)
note("begins")
while True:
    signal.pause()
"""


@pytest.mark.parametrize("how", ["_restart = on-failure", "_restart = no", "_type = oneshot"])
def test_a_program_that_has_done_its_work_runs_once_and_is_shown_as_done(box: Box, how: str) -> None:
    box.write(
        f"[work]\n_enabled = True\n{how}\n_command = sh -c 'echo ran >> {box.directory}/ledger; sleep 0.3'\n"
    )
    box.master("start")
    eventually(lambda: box.app("work")["state"] == "exited")
    row = box.app("work")
    assert (row["last_exit"]["status"], row["restarts"], row["pid"]) == (0, 0, None)
    assert "exited" in box.master("status").stdout, "all is as wanted: status 0"
    kill_masters(box)
    box.master("status", expect=1)
    assert (box.directory / "ledger").read_text() == "ran\n"


def test_restart_waits_for_the_real_end_however_long_that_takes(box: Box) -> None:
    os.mkfifo(box.directory / "fifo")
    ledger = box.directory / "ledger"
    box.write(
        f"[slow]\n_enabled = True\n_timeout_stop_sec = 60\n_command = {box.program('slow', SLOW)} {box.directory}\n"
    )
    box.master("start")
    first = box.pid("slow")
    eventually(lambda: ledger.exists() and ledger.read_text() == "begins\n")
    restart = subprocess.Popen(
        box.command("restart", "slow"), env={"HOME": str(box.home)}, stdout=subprocess.DEVNULL
    )
    eventually(lambda: ledger.read_text() == "begins\nasked\n")
    assert (box.app("slow")["state"], box.pid("slow"), restart.poll()) == ("stopping", first, None)
    (box.directory / "fifo").write_bytes(b".")
    assert restart.wait(20) == 0
    eventually(lambda: ledger.read_text() == "begins\nasked\nends\nbegins\n")
    assert box.pid("slow") != first
    stop = subprocess.Popen(box.command("stop"), env={"HOME": str(box.home)}, stdout=subprocess.DEVNULL)
    (box.directory / "fifo").write_bytes(b".")
    assert stop.wait(20) == 0


def test_the_pidfiles_are_right_the_moment_start_returns_each_time(box: Box) -> None:
    """So many times as KEGMASTER_STARTS says; a hundred take ten seconds."""
    box.program("app", witness.APP)
    apps = {"own": "own", "notify": "notify"}
    box.config.write_text("[DEFAULT]\n_enabled = True\n" + witness.sections(box.directory, apps, {}))
    files = {"own": box.directory / "own.pid", "notify": box.run / "notify.pid"}
    call = witness.Caller(box)
    try:
        for _ in range(int(os.environ.get("KEGMASTER_STARTS", "15"))):
            assert call("start") == 0
            claimed = {name: int(file.read_text()) for name, file in files.items()}
            master = int((box.run / "kegbot_master.pid").read_text())
            assert {name: int(proc_stat(pid)[1]) for name, pid in claimed.items()} == dict.fromkeys(
                apps, master
            )
            assert b"\0notify\0" in Path(f"/proc/{claimed['notify']}/cmdline").read_bytes()
            assert call("stop") == 0
            assert not any(file.exists() for file in files.values())
            assert list(box.run.iterdir()) == []
    finally:
        call.close()


def test_the_pidfile_names_the_program_itself_and_its_words_are_what_was_written(box: Box) -> None:
    probe = box.program("probe")
    box.write(
        f"[app]\n_enabled = True\n_command = {probe} a\\ b '$HOME' \"*\" > /dev/null 2>&1 & ; `id` -cconfig %(__name__)s %\n"
    )
    box.master("start")
    pid = int((box.run / "app.pid").read_text())
    assert pid == box.pid("app")
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")[:-1]
    assert words[words.index(str(probe)) + 1 :] == [
        "a b", "$HOME", "*", ">", "/dev/null", "2>&1", "&", ";", "`id`", "-cconfig", "app", "%",
    ]  # fmt: skip
    assert "sh" not in Path(f"/proc/{pid}/comm").read_text()


@pytest.mark.parametrize("kind", ["simple", "forking", "notify", "oneshot"])
def test_stdin_is_open_and_at_its_end(box: Box, kind: str) -> None:
    told = box.directory / "told"
    program = box.program(
        "reader",
        f"""#!{sys.executable} -IS
import os, signal, sys
text = repr((os.readlink("/proc/self/fd/0"), sys.stdin.read()))
if "{kind}" == "forking" and os.fork():
    os._exit(0)
with open("{told}.new", "w") as file:
    file.write(text)
os.rename("{told}.new", "{told}")
if "{kind}" != "oneshot":
    signal.pause()
""",
    )
    box.write(f"[app]\n_enabled = True\n_type = {kind}\n_timeout_start_sec = 60\n_command = {program}\n")
    with subprocess.Popen(
        box.command("start"), stdin=subprocess.PIPE, env={"HOME": str(box.home)}, stdout=subprocess.DEVNULL
    ) as start:
        eventually(told.exists)
        box.master("stop", expect=None)
        start.wait(20)
    assert told.read_text() == "('/dev/null', '')"


def answer(port: int) -> int:
    """The process that answers at the port."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        return int(client.recv(64))


@pytest.mark.parametrize("app_too", [False, True])
def test_port_and_device_have_one_owner_after_everybody_above_was_killed(box: Box, app_too: bool) -> None:
    port, (board, line) = free_port(), os.openpty()
    ready = box.directory / "ready"
    program = box.program("holder", HOLDER)
    box.write(
        f"[app]\n_enabled = True\n_timeout_stop_sec = 0.5\n_command = {program} {port} {os.ttyname(line)} {ready}\n_ready = tcp://127.0.0.1:{port}\n"
    )
    try:
        box.master("start")
        first = answer(port)
        assert first == box.pid("app")
        holders = set(box.processes()) - {box.master_pid(), int(proc_stat(box.master_pid())[1])}
        assert len(holders) == 2, "it and its helper"
        kill_masters(box)
        if app_too:  # its helper still holds both
            os.kill(first, signal.SIGKILL)
            wait_for_end(first)
        box.master("start")
        assert (answer(port) == first) is not app_too
        assert answer(port) == box.pid("app")
        assert all(living(pid) is not app_too for pid in holders)
        assert len(box.processes()) == 4, "app, helper, watchdog and keeper"
        box.master("stop")
        assert box.processes() == []
    finally:
        os.close(board)
        os.close(line)


def test_four_apps_have_one_master_and_each_its_own_row(box: Box) -> None:
    probe = box.program("probe")
    names = ["a", "b", "c", "d"]
    box.write("".join(f"[{name}]\n_enabled = True\n_command = {probe} {name}\n" for name in names))
    box.master("start")
    report = box.status()
    pids = {row["name"]: row["pid"] for row in report["apps"]}
    for name, pid in pids.items():
        assert Path(f"/proc/{pid}/cmdline").read_bytes().endswith(b"\0%s\0" % name.encode())
        assert int(proc_stat(pid)[1]) == report["master"]["pid"]
    others = set(box.processes()) - set(pids.values())
    assert others == {report["master"]["pid"], int(proc_stat(report["master"]["pid"])[1])}, (
        "watchdog and keeper"
    )


def test_status_tells_by_its_exit_status_how_an_app_is(box: Box) -> None:
    box.write(f"[up]\n_enabled = True\n_command = {box.program('probe')}\n[down]\n_command = sleep 1000\n")
    box.master("start")
    box.master("status", "up", expect=0)
    box.master("status", "down", expect=3)
    box.master("status", "nobody", expect=4)
    os.kill(box.pid("up"), signal.SIGKILL)
    eventually(lambda: box.app("up")["restarts"] == 1)
    assert "killed by signal 9 (SIGKILL)" in box.master("status", "up", expect=None).stdout
    kill_masters(box)
    box.master("status", "up", expect=1)


def test_new_values_of_the_environment_take_one_command(box: Box) -> None:
    secrets = box.directory / "secrets"
    secrets.write_text("TOKEN=old\n")
    secrets.chmod(0o600)
    box.write(f"[app]\n_enabled = True\n_environment_file = {secrets}\n_command = {box.program('probe')}\n")
    box.master("start")
    secrets.write_text("TOKEN=new = value\n")
    box.master("restart", "app")
    assert b"\0TOKEN=new = value\0" in b"\0" + Path(f"/proc/{box.pid('app')}/environ").read_bytes()


def test_each_section_may_have_directories_of_its_own(box: Box) -> None:
    one, two = box.directory / "one", box.directory / "two"
    box.write(
        f"""
        [DEFAULT]
        _enabled = True
        _command = sh -c 'echo "$0"; exec sleep 1000' %(__name__)s
        [a]
        _pidfile_dir = {one}
        _logfile_dir = {two}
        [b]
        _pidfile_dir = {two}
        _logfile_dir = {one}
        """
    )
    box.master("start")
    for name, pids, logs in (("a", one, two), ("b", two, one)):
        assert (pids / f"{name}.pid").read_text() == f"{box.pid(name)}\n"
        eventually(lambda file=logs / f"{name}.log", said=f"{name}\n": file.read_text() == said)  # type: ignore[misc]


def test_the_configuration_may_be_named_by_either_flag(box: Box) -> None:
    box.write("[app]\n_enabled = True\n_command = sleep 1000\n")
    for flag in ("--config", "--master_config"):
        done = subprocess.run(
            [str(box.script), "configtest", f"{flag}={box.config}"], capture_output=True, text=True, check=True,
            timeout=60, env={"HOME": str(box.home), "PATH": os.environ["PATH"]},
        )  # fmt: skip
        assert done.stdout == "sleep 1000\n"
