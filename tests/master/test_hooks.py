"""Hooks tell others what happened, and nothing that a hook does is of any concern to the apps."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kegmaster import hooks
from kegmaster.events import Entry
from kegmaster.hooks import Call, HookQueue, called_for
from kegmaster.lifecycle import State

from .conftest import Box, eventually, proc_stat, wait_for_end
from .test_lifecycle import app as make_app


def call(name: str = "app", number: int = 1, kind: hooks.Kind = "failure", **changes: Any) -> Call:
    fields = {
        "number": number,
        "time_unix": 1e9,
        "app": name,
        "before": "stopping",
        "after": "backoff",
        **changes,
    }
    return Call(app=make_app(name=name), kind=kind, entry=Entry(**fields))


def taken(queue: HookQueue, now_s: float) -> list[tuple[str, int]]:
    found = []
    while (one := queue.take(now_s)) is not None:
        found.append((one.app.name, one.entry.number))
    return found


# Which hook is next


@pytest.mark.parametrize(
    ("state", "failed", "kinds"),
    [
        (State.RUNNING, True, ["change"]),
        (State.BACKOFF, True, ["failure", "change"]),
        (State.BACKOFF, False, ["change"]),
        (State.FATAL, True, ["failure", "change"]),
        (State.EXITED, True, ["failure", "change"]),
        (State.EXITED, False, ["change"]),
        (State.STOPPED, True, ["change"]),
        (State.STOPPING, True, []),
        (State.WAITING, True, []),
        (State.STARTING, True, []),
    ],
)
def test_which_states_call_which_hook(state: State, failed: bool, kinds: list[str]) -> None:
    assert called_for(make_app(on_failure=("f",), on_change=("c",)), state, failed=failed) == kinds
    assert called_for(make_app(), state, failed=failed) == []


def test_four_hooks_run_at_once_and_one_of_each_app_in_the_order_of_the_events() -> None:
    queue = HookQueue()
    for number, name in enumerate("aabbccddee", 1):
        queue.put(call(name, number))
    assert taken(queue, 0) == [("a", 1), ("b", 3), ("c", 5), ("d", 7)]
    assert queue.due_s() is None, "an end must come first"
    queue.done("b")
    assert taken(queue, 0) == [("b", 4)]
    queue.done("a")
    queue.done("c")
    assert taken(queue, 0) == [("a", 2), ("c", 6)]


def test_a_failure_waits_in_line_with_changes_and_is_not_pushed_out_by_them() -> None:
    queue = HookQueue()
    queue.put(call(number=0, kind="change"))
    assert taken(queue, 0) == [("app", 0)]
    queue.put(call(number=1))
    for number in range(2, 12):
        queue.put(call(number=number, kind="change"))
    queue.done("app")
    first = queue.take(0)
    assert first is not None
    assert (first.kind, first.entry.number, first.suppressed) == ("failure", 1, 0)


def test_the_newest_wait_and_the_next_call_says_how_many_were_left_out() -> None:
    queue = HookQueue()
    queue.put(call(number=1))
    queue.take(0)
    assert [queue.put(call(number=number)) for number in range(2, 10)] == [True] * 4 + [False] * 4
    queue.done("app")
    first = queue.take(0)
    assert first is not None
    assert (first.entry.number, first.suppressed) == (6, 4)
    assert first.variables["KEGMASTER_SUPPRESSED"] == "4"
    queue.done("app")
    second = queue.take(0)
    assert second is not None
    assert (second.entry.number, second.suppressed) == (7, 0)


def test_no_more_than_ten_calls_of_an_app_in_a_minute_and_the_last_news_is_told_in_the_end() -> None:
    queue = HookQueue()
    told = []
    for second in range(100):
        queue.put(call(number=second))
        told += [number for _, number in taken(queue, second)]
        queue.done("app")
    assert told[:10] == list(range(10))
    assert told[10:13] == [57, 58, 59], "the newest, once the minute is over"
    assert queue.due_s() == 120
    assert taken(queue, 119.9) == []
    queue.put(call("other", 7))
    assert taken(queue, 119.9) == [("other", 7)], "one app's limit is no other's"
    for _ in range(4):
        told += [number for _, number in taken(queue, 200)]
        queue.done("app")
    assert told[-1] == 99


def test_what_a_hook_is_told_is_plain_and_bounded() -> None:
    variables = call(reason="a\nb\x1b[31m\0", pid=5, exit_status=3, restarts=2).variables
    assert variables["KEGMASTER_REASON"] == "a b\\x1b[31m\\x00"
    assert variables["KEGMASTER_EXIT_STATUS"] == "3"
    assert variables["KEGMASTER_EXIT_SIGNAL"] == ""


# The whole


NOTE = f"""#!{sys.executable} -IS
import json, os, sys
own = {{name: value for name, value in os.environ.items()}}
with open(sys.argv[1], "a") as file:
    file.write(json.dumps([sys.argv[2:], own, json.loads(sys.stdin.read()), os.getcwd()]) + "\\n")
print("first\\nnoted")
"""


def notes(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def crash(box: Box, name: str = "app") -> None:
    """Kill the app and return when it is back."""
    victim = box.pid(name)
    os.kill(victim, signal.SIGKILL)
    wait_for_end(victim)
    eventually(lambda: box.app(name)["pid"] not in (None, victim))


def journal(box: Box) -> str:
    return (box.log / "kegbot_master.log").read_text()


def test_a_failure_calls_the_hook_with_the_event_and_none_of_the_apps_marks(box: Box) -> None:
    told = box.directory / "told"
    note = box.program("note", NOTE)
    box.write(f"""
        [app]
        _enabled = True
        _command = {box.program("probe")}
        _working_directory = {box.directory}
        _environment = SECRET=tap
        _on_failure = {note} {told} "two words" '$HOME;x'
    """)
    box.master("start")
    victim = box.pid("app")
    crash(box)
    [[words, own, event, directory]] = eventually(lambda: notes(told))
    assert words == ["two words", "$HOME;x"]
    assert directory == str(box.directory)
    assert own["SECRET"] == "tap"
    assert own["KEGMASTER_EVENT"] == "failure"
    assert own["KEGMASTER_APP_NAME"] == "app"
    assert own["KEGMASTER_STATE"] == "backoff"
    assert "signal 9" in own["KEGMASTER_REASON"]
    assert (own["KEGMASTER_EXIT_STATUS"], own["KEGMASTER_EXIT_SIGNAL"]) == ("", "9")
    assert own["KEGMASTER_PID"] == str(victim)
    assert own["KEGMASTER_RESTARTS"] == "0"
    assert own["KEGMASTER_SUPPRESSED"] == "0"
    assert not {"KEGMASTER_APP", "KEGMASTER_COOKIE", "KEGMASTER_RUN", "NOTIFY_SOCKET"} & own.keys()
    assert (event["app"], event["to"], event["exit_signal"], event["pid"]) == ("app", "backoff", 9, victim)
    eventually(lambda: "app: _on_failure: exited 0: noted" in journal(box))
    box.master("stop")
    assert len(notes(told)) == 1, "a stop by hand is no failure"


def test_changes_are_told_as_they_come(box: Box) -> None:
    told = box.directory / "told"
    note = box.program("note", NOTE)
    box.write(f"[app]\n_enabled = True\n_command = {box.program('probe')}\n_on_change = {note} {told}\n")
    box.master("start")
    crash(box)
    eventually(lambda: len(notes(told)) == 3)
    box.master("stop", "app")
    eventually(lambda: len(notes(told)) == 4)
    assert [note[1]["KEGMASTER_STATE"] for note in notes(told)] == [
        "running",
        "backoff",
        "running",
        "stopped",
    ]


def test_a_master_that_leaves_lets_hooks_tell_of_it(box: Box) -> None:
    told = box.directory / "told"
    note = box.program("note", NOTE)
    box.write(f"[app]\n_enabled = True\n_command = {box.program('probe')}\n_on_change = {note} {told}\n")
    box.master("start")
    box.master("stop")
    assert notes(told)[-1][1]["KEGMASTER_STATE"] == "stopped"
    assert box.processes() == []


@pytest.mark.parametrize(
    "wicked",
    [
        "exec sleep 1000",
        "trap '' TERM HUP; setsid sleep 1000 & setsid setsid sleep 1000 & sleep 1000",
        "exec yes",
        "trap '' PIPE; while :; do echo x; done 2>/dev/null",
        "exit 1",
        "kill -9 $$",
    ],
)
def test_whatever_a_hook_does_the_app_is_restarted_and_the_master_answers_and_ends(
    box: Box, wicked: str
) -> None:
    hook = box.program("hook", f"#!/bin/sh\necho >> {box.directory}/called\n{wicked}\n")
    box.write(f"""
        [app]
        _enabled = True
        _command = {box.program("probe")}
        _on_failure = {hook}
        _on_change = {hook}
    """)
    box.master("start")
    eventually((box.directory / "called").exists)
    for restarts in (1, 2):
        crash(box)
        assert eventually(lambda: box.app("app")["state"] == "running")
        assert box.app("app")["restarts"] == restarts
    box.master("stop")
    assert box.processes() == []


def test_a_hook_that_is_not_there_is_a_problem_for_configtest_and_none_for_the_app(box: Box) -> None:
    hook = box.directory / "gone"
    box.write(f"[app]\n_enabled = True\n_command = {box.program('probe')}\n_on_failure = {hook} x\n")
    done = box.master("configtest", expect=6)
    assert f"apps.cfg:4: [app] _on_failure: there is no program {hook}" in done.stderr
    assert "_on_failure: there is no program" in box.master("start", expect=1).stderr
    assert box.app("app")["state"] == "running"
    crash(box)
    eventually(lambda: f"app: _on_failure: cannot be run: there is no program {hook}" in journal(box))
    assert eventually(lambda: box.app("app")["state"] == "running")


def test_a_crash_loop_calls_its_hook_ten_times_a_minute(box: Box) -> None:
    told = box.directory / "told"
    note = box.program("note", NOTE)
    box.write(f"""
        [app]
        _enabled = True
        _command = {box.program("probe")}
        _on_change = {note} {told}
    """)
    box.master("start")
    for _ in range(8):
        victim = box.pid("app")
        os.kill(victim, signal.SIGKILL)
        wait_for_end(victim)
        box.master("restart", "app")  # an impatient person: no backoff
    eventually(lambda: len(notes(told)) == 10)
    box.master("stop")
    assert len(notes(told)) == 10


SHORT = f"""#!{sys.executable}
import sys
from kegmaster import hookrun
from kegmaster.command import main
hookrun.TIMEOUT_S = 0.3
sys.exit(main(["{Path(sys.executable).parent}/master.py", *sys.argv[1:]]))
"""


def test_a_hook_that_takes_too_long_is_ended_with_all_it_started_and_the_next_one_runs(box: Box) -> None:
    hook = box.program(
        "hook",
        f"#!/bin/sh\necho >> {box.directory}/called\nsetsid sleep 1000 &\nenv -i setsid sleep 1000 &\n"
        "(setsid sh -c 'sleep 1000; true' &)\necho stuck\nsleep 1000\n",
    )
    box.write(f"[app]\n_enabled = True\n_command = {box.program('probe')}\n_on_failure = {hook}\n")
    short = box.program("short", SHORT)
    subprocess.run(
        [str(short), *box.command("start")[1:]], env={"HOME": str(box.home)}, check=True, capture_output=True
    )
    for calls in (1, 2):
        crash(box)
        eventually(lambda: journal(box).count("not done within 0.3 s, killed: stuck") == calls)  # noqa: B023
        eventually(lambda: len(box.processes()) == 3)
    assert (box.directory / "called").read_text() == "\n\n"


def test_a_hook_that_ends_leaves_nothing_behind(box: Box) -> None:
    hook = box.program(
        "hook",
        f"#!/bin/sh\nsetsid sleep 1000 &\n(sleep 1000 &)\nsleep 1000 &\necho >> {box.directory}/called\n",
    )
    box.write(f"[app]\n_enabled = True\n_command = {box.program('probe')}\n_on_failure = {hook}\n")
    box.master("start")
    crash(box)
    eventually((box.directory / "called").exists)
    eventually(lambda: len(box.processes()) == 3)
    assert box.app("app")["state"] == "running"


def test_a_stop_of_the_app_leaves_its_hook_alone(box: Box) -> None:
    hook = box.program("hook", f"#!/bin/sh\necho $$ > {box.directory}/called\nexec sleep 1000\n")
    box.write(f"[app]\n_enabled = True\n_command = {box.program('probe')}\n_on_failure = {hook}\n")
    box.master("start")
    crash(box)
    called = box.directory / "called"
    pid = int(eventually(lambda: called.exists() and called.read_text()))
    box.master("stop", "app")
    assert "sleep" in Path(f"/proc/{pid}/comm").read_text()


def test_a_hook_of_a_killed_watchdog_is_ended_and_the_app_is_not(box: Box) -> None:
    hook = box.program("hook", f"#!/bin/sh\necho $$ > {box.directory}/called\nexec sleep 1000\n")
    box.write(f"[app]\n_enabled = True\n_command = {box.program('probe')}\n_on_failure = {hook}\n")
    box.master("start")
    crash(box)
    called = box.directory / "called"
    pid = int(eventually(lambda: called.exists() and called.read_text()))
    app, watchdog = box.pid("app"), box.master_pid()
    os.kill(watchdog, signal.SIGKILL)
    wait_for_end(watchdog)
    wait_for_end(pid)
    eventually(lambda: box.status()["master"]["state"] == "running")
    assert box.pid("app") == app


def test_a_death_that_the_keeper_saw_while_no_watchdog_was_there_calls_the_hook(box: Box) -> None:
    told = box.directory / "told"
    note = box.program("note", NOTE)
    box.write(f"[app]\n_enabled = True\n_command = {box.program('probe')}\n_on_failure = {note} {told}\n")
    box.master("start")
    app, watchdog = box.pid("app"), box.master_pid()
    keeper = int(proc_stat(watchdog)[1])
    os.kill(keeper, signal.SIGSTOP)
    os.kill(watchdog, signal.SIGKILL)
    wait_for_end(watchdog)
    os.kill(app, signal.SIGKILL)
    wait_for_end(app)
    os.kill(keeper, signal.SIGCONT)
    [[_, own, _, _]] = eventually(lambda: notes(told))
    assert "signal 9" in own["KEGMASTER_REASON"]
    assert eventually(lambda: box.app("app")["state"] == "running")


def test_a_master_without_hooks_does_not_load_them() -> None:
    text = "import sys, kegmaster.birth; print([m for m in sys.modules if 'hook' in m])"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_hook_is_changed_by_reload_without_a_restart_of_its_app(box: Box) -> None:
    told = box.directory / "told"
    note = box.program("note", NOTE)
    text = f"[app]\n_enabled = True\n_command = {box.program('probe')}\n"
    box.write(text)
    box.master("start")
    before = box.pid("app")
    box.write(f"{text}_on_change = {note} {told}\n")
    box.master("reload")
    assert box.pid("app") == before
    box.master("stop", "app")
    [[_, own, _, _]] = eventually(lambda: notes(told))
    assert own["KEGMASTER_STATE"] == "stopped"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_hook_runs_as_its_apps_user(box: Box) -> None:
    box.write("""
        [app]
        _enabled = True
        _user = nobody
        _command = sleep 1000
        _on_failure = sh -c 'echo "$(id -un) $USER $(id -G)"'
    """)
    box.master("start")
    crash(box)
    eventually(lambda: "_on_failure: exited 0: nobody nobody" in journal(box))


def test_calls_that_are_left_out_are_counted_and_told(box: Box) -> None:
    told, gate = box.directory / "told", box.directory / "gate"
    os.mkfifo(gate)
    note = box.program("note", NOTE)
    hook = box.program("hook", f"#!/bin/sh\nread line < {gate}\nexec {note} {told}\n")
    box.write(f"[app]\n_enabled = True\n_command = {box.program('probe')}\n_on_change = {hook}\n")
    box.master("start")
    for _ in range(3):
        box.master("stop", "app")
        box.master("start", "app")  # seven events: one hook waits at the gate, four are kept
    for count in range(1, 6):
        gate.write_text("go\n")
        eventually(lambda: len(notes(told)) == count)  # noqa: B023
    assert [own["KEGMASTER_SUPPRESSED"] for _, own, _, _ in notes(told)] == ["0", "2", "0", "0", "0"]
    assert notes(told)[-1][1]["KEGMASTER_STATE"] == "running"
    assert "app: _on_change: 2 calls left out" in journal(box)
