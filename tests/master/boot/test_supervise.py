"""The service directories of runit and s6 under the real supervisors."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kegmaster.boot import kinds
from kegmaster.boot.plan import Service
from kegmaster.notify import Pulse

from ..conftest import Box, eventually, living, wait_for_end

SCANNERS = {"runit": ["runsvdir", "-P"], "s6": ["s6-svscan"]}


@pytest.fixture(params=["runit", "s6"])
def supervised(request: pytest.FixtureRequest, box: Box) -> Iterator[Box]:
    """A box whose master is kept by a supervisor."""
    kind: str = request.param
    if not shutil.which(SCANNERS[kind][0]):
        pytest.skip(f"{SCANNERS[kind][0]} is not installed")
    box.write("""
        [app]
        _enabled = True
        _command = sleep 1000
    """)
    flags = (f"--master_config={box.config}", f"--pidfile_dir={box.run}", f"--logfile_dir={box.log}")
    plan = kinds.plan(kind, Service(
        argv=(sys.executable, str(box.script)), flags=flags, config=str(box.config), pidfile_dir=str(box.run),
        logfile_dir=str(box.log), state_dir=str(box.run), home=str(box.home),
    ))  # fmt: skip
    scanned = box.directory / "service"
    for artefact in plan.artefacts:
        if not artefact.link:
            path = scanned / "kegmaster" / Path(artefact.path).name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(artefact.text)
            path.chmod(artefact.mode)
    with subprocess.Popen(
        [*SCANNERS[kind], str(scanned)], env={"HOME": str(box.home), "PATH": os.environ["PATH"]}, cwd="/",
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as scanner:  # fmt: skip
        yield box
        # HUP ends runsvdir and its services; TERM does so for s6-svscan.
        scanner.send_signal(signal.SIGHUP if kind == "runit" else signal.SIGTERM)
        scanner.wait(30)


def master_with_app(box: Box) -> int:
    """The master's pid, once it has the app running; 0 before."""
    report = box.status()
    if not report["master"]["pid"] or [row["state"] for row in report["apps"]] != ["running"]:
        return 0
    return int(report["master"]["pid"])


def test_the_supervisor_brings_the_master_back_and_the_apps_run_on(supervised: Box) -> None:
    first = eventually(lambda: master_with_app(supervised))
    app = supervised.pid("app")
    os.kill(first, signal.SIGKILL)
    wait_for_end(first)
    second = eventually(lambda: (pid := master_with_app(supervised)) != first and pid)
    assert second != first
    assert supervised.pid("app") == app
    assert living(app)
    # Told to stop, it stays stopped.
    supervised.master("stop")
    wait_for_end(second)
    wait_for_end(app)
    service = supervised.directory / "service" / "kegmaster"
    tool = ["sv", "status", str(service)] if shutil.which("sv") and (service / "supervise/stat").exists() else ["s6-svstat", str(service)]  # fmt: skip
    eventually(
        lambda: subprocess.run(tool, capture_output=True, text=True, check=False).stdout.startswith("down")
    )


def test_signs_of_life_are_given_in_half_the_time_that_was_asked_for(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        sock.bind(address)
        pulse = Pulse(address, {"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "7"}, 7)
        assert [pulse.beat(now_s) for now_s in (100.0, 129.0, 130.0)] == [130.0, 130.0, 160.0]
        assert [sock.recv(99), sock.recv(99)] == [b"WATCHDOG=1"] * 2
        for environment in (
            {},
            {"WATCHDOG_USEC": "x"},
            {"WATCHDOG_USEC": "0"},
            {"WATCHDOG_USEC": "9", "WATCHDOG_PID": "8"},
        ):
            assert Pulse(address, environment, 7).beat(100.0) is None
        assert Pulse("", {"WATCHDOG_USEC": "60000000"}, 7).beat(100.0) is None
        with pytest.raises(BlockingIOError):
            sock.recv(99)
