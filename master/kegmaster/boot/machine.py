"""The facts of a machine by which its init system is told. Must not know how they are found out."""

from __future__ import annotations

from dataclasses import dataclass

PATHS = (
    "/run/openrc/softlevel",
    "/etc/init.d",
    "/etc/rc.local",
    "/etc/service",
    "/etc/runit/runsvdir/default",
)
PROGRAMS = ("rc-update", "update-rc.d", "chkconfig", "insserv", "crontab")
CRONS = frozenset({"cron", "crond", "fcron", "dcron", "cronie"})
SCANNERS = frozenset({"runsvdir", "s6-svscan"}) | CRONS


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What tells which init system is there: the paths that exist, pid 1's name, the programs on PATH, the caller.

    platform    sys.platform's word: linux, darwin, win32
    paths       those of PATHS that exist
    programs    those of PROGRAMS that can be found
    scanned     those of SCANNERS that run as root: they start what they find, though they need not be pid 1
    session     the caller's own systemd can be spoken to
    """

    booted_systemd: bool = False
    pid1: str = ""
    paths: frozenset[str] = frozenset()
    programs: frozenset[str] = frozenset()
    root: bool = True
    platform: str = "linux"
    scanned: frozenset[str] = frozenset()
    session: bool = True
