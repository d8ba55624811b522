"""Whatever falls is brought back: an app, the watchdog, both, and nothing twice."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kegmaster import spawn

from .conftest import DETACHER, TWO, Box, eventually, living, proc_stat, wait_for_end


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
    keeper = int(proc_stat(watchdog)[1])
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
    assert "died unwatched" in box.app("two")["reason"]
    assert len(box.processes()) == 4
    box.master("stop")
    assert box.processes() == []


def test_stop_after_the_master_was_killed_ends_what_it_left(box: Box) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    box.master("start")
    watchdog = box.master_pid()
    for pid in (int(proc_stat(watchdog)[1]), watchdog):
        os.kill(pid, signal.SIGKILL)
        wait_for_end(pid)
    box.master("stop")
    assert box.processes() == []


DEAF = """#!/bin/sh
trap : TERM
echo >> "$0.ready"
while :; do sleep 0.1; done
"""


def keeper_of(box: Box) -> int:
    return int(proc_stat(box.master_pid())[1])


def back_under_another_keeper(box: Box, keeper: int) -> None:
    eventually(lambda: box.status()["master"]["state"] == "running" and keeper_of(box) not in (1, keeper))


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    wait_for_end(pid)


def test_a_stop_right_after_the_watchdog_was_killed_is_a_stop(box: Box) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    for _ in range(6):
        box.master("start")
        kill(box.master_pid())
        eventually(lambda: box.status()["master"]["state"] == "running")
        box.master("stop")
        assert box.processes() == []


@pytest.mark.parametrize("names", [["slow"], []])
def test_a_stop_goes_on_though_the_watchdog_is_killed_in_its_middle(box: Box, names: list[str]) -> None:
    deaf = box.program("deaf", DEAF)
    box.write(
        f"[slow]\n_enabled = True\n_timeout_stop_sec = 1\n_command = {deaf}\n[other]\n_enabled = True\n_command = {box.program('probe')}\n"
    )
    box.master("start")
    eventually(lambda: deaf.with_suffix(".ready").exists())
    stopping = subprocess.Popen(box.command("stop", *names), stderr=subprocess.PIPE)
    eventually(lambda: box.app("slow")["state"] == "stopping")
    os.kill(box.master_pid(), signal.SIGKILL)
    stopping.communicate(timeout=20)
    if names:
        eventually(lambda: box.app("slow")["state"] == "stopped")
        assert box.app("other")["state"] == "running"
    else:
        eventually(lambda: box.processes() == [])


@pytest.mark.parametrize("rounds", [1, 3])
def test_a_watchdog_whose_keeper_is_killed_takes_its_place(box: Box, rounds: int) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    box.master("start")
    pids = [box.pid("one"), box.pid("two")]
    for _ in range(rounds):
        keeper = keeper_of(box)
        kill(keeper)
        back_under_another_keeper(box, keeper)
        kill(box.master_pid())
        eventually(lambda: box.status()["master"]["state"] == "running")
    assert [box.pid("one"), box.pid("two")] == pids
    assert len(box.processes()) == 4
    kill(pids[0])
    back = eventually(lambda: (row := box.app("one"))["restarts"] == 1 and row["state"] == "running" and row)
    assert isinstance(back, dict)
    # Once a keeper that apps were left to is killed itself, only init learns how they end.
    assert ("signal 9" if rounds == 1 else "ended unseen") in back["reason"]


def test_a_worker_is_found_though_watchdog_and_keeper_changed_meanwhile(box: Box) -> None:
    program = box.program(
        "work", "#!/bin/sh\nsetsid sh -c 'trap \"\" TERM; exec sleep 1000' &\nexec sleep 1000\n"
    )
    box.write(f"[app]\n_enabled = True\n_timeout_stop_sec = 0.5\n_command = {program}\n")
    box.master("start")
    eventually(lambda: len(box.processes()) == 4)
    kill(box.master_pid())
    eventually(lambda: box.status()["master"]["state"] == "running")
    kill(keeper_of(box))
    eventually(lambda: box.status()["master"]["state"] == "running")
    box.master("stop")
    assert box.processes() == []


def test_a_signal_for_the_master_is_not_lost_while_no_watchdog_lives(box: Box) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    box.master("start")
    keeper = keeper_of(box)
    for _ in range(5):
        kill(box.master_pid())
        if box.status()["master"]["state"] != "running":
            os.kill(keeper, signal.SIGTERM)
            break
        eventually(lambda: box.status()["master"]["state"] == "running")
    else:
        os.kill(keeper, signal.SIGTERM)
    eventually(lambda: box.processes() == [])


def test_a_removed_run_directory_is_made_anew_and_no_second_master_comes(box: Box) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    box.master("start")
    before = sorted(box.processes())
    shutil.rmtree(box.run, ignore_errors=True)
    eventually(lambda: box.status()["master"]["state"] == "running")
    box.master("start")
    assert sorted(box.processes()) == before
    assert (box.run / "one.pid").read_text() == f"{box.pid('one')}\n"
    kill(box.master_pid())
    eventually(lambda: box.status()["master"]["state"] == "running")
    assert len(box.processes()) == 4
    box.master("stop")
    assert box.processes() == []


def test_a_record_that_names_a_stranger_is_not_believed(box: Box) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    box.master("start")
    record = box.run / "kegbot_master.records" / "one.run"
    text = json.loads(record.read_text())
    watchdog, keeper = box.master_pid(), keeper_of(box)
    os.kill(watchdog, signal.SIGSTOP)  # or it would take the keeper's place
    kill(keeper)
    kill(watchdog)
    canary = subprocess.Popen(["sleep", "1000"])
    text |= {"pid": canary.pid, "start_ticks": int(proc_stat(canary.pid)[19])}
    record.write_text(json.dumps(text))
    box.master("stop")
    assert canary.poll() is None
    canary.kill()
    canary.wait()
    assert box.processes() == []


def test_apps_are_found_again_though_their_records_are_lost(box: Box) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    box.master("start")
    pids, watchdog, keeper = [box.pid("one"), box.pid("two")], box.master_pid(), keeper_of(box)
    os.kill(watchdog, signal.SIGSTOP)  # or it would mend what is removed
    shutil.rmtree(box.run)
    kill(keeper)
    kill(watchdog)
    box.master("start")
    assert [box.pid("one"), box.pid("two")] == pids
    assert len(box.processes()) == 4


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_neither_doubles_nor_loses_an_app(box: Box) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    box.run.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k,mode=755", "none", box.run], check=False
    ).returncode:
        pytest.skip("cannot mount here")
    try:
        box.master("start", "one")
        fill = box.run / "fill"
        with contextlib.suppress(OSError), open(fill, "wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
        box.master("start", "two")
        pid = box.pid("two")
        kill(box.master_pid())
        eventually(lambda: box.status()["master"]["state"] == "running")
        assert box.pid("two") == pid
        fill.unlink()
        box.master("start")
        assert box.pid("two") == pid
        box.master("stop")
        assert box.processes() == []
    finally:
        box.close()
        subprocess.run(["umount", box.run], check=True)


def test_many_apps_start_under_a_small_limit_of_open_files(box: Box) -> None:
    probe = box.program("probe", "#!/bin/sh\nexec sleep 1000\n")
    box.write("".join(f"[app{n}]\n_enabled = True\n_command = {probe}\n" for n in range(150)))
    subprocess.run(
        ["sh", "-c", 'ulimit -S -n 64; exec "$@"', "sh", *box.command("start")],
        env={"HOME": str(box.home), "PATH": os.environ["PATH"]}, check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    assert {row["state"] for row in box.status()["apps"]} == {"running"}
    limits = Path(f"/proc/{box.pid('app7')}/limits").read_text()
    assert "Max open files            64 " in limits, "apps start with the limit that there was"
    box.master("stop")
    assert box.processes() == []


def test_marks_that_anybody_can_give_a_process_are_not_believed(box: Box) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    marks = {"KEGMASTER_COOKIE": "0" * 31 + "1", "KEGMASTER_RUN": str(box.run), "HOME": "/"}
    others: list[subprocess.Popen[bytes]] = []
    try:
        for app, user in (("nobody", None), ("one", 65534 if os.geteuid() == 0 else None)):
            environment = marks | {"KEGMASTER_APP": app}
            if user is not None or app == "nobody":
                others.append(
                    subprocess.Popen(["sleep", "1000"], env=environment, user=user, start_new_session=True)
                )
        box.master("start")
        pid = box.pid("one")
        assert pid not in [other.pid for other in others]
        others.append(
            subprocess.Popen(
                ["sleep", "1000"],
                env=marks | {"KEGMASTER_COOKIE": "0" * 31 + "2", "KEGMASTER_APP": "one"},
                start_new_session=True,
            )
        )
        kill(box.master_pid())
        eventually(lambda: box.status()["master"]["state"] == "running")
        assert box.pid("one") == pid, "an app that is watched has no second claimant"
        box.master("stop")
        assert all(other.poll() is None for other in others)
        assert box.processes() == []
    finally:
        for other in others:
            other.kill()
            other.wait()


@pytest.mark.parametrize(
    "name", ["kegbot_master.notify", "kegbot_master.sock", "kegbot_master.pid", "one.pid"]
)
def test_a_single_file_that_is_removed_from_the_run_directory_is_made_anew(box: Box, name: str) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    box.master("start")
    (box.run / name).unlink()
    eventually((box.run / name).exists)
    eventually(lambda: box.status()["master"]["state"] == "running")
    assert len(box.processes()) == 4


def test_a_watchdog_that_takes_the_keepers_place_hands_on_no_descriptors(box: Box) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    box.master("start")
    counts = []
    for _ in range(4):
        keeper = keeper_of(box)
        kill(keeper)
        back_under_another_keeper(box, keeper)
        masters = keeper_of(box), box.master_pid()
        # The connection that asked for them may be still closing.
        counts.append(min([len(os.listdir(f"/proc/{pid}/fd")) for pid in masters] for _ in range(20)))
    assert counts[1:] == counts[:-1]


def test_the_pidfile_of_an_app_that_died_unwatched_is_not_left(box: Box) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    box.master("start")
    app, watchdog = box.pid("two"), box.master_pid()
    for pid in (int(proc_stat(watchdog)[1]), watchdog, app):
        kill(pid)
    box.master("stop")
    assert list(box.run.iterdir()) == []


def test_a_notify_app_whose_readiness_nobody_heard_is_not_ended_for_that(box: Box) -> None:
    box.write(
        f"[app]\n_enabled = True\n_type = notify\n_timeout_start_sec = 2\n_command = {box.program('probe')}\n"
    )
    starting = subprocess.Popen(box.command("start"), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    eventually(lambda: [row["state"] for row in box.status()["apps"]] == ["starting"])
    app, watchdog = box.pid("app"), box.master_pid()
    for pid in (int(proc_stat(watchdog)[1]), watchdog):
        kill(pid)
    starting.wait(timeout=20)
    box.master("start")
    assert box.app("app")["state"] == "running"
    assert box.pid("app") == app


LATE = DETACHER.replace(
    "with open", 'import time\nwhile not os.path.exists(__file__ + ".go"):\n    time.sleep(0.01)\nwith open'
)


@pytest.mark.parametrize("both", [False, True])
def test_a_daemon_that_was_starting_when_its_watchdog_was_killed_is_not_started_twice(
    box: Box, both: bool
) -> None:
    program = box.program("app.py", LATE)
    box.write(f"[app]\n_enabled = True\n_program_name = {program}\n")
    quiet: dict[str, Any] = {"stderr": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    quiet["env"] = {"HOME": str(box.home), "PATH": os.environ["PATH"]}
    starting = subprocess.Popen(box.command("start"), **quiet)
    eventually(lambda: [row["state"] for row in box.status()["apps"]] == ["starting"])
    watchdog = box.master_pid()
    for pid in [int(proc_stat(watchdog)[1])] * both + [watchdog]:
        kill(pid)
    eventually(lambda: box.status()["master"]["state"] == "running")
    assert box.app("app")["state"] == "starting"
    program.with_suffix(".py.go").touch()
    assert starting.wait(timeout=20) == 0
    assert box.app("app")["restarts"] == 0
    assert len(box.processes()) == 3


def test_a_crash_loop_gets_no_faster_because_the_watchdog_is_killed(box: Box) -> None:
    starts = box.directory / "starts"
    box.write(f"[bad]\n_enabled = True\n_command = sh -c 'echo >> {starts}; exit 3'\n")
    box.master("start", expect=1)
    eventually(lambda: (row := box.app("bad"))["state"] == "backoff" and row["restarts"] >= 4)
    for _ in range(4):
        before = len(starts.read_text())
        kill(box.master_pid())
        eventually(lambda: box.status()["master"]["state"] == "running")
        assert box.app("bad")["restarts"] >= 4
        assert len(starts.read_text()) <= before + 1
    later = eventually(lambda: (row := box.app("bad"))["state"] == "backoff" and row["restarts"] >= 5 and row)
    assert isinstance(later, dict)
    assert later["next_try_s"] > 2


def test_the_limit_of_failures_is_counted_on_by_the_next_watchdog(box: Box) -> None:
    box.write("[bad]\n_enabled = True\n_start_limit_burst = 5\n_command = sh -c 'exit 3'\n")
    box.master("start", expect=1)
    eventually(lambda: (row := box.app("bad"))["state"] == "backoff" and row["restarts"] >= 3)
    kill(box.master_pid())
    eventually(lambda: box.status()["master"]["state"] == "running")
    eventually(lambda: box.app("bad")["state"] == "fatal")
    assert "given up after 5 failures" in box.app("bad")["reason"]


def test_records_of_earlier_and_later_versions_are_read(box: Box) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    box.master("start")
    pids = [box.pid("one"), box.pid("two")]
    os.kill(watchdog := box.master_pid(), signal.SIGSTOP)
    for name, change in (("one", {}), ("two", {"of_a_later_version": 1})):
        path = box.run / "kegbot_master.records" / f"{name}.run"
        fields = json.loads(path.read_text())
        for new in ("failures", "delay_s", "next_try_s", "note"):
            del fields[new]
        path.write_text(json.dumps(fields | change))
    kill(watchdog)
    eventually(lambda: box.status()["master"]["state"] == "running")
    assert [box.pid("one"), box.pid("two")] == pids
    assert not list(box.run.glob("*/*.unreadable"))


def test_an_app_whose_user_was_deleted_does_not_keep_the_others_from_their_master(box: Box) -> None:
    probe = box.program("probe")
    box.write(
        f"[one]\n_enabled = True\n_command = {probe}\n[gone]\n_command = {probe}\n_user = nobody_of_that_name\n"
    )
    marks = {"KEGMASTER_COOKIE": "0" * 31 + "1", "KEGMASTER_RUN": str(box.run), "KEGMASTER_APP": "gone"}
    other = subprocess.Popen(["sleep", "1000"], env=marks, start_new_session=True)
    try:
        box.master("start", "one")
        assert box.app("one")["state"] == "running"
        assert f"its process {other.pid} cannot be proven" in (box.log / "kegbot_master.log").read_text()
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_single_record_that_somebody_removes_is_written_anew(box: Box) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    box.master("start")
    record = box.run / "kegbot_master.records" / "one.run"
    before = json.loads(record.read_text())
    record.unlink()
    eventually(record.exists)
    eventually(lambda: json.loads(record.read_text())["pid"] == before["pid"])


def test_of_two_masters_the_one_that_lost_the_lock_leaves_and_no_app_notices(box: Box) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    box.master("start")
    pids, watchdog, keeper = [box.pid("one"), box.pid("two")], box.master_pid(), keeper_of(box)
    os.kill(watchdog, signal.SIGSTOP)  # or it would mend what is removed
    box.run.rename(box.directory / "moved")
    assert "has a master already" in box.master("start", expect=1).stderr
    again = box.directory / "again"
    again.mkdir()
    box.config = box.config.rename(again / "apps.cfg")  # by another name nobody can see that it is the same
    box.master("start")
    os.kill(watchdog, signal.SIGCONT)
    wait_for_end(watchdog)
    wait_for_end(keeper)
    assert [box.pid("one"), box.pid("two")] == pids
    assert len(box.processes()) == 4


def test_a_pidfile_that_is_removed_while_nobody_watches_it_makes_no_room_for_a_second_master(
    box: Box,
) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    box.master("start")
    pids, watchdog = [box.pid("one"), box.pid("two")], box.master_pid()
    os.kill(watchdog, signal.SIGSTOP)
    (box.run / "kegbot_master.pid").unlink()
    (box.run / "kegbot_master.sock").unlink()
    assert "does not answer" in box.master("start", expect=1).stderr
    os.kill(watchdog, signal.SIGCONT)
    eventually((box.run / "kegbot_master.sock").exists)
    assert [box.pid("one"), box.pid("two")] == pids
    assert box.master_pid() == watchdog


def test_what_a_killed_watchdog_was_just_writing_is_not_left(box: Box) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    box.master("start")
    for name in ("one.pid.new", "kegbot_master.records/one.run.new"):
        (box.run / name).touch()
    box.master("stop")
    assert list(box.run.iterdir()) == []


def test_a_signal_to_an_app_that_is_not_yet_itself_does_not_reach_its_maker() -> None:
    wake_r, wake_w = os.pipe2(os.O_NONBLOCK)
    handler, old_fd = signal.signal(signal.SIGTERM, lambda *_: None), signal.set_wakeup_fd(wake_w)
    try:
        with open(os.devnull, "wb") as null:
            launch = spawn.Launch(
                path="/bin/sleep", argv=("sleep", "1000"), environment={}, output=null.fileno()
            )
            batch = spawn.hold([launch])
        held = batch.held[0]
        assert isinstance(held, spawn.Held)
        os.kill(held.pid, signal.SIGTERM)
        batch.release()
        assert os.waitstatus_to_exitcode(os.waitpid(held.pid, 0)[1]) == -signal.SIGTERM
        os.close(held.report)
        with pytest.raises(BlockingIOError):
            os.read(wake_r, 1)
    finally:
        signal.set_wakeup_fd(old_fd)
        signal.signal(signal.SIGTERM, handler)
        os.close(wake_r)
        os.close(wake_w)


def test_a_restart_that_meets_a_dead_master_restarts_what_that_one_left(box: Box) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    box.master("start")
    pids, watchdog = {box.pid("one"), box.pid("two")}, box.master_pid()
    for pid in (keeper_of(box), watchdog):
        kill(pid)
    box.master("restart")
    assert not pids & {box.pid("one"), box.pid("two")}


@pytest.mark.parametrize(
    ("keys", "end", "state"),
    [
        ("_restart = no", signal.SIGKILL, "exited"),
        ("_restart = on-failure", signal.SIGKILL, "running"),
        ("_restart = on-failure", signal.SIGTERM, "exited"),
        ("_type = oneshot", signal.SIGTERM, "exited"),
        ("", signal.SIGTERM, "running"),
    ],
)
def test_what_ended_unwatched_is_restarted_as_its_policy_says(
    box: Box, keys: str, end: signal.Signals, state: str
) -> None:
    starts = box.directory / "starts"
    script = f"trap 'exit 0' TERM; echo >> {starts}; while :; do sleep 1000 & wait; done"
    box.write(f'[app]\n_enabled = True\n{keys}\n_command = sh -c "{script}"\n')
    # The start of a oneshot waits for its end, and would be given again to the next watchdog.
    box.master("start", "--timeout=1", expect=None)
    eventually(starts.exists)
    app, watchdog = box.pid("app"), box.master_pid()
    os.kill(watchdog, signal.SIGSTOP)
    os.kill(app, end)
    eventually(lambda: not living(app))
    kill(watchdog)
    eventually(lambda: box.app("app")["state"] == state)
    assert "died unwatched" in box.app("app")["reason"]
    assert len(starts.read_text()) == (2 if state == "running" else 1)


def test_a_start_comes_after_a_stop_whose_masters_were_killed_on_their_way_out(box: Box) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    box.master("start")
    box.master("stop")
    (box.run / "kegbot_master.records").mkdir()
    (box.run / "kegbot_master.records" / "leaving").touch()
    box.master("start")
    assert [row["state"] for row in box.status()["apps"]] == ["running", "running"]
