"""start, stop, restart, status, run and logs, as people and init systems use them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from .conftest import DETACHER, TWO, Box, eventually, living, proc_stat, proc_status


def test_stop_leaves_no_process_and_no_file_behind(box: Box) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    assert box.master("start").stdout.startswith("one: running, process ")
    assert len(box.processes()) == 4, "two apps, the watchdog, its keeper"
    assert box.master("stop").stdout.splitlines() == ["two: stopped", "one: stopped", "master: stopped"]
    assert box.processes() == []
    assert list(box.run.iterdir()) == []
    assert box.master("stop").stdout == "nothing is running\n"
    assert box.master("status", expect=3).stdout == f"master: stopped, configuration {box.config}\n"


def test_status_shows_every_app_in_the_promised_form(box: Box) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    box.master("start")
    report = json.loads(box.master("status", "--json").stdout)
    assert list(report) == ["master", "apps"]
    assert list(report["master"]) == ["pid", "state", "version", "config", "started_s", "config_changed"]
    assert list(report["apps"][0]) == [
        "name", "state", "pid", "uptime_s", "restarts", "last_exit", "reason", "last_output", "output_lost", "next_try_s", "pidfile", "logfile", "command",
    ]  # fmt: skip
    row = report["apps"][0]
    assert (row["name"], row["state"], row["restarts"]) == ("one", "running", 0)
    assert row["command"] == str(box.directory / "probe")
    assert Path(row["pidfile"]).read_text() == f"{row['pid']}\n"
    assert "one" in box.master("status", "--verbose").stdout


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


@pytest.mark.parametrize("there", ["whatever.py", "whatever"])
def test_a_program_may_be_named_without_its_py_as_sections_are(box: Box, there: str) -> None:
    program = box.program(there)
    box.write(
        f"""
        [second]
        _enabled = True
        _program_name = {box.directory}/whatever
        _type = simple
        [third]
        _enabled = True
        _program_name = whatever
        _environment = PATH={box.directory}:/usr/bin:/bin
        _type = simple
        """
    )
    box.master("configtest")
    box.master("start")
    for name in ("second", "third"):
        assert box.app(name)["state"] == "running"
        assert f"{program} --daemon=False" in Path(f"/proc/{box.pid(name)}/cmdline").read_text().replace(
            "\0", " "
        )


def test_a_command_is_looked_for_as_it_is_written(box: Box) -> None:
    box.program("whatever.py")
    box.write(f"[app]\n_enabled = True\n_command = {box.directory}/whatever\n")
    assert f"there is no program {box.directory}/whatever;" in box.master("configtest", expect=6).stderr


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
    assert done.stdout == f"app: waiting for {device}: No such file or directory\n"
    device.touch()
    eventually(lambda: box.app("app")["state"] == "running")


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


@pytest.mark.parametrize("verb", ["run", "start"])
def test_a_signal_that_means_nothing_to_the_master_ends_nothing_and_apps_get_it_as_ever(
    box: Box, verb: str
) -> None:
    box.write("[one]\n_enabled = True\n_command = sleep 1000\n")
    running = subprocess.Popen(box.command(verb), stdout=subprocess.DEVNULL, env={"HOME": str(box.home)})
    eventually(
        lambda: "running" in box.master("status", expect=None).stdout and box.status()["master"]["pid"]
    )
    watchdog, app = box.master_pid(), box.pid("one")
    masters = [watchdog] if verb == "run" else [watchdog, int(proc_stat(watchdog)[1])]
    for number in ("USR1", "USR2", "QUIT", "ALRM", "VTALRM", "PROF", "IO", "PIPE"):
        for pid in masters:
            os.kill(pid, getattr(signal, f"SIG{number}"))
    assert box.master_pid() == watchdog
    assert all(living(pid) for pid in masters)
    assert int(proc_status(app)["SigIgn"], 16) == int(proc_status(app)["SigBlk"], 16) == 0
    os.kill(app, signal.SIGUSR2)
    eventually(lambda: box.app("one")["restarts"] == 1)
    box.master("stop")
    running.wait(timeout=20)
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
    for pid in (box.master_pid(), int(proc_stat(box.master_pid())[1])):
        maps = Path(f"/proc/{pid}/maps").read_text()
        assert "_psutil" not in maps
        assert "_asyncio" not in maps
        assert "_ssl" not in maps


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


def test_an_app_whose_program_is_missing_is_named_by_every_verb(box: Box) -> None:
    box.write(
        f"[well]\n_enabled = True\n_command = {box.program('probe')}\n[miss]\n_enabled = True\n_command = /nowhere/x\n"
    )
    box.master("start", expect=1)
    box.master("start", "miss", expect=5)
    left_out = box.app("miss")
    assert (left_out["state"], left_out["reason"]) == ("stopped", "left out: there is no program /nowhere/x")
    box.master("status", expect=7)
    box.master("status", "well", expect=0)


def test_stop_tells_a_wrong_name_from_nothing_to_do(box: Box) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    box.master("stop", "nobody", expect=2)
    assert json.loads(box.master("stop", "--json").stdout)["exit"] == 0
    box.config.unlink()
    assert box.master("stop").stdout == "nothing is running\n"


def test_a_stop_that_a_start_overtakes_is_answered_and_costs_nothing(box: Box) -> None:
    deaf = box.program("deaf", '#!/bin/sh\ntrap : TERM\necho >> "$0.ready"\nwhile :; do sleep 0.1; done\n')
    box.write(
        f"[base]\n_enabled = True\n_command = {box.program('probe')}\n"
        f"[upper]\n_enabled = True\n_requires = base\n_timeout_stop_sec = 1\n_command = {deaf}\n"
    )
    box.master("start")
    eventually(deaf.with_suffix(".ready").exists)
    base = box.pid("base")
    stopping = subprocess.Popen(box.command("stop", "base"), stderr=subprocess.PIPE, text=True)
    eventually(lambda: box.app("upper")["state"] == "stopping")
    box.master("start", "base")
    assert "started meanwhile by another command" in stopping.communicate(timeout=20)[1]
    assert box.pid("base") == base, "its stop had not begun yet"


def test_status_says_when_the_file_was_changed_since_and_reload_ends_that(box: Box) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    box.master("start")
    hint = "changed since it was read: master.py reload"
    assert hint not in box.master("status").stdout
    box.write(TWO.format(probe=box.program("probe")) + "# more\n")
    assert hint in box.master("status").stdout
    assert box.status()["master"]["config_changed"] is True
    box.master("reload")
    assert hint not in box.master("status").stdout


def test_logs_as_json_are_an_object_a_line(box: Box) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    box.log.mkdir()
    (box.log / "one.log").write_bytes(b"first\nno utf-8: \xff\nno end")
    (box.log / "two.log").write_bytes(b"")
    lines = box.master("logs", "--json").stdout.splitlines()
    assert [json.loads(line) for line in lines] == [
        {"app": "one", "line": "first"}, {"app": "one", "line": "no utf-8: \\xff"}, {"app": "one", "line": "no end"},
    ]  # fmt: skip


def test_what_an_app_waits_for_is_said_in_words(box: Box) -> None:
    box.write(
        """
        [base]
        _enabled = True
        _type = oneshot
        _command = sh -c 'exit 3'
        _restart_sec = 1000
        [upper]
        _enabled = True
        _requires = base
        _command = sleep 1000
        """
    )
    assert "upper: failed: waiting for base, which is in backoff" in box.master("start", expect=1).stderr
