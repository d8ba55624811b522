"""Whatever falls is brought back: an app, the watchdog, both, and nothing twice."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from .conftest import DETACHER, TWO, Box, eventually, proc_stat, wait_for_end


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
    assert "no watchdog was there" in box.app("two")["reason"]
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
