"""reload: the file is read again, and only what changed in it is touched."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from .conftest import DETACHER, Box, eventually, living, proc_stat, wait_for_end


def write(box: Box, **sections: str) -> None:
    """Sections of `_enabled = True` and these lines; `PROBE` is a program that stays."""
    text = "".join(f"[{name}]\n_enabled = True\n{lines}\n" for name, lines in sections.items())
    box.write(text.replace("PROBE", str(box.program("probe"))))


def pids(box: Box) -> dict[str, int]:
    return {row["name"]: row["pid"] for row in box.status()["apps"]}


def test_only_what_changed_is_touched(box: Box) -> None:
    write(box, same="_command = PROBE", other="_command = PROBE 1", old="_command = PROBE")
    box.master("start")
    before = pids(box)
    write(box, new="_command = PROBE", other="_command = PROBE 2", same="# a comment\n\n_command=PROBE")
    told = box.master("reload").stdout.splitlines()
    after = pids(box)
    assert list(after) == ["new", "other", "same"], "an app whose section is gone is gone from status too"
    assert after["same"] == before["same"]
    assert after["other"] != before["other"]
    assert box.app("other")["command"].endswith("probe 2")
    assert not living(before["old"])
    assert told[:3] == ["new: start", "other: restart", "old: stop, its section is gone"]
    assert sorted(told[3:]) == [f"new: running, process {after['new']}", "old: stopped", f"other: running, process {after['other']}"]  # fmt: skip
    assert not (box.run / "old.pid").exists()
    assert box.master("reload").stdout == "nothing changed\n"
    assert pids(box) == after


def test_an_app_that_was_stopped_before_its_section_went_is_gone_too(box: Box) -> None:
    write(box, one="_command = PROBE", two="_command = PROBE")
    box.master("start")
    box.master("stop", "two")
    write(box, one="_command = PROBE")
    box.master("reload")
    assert list(pids(box)) == ["one"]
    assert "two" not in box.master("stop").stdout


def test_a_dry_run_shows_old_and_new_and_touches_nothing(box: Box) -> None:
    write(
        box,
        one="_command = PROBE 1",
        two="_command = PROBE\n_environment = KEY=hush",
        three="_command = PROBE",
    )
    box.master("start")
    before, probe = pids(box), box.directory / "probe"
    assert box.master("reload", "--dry_run").stdout == "nothing would change\n"
    write(
        box, one="_command = PROBE 'a b'", two="_command = PROBE\n_environment = KEY=quiet", three="_command = PROBE\n_restart_sec = 3",
        four="_command = PROBE",
    )  # fmt: skip
    done = box.master("reload", "--dry_run")
    assert done.stdout.splitlines() == [
        "one: restart", f"  - {probe} 1", f"  + {probe} 'a b'",
        "two: restart", "  _environment: changed",
        "three: no restart needed", "  _restart_sec: 0 -> 3",
        "four: start", f"  + {probe}",
    ]  # fmt: skip
    report = json.loads(box.master("reload", "--dry_run", "--json").stdout)
    assert [(row["name"], row["change"]) for row in report["changes"]] == [
        ("one", "restart"), ("two", "restart"), ("three", "update"), ("four", "start"),
    ]  # fmt: skip
    assert report["changes"][0]["new_argv"] == [str(probe), "a b"]
    assert "quiet" not in json.dumps(report)
    assert {**pids(box), "four": None} == {**before, "four": None}


def test_the_launchers_own_policy_changes_under_a_running_app(box: Box) -> None:
    program = box.program("deaf", '#!/bin/sh\ntrap : TERM\necho > "$0.ready"\nwhile :; do sleep 0.1; done\n')
    write(box, app=f"_command = {program}\n_timeout_stop_sec = 600")
    box.master("start")
    eventually(program.with_suffix(".ready").exists)
    pid = box.pid("app")
    write(box, app=f"_command = {program}\n_timeout_stop_sec = 200ms")
    assert (
        box.master("reload").stdout.splitlines()
        == ["app: no restart needed", f"app: running, process {pid}"][:1]
    )
    assert box.pid("app") == pid
    box.master("stop", "app")
    assert box.app("app")["reason"].endswith("did not end within 0.2 s, killed")


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        ("[one]\n_enabled = True\n_command = PROBE 2\n_restart = maybe\n", 6),
        ("[one]\n_enabled = True\n_command = PROBE 2\n[off]\n_restart = maybe\n_command = PROBE\n", 6),
        ("[one]\n_enabled = True\n_command = PROBE 2\n[two]\n_enabled = True\n_command = /no/such/program\n", 5),
        ("[one]\n_enabled = True\n_command = PROBE 2\n[two]\n_enabled = True\n_restart = x\n_command = /no/such\n", 6),
        ("no section\n", 6),
    ],
)  # fmt: skip
def test_a_reload_with_an_error_changes_nothing_at_all(box: Box, broken: str, code: int) -> None:
    write(box, one="_command = PROBE 1", gone="_command = PROBE")
    box.master("start")
    before, report = pids(box), box.status()["apps"]
    box.write(broken.replace("PROBE", str(box.directory / "probe")))
    for words in (["reload"], ["reload", "--dry_run"]):
        done = box.master(*words, expect=code)
        assert f"{box.config}:" in done.stderr
        assert done.stderr.endswith("nothing was reloaded, everything runs on as before\n")
        assert done.stdout == ""
    assert json.loads(box.master("reload", "--json", expect=code).stdout)["problems"]
    assert pids(box) == before
    assert [row["command"] for row in box.status()["apps"]] == [row["command"] for row in report]


def test_an_unreadable_file_changes_nothing(box: Box) -> None:
    write(box, one="_command = PROBE")
    box.master("start")
    pid = box.pid("one")
    box.config.unlink()
    assert "no such file" in box.master("reload", expect=6).stderr
    assert box.pid("one") == pid


@pytest.mark.parametrize("who", ["watchdog", "keeper"])
def test_sighup_is_a_reload(box: Box, who: str) -> None:
    write(box, one="_command = PROBE", two="_command = PROBE 1")
    box.master("start")
    before, watchdog = pids(box), box.master_pid()
    master = watchdog if who == "watchdog" else int(proc_stat(watchdog)[1])
    write(box, one="_command = PROBE", two="_command = PROBE 2")
    os.kill(master, signal.SIGHUP)
    wait_for_end(before["two"])
    eventually(lambda: box.app("two")["state"] == "running" and box.app("two")["command"].endswith(" 2"))
    assert box.pid("one") == before["one"]
    log = box.log / "kegbot_master.log"
    eventually(lambda: "reload: done" in log.read_text())
    assert "reload: two: restart" in log.read_text()
    write(box, one="_command = PROBE\n_restart = maybe", two="_command = PROBE 3")
    os.kill(master, signal.SIGHUP)
    eventually(lambda: "reload: refused, everything runs on as before" in log.read_text())
    assert "[one] _restart: 'maybe' is no good" in log.read_text()
    assert box.app("two")["command"].endswith(" 2")
    assert box.master_pid() == watchdog
    told = box.master("events").stdout
    assert "reloaded: two restart" in told
    assert "reload refused" in told


def test_what_a_person_stopped_stays_stopped_and_what_he_started_stays(box: Box) -> None:
    write(box, one="_command = PROBE", two="_command = PROBE\n_requires = one", three="_command = PROBE")
    with box.config.open("a") as file:
        file.write(f"[extra]\n_command = {box.directory / 'probe'}\n")
    box.master("start")
    box.master("start", "extra")
    box.master("stop", "one")
    before = pids(box)
    with box.config.open("a") as file:
        file.write(f"[four]\n_enabled = True\n_command = {box.directory / 'probe'}\n")
    assert box.master("reload").stdout.splitlines()[0] == "four: start"
    after = pids(box)
    assert after == {**before, "four": after["four"]}
    assert after["one"] is None
    assert after["two"] is None
    box.master("start", "two")
    assert box.master("reload").stdout == "nothing changed\n"


def test_an_app_that_is_not_enabled_any_more_is_stopped_unless_another_requires_it(box: Box) -> None:
    write(box, one="_command = PROBE", two="_command = PROBE\n_requires = one", three="_command = PROBE")
    box.master("start")
    before = pids(box)
    text = box.config.read_text()
    box.config.write_text(
        text.replace("[one]\n_enabled = True", "[one]").replace("[three]\n_enabled = True", "[three]")
    )
    told = box.master("reload").stdout.splitlines()
    assert told == ["one: no restart needed", "three: stop, it is not enabled any more", "three: stopped"]
    assert pids(box) == {"one": before["one"], "two": before["two"]}


def test_dependencies_that_changed_take_part_in_the_same_reload(box: Box) -> None:
    """`two` required `one`, which is gone now: it must neither fall with it nor wait for it."""
    write(
        box,
        one="_command = PROBE",
        two="_command = PROBE\n_requires = one",
        three="_command = PROBE 1\n_requires = one",
    )
    box.master("start")
    before = pids(box)
    write(box, two="_command = PROBE", three="_command = PROBE 2\n_requires = four", four="_command = PROBE")
    box.master("reload")
    after = pids(box)
    assert sorted(after) == ["four", "three", "two"]
    assert after["two"] == before["two"]
    assert after["three"] not in (None, before["three"])
    assert not living(before["one"])


def test_a_failure_after_a_reload_is_told_and_the_mended_file_is_tried_at_once(box: Box) -> None:
    write(box, one="_command = PROBE 1", two="_command = PROBE")
    box.master("start")
    two = box.pid("two")
    write(box, one="_command = sh -c 'exit 3'", two="_command = PROBE")
    assert "one: failed: exited 3" in box.master("reload", expect=1).stderr
    write(box, one="_command = PROBE 1", two="_command = PROBE")
    assert "one: running" in box.master("reload").stdout
    assert box.pid("two") == two


def test_a_watchdog_that_was_killed_knows_what_its_apps_were_started_with(box: Box) -> None:
    program = box.program("app.py", DETACHER)
    lines = f"_program_name = {program}\nport = 1"
    write(box, same="_command = PROBE", flag=lines, umask="_command = PROBE", off="_command = PROBE", policy="_command = PROBE")  # fmt: skip
    box.master("start")
    before, watchdog = pids(box), box.master_pid()
    write(
        box, same="_command = PROBE", flag=lines.replace("port = 1", "port = 2"), umask="_command = PROBE\n_umask = 077",
        policy="_command = PROBE\n_restart_sec = 3",
    )  # fmt: skip
    with box.config.open("a") as file:
        file.write(f"[off]\n_command = {box.directory / 'probe'}\n")
    os.kill(watchdog, signal.SIGKILL)
    wait_for_end(watchdog)
    eventually(lambda: box.status()["master"]["state"] == "running")
    assert pids(box) == before
    assert box.master("reload", "--dry_run").stdout.splitlines() == [
        "flag: restart",
        f"  - {box.app('flag')['command']}", f"  + {box.app('flag')['command'].replace('port=1', 'port=2')}",
        "umask: restart", "  _umask: changed",
        "off: stop, it is not enabled any more", f"  - {box.directory / 'probe'}",
    ]  # fmt: skip
    box.master("reload")
    after = pids(box)
    assert (after["same"], after["policy"]) == (before["same"], before["policy"])
    assert "port=2" in box.app("flag")["command"]
    assert "off" not in after
    assert box.master("reload").stdout == "nothing changed\n"


def test_without_a_master_there_is_nothing_to_reload(box: Box) -> None:
    write(box, one="_command = PROBE")
    done = box.master("reload", expect=7)
    assert done.stderr == "master.py: no master runs, so there is nothing to reload; start reads the file\n"
    assert box.master("force-reload", expect=7).stderr == done.stderr
    assert json.loads(box.master("reload", "--json", expect=7).stdout)["exit"] == 7
    assert box.master("try-restart").stdout == "nothing is running\n"
    assert not box.run.exists()


def test_the_other_verbs_of_an_init_script(box: Box) -> None:
    write(box, one="_command = PROBE 1")
    box.master("start")
    before = pids(box)
    write(box, one="_command = PROBE 2")
    box.master("force-reload")
    reloaded = pids(box)
    assert reloaded != before
    box.master("try-restart")
    assert pids(box) != reloaded
    assert "one: has no _reload_signal" in box.master("reload", "one", expect=6).stderr


def test_systemd_is_told_of_a_reload(box: Box, tmp_path: Path) -> None:
    address = tmp_path / "systemd.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(address))
        told.settimeout(20)
        write(box, one="_command = PROBE 1")
        master = subprocess.Popen(
            box.command("run"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={"HOME": str(box.home), "NOTIFY_SOCKET": str(address)},
        )  # fmt: skip
        assert told.recv(4096) == b"READY=1"
        write(box, one="_command = PROBE 2")
        master.send_signal(signal.SIGHUP)
        first, stamp = told.recv(4096).decode().split("\n")
        assert first == "RELOADING=1"
        assert stamp.removeprefix("MONOTONIC_USEC=").isdigit()
        assert told.recv(4096) == b"READY=1"
        assert box.app("one")["command"].endswith(" 2")
        master.terminate()
        assert told.recv(4096) == b"STOPPING=1"
        assert master.wait(20) == 0
