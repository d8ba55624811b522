"""The init systems that can be asked for, and which of them a machine has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from . import (
    checked,
    cron,
    launchd,
    lsb,
    openrc,
    rclocal,
    supervise,
    systemd,
    upstart,
    windows,
    windows_services,
)
from .machine import PATHS, PROGRAMS, SCANNERS, Machine
from .plan import BootError, Plan, Service
from .presence import absent, no_session

__all__ = ("PATHS", "PROGRAMS", "SCANNERS", "Machine", "choose", "plan")


_PLANS: Mapping[str, Callable[[Service], Plan]] = MappingProxyType({
    "systemd": systemd.system,
    "systemd-user": systemd.user,
    "sysv": lsb.plan,
    "openrc": openrc.plan,
    "runit": supervise.runit,
    "s6": supervise.s6,
    "upstart": upstart.plan,
    "launchd": launchd.plan,
    "cron": cron.plan,
    "rc.local": rclocal.plan,
    "windows-task": windows.task,
    "windows-startup": windows.startup,
    "nssm": windows_services.nssm,
    "sc": windows_services.sc,
})  # fmt: skip
_FOREIGN_PATHS = ("windows-task", "windows-startup", "nssm", "sc")
_PER_USER = ("systemd-user", "cron", "launchd", "windows-task", "windows-startup")


def choose(machine: Machine, *, system: bool) -> str:
    """The kind that `auto` means on this machine. Raises BootError if there is none.

    `system`: for the machine, as root; else for the caller alone.
    """
    if machine.platform == "darwin":
        return "launchd"
    if machine.platform.startswith(("win", "cygwin")):
        return "windows-task"
    cron = "crontab" in machine.programs and not absent("cron", machine)
    rules = (
        ("systemd", machine.booted_systemd),
        ("openrc", "/run/openrc/softlevel" in machine.paths and "rc-update" in machine.programs),
        ("runit", machine.pid1 in ("runit", "runsvdir") or "runsvdir" in machine.scanned),
        ("s6", machine.pid1 == "s6-svscan" or "s6-svscan" in machine.scanned),
        ("sysv", "/etc/init.d" in machine.paths and machine.pid1 == "init"
            and bool({"update-rc.d", "chkconfig", "insserv"} & machine.programs)),
        ("cron", cron),
        ("rc.local", "/etc/rc.local" in machine.paths and not absent("rc.local", machine)),
    ) if system else (
        ("systemd-user", machine.booted_systemd and machine.session),
        ("cron", cron),
    )  # fmt: skip
    for kind, there in rules:
        if there:
            return kind
    if not system and machine.booted_systemd:
        raise BootError(no_session(machine, "NAME"))
    # Nothing of it runs, as in a container or a tree that is to be booted later: what is installed, then.
    scripts = "/etc/init.d" in machine.paths and {"update-rc.d", "chkconfig", "insserv"} & machine.programs
    if system and scripts:
        return "sysv"
    if "crontab" in machine.programs:
        return "cron"
    raise BootError(
        "no init system of those known is here"
        + (f" (process 1 is {machine.pid1})" if machine.pid1 else "")
        + "; in a container let it run `master.py run`, elsewhere choose one with --boot"
    )


def plan(kind: str, service: Service) -> Plan:
    """What `kind` needs to start this service at boot. Raises BootError."""
    make = _PLANS.get(kind)
    if make is None:
        raise BootError(f"--boot={kind}: not known; one of {', '.join(_PLANS)}")
    if not service.system and kind not in (*_PER_USER, *_FOREIGN_PATHS):
        raise BootError(
            f"--boot={kind} is the machine's, for root to install; as a user take {_PER_USER[0]} or cron"
        )
    if kind == "systemd-user":
        service = replace(service, system=False)
    checked.check(service, windows=kind in _FOREIGN_PATHS)
    return make(service)
