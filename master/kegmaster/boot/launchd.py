"""launchd: a property list for macOS, of the machine or of one user.

Knows launchd.plist(5). No value is ever expanded or read by a shell.
"""

from __future__ import annotations

import plistlib

from .environment import variables
from .plan import Artefact, BootError, Plan, Service


def plan(service: Service) -> Plan:
    """A daemon, which starts at boot; for a user, an agent, which starts at login only."""
    label = service.name if "." in service.name else f"org.kegbot.{service.name}"
    if not service.system and not service.home:
        raise BootError("the user has no home directory, where the agent's file would stand")
    directory = "/Library/LaunchDaemons" if service.system else f"{service.home}/Library/LaunchAgents"
    path = f"{directory}/{label}.plist"
    domain = "system" if service.system else "gui/UID"
    return Plan(
        kind="launchd",
        artefacts=(Artefact(path=path, text=plistlib.dumps(dictionary(service, label)).decode()),),
        enable=(("launchctl", "bootstrap", domain, path),),
        stop=(("launchctl", "bootout", f"{domain}/{label}"),),
        notes=(
            "it starts at boot; the file belongs to root:wheel" if service.system else
            "it starts at login, not at boot: a headless machine needs the daemon, or --boot=cron; UID: id -u",
            f"the directory {service.logfile_dir} must be there, and its user be allowed to write there",
            "the master itself needs Linux; see the page about starting at boot",
        ),
        needs_root=service.system,
        foreign=True,
    )  # fmt: skip


def dictionary(service: Service, label: str) -> dict[str, object]:
    """What the property list says."""
    log = f"{service.logfile_dir}/launchd.log"
    found: dict[str, object] = {
        "Label": label,
        "ProgramArguments": list(service.command("run")),
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": 10,
        "ExitTimeOut": service.timeout_stop_s,
        "WorkingDirectory": service.home or "/",
        "ProcessType": "Background",
        # What the master started lives on when it is killed: its successor finds it.
        "AbandonProcessGroup": True,
        "EnvironmentVariables": {
            name: value for name, value in variables(service).items() if name not in ("USER", "LOGNAME")
        } | {"LANG": "en_US.UTF-8"},
        "StandardOutPath": log,
        "StandardErrorPath": log,
    }  # fmt: skip
    if service.system and service.user:
        found["UserName"] = service.user
    if service.system and service.group:
        found["GroupName"] = service.group
    return found
