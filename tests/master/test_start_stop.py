"""start, stop, restart and status on real processes: daemons as they should be, brought back when they fall."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from .conftest import DETACHER, Box, eventually, living, wait_for_end

TWO = """
    [one]
    _enabled = True
    _command = {probe}
    [two]
    _enabled = True
    _command = {probe}
    _after = one
"""


def stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from `state` on: state, ppid, pgrp, session, tty_nr ..."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def proc_status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


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
    _, parent, _, session, terminal = stat(pid)[:5]
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
    assert descriptors == {"0": os.devnull, "1": f"{box.log}/app.log", "2": f"{box.log}/app.log"}
    assert (box.run / "app.pid").read_text() == f"{pid}\n"


def test_stop_leaves_no_process_and_no_file_behind(box: Box) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    assert box.master("start").stdout.startswith("one: running, process ")
    assert len(box.processes()) == 4, "two apps, the watchdog, its keeper"
    assert box.master("stop").stdout.splitlines() == ["two: stopped", "one: stopped"]
    assert box.processes() == []
    assert list(box.run.iterdir()) == []
    assert box.master("stop").stdout == "nothing is running\n"
    assert box.master("status", expect=3).stdout == f"master: stopped, configuration {box.config}\n"


def test_status_shows_every_app_in_the_promised_form(box: Box) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    box.master("start")
    report = json.loads(box.master("status", "--json").stdout)
    assert list(report) == ["master", "apps"]
    assert list(report["master"]) == ["pid", "state", "config", "started_s"]
    assert list(report["apps"][0]) == [
        "name", "state", "pid", "uptime_s", "restarts", "last_exit", "reason", "next_try_s", "pidfile", "logfile", "command",
    ]  # fmt: skip
    row = report["apps"][0]
    assert (row["name"], row["state"], row["restarts"]) == ("one", "running", 0)
    assert row["command"] == str(box.directory / "probe")
    assert Path(row["pidfile"]).read_text() == f"{row['pid']}\n"
    assert "one" in box.master("status", "--verbose").stdout


def test_a_killed_app_comes_back_and_the_others_do_not_notice(box: Box) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    box.master("start")
    victim, other = box.pid("one"), box.pid("two")
    os.kill(victim, signal.SIGKILL)
    wait_for_end(victim)
    back = eventually(lambda: (row := box.app("one"))["state"] == "running" and row["pid"] != victim and row)
    assert isinstance(back, dict)
    assert back["restarts"] == 1
    assert "signal 9" in back["reason"]
    assert back["last_exit"] == {"status": None, "signal": 9}
    assert Path(back["pidfile"]).read_text() == f"{back['pid']}\n"
    assert box.pid("two") == other


def test_a_killed_app_that_had_detached_comes_back_too(box: Box) -> None:
    box.write(f"[app]\n_enabled = True\n_program_name = {box.program('app.py', DETACHER)}\n")
    box.master("start")
    victim = box.pid("app")
    os.kill(victim, signal.SIGKILL)
    wait_for_end(victim)
    eventually(lambda: box.app("app")["state"] == "running" and box.pid("app") != victim)
    assert "signal 9" in box.app("app")["reason"]
    assert int((box.run / "app.pid").read_text()) == box.pid("app")


def test_a_program_that_ends_at_once_is_retried_ever_more_rarely_and_says_why(box: Box) -> None:
    box.write("[bad]\n_enabled = True\n_command = sh -c 'echo out of beer >&2; exit 3'\n")
    done = box.master("start", expect=1)
    assert "bad: failed: exited 3 after 0.0 s: out of beer" in done.stderr
    waiting = eventually(
        lambda: (row := box.app("bad"))["state"] == "backoff" and row["restarts"] >= 3 and row
    )
    assert isinstance(waiting, dict)
    assert 0 < waiting["next_try_s"] <= 1
    assert waiting["reason"] == "exited 3 after 0.0 s: out of beer"
    later = eventually(lambda: (row := box.app("bad"))["state"] == "backoff" and row["restarts"] >= 4 and row)
    assert isinstance(later, dict)
    assert later["next_try_s"] > 1
    assert "next try in" in box.master("status", expect=7).stdout


def test_a_second_instance_of_a_program_runs_beside_the_first(box: Box) -> None:
    program = box.program("whatever.py", DETACHER)
    box.write(
        f"""
        [myapp]
        _enabled = True
        _program_name = {program}
        logfile = {box.directory}/%(__name__)s.log
        [second]
        _enabled = True
        _program_name = {program}
        """
    )
    box.master("start")
    first, second = box.app("myapp"), box.app("second")
    assert first["pid"] != second["pid"]
    assert first["logfile"] == f"{box.directory}/myapp.log"
    assert Path(first["logfile"]).exists()
    assert f"--logfile={box.directory}/myapp.log" in first["command"]
    assert (box.run / "second.pid").read_text() == f"{second['pid']}\n"


def test_start_twice_is_once(box: Box) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    box.master("start")
    before = sorted(box.processes())
    assert "one: running" in box.master("start").stdout
    assert sorted(box.processes()) == before


def test_many_starts_at_once_make_one_master_and_each_app_once(box: Box) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    crowd = [
        subprocess.Popen(
            box.command("start"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={"HOME": str(box.home)}
        )
        for _ in range(12)
    ]
    for one in crowd:
        out, err = one.communicate(timeout=60)
        assert one.returncode == 0, (out, err)
    assert len(box.processes()) == 4


def test_restart_gives_new_processes_and_uses_the_file_as_it_is_now(box: Box) -> None:
    probe = box.program("probe")
    box.write(TWO.format(probe=probe))
    box.master("start")
    one, two = box.pid("one"), box.pid("two")
    box.write(TWO.format(probe=f"{probe} changed"))
    box.master("restart", "one")
    assert box.pid("one") != one
    assert box.pid("two") == two
    assert box.app("one")["command"].endswith("changed")
    assert box.app("one")["restarts"] == 0
    box.master("restart")
    assert box.pid("two") != two


def test_one_app_can_be_stopped_and_started_alone(box: Box) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    box.master("start", "one")
    assert box.app("two")["state"] == "stopped"
    box.master("start", "two")
    box.master("stop", "one")
    assert (box.app("one")["state"], box.app("two")["state"]) == ("stopped", "running")
    box.master("status", "one", expect=3)
    box.master("status", "two", expect=0)
    box.master("status", "nobody", expect=4)
    box.master("status", expect=0)
    box.master("stop", "nobody", expect=2)


def test_an_app_starts_when_what_it_comes_after_is_ready_and_stops_before_it(box: Box) -> None:
    box.write(
        f"""
        [late]
        _enabled = True
        _requires = early
        _command = sh -c 'test -e {box.directory}/ready && exec sleep 1000'
        [early]
        _enabled = True
        _type = oneshot
        _command = touch {box.directory}/ready
        """
    )
    box.master("start", "late")
    assert box.app("early")["state"] == "exited"
    assert box.app("late")["restarts"] == 0
    assert box.master("status").returncode == 0


def test_a_device_that_is_late_is_waited_for(box: Box) -> None:
    device = box.directory / "device"
    box.write(f"[app]\n_enabled = True\n_wait_for = {device}\n_command = {box.program('probe')}\n")
    done = box.master("start")
    assert done.stdout == f"app: waiting: waiting for {device}: No such file or directory\n"
    device.touch()
    eventually(lambda: box.app("app")["state"] == "running")


def test_a_program_that_does_not_detach_is_named_and_ended(box: Box) -> None:
    box.write(f"[app]\n_enabled = True\n_timeout_start_sec = 0.3\n_program_name = {box.program('app.py')}\n")
    done = box.master("start", expect=1)
    assert (
        "app: failed: did not detach within 0.3 s; a program that stays in the foreground needs"
        in done.stderr
    )


def test_what_is_started_but_left_no_pidfile_is_ended(box: Box) -> None:
    box.write(
        "[app]\n_enabled = True\n_timeout_start_sec = 0.3\n_type = forking\n_command = sh -c 'sleep 999 &'\n"
    )
    done = box.master("start", expect=1)
    assert f"no pidfile {box.run}/app.pid within 0.3 s" in done.stderr
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


def test_a_killed_watchdog_is_back_and_its_apps_never_stopped(box: Box) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    box.master("start")
    pids, watchdog = [box.pid("one"), box.pid("two")], box.master_pid()
    os.kill(watchdog, signal.SIGKILL)
    wait_for_end(watchdog)
    eventually(lambda: box.status()["master"]["state"] == "running")
    assert box.master_pid() != watchdog
    assert [box.pid("one"), box.pid("two")] == pids
    assert box.app("one")["restarts"] == 0
    os.kill(pids[0], signal.SIGKILL)
    back = eventually(lambda: (row := box.app("one"))["state"] == "running" and row["restarts"] == 1 and row)
    assert isinstance(back, dict)
    assert "signal 9" in back["reason"], "the keeper told how it ended"


def test_when_watchdog_and_keeper_are_killed_start_adopts_what_runs(box: Box) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    box.master("start")
    pids, watchdog = [box.pid("one"), box.pid("two")], box.master_pid()
    keeper = int(stat(watchdog)[1])
    for pid in (keeper, watchdog):
        os.kill(pid, signal.SIGKILL)
        wait_for_end(pid)
    dead = box.master("status", expect=1).stdout
    assert dead.startswith("master: dead")
    assert "runs unwatched" in dead
    os.kill(pids[1], signal.SIGKILL)
    wait_for_end(pids[1])
    box.master("start")
    assert box.pid("one") == pids[0]
    assert "no watchdog was there" in box.app("two")["reason"]
    assert len(box.processes()) == 4
    box.master("stop")
    assert box.processes() == []


def test_stop_after_the_master_was_killed_ends_what_it_left(box: Box) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    box.master("start")
    watchdog = box.master_pid()
    for pid in (int(stat(watchdog)[1]), watchdog):
        os.kill(pid, signal.SIGKILL)
        wait_for_end(pid)
    box.master("stop")
    assert box.processes() == []


def test_run_stays_in_the_foreground_and_ends_its_apps_on_sigterm(box: Box) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.settimeout(20)
    notify.bind("\0" + f"kegmaster-test-{os.getpid()}")
    running = subprocess.Popen(
        box.command("run"), stdout=subprocess.PIPE, text=True,
        env={"HOME": str(box.home), "NOTIFY_SOCKET": f"@kegmaster-test-{os.getpid()}"},
    )  # fmt: skip
    assert notify.recv(100) == b"READY=1"
    notify.close()
    assert box.app("one")["state"] == "running"
    assert box.master_pid() == running.pid
    box.master("run", expect=1)
    running.terminate()
    out, _ = running.communicate(timeout=20)
    assert running.returncode == 0
    assert "(kegbot_master) one: running" in out
    assert box.processes() == []


def test_logs_shows_the_end_of_the_apps_log_and_follows_it(box: Box) -> None:
    box.write("[app]\n_enabled = True\n_command = sh -c 'seq 100; read x; exec sleep 1000'\n")
    box.master("start")
    assert box.master("logs", "app", "-n", "3").stdout == "98\n99\n100\n"
    following = subprocess.Popen(
        box.command("logs", "app", "-f", "-n", "1"), stdout=subprocess.PIPE, text=True
    )
    assert following.stdout is not None
    assert following.stdout.readline() == "100\n"
    with open(box.app("app")["logfile"], "a") as log:
        log.write("more\n")
    assert following.stdout.readline() == "more\n"
    following.kill()
    following.communicate()
    box.master("logs", "nobody", expect=2)


def test_the_resident_processes_hold_none_of_the_heavy_libraries(box: Box) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    box.master("start")
    for pid in (box.master_pid(), int(stat(box.master_pid())[1])):
        maps = Path(f"/proc/{pid}/maps").read_text()
        assert "_psutil" not in maps
        assert "_asyncio" not in maps
        assert "_ssl" not in maps


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
        "NAME", "API_KEY", "PATH", "HOME", "LANG", "PYTHONUNBUFFERED", "KEGMASTER_COOKIE", "NOTIFY_SOCKET",
    }  # fmt: skip
    assert "s e c r e t" not in json.dumps(box.status())
    assert os.getpriority(os.PRIO_PROCESS, pid) == 5
    assert proc_status(pid)["Umask"] == "0027"
    assert os.readlink(f"/proc/{pid}/cwd") == str(box.directory)
    assert "Max open files            123" in Path(f"/proc/{pid}/limits").read_text()


def test_a_restart_is_refused_for_a_section_that_is_broken_now_and_the_app_runs_on(box: Box) -> None:
    probe = box.program("probe")
    box.write(TWO.format(probe=probe))
    box.master("start")
    one, two = box.pid("one"), box.pid("two")
    box.write(TWO.format(probe=probe).replace("_after = one", "_atfer = one"))
    done = box.master("restart", expect=1)
    assert "[two] _atfer: no such key; did you mean _after?" in done.stderr
    assert box.pid("two") == two
    assert box.pid("one") != one
    box.master("restart", "two", expect=1)
    assert box.pid("two") == two


def test_it_needs_no_terminal_no_open_files_and_no_current_directory(box: Box) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    gone = box.directory / "gone"
    gone.mkdir()
    script = f'cd "{gone}" && rmdir "{gone}" && exec "$@" <&- >&- 2>&-'
    for verb, alive in (("start", 4), ("restart", 4), ("status", 4), ("stop", 0)):
        done = subprocess.run(
            ["sh", "-c", f'mkdir -p "{gone}" && {script}', "sh", *box.command(verb)],
            env={"HOME": str(box.home)}, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, verb
        assert len(box.processes()) == alive, verb


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is so careful")
def test_root_refuses_a_configuration_that_others_can_write(box: Box) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    box.config.chmod(0o666)
    done = box.master("start", expect=6)
    assert "can be written by others than root; chown root" in done.stderr
