"""Whether an init system runs on a machine, so that the next boot does what was written for it. Facts in, words out.

Must not know files or processes.
"""

from __future__ import annotations

from .machine import CRONS, Machine

_INITS = ("init", "systemd", "runit", "openrc-init", "linuxrc", "sinit")
"""Names of first processes that boot a machine by scripts; that of a container has the name of any program."""
SUPERVISED = ("systemd", "systemd-user", "runit", "s6")
"""They run the master themselves, as a child in the foreground."""


def absent(kind: str, machine: Machine) -> str:
    """Why `kind` starts nothing here as things are; empty if it does, or if that cannot be seen."""
    first = f" (process 1 is {machine.pid1})" if machine.pid1 else ""
    rules = {
        "systemd": (machine.booted_systemd, f"systemd does not run here{first}"),
        "openrc": ("/run/openrc/softlevel" in machine.paths, f"OpenRC does not run here{first}"),
        "runit": (_scans("runsvdir", "runit", machine), "no runsvdir runs here"),
        "s6": (_scans("s6-svscan", "s6-svscan", machine), "no s6-svscan runs here"),
        "sysv": (_boots(machine), f"nothing here runs the scripts of /etc/init.d at boot{first}"),
        "rc.local": (_boots(machine), f"nothing here runs /etc/rc.local at boot{first}"),
        "cron": (not machine.pid1 or bool(machine.scanned & CRONS), "no cron runs here"),
        "systemd-user": (machine.booted_systemd, f"systemd does not run here{first}"),
    }  # fmt: skip
    runs, why = rules.get(kind, (True, ""))
    return "" if runs else why


def no_session(machine: Machine, user: str) -> str:
    """Why a user's own systemd cannot be spoken to, and what to do; empty if it can."""
    if machine.session:
        return ""
    return (
        "your own systemd does not run: nobody of this name is logged in, and you may not linger; root says once:"
        f" loginctl enable-linger {user}"
    )


def _scans(name: str, first: str, machine: Machine) -> bool:
    return machine.pid1 in (name, first) or name in machine.scanned


def _boots(machine: Machine) -> bool:
    # Who may not see process 1 is no container's root, and must be believed.
    return machine.booted_systemd or not machine.pid1 or machine.pid1 in _INITS
