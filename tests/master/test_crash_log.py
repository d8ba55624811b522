"""What killed an app can always be read: <app>.crash.log, and `logs --crash`, which shows it."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kegmaster import crashlog
from kegmaster.crashlog import Death

from .conftest import DETACHER, Box, eventually, kill_masters, wait_for_end


def deaths(box: Box, app: str = "app") -> list[dict[str, Any]]:
    told = box.master("logs", app, "--crash", "--json", "-n", "100").stdout
    found: list[dict[str, Any]] = json.loads(told)
    return found


def first_death(box: Box) -> dict[str, Any]:
    return eventually(lambda: deaths(box))[0]


def python_app(box: Box, text: str) -> None:
    program = box.program("app.py", f"#!{sys.executable}\n{text}")
    box.write(f"[app]\n_enabled = True\n_command = {program} --port=9\n")


def test_a_traceback_is_kept_whole_with_status_time_and_command(box: Box) -> None:
    python_app(box, "print('tapping')\ndef pour(keg):\n    return keg['beer']\npour({'foam': 1})\n")
    box.master("start", expect=1)
    shown = eventually(lambda: box.master("logs", "app", "--crash").stdout)
    assert "app, process " in shown
    assert "exited 1 after" in shown
    assert f"command: {box.directory / 'app.py'} --port=9" in shown
    death = deaths(box)[0]
    assert death["output"][0] == "tapping"
    assert death["output"][1] == "Traceback (most recent call last):"
    assert death["output"][-1] == "KeyError: 'beer'"
    assert death["started"]
    assert (box.log / "app.crash.log").exists()


@pytest.mark.parametrize(
    ("text", "reason", "last"),
    [
        ("import threading, os, time\n"
         "class Died(Exception): pass\n"
         "def pour(): raise Died('no keg')\n"
         "t = threading.Thread(target=pour); t.start(); t.join(); os._exit(4)\n",
         "exited 4", "Died: no keg"),
        ("import sys\nsys.exit('the cellar is locked')\n", "exited 1", "the cellar is locked"),
        ("import sys\nprint('two beers')\nsys.exit(2)\n", "exited 2", "two beers"),
        ("import os, signal\nprint('going', flush=True)\nos.kill(os.getpid(), signal.SIGSEGV)\n", "signal 11", "going"),
        ("import sys\nsys.stdout.buffer.write(b'caf\\xe9 \\x1b[31m')\nsys.exit(3)\n", "exited 3", "caf\\xe9 \x1b[31m"),
        ("import sys\nprint(('x' * 1023 + '\\n') * 10240, end='')\nprint('last', flush=True)\nsys.exit(5)\n",
         "exited 5", "last"),
        ("", "exited 0", None),
    ],
    ids=["in a thread", "text", "status 2", "signal", "not UTF-8", "ten megabytes", "nothing"],
)  # fmt: skip
def test_every_way_to_die_is_told(box: Box, text: str, reason: str, last: str | None) -> None:
    python_app(box, text)
    box.master("start", expect=1)
    death = first_death(box)
    assert reason in death["reason"]
    assert (death["output"][-1] if death["output"] else None) == last
    assert (box.log / "app.crash.log").stat().st_size <= crashlog.MAX_BYTES


def test_only_what_this_launch_printed_is_told(box: Box) -> None:
    marker = box.directory / "second"
    python_app(
        box,
        "import os, sys\n"
        f"if os.path.exists({str(marker)!r}): print('second'); sys.exit(7)\n"
        f"open({str(marker)!r}, 'w'); print('first'); sys.exit(6)\n",
    )
    box.master("start", expect=1)
    eventually(lambda: len(deaths(box)) >= 2)
    assert [death["output"] for death in deaths(box)[:2]] == [["first"], ["second"]]


def test_a_program_with_a_log_of_its_own_is_told_of_by_that(box: Box) -> None:
    text = DETACHER.replace(
        "while True:", "open(flags['logfile'], 'a').write('the pump broke\\n')\nwhile True:"
    )
    box.write(f"[app]\n_enabled = True\n_program_name = {box.program('app.py', text)}\n")
    box.master("start")
    eventually(lambda: "broke" in (box.log / "app.log").read_text())
    os.kill(box.pid("app"), signal.SIGKILL)
    assert first_death(box)["output"] == ["the pump broke"]


@pytest.mark.parametrize("program", ["missing", "not executable", "no interpreter"])
def test_a_program_that_cannot_be_run_is_told_of_too(box: Box, program: str) -> None:
    path = box.directory / "app.py"
    if program != "missing":
        path.write_text("#!/no/such/python\n" if program == "no interpreter" else "#!/bin/sh\n")
        path.chmod(0o755 if program == "no interpreter" else 0o644)
    box.write(f"[app]\n_enabled = True\n_command = {path}\n[other]\n_enabled = True\n_command = sleep 1000\n")
    box.master("start", expect=1)
    death = first_death(box)
    assert str(path) in death["reason"] or "/no/such/python" in death["reason"]
    assert death["pid"] is None
    assert death["output"] == []


def test_without_any_other_app_a_missing_program_is_told_of_too(box: Box) -> None:
    box.write("[app]\n_enabled = True\n_command = /no/such/program\n")
    box.master("start", expect=5)
    assert "/no/such/program" in first_death(box)["reason"]


def test_stops_restarts_and_work_done_are_no_deaths(box: Box) -> None:
    box.write(
        f"[app]\n_enabled = True\n_command = {box.program('probe')}\n"
        "[once]\n_enabled = True\n_type = oneshot\n_command = true\n"
    )
    box.master("start")
    box.master("restart", "app")
    box.master("stop")
    assert not list(box.log.glob("*.crash.log"))
    assert "has not died" in box.master("logs", "app", "--crash").stderr


def test_a_death_that_nobody_watched_is_told_of(box: Box) -> None:
    box.write(f"[app]\n_enabled = True\n_command = {box.program('probe')}\n")
    box.master("start")
    pid = box.pid("app")
    kill_masters(box)
    os.kill(pid, signal.SIGKILL)
    wait_for_end(pid)
    box.master("start")
    assert "died unwatched" in first_death(box)["reason"]


def test_a_crash_log_that_cannot_be_written_harms_nobody(box: Box) -> None:
    box.write("[app]\n_enabled = True\n_command = sh -c 'exit 3'\n")
    (box.log / "app.crash.log").mkdir(parents=True)
    box.master("start", expect=1)
    eventually(lambda: "does not tell of its end" in (box.log / "kegbot_master.log").read_text())
    assert box.app("app")["state"] in ("backoff", "starting", "running", "waiting")


def death(reason: str = "exited 1", output: bytes = b"", argv: tuple[str, ...] = ("prog",)) -> Death:
    return Death(app="app", time="2026-11-21 18:00:00", reason=reason, argv=argv, pid=7, output=output)


def test_the_file_is_bounded_and_the_newest_stay(tmp_path: Path) -> None:
    path = str(tmp_path / "app.crash.log")
    for number in range(200):
        crashlog.write(path, death(reason=f"number {number}", output=b"x" * 60_000))
        assert os.stat(path).st_size <= crashlog.MAX_BYTES
    assert b"number 199" in crashlog.last(path, 1)[0]
    assert len(crashlog.last(path, 100)) >= 2


@given(
    output=st.binary(max_size=300),
    reason=st.text(max_size=50),
    word=st.text(st.characters(codec="utf-8"), max_size=20),
)
def test_nothing_that_is_printed_can_pass_for_a_death(output: bytes, reason: str, word: str) -> None:
    one = crashlog.encode(death(reason, output, ("prog", word)))
    forged = crashlog.encode(death(output=b"\n" + one))
    assert len(crashlog.entries(one + forged + one)) == 3
    fields = crashlog.fields(one)
    assert fields["app"] == "app"
    assert fields["pid"] == 7
    told = fields["output"]
    assert isinstance(told, list)
    assert len(told) == (len(output.removesuffix(b"\n").split(b"\n")) if output else 0)


def test_a_tail_goes_back_through_rotations_to_where_the_launch_began(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_bytes(b"before\n")
    begun = (log.stat().st_ino, log.stat().st_size)
    with log.open("ab") as file:
        file.write(b"old\n")
    log.rename(tmp_path / "app.log.1")
    log.write_bytes(b"new\n")
    assert crashlog.tail(str(log), begun) == b"old\nnew\n"
    assert crashlog.tail(str(log), begun, 5) == b"new\n"
    assert crashlog.tail(str(tmp_path / "none"), begun) == b""


def test_a_crash_log_into_which_nothing_could_be_written_is_not_taken_for_health(box: Box) -> None:
    box.write("[app]\n_enabled = True\n_command = sleep 1000\n")
    box.log.mkdir()
    (box.log / "app.crash.log").touch()
    assert "nobody knows: no death could be written" in box.master("logs", "app", "--crash").stderr
    (box.log / "app.crash.log").unlink()
    (box.log / "app.crash.log").symlink_to("/etc/passwd")
    shown = box.master("logs", "app", "--crash")
    assert "is a symlink" in shown.stderr
    assert shown.stdout == ""
