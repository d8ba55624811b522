"""What happened is told in order, completely, and outlives every process that tells it."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kegmaster import client, eventlog, events
from kegmaster.events import Entry, Story
from kegmaster.journal import Journal

from .conftest import TWO, Box, eventually, proc_stat, wait_for_end

APP = "[app]\n_enabled = True\n_command = {probe}\n"


def entry(number: int, before: str = "starting", after: str = "running", **changes: Any) -> Entry:
    return Entry(
        **{"number": number, "time_unix": 1e9, "app": "app", "before": before, "after": after, **changes}
    )


def told(box: Box, *words: str) -> list[dict[str, Any]]:
    lines = box.master("events", "--json", "-n", "10000", *words).stdout.splitlines()
    return [json.loads(line) for line in lines]


def moves(rows: list[dict[str, Any]], app: str = "app") -> list[tuple[str, str]]:
    return [(row["from"], row["to"]) for row in rows if row["app"] == app]


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    wait_for_end(pid)


class Follower:
    """`master.py events -f --json` in the background."""

    def __init__(self, box: Box, *words: str) -> None:
        self.file = box.directory / "followed"
        with self.file.open("wb") as out:
            self.process = subprocess.Popen(
                box.command("events", "-f", "--json", "-n", "10000", *words),
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env={"HOME": str(box.home)},
            )  # fmt: skip

    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.file.read_text().split("\n")[:-1]]


@pytest.fixture
def follow(box: Box) -> Iterator[list[Follower]]:
    made: list[Follower] = []
    yield made
    for follower in made:
        follower.process.kill()
        follower.process.wait()


# What an event looks like


def test_an_event_survives_its_line() -> None:
    written = entry(7, pid=12, exit_status=3, reason="exited 3: schöne Grüße\n\x1b[31m", restarts=2)
    assert events.decode(events.encode(written)) == written


@pytest.mark.parametrize(
    "line",
    [
        b"", b"garbage", b"[]", b"null", b"{}", b"\xff\xfe", b"[" * 5000, b"{" + b" " * 9000 + b"}",
        events.encode(entry(1)).replace(b'"number": 1', b'"number": -1'),
        events.encode(entry(1)).replace(b'"number": 1', b'"number": true'),
        events.encode(entry(1)).replace(b'"app": "app"', b'"app": 5'),
        events.encode(entry(1)).replace(b"1000000000.0", b"1e99"),
        events.encode(entry(1)).replace(b"1000000000.0", b"NaN"),
    ],
)  # fmt: skip
def test_what_is_no_event_is_skipped(line: bytes) -> None:
    assert list(events.decode_all(line + b"\n" + events.encode(entry(2)))) == [entry(2)]


def test_people_read_where_an_app_came_from_and_not_what_it_passed_through() -> None:
    lines = list(
        Story().tell(
            [
                entry(1, "running", "stopping", exit_status=3, reason="exited 3 after 0.2 s"),
                entry(2, "stopping", "backoff", exit_status=3, reason="exited 3 after 0.2 s"),
                entry(3, "backoff", "waiting"),
                entry(4, "waiting", "starting"),
                entry(5, "starting", "running", pid=12),
                entry(6, "running", "stopping"),
                entry(7, "waiting", "waiting", reason="waiting for /dev/tap: \x1b[31m"),
            ]
        )
    )
    assert [
        line.split("app", 1)[1].split(None, 1)[0:1] and line[21:].split(None, 1)[1] for line in lines
    ] == [
        "running -> backoff: exited 3 after 0.2 s",
        "backoff -> starting",
        "starting -> running, process 12",
        "running -> stopping",
        "waiting: waiting for /dev/tap: \\x1b[31m",
    ]


# The event log


@pytest.fixture
def log(tmp_path: Path) -> eventlog.EventLog:
    return eventlog.EventLog(str(tmp_path / "x.events"), Journal(str(tmp_path / "x.log")))


def another(log: eventlog.EventLog, directory: Path) -> eventlog.EventLog:
    return eventlog.EventLog(log.path, Journal(str(directory / "x.log")))


def test_numbers_go_on_over_watchdogs_and_rotation(log: eventlog.EventLog, tmp_path: Path) -> None:
    for _ in range(3):
        log.add("app", "starting", "running")
        log.flush()
        log = another(log, tmp_path)
    os.rename(log.path, f"{log.path}.1")
    log = another(log, tmp_path)
    log.add("app", "starting", "running")
    log.flush()
    assert [found.number for found in eventlog.read_all(log.path)] == [1, 2, 3, 4]


def test_the_file_is_bounded_and_its_end_is_always_there(log: eventlog.EventLog) -> None:
    for number in range(1, 6001):
        log.add("app", "running", "backoff", reason="x" * 1000)
        if number % 50 == 0:
            log.flush()
    assert os.path.getsize(log.path) <= eventlog.MAX_BYTES
    assert os.path.getsize(f"{log.path}.1") <= eventlog.MAX_BYTES
    assert sorted(os.listdir(os.path.dirname(log.path))) == ["x.events", "x.events.1"]
    numbers = [found.number for found in eventlog.read_all(log.path)]
    assert numbers == list(range(numbers[0], 6001))


@pytest.mark.parametrize("torn", [b'{"number": 9, "ap', b"\0" * 100, b"\xff\xfe\n", b"{}\n"])
def test_half_a_line_and_garbage_in_the_file_cost_no_other_line(
    log: eventlog.EventLog, tmp_path: Path, torn: bytes
) -> None:
    log.add("app", "starting", "running")
    log.flush()
    with open(log.path, "ab") as file:
        file.write(torn)
    log = another(log, tmp_path)
    log.add("app", "running", "stopped")
    log.flush()
    assert [found.number for found in eventlog.read_all(log.path)] == [1, 2]


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: os.symlink("/dev/full", path)])
def test_what_cannot_be_written_now_is_written_later(log: eventlog.EventLog, make: Any) -> None:
    make(log.path)
    for _ in range(3):
        log.add("app", "starting", "running")
        log.flush()
    (os.rmdir if os.path.isdir(log.path) else os.unlink)(log.path)
    log.add("app", "running", "stopped")
    log.flush()
    assert [found.number for found in eventlog.read_all(log.path)] == [1, 2, 3, 4]


# The whole


def test_a_kill_and_the_restart_are_told_in_order(box: Box) -> None:
    box.write(APP.format(probe=box.program("probe")))
    box.master("start")
    victim = box.pid("app")
    kill(victim)
    eventually(lambda: box.app("app")["restarts"] == 1 and box.app("app")["state"] == "running")
    rows = told(box)
    assert [row["number"] for row in rows] == list(range(1, len(rows) + 1))
    assert moves(rows) == [
        ("stopped", "waiting"), ("waiting", "starting"), ("starting", "running"),
        ("running", "stopping"), ("stopping", "backoff"),
        ("backoff", "waiting"), ("waiting", "starting"), ("starting", "running"),
    ]  # fmt: skip
    death = next(row for row in rows if row["to"] == "backoff")
    assert (death["pid"], death["exit_status"], death["exit_signal"]) == (victim, None, 9)
    assert "signal 9" in death["reason"]
    assert death["time"].endswith("Z")
    assert rows[-1]["restarts"] == 1
    assert rows[-1]["pid"] == box.pid("app")
    assert rows[0]["app"] == "kegbot_master"


def test_people_read_the_last_events_of_the_apps_they_name(box: Box) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    box.master("start")
    kill(box.pid("two"))
    eventually(lambda: box.app("two")["restarts"] == 1 and box.app("two")["state"] == "running")
    lines = box.master("events", "two").stdout.splitlines()
    assert all(line.split()[2] == "two" for line in lines)
    assert any(line.split(None, 3)[3].startswith("running -> backoff: killed by signal 9") for line in lines)
    assert box.master("events", "two", "-n", "2").stdout.splitlines() == lines[-2:]
    assert "kegbot_master" in box.master("events", "kegbot_master").stdout
    assert "there is no section [three]" in box.master("events", "three", expect=2).stderr


def test_the_history_is_there_without_a_master(box: Box) -> None:
    box.write(APP.format(probe=box.program("probe")))
    assert box.master("events").stdout == ""
    box.master("start")
    running = told(box)
    box.master("stop")
    rows = told(box)
    assert rows[: len(running)] == running
    assert moves(rows)[-2:] == [("running", "stopping"), ("stopping", "stopped")]
    assert moves(rows, "kegbot_master") == [
        ("stopped", "running"), ("running", "stopping"), ("stopping", "stopped"),
    ]  # fmt: skip
    box.master("start")
    assert [row["number"] for row in told(box)][: len(rows) + 1] == list(range(1, len(rows) + 2))


def test_a_death_that_nobody_watched_is_told_by_the_next_watchdog(box: Box) -> None:
    box.write(TWO.format(probe=box.program("probe")))
    box.master("start")
    watchdog = box.master_pid()
    for pid in (int(proc_stat(watchdog)[1]), watchdog, box.app("two")["pid"]):
        kill(pid)
    box.master("start")
    rows = told(box)
    assert any("died unwatched" in row["reason"] for row in rows if row["app"] == "two")
    assert "adopted 1 app" in [row["reason"] for row in rows if row["app"] == "kegbot_master"][-1]


def test_a_follower_sees_everything_once_over_the_death_of_watchdogs_and_master(
    box: Box, follow: list[Follower]
) -> None:
    box.write(APP.format(probe=box.program("probe")))
    box.master("start")
    follower = Follower(box)
    follow.append(follower)
    for _ in range(3):
        victim = box.pid("app")
        kill(victim)
        eventually(lambda victim=victim: box.app("app")["pid"] not in (None, victim))  # type: ignore[misc]
        watchdog = box.master_pid()
        kill(watchdog)
        eventually(lambda: box.status()["master"]["state"] == "running")
        eventually(lambda: box.app("app")["state"] == "running")
    box.master("stop")
    box.master("start")
    rows = told(box)
    eventually(lambda: len(follower.rows()) == len(rows))
    assert follower.rows() == rows
    assert [row["number"] for row in rows] == list(range(1, len(rows) + 1))
    assert sum(row["to"] == "backoff" for row in rows) == 3


def test_the_keepers_death_is_told(box: Box) -> None:
    box.write(APP.format(probe=box.program("probe")))
    box.master("start")
    kill(int(proc_stat(box.master_pid())[1]))
    eventually(lambda: any("keeper" in row["reason"] for row in told(box)))


def test_a_follower_that_reads_nothing_is_cut_off_and_harms_nobody(box: Box) -> None:
    box.write("[bad]\n_enabled = True\n_restart = no\n_command = sh -c 'echo " + "x" * 150 + "; exit 3'\n")
    box.master("start", expect=1)
    sock = client.connect(str(box.run / "kegbot_master.sock"))
    assert sock is not None
    with sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.sendall(b'{"verb": "events", "follow": true, "after": 0}\n')
        poll = select.poll()
        poll.register(sock, select.POLLRDHUP)
        for _ in range(1500):
            if poll.poll(0):
                break
            with client.connect(str(box.run / "kegbot_master.sock")) as again:  # type: ignore[union-attr]
                again.sendall(b'{"verb": "start", "names": ["bad"]}\n')
                while again.recv(65536):
                    pass
        assert poll.poll(0), "it is still connected"
    assert box.app("bad")["state"] == "exited"


def test_a_full_disk_harms_nothing_and_memory_still_tells(box: Box) -> None:
    box.write(APP.format(probe=box.program("probe")))
    box.log.mkdir()
    (box.log / "kegbot_master.events").mkdir()
    box.master("start")
    kill(box.pid("app"))
    eventually(lambda: box.app("app")["restarts"] == 1 and box.app("app")["state"] == "running")
    assert ("stopping", "backoff") in moves(told(box))
    (box.log / "kegbot_master.events").rmdir()
    kill(box.pid("app"))
    eventually(lambda: moves(told(box)).count(("starting", "running")) == 3)
    lines = (box.log / "kegbot_master.events").read_text().splitlines()
    assert [json.loads(line)["number"] for line in lines] == list(range(1, len(lines) + 1))
