"""A master comes with the first app that is asked for, and with nothing else."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path

from .conftest import TWO, Box, eventually, living, proc_stat

THREE = f"""{TWO.replace("_after = one", "")}
    [spare]
    _command = {{probe}}
"""
DEAF = "#!/bin/sh\ntrap '' TERM\necho ready\nwhile :; do sleep 1000 & wait; done\n"


def test_the_first_app_asked_for_brings_the_master_and_no_other_app(box: Box) -> None:
    box.write(THREE.format(probe=box.program("probe")))
    for verb in (["status"], ["configtest"], ["logs"], ["events"], ["stop"], ["try-restart"]):
        box.master(*verb, expect=None)
        assert box.processes() == [], verb
    box.master("start", "one")
    assert [box.app(name)["state"] for name in ("one", "two")] == ["running", "stopped"]
    box.master("start")
    assert box.app("two")["state"] == "running"


def test_a_disabled_app_starts_by_name_only_and_one_master_has_them_all(box: Box) -> None:
    box.write(THREE.format(probe=box.program("probe")))
    box.master("start")
    assert [row["name"] for row in box.status()["apps"]] == ["one", "two"]
    box.master("start", "spare")
    assert box.app("spare")["state"] == "running"
    watchdog = box.master_pid()
    for name in ("one", "two", "spare"):
        assert int(proc_stat(box.pid(name))[1]) == watchdog
    assert len(box.processes()) == 5


def test_a_stop_goes_on_when_the_client_is_killed_in_its_middle(box: Box) -> None:
    box.write(f"[deaf]\n_enabled = True\n_command = {box.program('deaf', DEAF)}\n_timeout_stop_sec = 1\n")
    box.master("start")
    pid = box.pid("deaf")
    eventually(lambda: b"ready" in (box.log / "deaf.log").read_bytes())
    client = subprocess.Popen(
        box.command("stop"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={"HOME": str(box.home)}
    )
    eventually(lambda: box.app("deaf")["state"] == "stopping")
    client.send_signal(signal.SIGKILL)
    client.wait()
    assert living(pid)
    eventually(lambda: not box.processes())
    assert list(box.run.iterdir()) == []


def test_the_master_listens_on_no_network(box: Box) -> None:
    box.write(THREE.format(probe=box.program("probe")))
    box.master("start")
    sockets = {
        os.readlink(fd)
        for pid in box.processes()
        for fd in Path(f"/proc/{pid}/fd").iterdir()
        if os.readlink(fd).startswith("socket:")
    }
    for table in ("tcp", "tcp6", "udp", "udp6"):
        lines = Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        assert not {f"socket:[{line.split()[9]}]" for line in lines} & sockets
    with socket.socket(socket.AF_UNIX) as control:
        control.connect(str(box.run / "kegbot_master.sock"))
    assert (box.run / "kegbot_master.sock").stat().st_mode & 0o777 == 0o600
