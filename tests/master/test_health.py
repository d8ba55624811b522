"""Ready, well, hung, too large: real apps that are asked, and what becomes of those that do not answer."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from .conftest import Box, eventually, living, wait_for_end

# Answers on TCP (as HTTP, and by hanging up on who hangs up) and on a Unix socket, and modifies a file. The file `mode`
# beside it makes it sick; its successor is well. With `shy` there, it opens nothing until `shy` is gone.
SERVER = f"""#!{sys.executable} -IS
import os, select, signal, socket, sys, time
here, port = sys.argv[1], int(sys.argv[2])
os.makedirs(here, exist_ok=True)
os.chdir(here)
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
for old in ("mode", "alive", "socket"):
    if os.path.exists(old):
        os.unlink(old)
while os.path.exists("shy"):
    time.sleep(0.01)
tcp = socket.create_server(("127.0.0.1", port), backlog=50)
unix = socket.socket(socket.AF_UNIX)
unix.bind("socket")
unix.listen(50)
served = 0
while True:
    mode = open("mode").read() if os.path.exists("mode") else ""
    if mode == "hung":
        time.sleep(1000)
    if mode == "closed":
        tcp.close(), unix.close()
        time.sleep(1000)
    if mode != "stale":
        open("alive", "w").write(str(time.monotonic()))
    for listener in select.select([tcp, unix], [], [], 0.02)[0]:
        peer, _ = listener.accept()
        peer.settimeout(5)
        try:
            data = peer.recv(4096)
            if data.startswith(b"GET /live "):
                status = b"500 Sorry" if mode == "500" else b"200 Fine"
                peer.sendall(b"HTTP/1.1 " + status + b"\\r\\nConnection: close\\r\\n\\r\\n")
            while data:
                data = peer.recv(4096)
        except OSError:
            pass
        peer.close()
        served += 1
        open("served", "w").write(str(served))
"""

# Sends READY=1, then WATCHDOG=1 at half its time, as long as there is no file `mute` beside its count. Its successor begins anew.
PINGER = f"""#!{sys.executable} -IS
import os, socket, sys, time
here = sys.argv[1]
os.makedirs(here, exist_ok=True)
if os.path.exists(here + "/mute"):
    os.unlink(here + "/mute")
address = os.environ["NOTIFY_SOCKET"]
address = "\\0" + address[1:] if address[0] == "@" else address
sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sender.sendto(b"READY=1", address)
assert "WATCHDOG_PID" not in os.environ
count = 0
while True:
    if os.path.exists(here + "/trigger"):
        os.unlink(here + "/trigger")
        sender.sendto(b"WATCHDOG=trigger", address)
    if not os.path.exists(here + "/mute"):
        try:
            sender.sendto(b"WATCHDOG=1", address)
        except OSError:
            pass  # no watchdog is there just now
    count += 1
    open(here + "/count", "w").write(str(count))
    time.sleep(int(os.environ["WATCHDOG_USEC"]) / 2e6)
"""


def free_port() -> int:
    """A port that nobody has just now, from below the range the kernel hands out by itself."""
    for port in random.sample(range(10000, 20000), 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no free port")


def number(path: Path) -> int:
    """What a program has counted in `path`."""
    with contextlib.suppress(OSError, ValueError):
        return int(path.read_text())
    return 0


def counts_on(path: Path, more: int) -> None:
    """Return when the count has grown by `more`: proof that time went by for whoever counts."""
    before = number(path)
    eventually(lambda: number(path) >= before + more, f"{path} counts on", 60)


def replaced(box: Box, name: str, within_s: float = 30.0) -> dict[str, Any]:
    """Its row, once it was brought back once."""
    return eventually(
        lambda: (row := box.app(name))["restarts"] == 1 and row["state"] == "running" and row,
        f"{name} is replaced",
        within_s,
    )


def checks(port: int, here: Path) -> dict[str, str]:
    """One check of each kind, for the server."""
    return {
        "tcp": f"tcp://:{port}",
        "http": f"http://localhost:{port}/live",
        "unix": f"unix://{here}/socket",
        "kegnet": f"kegnet://127.0.0.1:{port}",
        "file": f"file:{here}/alive",
        "command": f"sh -c 'test ! -e {here}/mode || {{ echo first; echo no beer; exit 3; }}; test -e {here}/alive'",
    }


KINDS = ("tcp", "http", "unix", "kegnet", "file", "command")


@pytest.mark.parametrize("kind", KINDS)
def test_an_app_is_ready_when_its_check_is_well_and_not_before(box: Box, kind: str, tmp_path: Path) -> None:
    here, port = tmp_path / "s", free_port()
    server = box.program("server", SERVER)
    here.mkdir()
    (here / "shy").touch()
    box.write(f"""
        [app]
        _enabled = True
        _command = {server} {here} {port}
        _ready = {checks(port, here)[kind]}
        _timeout_start_sec = 60
        [next]
        _enabled = True
        _command = {box.program("probe")}
        _after = app
    """)
    starting = subprocess.Popen(box.command("start"), stdout=subprocess.PIPE, text=True)
    eventually(lambda: any(row["name"] == "app" and row["pid"] for row in box.status()["apps"]))
    assert [box.app("app")["state"], box.app("next")["state"]] == ["starting", "waiting"]
    (here / "shy").unlink()
    told, _ = starting.communicate(timeout=30)
    assert starting.returncode == 0
    assert "app: running, process" in told
    assert box.app("next")["state"] == "running"
    assert box.app("app")["restarts"] == 0


@pytest.mark.parametrize(
    ("check", "words"),
    [
        ("tcp://:{port}", "tcp://:{port}: Connection refused"),
        ("http://:{port}/ timeout=1s", "http://:{port}/: Connection refused"),
        ("unix://{here}/none", "unix://{here}/none: No such file or directory"),
        ("file:{here}/none", "file:{here}/none: No such file or directory"),
        ("sh -c 'echo no beer; exit 3'", "sh -c 'echo no beer; exit 3': exited 3: no beer"),
        ("sleep 1000 timeout=500ms", "sleep 1000: no answer within 0.5 s"),
    ],
)  # fmt: skip
def test_an_app_that_never_gets_ready_has_failed_and_the_reason_is_the_checks(
    box: Box, check: str, words: str, tmp_path: Path
) -> None:
    names = {"port": free_port(), "here": tmp_path}
    box.write(f"""
        [app]
        _enabled = True
        _command = {box.program("probe")}
        _ready = {check.format(**names)}
        _timeout_start_sec = 1.2
    """)
    done = box.master("start", expect=1)
    assert f"app: failed: not ready within 1.2 s: {words.format(**names)}\n" in done.stderr
    box.master("stop")
    assert box.processes() == []


def test_an_app_that_becomes_unwell_is_replaced_and_the_reason_says_how(box: Box, tmp_path: Path) -> None:
    server = box.program("server", SERVER)
    sick = {
        "tcp": ("closed", "Connection refused"),
        "http": ("500", "500"),
        "unix": ("closed", "Connection refused"),
        "kegnet": ("hung", "no answer within 0.5 s"),
        "file": ("stale", "not modified for "),
        "command": ("x", "exited 3: no beer"),
    }
    ports = {kind: free_port() for kind in KINDS}
    texts = {kind: checks(ports[kind], tmp_path / kind)[kind] for kind in KINDS}
    terms = "every=200ms timeout=500ms failures=2 grace=0s"
    box.write(
        "".join(
            f"[{kind}]\n_enabled = True\n_command = {server} {tmp_path / kind} {ports[kind]}\n_restart = on-failure\n"
            f"_timeout_stop_sec = 1\n_ready = tcp://:{ports[kind]}\n"
            f"_health = {texts[kind]} {terms}{' max_age=1s' if kind == 'file' else ''}\n"
            for kind in KINDS
        )
    )
    box.master("start")
    before = {kind: box.pid(kind) for kind in KINDS}
    counts_on(tmp_path / "http" / "served", 5)
    assert {row["restarts"] for row in box.status()["apps"]} == {0}
    for kind, (mode, _) in sick.items():
        (tmp_path / kind / "mode").write_text(mode)
    eventually(lambda: "unwell: http" in box.app("http")["reason"] and "500 (" in box.app("http")["reason"])
    for kind, (_, words) in sick.items():
        row = replaced(box, kind)
        assert row["pid"] != before[kind]
        shown = texts[kind] if kind != "command" else "sh -c"
        assert f"last time: unhealthy: {shown}" in row["reason"]
        assert words in row["reason"]
        assert row["reason"].endswith(" times)")
    # The new ones are well.
    counts_on(tmp_path / "http" / "served", 10)
    assert {row["restarts"] for row in box.status()["apps"]} == {1}


def test_a_stopped_app_sends_nothing_and_is_replaced(box: Box, tmp_path: Path) -> None:
    box.write(f"""
        [app]
        _enabled = True
        _type = notify
        _command = {box.program("pinger", PINGER)} {tmp_path / "p"}
        _watchdog_sec = 500ms
    """)
    box.master("start")
    pid = box.pid("app")
    counts_on(tmp_path / "p" / "count", 20)
    assert box.pid("app") == pid
    os.kill(pid, signal.SIGSTOP)
    row = replaced(box, "app")
    assert row["reason"] == "last time: no WATCHDOG=1 for 0.5 s"
    assert not living(pid)
    (tmp_path / "p" / "mute").touch()
    eventually(lambda: box.app("app")["restarts"] == 2)
    assert box.app("app")["last_exit"] == {"status": None, "signal": signal.SIGABRT}


def test_an_app_may_ask_to_be_replaced(box: Box, tmp_path: Path) -> None:
    box.write(f"""
        [app]
        _enabled = True
        _type = notify
        _command = {box.program("pinger", PINGER)} {tmp_path / "p"}
        _watchdog_sec = 1
    """)
    box.master("start")
    (tmp_path / "p" / "trigger").touch()
    assert "WATCHDOG=trigger" in replaced(box, "app")["reason"]


def test_an_app_that_stalls_for_three_seconds_is_left_alone(box: Box, tmp_path: Path) -> None:
    server, pinger = box.program("server", SERVER), box.program("pinger", PINGER)
    port = free_port()
    box.write(f"""
        [app]
        _enabled = True
        _type = notify
        _command = {pinger} {tmp_path / "p"}
        _watchdog_sec = 5
        [quick]
        _enabled = True
        _type = notify
        _command = {pinger} {tmp_path / "q"}
        _watchdog_sec = 200ms
        [web]
        _enabled = True
        _command = {server} {tmp_path / "s"} {port}
        _ready = tcp://:{port}
        _health = http://:{port}/live every=200ms timeout=300ms failures=1 grace=0s
    """)
    box.master("start")
    counts_on(tmp_path / "s" / "served", 3)
    pids = [box.pid(name) for name in ("app", "quick", "web")]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(3)  # the fault itself
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    counts_on(tmp_path / "p" / "count", 3)
    counts_on(tmp_path / "s" / "served", 10)
    assert [box.pid(name) for name in ("app", "quick", "web")] == pids
    assert {row["restarts"] for row in box.status()["apps"]} == {0}


def test_a_watchdog_that_was_stopped_itself_calls_nobody_late(box: Box, tmp_path: Path) -> None:
    server, pinger = box.program("server", SERVER), box.program("pinger", PINGER)
    port, late = free_port(), tmp_path / "late"
    late.mkdir()
    (late / "shy").touch()
    late_port = free_port()
    box.write(f"""
        [app]
        _enabled = True
        _type = notify
        _command = {pinger} {tmp_path / "p"}
        _watchdog_sec = 200ms
        [web]
        _enabled = True
        _command = {server} {tmp_path / "s"} {port}
        _ready = tcp://:{port}
        _health = http://:{port}/live every=200ms timeout=300ms failures=1 grace=0s
        [cmd]
        _enabled = True
        _command = {box.program("probe")}
        _health = sleep 0.2 every=200ms timeout=1s failures=1 grace=0s
        [late]
        _command = {server} {late} {late_port}
        _ready = tcp://:{late_port}
        _timeout_start_sec = 4
    """)
    box.master("start")
    names, watchdog = ("app", "web", "cmd"), box.master_pid()
    counts_on(tmp_path / "s" / "served", 3)
    pids = [box.pid(name) for name in names]
    starting = subprocess.Popen(box.command("start", "late"), stdout=subprocess.DEVNULL)
    eventually(lambda: any(row["name"] == "late" and row["pid"] for row in box.status()["apps"]))
    os.kill(watchdog, signal.SIGSTOP)
    time.sleep(6)  # the fault itself: longer than every deadline of these apps
    os.kill(watchdog, signal.SIGCONT)
    eventually(lambda: box.app("late")["state"] == "starting")
    (late / "shy").unlink()
    counts_on(tmp_path / "p" / "count", 20)
    counts_on(tmp_path / "s" / "served", 10)
    assert starting.wait(30) == 0
    assert [box.pid(name) for name in names] == pids
    assert {row["restarts"] for row in box.status()["apps"]} == {0}
    assert box.master_pid() == watchdog
    (tmp_path / "p" / "mute").touch()
    replaced(box, "app")


def test_a_check_that_cannot_be_made_for_lack_of_descriptors_says_nothing_of_the_app(
    box: Box, tmp_path: Path
) -> None:
    server, port = box.program("server", SERVER), free_port()
    box.write(f"""
        [web]
        _enabled = True
        _command = {server} {tmp_path / "s"} {port}
        _ready = tcp://:{port}
        _health = http://:{port}/live every=200ms timeout=300ms failures=1 grace=0s
        [cmd]
        _enabled = True
        _command = {box.program("probe")}
        _health = true every=200ms timeout=1s failures=1 grace=0s
    """)
    box.master("start")
    counts_on(tmp_path / "s" / "served", 3)
    pids, watchdog = [box.pid("web"), box.pid("cmd")], box.master_pid()
    soft, hard = resource.prlimit(watchdog, resource.RLIMIT_NOFILE)
    resource.prlimit(watchdog, resource.RLIMIT_NOFILE, (3, hard))
    time.sleep(6)  # the fault itself
    resource.prlimit(watchdog, resource.RLIMIT_NOFILE, (soft, hard))
    counts_on(tmp_path / "s" / "served", 5)
    assert [box.pid("web"), box.pid("cmd")] == pids
    assert {row["restarts"] for row in box.status()["apps"]} == {0}


def test_what_a_check_leaves_behind_is_ended(box: Box, tmp_path: Path) -> None:
    leaves = box.program(
        "leaves", f"#!/bin/sh\nsleep 4321 &\nsetsid sleep 4321 &\necho >> {tmp_path}/asked\nexit 0\n"
    )
    hangs = box.program(
        "hangs",
        f"#!/bin/sh\ntrap '' TERM\nsleep 4321 &\nsetsid sleep 4321 &\necho >> {tmp_path}/hung\nsleep 4321\n",
    )
    box.write(f"""
        [leaves]
        _enabled = True
        _command = {box.program("probe")}
        _health = {leaves} every=2s grace=0s
        [hangs]
        _enabled = True
        _command = {box.directory / "probe"}
        _health = {hangs} every=2s timeout=500ms failures=1000 grace=0s
    """)
    box.master("start")

    def sleepers() -> list[int]:
        found = []
        for pid in box.processes():
            with contextlib.suppress(OSError):
                if b"4321" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    found.append(pid)
        return found

    for asked in ("asked", "hung"):
        eventually(lambda asked=asked: (tmp_path / asked).exists())  # type: ignore[misc]
    for _ in range(3):
        seen = sleepers()
        eventually(lambda seen=seen: not set(seen) & set(sleepers()))  # type: ignore[misc]
    assert {row["restarts"] for row in box.status()["apps"]} == {0}
    box.master("stop")
    assert box.processes() == []


def test_a_check_under_way_ends_with_its_app(box: Box, tmp_path: Path) -> None:
    slow = box.program("slow", f"#!/bin/sh\necho >> {tmp_path}/asked\nexec sleep 4321\n")
    box.write(f"""
        [app]
        _enabled = True
        _command = {box.program("probe")}
        _health = {slow} every=1s timeout=1h grace=0s
    """)
    box.master("start")
    eventually((tmp_path / "asked").exists)
    box.master("stop")
    assert box.processes() == []


def test_a_check_under_way_does_not_outlive_a_reexec(box: Box, tmp_path: Path) -> None:
    slow = box.program("slow", f"#!/bin/sh\necho $$ >> {tmp_path}/asked\nexec sleep 4321\n")
    box.write(f"""
        [app]
        _enabled = True
        _command = {box.program("probe")}
        _health = {slow} every=500ms timeout=1h grace=0s
    """)
    box.master("start")
    eventually((tmp_path / "asked").exists)
    pid = box.pid("app")
    box.master("reexec")
    eventually(lambda: len((tmp_path / "asked").read_text().split()) > 1, "asked again")
    first = int((tmp_path / "asked").read_text().split()[0])
    eventually(lambda: not living(first))
    assert box.pid("app") == pid


def test_an_adopted_app_is_still_watched(box: Box, tmp_path: Path) -> None:
    server, port, late = box.program("server", SERVER), free_port(), tmp_path / "late"
    late.mkdir()
    (late / "shy").touch()
    late_port = free_port()
    box.write(f"""
        [web]
        _enabled = True
        _command = {server} {tmp_path / "s"} {port}
        _ready = tcp://:{port}
        _health = http://:{port}/live every=200ms failures=1 grace=0s
        [app]
        _enabled = True
        _type = notify
        _command = {box.program("pinger", PINGER)} {tmp_path / "p"}
        _watchdog_sec = 200ms
        [late]
        _command = {server} {late} {late_port}
        _ready = tcp://:{late_port}
        _timeout_start_sec = 30
    """)
    box.master("start")
    starting = subprocess.Popen(box.command("start", "late"), stdout=subprocess.DEVNULL)
    eventually(lambda: any(row["name"] == "late" and row["pid"] for row in box.status()["apps"]))
    pids, watchdog = [box.pid("web"), box.pid("app"), box.pid("late")], box.master_pid()
    os.kill(watchdog, signal.SIGKILL)
    wait_for_end(watchdog)
    eventually(lambda: box.status()["master"]["state"] == "running")
    assert box.app("late")["state"] == "starting"
    (late / "shy").unlink()
    eventually(lambda: box.app("late")["state"] == "running")
    assert starting.wait(30) == 0
    assert [box.pid("web"), box.pid("app"), box.pid("late")] == pids
    (tmp_path / "s" / "mode").write_text("500")
    (tmp_path / "p" / "mute").touch()
    assert "500" in replaced(box, "web")["reason"]
    assert "no WATCHDOG=1" in replaced(box, "app")["reason"]


def test_another_check_is_taken_over_by_reload_while_the_app_runs_on(box: Box, tmp_path: Path) -> None:
    text = f"""
        [app]
        _enabled = True
        _command = {box.program("probe")}
        _health = HEALTH every=200ms failures=1 grace=0s
    """
    box.write(text.replace("HEALTH", "true"))
    box.master("start")
    pid = box.pid("app")
    box.write(text.replace("HEALTH", f"sh -c 'echo >> {tmp_path}/asked'"))
    assert box.master("reload").stdout == "app: no restart needed\n"
    eventually((tmp_path / "asked").exists)
    assert box.pid("app") == pid
    box.write(text.replace("HEALTH", "sh -c 'echo no beer; exit 3'"))
    box.master("reload")
    assert "exited 3: no beer" in replaced(box, "app")["reason"]


def test_an_app_that_grows_beyond_its_limit_is_replaced(box: Box, tmp_path: Path) -> None:
    hog = box.program(
        "hog",
        f"#!{sys.executable} -IS\nimport os, time\nif not os.path.exists('{tmp_path}/grown'):\n"
        f"    open('{tmp_path}/grown', 'w')\n    if os.fork() == 0:\n        x = b'x' * (60 << 20)\ntime.sleep(1000)\n",
    )
    box.write(f"""
        [hog]
        _enabled = True
        _command = {hog}
        _memory_max = 48M
        [small]
        _enabled = True
        _command = {box.program("probe")}
        _memory_max = 48M
    """)
    box.master("start")
    row = replaced(box, "hog", 60)
    assert "MiB, more than _memory_max 48 MiB" in row["reason"]
    assert row["reason"].startswith("last time: uses ")
    assert box.app("small")["restarts"] == 0
