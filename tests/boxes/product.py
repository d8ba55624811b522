"""What the boxes' tests put into them: kegmaster in a virtualenv of the machine's own Python, a user, and apps.

The apps write their starts, TERMs and ends into one ledger, so that order and orphans are seen.
"""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.master.conftest import eventually

from .box import PYTHON, Box

ROOT: Final = Path(__file__).resolve().parent.parent.parent
HOME: Final = "/opt/kegmaster"
MASTER: Final = f"{HOME}/bin/master.py"
LEDGER: Final = "/srv/ledger"
CONFIG: Final = "/etc/kegbot/kegbot_master.cfg"
USER: Final = "lab"

WITNESS: Final = f"""#!{PYTHON} -IS
import os, signal, sys, time
name = sys.argv[1]
ledger = os.open("{LEDGER}", os.O_WRONLY | os.O_APPEND)
def say(what):
    os.write(ledger, f"{{name}} {{what}} {{os.getpid()}}\\n".encode())
def end(*_):
    say("TERM")
    say("EXIT")
    os._exit(0)
signal.signal(signal.SIGTERM, end)
say("START")
print(name, "is up", flush=True)
while True:
    signal.pause()
"""
APPS: Final = """\
[one]
_enabled = True
_command = /srv/witness one
[two]
_enabled = True
_command = /srv/witness two
_after = one
"""


@functools.cache
def why_not() -> str:
    """Why kegmaster cannot be put into a box here; empty if it can."""
    look = "import sys, venv; sys.exit(sys.version_info < (3, 11))"
    try:
        done = subprocess.run([PYTHON, "-IS", "-c", look], capture_output=True, check=False)
    except OSError:
        return f"no {PYTHON}"
    return f"{PYTHON} is older than 3.11, or has no venv" if done.returncode else ""


def install(box: Box) -> None:
    """Put it on the box's disk, while that is off: `{MASTER}`, the user, the witness and an empty ledger."""
    box.on_disk(PYTHON, "-m", "venv", "--without-pip", HOME)
    [packages] = box.disk(f"{HOME}/lib").glob("python3*/site-packages")
    shutil.copytree(
        ROOT / "master" / "kegmaster", packages / "kegmaster", ignore=shutil.ignore_patterns("__pycache__")
    )
    _program(box, MASTER, (ROOT / "scripts" / "master.py").read_text().replace(
        "#!/usr/bin/env python3", f"#!{HOME}/bin/python3", 1
    ))  # fmt: skip
    _program(box, "/srv/witness", WITNESS)
    box.on_disk("useradd", "--create-home", "--shell=/bin/sh", USER)
    ledger = box.disk(LEDGER)
    ledger.touch()
    ledger.chmod(0o666)
    # Compiled now: else the first start would write it, and no two trees were ever the same.
    box.on_disk(f"{HOME}/bin/python3", "-m", "compileall", "-q", f"{HOME}/lib")


def _program(box: Box, inside: str, text: str) -> None:
    path = box.disk(inside)
    path.write_text(text)
    path.chmod(0o755)


def configure(box: Box, text: str = APPS, inside: str = CONFIG, owner: str = "") -> None:
    """Write the configuration; its folder is made if need be."""
    path = box.disk(inside)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    if owner:
        box.on_disk("chown", "-R", f"{owner}:", f"/home/{owner}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A line of the ledger."""

    app: str
    what: str
    pid: int


def ledger(box: Box) -> list[Entry]:
    """All that the apps wrote, over all boots."""
    lines = box.disk(LEDGER).read_text().splitlines()
    return [Entry(app=app, what=what, pid=int(pid)) for app, what, pid in (line.split() for line in lines)]


def status(box: Box, user: str = "", environment: dict[str, str] | None = None) -> dict[str, Any]:
    """What `master.py status --json` prints."""
    done = box.run(MASTER, "status", "--json", user=user, environment=environment, expect=None)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def pids(box: Box, user: str = "", environment: dict[str, str] | None = None) -> dict[str, int]:
    """The pids of the running apps."""
    rows = status(box, user, environment)["apps"]
    return {row["name"]: row["pid"] for row in rows if row["state"] == "running"}


def witnesses(box: Box) -> list[str]:
    """The names of the apps' processes that live, whoever knows of them; doubles and orphans included."""
    found = []
    for entry in box.path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if len(words) > 3 and words[2] == b"/srv/witness":
                found.append(words[3].decode())
    return sorted(found)


def ends(box: Box) -> list[str]:
    """What the apps said at their ends, in order."""
    return [f"{entry.app} {entry.what}" for entry in ledger(box) if entry.what != "START"]


LOGS: Final = ("/var/log", "/var/lib/kegbot/services/actions.log")
FORGOTTEN: Final = "/var/lib/kegbot/services/master.json"
"""After --remove_install_args it says that there was an install, so that reinstall can say why it cannot."""


def kept(box: Box) -> dict[str, str]:
    """The tree, without logs and what the machine itself writes while it runs; crontabs bear a date."""
    own = (
        "/var/tmp",
        "/var/spool/cron",
        LEDGER,
        "/root",
        "/etc/machine-id",
        "/var/lib/systemd",
        "/etc/init.d/.depend.",
    )
    found = {path: what for path, what in box.changed().items() if not path.startswith((*own, *LOGS))}
    if found.get(FORGOTTEN) == "-rw------- 0:0 " + b'{"version": 1, "forgotten": true}\n'.hex():
        del found[FORGOTTEN]
    around = {str(folder) for log in LOGS for folder in Path(log).parents}
    return {path: what for path, what in found.items() if path not in around}


IN_ORDER: Final = ["two TERM", "two EXIT", "one TERM", "one EXIT"]
"""The ends of `APPS`, as they are stopped: the one that comes after another before that."""


def kill_master(box: Box) -> None:
    """Keeper and watchdog, both at once, as seen from this machine: neither can bring the other back."""
    watchdog = status(box)["master"]["pid"]
    stat = box.path(f"/proc/{watchdog}/stat").read_text()
    keeper = stat.rpartition(")")[2].split()[1]
    pair = [
        str(watchdog),
        *([keeper] if b"master.py" in box.path(f"/proc/{keeper}/cmdline").read_bytes() else []),
    ]
    box.run("kill", "-STOP", *pair)
    box.run("kill", "-KILL", *pair)
    eventually(lambda: status(box)["master"]["state"] == "dead")
