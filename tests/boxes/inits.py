"""The init systems that a box can have: this machine's systemd, a plain one of ours, and Debian's own others.

Those of Debian are installed into the box alone, by apt-get, which needs a network.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from .box import PYTHON, READY_SOCKET, Box, Init

SYSTEMD: Final = Init(words=("/lib/systemd/systemd",), off=("systemctl", "poweroff", "--no-wall"))
PLAIN: Final = Init(
    words=(PYTHON, "-IS", "-c", (Path(__file__).parent / "plain_init.py").read_text(encoding="utf-8")),
    off=("kill", "-TERM", "1"),
)
"""Runs the scripts of /etc/rc2.d and /etc/rc0.d, as System V's init does."""
_SYSVINIT: Final = Init(words=("/sbin/init",), off=("init", "0"))
_OPENRC: Final = Init(words=("/sbin/openrc-init",), off=("openrc-shutdown", "--poweroff", "now"))

_SAY_READY: Final = "/usr/local/sbin/say-ready"
_SAY_READY_TEXT: Final = f"""#!{PYTHON} -IS
import socket
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"READY=1", "{READY_SOCKET}")
"""
_INITTAB: Final = f"""\
id:2:initdefault:
l2:2:wait:/etc/init.d/rc 2
l0:0:wait:/etc/init.d/rc 0
rd:2:once:{_SAY_READY}
"""
_ANNOUNCE: Final = f"""#!/sbin/openrc-run
depend() {{
\tafter *
}}
start() {{
\t{_SAY_READY}
}}
"""


def sysvinit() -> Box:
    """A box with the real System V init. Raises BoxError if it cannot be had."""
    box = _with_packages(_SYSVINIT, "sysvinit-core", "sysv-rc", "initscripts")
    # Disks, consoles and clocks are what only a real machine has. The order at its end stays: halt comes last since it
    # comes after the unmounting, of which nothing is done.
    for level in "S0123456":
        for link in box.disk(f"/etc/rc{level}.d").glob("[SK]*"):
            if not link.name[3:].startswith(("sendsigs", "umount", "halt", "reboot")):
                link.unlink()
    for script in box.disk("/etc/init.d").glob("umount*"):
        script.write_text(script.read_text().replace("### END INIT INFO", "### END INIT INFO\nexit 0"))
    box.disk("/etc/inittab").write_text(_INITTAB)
    return box


def openrc() -> Box:
    """A box with OpenRC, from pid 1 on. Raises BoxError if it cannot be had."""
    box = _with_packages(_OPENRC, "openrc")
    _write(box, "/etc/init.d/announce", _ANNOUNCE)
    box.on_disk("rc-update", "add", "announce", "default")
    return box


def _with_packages(init: Init, *packages: str) -> Box:
    box = Box(init)
    try:
        options = ("-qq", "-y", "--no-install-recommends", "--allow-remove-essential")
        quiet = ("env", "DEBIAN_FRONTEND=noninteractive")
        _write(box, "/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n")  # nothing is started before it boots
        _write(box, "/usr/bin/ischroot", "#!/bin/sh\nexit 0\n")  # and no init is told anything
        box.on_disk(*quiet, "apt-get", "install", *options, *packages, network=True)
        _write(box, _SAY_READY, _SAY_READY_TEXT)
    except BaseException:
        box.close()
        raise
    return box


def _write(box: Box, inside: str, text: str) -> None:
    path = box.disk(inside)
    path.write_text(text)
    path.chmod(0o755)
