"""What an app says of itself is kept as long as it lives, whoever watches it."""

from __future__ import annotations

import json
import os
import signal
import sys
import time

from .conftest import Box, eventually, kill_masters

TELLER = f"""#!{sys.executable} -IS
import os, signal, socket
sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
address = os.environ["NOTIFY_SOCKET"]
def tell(text):
    sock.sendto(text, "\\0" + address[1:] if address.startswith("@") else address)
signal.signal(signal.SIGUSR1, lambda *_: tell("STATUS=no board".encode()))
signal.signal(signal.SIGUSR2, lambda *_: [tell(f"STATUS={{n}}".encode()) for n in range(1, 501)])
tell(b"READY=1\\nSTATUS=beginning")
while True:
    signal.pause()
"""


def _teller(box: Box) -> int:
    """A running app that says what signals tell it to; its pid."""
    box.write(f"[app]\n_enabled = True\n_type = notify\n_command = {box.program('teller', TELLER)}\n")
    box.master("start")
    return box.pid("app")


def _noted(box: Box) -> object:
    return json.loads((box.run / "kegbot_master.records" / "app.run").read_text())["note"]


def test_what_an_app_said_of_itself_is_known_to_whoever_watches_next(box: Box) -> None:
    os.kill(pid := _teller(box), signal.SIGUSR1)
    eventually(lambda: _noted(box) == "no board")
    box.master("reexec")
    assert (box.app("app")["reason"], box.pid("app")) == ("no board", pid)
    os.kill(watchdog := box.master_pid(), signal.SIGKILL)
    eventually(lambda: (now := box.status()["master"])["state"] == "running" and now["pid"] != watchdog)
    assert (box.app("app")["reason"], box.pid("app")) == ("no board", pid)
    kill_masters(box)
    box.master("start")
    assert (box.app("app")["reason"], box.pid("app")) == ("no board", pid)
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: (row := box.app("app"))["pid"] not in (None, pid) and row["state"] == "running")
    assert box.app("app")["reason"].startswith("beginning"), "what it said before it ended is over"


def test_an_app_that_says_much_is_written_down_seldom(box: Box) -> None:
    pid = _teller(box)
    path = box.run / "kegbot_master.records" / "app.run"
    seen = {path.stat().st_mtime_ns}

    def last() -> bool:
        seen.add(path.stat().st_mtime_ns)
        return _noted(box) == "500"

    began_s = time.monotonic()
    os.kill(pid, signal.SIGUSR2)
    eventually(last)
    assert len(seen) <= 3 + (time.monotonic() - began_s)


def test_what_an_app_said_is_shown_in_one_line_whoever_wrote_it_down(box: Box) -> None:
    pid = _teller(box)
    kill_masters(box)
    path = box.run / "kegbot_master.records" / "app.run"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"note": "one\n\x1b[31m" + "x" * 9000}))
    box.master("start")
    told = box.app("app")["reason"]
    assert (box.pid("app"), told[:9], len(told)) == (pid, "one  [31m", 400)
