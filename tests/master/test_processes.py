"""What an app's process is given, and which processes are believed to be the app's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kegmaster import proc, spawn

from .conftest import DETACHER, Box, eventually, living, proc_stat, proc_status, wait_for_end


@pytest.mark.parametrize("kind", ["simple", "forking"])
def test_a_started_app_is_a_daemon_as_it_should_be(box: Box, kind: str) -> None:
    program = box.program("app.py", DETACHER)
    if kind == "simple":
        box.write(f"[app]\n_enabled = True\n_command = sleep 1000\nlogfile = {box.log}/%(__name__)s.log\n")
    else:
        box.write(f"[app]\n_enabled = True\n_program_name = {program}\n")
    # The caller's own oddities must not be handed on.
    with open(os.devnull) as leaked:
        subprocess.run(
            ["bash", "-c", "umask 077; trap '' TERM HUP PIPE; exec \"$@\"", "bash", *box.command("start")],
            check=True, stdin=leaked, capture_output=True, pass_fds=(leaked.fileno(),), timeout=60,
            env={"HOME": str(box.home), "PATH": os.environ["PATH"]},
        )  # fmt: skip
    pid = box.pid("app")
    _, parent, _, session, terminal = proc_stat(pid)[:5]
    assert int(session) == pid, "leads a session of its own"
    assert terminal == "0", "has no terminal"
    assert int(parent) == box.master_pid(), "is the watchdog's child"
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    seen = proc_status(pid)
    assert seen["Umask"] == "0022"
    assert int(seen["SigBlk"], 16) == 0
    if kind == "simple":  # sleep changes nothing; Python ignores SIGPIPE by itself
        assert int(seen["SigIgn"], 16) == 0
    descriptors = {name: os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")}
    spool = "/memfd:kegmaster:app (deleted)"
    assert descriptors == {"0": os.devnull, "1": spool, "2": spool}
    assert (box.run / "app.pid").read_text() == f"{pid}\n"


def test_the_environment_is_the_same_whoever_starts_and_holds_no_surprise(box: Box) -> None:
    secrets = box.directory / "secrets"
    secrets.write_text("# keys\nAPI_KEY='s e c r e t'\n")
    box.write(
        f"""
        [app]
        _enabled = True
        _command = sleep 1000
        _environment = NAME="two words" PATH=/bin:/usr/bin
        _environment_file = {secrets}
        _nice = 5
        _umask = 027
        _limit_nofile = 123
        _working_directory = {box.directory}
        """
    )
    box.master("start")
    pid = box.pid("app")
    variables = dict(
        pair.split("=", 1)
        for pair in Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
        if "=" in pair
    )
    assert variables["NAME"] == "two words"
    assert variables["API_KEY"] == "s e c r e t"
    assert variables["PATH"] == "/bin:/usr/bin"
    assert set(variables) == {
        "NAME", "API_KEY", "PATH", "HOME", "LANG", "PYTHONUNBUFFERED", "KEGMASTER_COOKIE", "KEGMASTER_APP", "KEGMASTER_RUN", "NOTIFY_SOCKET",
    }  # fmt: skip
    assert "s e c r e t" not in json.dumps(box.status())
    assert os.getpriority(os.PRIO_PROCESS, pid) == 5
    assert proc_status(pid)["Umask"] == "0027"
    assert os.readlink(f"/proc/{pid}/cwd") == str(box.directory)
    assert "Max open files            123" in Path(f"/proc/{pid}/limits").read_text()


def test_a_program_that_does_not_detach_is_named_and_ended(box: Box) -> None:
    box.write(f"[app]\n_enabled = True\n_timeout_start_sec = 0.3\n_program_name = {box.program('app.py')}\n")
    done = box.master("start", expect=1)
    assert (
        "app: failed: did not detach within 0.3 s; a program that stays in the foreground needs"
        in done.stderr
    )


def test_what_is_started_but_left_no_pidfile_is_ended(box: Box) -> None:
    box.write(
        "[app]\n_enabled = True\n_timeout_start_sec = 0.3\n_type = forking\n_pidfile = /nowhere/app.pid\n"
        "_command = sh -c 'sleep 999 &'\n".replace("/nowhere", str(box.directory))
    )
    done = box.master("start", expect=1)
    assert f"no pidfile {box.directory}/app.pid within 0.3 s" in done.stderr
    box.master("stop")
    assert box.processes() == []


@pytest.mark.parametrize("claim", ["1", "{ours}", "nonsense", "99999999"])
def test_a_pidfile_that_names_a_stranger_is_not_believed(box: Box, claim: str) -> None:
    text = claim.format(ours=os.getpid())
    box.write(
        "[app]\n_enabled = True\n_timeout_start_sec = 0.3\n_type = forking\n"
        f"_command = sh -c 'echo {text} > {box.run}/app.pid'\n"
    )
    done = box.master("start", expect=1)
    assert f"pidfile {box.run}/app.pid" in done.stderr
    box.master("stop")
    assert living(os.getpid())


def test_notify_programs_are_ready_when_they_say_so_and_their_status_is_shown(box: Box) -> None:
    program = box.program(
        "notifier",
        "#!/usr/bin/env python3\nimport os, signal, socket\n"
        "with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:\n"
        "    a = os.environ['NOTIFY_SOCKET']\n"
        "    s.sendto(b'READY=1\\nSTATUS=12 taps open', '\\0' + a[1:] if a[0] == '@' else a)\n"
        "signal.pause()\n",
    )
    box.write(f"[app]\n_enabled = True\n_type = notify\n_command = {program}\n")
    box.master("start")
    assert box.app("app")["reason"] == "12 taps open"


def test_stop_ends_children_that_ignore_it_or_hide(box: Box) -> None:
    program = box.program(
        "family",
        "#!/usr/bin/env python3\nimport os, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "if os.fork() == 0:\n    time.sleep(1000)\n"
        "if os.fork() == 0:\n    os.setsid()\n    os.fork()\n    time.sleep(1000)\n"
        "signal.signal(signal.SIGTERM, signal.SIG_DFL)\nsignal.pause()\n",
    )
    box.write(f"[app]\n_enabled = True\n_timeout_stop_sec = 0.5\n_command = {program}\n")
    box.master("start")
    eventually(lambda: len(box.processes()) == 6)
    box.master("stop", "app")
    assert len(box.processes()) == 2, "the watchdog and its keeper"
    box.master("start", "app")
    eventually(lambda: len(box.processes()) == 6)
    old = set(box.processes())
    os.kill(box.pid("app"), signal.SIGKILL)
    eventually(lambda: box.app("app")["restarts"] == 1 and len(box.processes()) == 6)
    assert len(old & set(box.processes())) == 2, "a crash leaves nothing of the old instance either"


CLEAN = """#!/bin/sh
exec env -i "$0.py" "$1"
"""
CLEAN_PY = f"""#!{sys.executable} -IS
import os, sys, time
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
with open(sys.argv[1], "w") as file:
    file.write(f"{{os.getpid()}}\\n")
time.sleep(1000)
"""


def test_a_daemon_that_clears_its_environment_is_known_all_the_same(box: Box) -> None:
    clean = box.program("clean", CLEAN)
    box.program("clean.py", CLEAN_PY)
    box.write(f"[app]\n_enabled = True\n_type = forking\n_command = {clean} {box.run}/app.pid\n")
    box.master("start")
    pid = box.pid("app")
    os.kill(box.master_pid(), signal.SIGKILL)
    eventually(lambda: box.status()["master"]["state"] == "running")
    assert box.pid("app") == pid
    box.master("stop")
    wait_for_end(pid)


def test_a_child_with_an_environment_and_a_session_of_its_own_is_ended_too(box: Box) -> None:
    hidden = box.program("hidden", "#!/bin/sh\nexec sleep 1000\n")
    box.write(
        f"[app]\n_enabled = True\n_command = sh -c 'env -i setsid {hidden} & echo $! > {box.directory}/child; exec sleep 1000'\n"
    )
    box.master("start")
    child = int(
        eventually(lambda: (box.directory / "child").exists() and (box.directory / "child").read_text())
    )
    box.master("stop")
    wait_for_end(child, within_s=1)


def test_a_helper_that_is_gone_may_have_told_that_the_app_is_ready(box: Box) -> None:
    program = box.program(
        "app",
        f"""#!/bin/sh
{sys.executable} -c 'import os, socket
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])'
exec sleep 1000
""",
    )
    box.write(f"[app]\n_enabled = True\n_type = notify\n_timeout_start_sec = 600h\n_command = {program}\n")
    box.master("start")
    assert box.app("app")["state"] == "running"


@pytest.mark.parametrize("what", ["fifo", "symlink", "directory"])
def test_a_log_that_is_no_plain_file_is_refused(box: Box, what: str) -> None:
    box.write(f"[app]\n_enabled = True\n_command = sleep 1000\nlogfile = {box.directory}/app.log\n")
    path, precious = box.directory / "app.log", box.directory / "precious"
    precious.write_text("")
    if what == "fifo":
        os.mkfifo(path)
    elif what == "symlink":
        path.symlink_to(precious)
    else:
        path.mkdir()
    for verb in ("configtest", "start"):
        assert f"[app] logfile: its logfile {path} is " in box.master(verb, expect=6).stderr


def test_the_master_keeps_no_descriptor_of_whoever_started_it(box: Box) -> None:
    box.write("[app]\n_enabled = True\n_command = sleep 1000\n")
    read_end, write_end = os.pipe()
    subprocess.run(
        box.command("start"),
        env={"HOME": str(box.home)},
        pass_fds=(write_end,),
        check=True,
        capture_output=True,
        timeout=60,
    )
    os.close(write_end)
    assert os.read(read_end, 1) == b"", "nobody else holds the pipe"
    os.close(read_end)


def test_what_a_oneshot_leaves_behind_is_ended_though_it_ignores_it(box: Box) -> None:
    box.write(
        "[once]\n_enabled = True\n_type = oneshot\n_timeout_stop_sec = 0.5\n"
        f"_command = sh -c 'trap \"\" TERM; sleep 1000 & echo > {box.directory}/ready'\n"
    )
    box.master("start")
    assert box.app("once")["state"] == "exited"
    assert len(box.processes()) == 2, "the watchdog and its keeper"


def test_a_process_bears_the_mark_of_its_launch_before_it_is_let_loose() -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    mark = proc.tag("abcd" * 8)
    launch = spawn.Launch(path="/bin/true", argv=("true",), environment={}, output=null, tag=mark)
    batch = spawn.hold([launch])
    held = batch.held[0]
    assert isinstance(held, spawn.Held)
    try:
        assert proc.tag_of(held.pid) == mark
    finally:
        batch.release()
        wait_for_end(held.pid)
        os.close(held.report)
        os.close(null)
