"""The pages for newcomers, followed in a box: each step as it is written, then a reboot, and what must be true then.

Knows the four systems and what a page cannot type by itself: an editor, a password. Must not know how a page is
written: `pages` does.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.boxes import inits
from tests.boxes.box import PYTHON, Box
from tests.master.conftest import eventually
from tests.real.catalogue import (
    BOTS,
    BROKER,
    OPENMSISTREAM,
    PYROLAB,
    ROOT,
    Virtualenv,
    bots_home,
)
from tests.real.pages import PAGES, Step, steps

KEGMASTER: Final = Virtualenv(name="kegmaster", packages=(str(ROOT),), python=PYTHON, fresh=True)
USER: Final = "lab"
HOME: Final = f"/home/{USER}"
SUDO: Final = '#!/bin/sh\nexec "$@"\n'
# Both are done by the real pip, outside of the box, which has no network.
DONE_BEFORE: Final = ((r"(sudo )?python3 -m venv .*", ""), (r"(sudo )?\S+/pip install .*", ""))


@dataclass(frozen=True, kw_only=True)
class Walk:
    """One page.

    furnish   puts on the disk of the box what such a user has, before it boots
    before    brings up what runs there the old way
    typed     patterns of whole commands, and what stands for them where nobody sits at the keyboard
    config    where the INI goes that the page shows
    apps      what must run at the end, before and after the reboot
    own       it is all the user's own, without root
    after     what else must hold at the end
    """

    page: str
    virtualenvs: tuple[Virtualenv, ...]
    furnish: Callable[[Box], None]
    before: Callable[[Box], None]
    typed: tuple[tuple[str, str], ...] = ()
    config: str = ""
    apps: frozenset[str]
    own: bool = False
    after: Callable[[Box], str]


class Follower:
    """Types what a page says. Lines with sudo are root's, the others the user's."""

    def __init__(self, box: Box, walk: Walk) -> None:
        self.box = box
        self.walk = walk
        self.environment: dict[str, str] = {}
        self._lasting: list[str] = []

    def type(self, line: str) -> str:
        """One line; what it printed. AssertionError unless it ends with 0."""
        if line.startswith(("cd ", "export ")):
            self._lasting.append(line)
            return ""
        for pattern, instead in (*DONE_BEFORE, *self.walk.typed):
            if found := re.fullmatch(pattern, line):
                line = found.expand(instead)
                break
        if not line:
            return ""
        script = "\n".join(["set -e", f"cd {HOME}", *self._lasting, line])
        by_root = "sudo " in line
        done = self.box.run(
            "sh", "-c", script, user="" if by_root else USER, environment=self.environment, expect=None
        )
        assert done.returncode == 0, f"{line!r} ended with {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def running(self) -> dict[str, int]:
        """The apps' pids, as `status` tells."""
        done = self.box.run(
            *("sh", "-c", "\n".join([*self._lasting, "master.py status --json"])),
            user=USER if self.walk.own else "", environment=self.environment, expect=None,
        )  # fmt: skip
        report: dict[str, Any] = json.loads(done.stdout)
        return {row["name"]: row["pid"] for row in report["apps"] if row["state"] == "running"}


def follow(
    walk: Walk, place: Callable[[Virtualenv], Path]
) -> Generator[tuple[str, Callable[[], str]], None, None]:
    """Each step by name, and what does it. `place`: where a virtualenv has been made on this machine."""
    box = Box(inits.SYSTEMD)
    try:
        _program(box, "/usr/local/bin/sudo", SUDO)
        box.on_disk("useradd", "--create-home", "--shell=/bin/sh", USER)
        box.disk("/root").chmod(0o711)  # where a Python of pyenv may be
        for venv in (KEGMASTER, *walk.virtualenvs):
            own = f"{HOME}/{venv.name}" if walk.own else f"/opt/{venv.name}"
            transplant(place(venv), box, own)
        walk.furnish(box)
        box.on_disk("chown", "-R", f"{USER}:", HOME)
        box.boot()
        follower = Follower(box, walk)
        if walk.own:
            uid = box.run("id", "-u", USER).stdout.strip()
            box.run("systemctl", "start", f"user@{uid}")
            follower.environment = {
                "XDG_RUNTIME_DIR": f"/run/user/{uid}",
                "PATH": f"{HOME}/pyrolab/bin:/usr/local/bin:/usr/bin:/bin",
            }
        yield "the old way", lambda: _old_way(walk, box)
        for step in steps((PAGES / f"{walk.page}.rst").read_text(encoding="utf-8")):
            if step.commands or step.configuration:
                yield f"step {step.number}", lambda step=step: _do(follower, step)  # type: ignore[misc]
        yield "reboot", lambda: _reboot(follower)
        yield "in the end", lambda: walk.after(box)
    finally:
        box.close()


def _old_way(walk: Walk, box: Box) -> str:
    walk.before(box)
    return "runs"


def _do(follower: Follower, step: Step) -> str:
    if step.configuration:
        path = follower.box.path(follower.walk.config)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(step.configuration, encoding="utf-8")
        follower.box.run("chown", "-R", f"{USER}:", HOME)
    for line in step.commands:
        follower.type(line)
    return "; ".join(step.commands) or follower.walk.config


def _reboot(follower: Follower) -> str:
    before = follower.running()
    assert set(before) == follower.walk.apps, f"{before} run"
    follower.box.reboot()
    eventually(
        lambda: set(follower.running()) == follower.walk.apps,
        f"{', '.join(sorted(follower.walk.apps))} run after a reboot",
        60,
    )
    return f"{', '.join(sorted(follower.walk.apps))} back without a login"


def transplant(venv: Path, box: Box, inside: str) -> None:
    """Put a virtualenv of this machine at another place on the box's disk."""
    there = box.disk(inside)
    shutil.copytree(venv, there, symlinks=True)
    for script in (there / "bin").iterdir():
        if script.is_file() and not script.is_symlink():
            text = script.read_bytes()
            script.write_bytes(text.replace(str(venv).encode(), inside.encode()))


def _program(box: Box, inside: str, text: str) -> None:
    path = box.disk(inside)
    path.write_text(text)
    path.chmod(0o755)


def _matching(box: Box, words: str) -> list[str]:
    """Pids whose command line has these words."""
    found = []
    for entry in box.path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if words in line:
                found.append(entry.name)
    return found


# PyroLab


def _pyrolab_has(box: Box) -> None:
    folder = box.disk(HOME) / ".config/pyrolab"
    folder.mkdir(parents=True)


def _pyrolab_up(box: Box) -> None:
    uid = box.run("id", "-u", USER).stdout.strip()
    session = {"XDG_RUNTIME_DIR": f"/run/user/{uid}"}
    box.run(f"{HOME}/pyrolab/bin/pyrolab", "up", user=USER, environment=session)
    assert _matching(box, "pyrolab/pyrolabd.py")


def _pyrolab_is(box: Box) -> str:
    uid = box.run("id", "-u", USER).stdout.strip()
    session = {"XDG_RUNTIME_DIR": f"/run/user/{uid}"}
    box.run(f"{HOME}/pyrolab/bin/pyrolab", "ps", user=USER, environment=session)
    return "pyrolab ps answers"


# Bots

OLD_BOTS: Final = """#!/bin/sh
### BEGIN INIT INFO
# Provides: bots-webserver
# Required-Start: $local_fs $network
# Required-Stop: $local_fs $network
# Default-Start: 2 3 4 5
# Default-Stop: 0 1 6
# Short-Description: Bots web server
### END INIT INFO
case $1 in
start) start-stop-daemon --start --background --make-pidfile --pidfile=/run/bots.pid --chuid=bots \\
    --startas=/opt/bots/bin/bots-webserver -- -c/var/lib/bots/config ;;
stop) start-stop-daemon --stop --retry=10 --pidfile=/run/bots.pid ;;
esac
"""


def _bots_has(box: Box) -> None:
    box.on_disk("useradd", "--system", "--home-dir=/var/lib/bots", "bots")
    bots_home(box.disk("/opt/bots"), box.disk("/var/lib/bots"), "/var/lib/bots", {8080: 8080, 28082: 28082})
    box.on_disk("chown", "-R", "bots:", "/var/lib/bots")
    _program(box, "/etc/init.d/bots-webserver", OLD_BOTS)
    box.on_disk("update-rc.d", "bots-webserver", "defaults")


def _bots_up(box: Box) -> None:
    box.run("systemctl", "daemon-reload")
    box.run("systemctl", "start", "bots-webserver")
    eventually(lambda: _matching(box, "bots-webserver"), "the old script starts it")


def _bots_is(box: Box) -> str:
    for verb in ("start", "restart"):
        box.run("master.py", verb, "bots-webserver")
        assert len(_matching(box, "/bin/bots-webserver")) == 1
    owner = box.run("ps", "-o", "user=", "-p", _matching(box, "/bin/bots-webserver")[0]).stdout.strip()
    assert owner == "bots"
    box.run("master.py", "stop", "bots-webserver")
    assert not _matching(box, "/bin/bots-webserver")
    box.run("master.py", "status", "bots-webserver", expect=3)
    box.run("master.py", "bogus", expect=2)
    # The other way of step 6.
    words = ("/opt/bots/bin/bots-webserver", "-c/var/lib/bots/config")
    box.run("master.py", "install", "bots-webserver", "--user=bots", "--replace", "--", *words)
    box.run("master.py", "start", "bots-webserver")
    assert len(_matching(box, "/bin/bots-webserver")) == 1
    return "one web server, as bots, started or restarted; none after stop; install makes the same of it"


# OpenMSIStream


def _openmsistream_has(box: Box) -> None:
    for folder in ("srv/data", "var/log/lab"):
        box.disk(f"/{folder}").mkdir(parents=True)
    box.disk("/srv/broker.config").write_text(BROKER)
    box.on_disk("chown", "-R", f"{USER}:", "/srv/data", "/var/log/lab")


OLD_NAME: Final = "upload"
OLD_PROCESS: Final = "upload_service_executable.py"
OPENMSISTREAM_BIN: Final = "/opt/openmsistream/bin"


def _openmsistream_up(box: Box) -> None:
    words = (
        "DataFileUploadDirectory",
        "/srv/data",
        "--config",
        "/srv/broker.config",
        "--topic_name",
        "lab_data",
    )
    variables = {
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9",
        "PATH": f"{OPENMSISTREAM_BIN}:/usr/local/bin:/usr/bin:/bin",
    }
    box.run("InstallService", *words, "--service_name", OLD_NAME, environment=variables, text="n\n")
    box.run("ManageService", OLD_NAME, "start", environment=variables)
    eventually(lambda: _matching(box, OLD_PROCESS), "the old service runs")


def _openmsistream_is(box: Box) -> str:
    """Where their own tools report success: after `stop` the program lives on, after `stop_and_restart` there are two."""

    def uploaders() -> int:
        return len(_matching(box, "/bin/DataFileUploadDirectory"))

    assert not _matching(box, OLD_PROCESS), "the old one lives on"
    assert uploaders() == 1
    box.run("master.py", "stop_and_restart", "upload")
    assert uploaders() == 1
    box.run("master.py", "status", "uplaod", expect=4)
    assert box.run("master.py", "start", "uplaod", expect=None).returncode
    box.run("master.py", "stop_and_reinstall", "upload")
    assert uploaders() == 0
    box.run("master.py", "start", "upload")
    box.run("master.py", "stop_and_remove", "upload", "--remove_env_vars", "--remove_install_args")
    assert uploaders() == 0
    box.run("master.py", "status", "upload", expect=3)
    assert not box.path("/etc/kegbot/kegbot_master.cfg").exists()
    assert box.run("systemctl", "is-enabled", "kegmaster", expect=None).returncode
    return "one uploader, also after stop_and_restart; none after stop_and_remove"


# Kegbot

OLD_KEGBOT: Final = """\
[DEFAULT]
_pidfile_dir = "/run/kegbot"
_logfile_dir = "/var/log/kegbot"

[kegbot_core]
_enabled = True
api_url = "http://127.0.0.1:9/api/"
api_key = "sesame"

[lcd_daemon]
_enabled = False
lcd_device_path = "/dev/%(__name__)s"
"""
OLD_SUPERVISOR: Final = """\
[supervisord]
[program:kegbot_core]
command=/opt/kegmaster/bin/kegbot_core.py --nodaemon --api_url=http://127.0.0.1:9/api/
"""


def _kegbot_has(box: Box) -> None:
    (box.disk(HOME) / "kegbot_master.cfg").write_text(OLD_KEGBOT)
    box.disk("/etc/supervisor").mkdir(exist_ok=True)
    box.disk("/etc/supervisor/supervisord.conf").write_text(OLD_SUPERVISOR)


def _kegbot_up(box: Box) -> None:
    """Kegbot's own launcher needs a Python 2."""


def _kegbot_is(box: Box) -> str:
    assert len(_matching(box, "/bin/kegbot_core.py")) == 1
    assert not _matching(box, "sesame"), "the key can be seen"
    return "one core, whose key nobody sees"


WALKS: Final = (
    Walk(
        page="coming-from-pyrolab", virtualenvs=(PYROLAB,), furnish=_pyrolab_has, before=_pyrolab_up,
        typed=((r"crontab -e", ""),), config=f"{HOME}/.config/kegbot/kegbot_master.cfg",
        apps=frozenset({"pyrolab"}), own=True, after=_pyrolab_is,
    ),
    Walk(
        page="coming-from-bots", virtualenvs=(BOTS,), furnish=_bots_has, before=_bots_up,
        config="/etc/kegbot/kegbot_master.cfg", apps=frozenset({"bots-webserver", "bots-dirmonitor"}), after=_bots_is,
    ),
    Walk(
        page="coming-from-openmsistream", virtualenvs=(OPENMSISTREAM,), furnish=_openmsistream_has,
        before=_openmsistream_up,
        typed=(
            (r"(sudo ManageService .*)", r"sudo env PATH=/opt/openmsistream/bin:$PATH \1"),
            (r"sudo (master.py install .*)", r"printf '127.0.0.1:9092\\n' | sudo script -qec '\1' /dev/null"),
            (r"sudo master.py logs (\w+) -f", r"sudo master.py logs \1"),
        ),
        apps=frozenset({"upload"}), after=_openmsistream_is,
    ),
    Walk(
        page="coming-from-kegbot", virtualenvs=(), furnish=_kegbot_has, before=_kegbot_up,
        typed=(
            (r"kegbot_master.py stop|sudo editor /etc/rc.local", ""),
            (r"(master.py import \S+) > kegbot_master.cfg", r"\1 > imported.cfg && grep -q '^.kegbot_core' imported.cfg"),
            (r"(sudo sh -c 'umask 077; cat > \S+').*", r"echo sesame | \1"),
            (r"sudo editor (/etc/kegbot/\S+)", r"sudo sed -i 's,^api_key = .*,api_key_file = /etc/kegbot/api_key,' \1"),
            # There is neither a board nor a server in the box.
            (r"sudo kegbot_doctor.py", "sudo kegbot_doctor.py || [ $? = 1 ]"),
        ),
        apps=frozenset({"kegbot_core"}), after=_kegbot_is,
    ),
)  # fmt: skip
