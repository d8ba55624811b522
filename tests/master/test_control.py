"""The control socket under people who mean no good, or who are merely slow."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator

import pytest

from kegmaster import client

from .conftest import Box, eventually

APP = "[app]\n_enabled = True\n_command = {probe}\n"


@pytest.fixture
def talk(box: Box) -> Iterator[socket.socket]:
    box.write(APP.format(probe=box.program("probe")))
    box.master("start")
    sock = client.connect(str(box.run / "kegbot_master.sock"))
    assert sock is not None
    sock.settimeout(20)
    with sock:
        yield sock


def answer(sock: socket.socket) -> dict[str, object]:
    line = b""
    while not line.endswith(b"\n"):
        data = sock.recv(65536)
        assert data, "closed without an answer"
        line += data
    reply: dict[str, object] = json.loads(line)
    return reply


@pytest.mark.parametrize(
    "line",
    [
        b"\n", b"garbage\n", b"[]\n", b"null\n", b'{"verb": "format"}\n', b'{"verb": "stop", "names": "app"}\n',
        b'{"verb": "stop", "names": [1]}\n', b"\xff\xfe\n", b"[" * 60000 + b"\n", b'{"verb": "start", "names": ["nobody"]}\n',
        b'{"verb": ["status"]}\n',
    ],
)  # fmt: skip
def test_what_is_no_command_is_refused_with_a_reason(box: Box, talk: socket.socket, line: bytes) -> None:
    talk.sendall(line)
    assert "error" in answer(talk)
    assert box.app("app")["state"] == "running"


def test_an_endless_request_is_cut_off(box: Box, talk: socket.socket) -> None:
    with pytest.raises(OSError, match=r"."):  # noqa: PT012  # which of the two calls fails is a race
        while True:
            talk.sendall(b"x" * 65536)
            talk.getpeername()
    assert box.app("app")["state"] == "running"


def test_silent_and_half_sent_clients_hold_up_nobody(box: Box, talk: socket.socket) -> None:
    crowd = []
    for _ in range(200):
        sock = client.connect(str(box.run / "kegbot_master.sock"))
        if sock is None:
            break
        sock.sendall(b'{"verb": "sta')
        crowd.append(sock)
    assert len(crowd) >= 60
    assert box.app("app")["state"] == "running"
    for sock in crowd:
        sock.close()


def test_a_command_goes_on_when_its_client_is_gone(box: Box, talk: socket.socket) -> None:
    talk.sendall(b'{"verb": "stop", "names": ["app"]}\n')
    talk.close()
    eventually(lambda: box.app("app")["state"] == "stopped")


def test_others_are_served_while_one_app_takes_its_time_to_stop(box: Box) -> None:
    box.write(
        f"[slow]\n_enabled = True\n_timeout_stop_sec = 60\n_command = {box.program('deaf', DEAF)}\n"
        f"[quick]\n_enabled = True\n_command = {box.program('probe')}\n"
    )
    box.master("start")
    eventually(lambda: (box.directory / "deaf.ready").exists())
    stopping = subprocess.Popen(box.command("stop", "slow"), stdout=subprocess.PIPE)
    eventually(lambda: box.app("slow")["state"] == "stopping")
    quick = box.pid("quick")
    box.master("restart", "quick")
    assert box.pid("quick") != quick
    assert box.app("slow")["state"] == "stopping"
    os.kill(box.pid("slow"), signal.SIGKILL)
    stopping.communicate(timeout=20)
    assert stopping.returncode == 0


DEAF = f"""#!{sys.executable}
import pathlib, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path(sys.argv[0] + ".ready").touch()
while True:
    signal.pause()
"""


def test_a_client_that_gives_up_waiting_says_that_the_command_goes_on(box: Box) -> None:
    box.write(f"[slow]\n_enabled = True\n_timeout_stop_sec = 60\n_command = {box.program('deaf', DEAF)}\n")
    box.master("start")
    eventually(lambda: (box.directory / "deaf.ready").exists())
    done = box.master("stop", "slow", "--timeout=0.2", expect=1)
    assert done.stderr == "master.py: not done within 0.2 s; it goes on without us\n"
    os.kill(box.pid("slow"), signal.SIGKILL)
    eventually(lambda: box.app("slow")["state"] == "stopped")


def test_only_its_owner_may_reach_the_socket(box: Box, talk: socket.socket) -> None:
    assert stat.S_IMODE((box.run / "kegbot_master.sock").stat().st_mode) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_another_user_is_told_that_he_has_no_rights(box: Box, talk: socket.socket) -> None:
    for directory in (*box.directory.parents, box.directory, box.run):
        if directory.stat().st_uid == 0 and str(directory).startswith("/tmp/"):
            directory.chmod(0o755)
    (box.run / "kegbot_master.sock").chmod(0o666)
    read_end, write_end = os.pipe()
    if os.fork() == 0:
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(str(box.run / "kegbot_master.sock"))
                sock.sendall(b'{"verb": "stop"}\n')
                os.write(write_end, sock.recv(65536))
        finally:
            os._exit(0)
    os.close(write_end)
    with open(read_end) as answered:
        assert json.loads(answered.read())["error"] == "user 65534 may not command a master of user 0"
    os.wait()
    assert box.app("app")["state"] == "running"


def test_a_status_that_meets_a_dying_watchdog_is_asked_of_the_next(box: Box) -> None:
    box.write(APP.format(probe=box.program("probe")))
    box.run.mkdir()
    report = {"master": {"pid": 1, "state": "running", "config": "", "started_s": None}, "apps": []}
    lock = os.open(box.run, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(box.run / "kegbot_master.sock"))
        listener.listen()
        asking = subprocess.Popen(box.command("status", "--json"), stdout=subprocess.PIPE)
        listener.settimeout(20)
        listener.accept()[0].close()
        with listener.accept()[0] as heir:
            heir.sendall(json.dumps({"status": report, "exit": 0}).encode() + b"\n")
            assert json.loads(asking.communicate(timeout=20)[0]) == report
    os.close(lock)
    assert asking.returncode == 0
