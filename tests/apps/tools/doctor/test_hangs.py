"""Whatever hangs, the doctor ends, says so, and takes everything with it that it has started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.apps.server.emulators import Emulator, Fault, Faults
from tests.apps.tools.doctor.kegerator import DOCTOR, Kegerator
from tests.master.conftest import Box, eventually, living


def test_what_was_stopped_is_named_with_its_number(kegerator: Kegerator) -> None:
    kegerator.board()
    core = kegerator.core()
    daemon = kegerator.bar.daemon(kegerator.address)
    core.wait_for("connected")
    numbers = {"board": daemon.process.pid, "core": core.process.pid}
    names = {"board": "kegboard_daemon", "core": "kegbot_core"}
    for links in (("board",), ("core",), ("board", "core")):
        for link in links:
            os.kill(numbers[link], signal.SIGSTOP)
        found = kegerator.doctor()
        for link in links:
            os.kill(numbers[link], signal.SIGCONT)
        assert found.cut == links[0], found.answer
        assert found.troubled() == set(links)
        assert found.cure.startswith(f"kill -CONT {numbers[links[0]]} ")
        for link in links:
            assert f"{names[link]} (process {numbers[link]}) is stopped" in found.of(link, "trouble")[0]


def test_a_master_that_was_stopped_is_named_with_its_number(tmp_path: Path) -> None:
    box = Box(tmp_path)
    with contextlib.ExitStack() as stack:
        kegerator = Kegerator(tmp_path, stack)
        box.write(
            f"[kegbot_core]\n_enabled = True\nstore = {kegerator.store}\n"
            f"kb_core_bind_addr = {kegerator.address}\n"
        )
        try:
            box.master("start")
            pid = box.master_pid()
            os.kill(pid, signal.SIGSTOP)
            found = kegerator.doctor(f"--master_config={box.config}", f"--pidfile_dir={box.run}")
            os.kill(pid, signal.SIGCONT)
            box.master("stop")
        finally:
            box.close()
    assert found.cut == "master", found.answer
    assert f"process {pid}" in found.of("master", "trouble")[0]
    assert f"kill -CONT {pid}" in found.cure
    assert found.of("core", "ok"), "what can be looked at was looked at"


def test_a_server_that_takes_the_request_and_says_nothing(healthy: Kegerator) -> None:
    with Emulator("today", faults=Faults(script=[Fault.HANG] * 9)) as server:
        found = healthy.doctor(f"--api_url={server.url}", f"--api_key={server.key}")
    found.must_be_cut_at("server", saying="did not answer within", cure="start the server")


def test_sigterm_ends_the_doctor_and_its_children(kegerator: Kegerator) -> None:
    kegerator.folder.joinpath("key").touch()
    os.mkfifo(kegerator.folder / "fifo")
    flags = [f"--api_key_file={kegerator.folder}/fifo", "--api_url=http://127.0.0.1:9/", *kegerator.looks()]
    with subprocess.Popen(
        [*DOCTOR, *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as doctor:
        children = eventually(lambda: _children(doctor.pid))
        doctor.send_signal(signal.SIGTERM)
        _, said = doctor.communicate(timeout=20)
    assert doctor.returncode == 1
    assert said.endswith("kegbot_doctor.py: ended before everything was looked at\n")
    eventually(lambda: not any(map(living, children)))


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


# Errands, in a program of its own: a test process has threads, and must not fork.

ERRANDS = """
import os, subprocess, sys, time
from kegapps.daemon.loop import Loop
from kegapps.tools.doctor.errands import Errands

def hang():
    child = subprocess.Popen(["sleep", "60"])
    print(child.pid, os.getpid(), flush=True)
    time.sleep(60)

def fail():
    raise ValueError("a fault of ours")

loop = Loop()
errands = Errands(loop)
said = []
def back(answer):
    said.append(answer)
    errands.idle and loop.stop()
def late():
    back("late")
errands.send(lambda: {"beer": "x" * 200000}, deadline_s=20, on_back=back, on_late=late)
errands.send(hang, deadline_s=0.5, on_back=back, on_late=late)
errands.send(fail, deadline_s=20, on_back=back, on_late=late)
loop.run()
print(sorted("beer" if isinstance(answer, dict) and len(answer["beer"]) == 200000 else answer for answer in said))
"""


def test_an_errand_that_hangs_is_ended_with_all_it_started_and_the_others_come_back() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ERRANDS], capture_output=True, text=True, timeout=30, check=True
    )
    first, last = done.stdout.splitlines()
    assert last == "['beer', 'late', 'late']"
    assert "Traceback" not in done.stderr
    eventually(lambda: not any(living(int(pid)) for pid in first.split()))
