"""Services to be started at boot, plain ones and such as somebody's home directory may lead to."""

from __future__ import annotations

from kegmaster.boot.plan import Artefact, Plan, Service

AWKWARD = """/srv/a b%h$HOME${x}\\'d"e`f`;&|<>(^)!#~=*ü€\\%z"""


def service(
    *, base: str = "/srv/keg", argv: tuple[str, ...] = ("/usr/bin/env", "/bin/true"), user: str = "", group: str = "",
    home: str = "", system: bool = True, description: str = "multi-app launcher and watchdog", name: str = "kegmaster",
    apps: tuple[tuple[str, tuple[str, ...], str], ...] = (), each: bool = False, activate: str = "",
    pidfile_dir: str = "", caller: str = "",
) -> Service:  # fmt: skip
    places = {
        "master_config": f"{base}/kegbot_master.cfg", "pidfile_dir": pidfile_dir or f"{base}/run",
        "logfile_dir": f"{base}/log", "state_dir": f"{base}/state",
    }  # fmt: skip
    if base[1:2] == ":":
        places = {flag: path.replace("/", "\\") for flag, path in places.items()}
    return Service(
        name=name, description=description, argv=argv, flags=tuple(f"--{flag}={path}" for flag, path in places.items()),
        user=user, group=group, home=home, system=system, config=places["master_config"],
        pidfile_dir=places["pidfile_dir"], logfile_dir=places["logfile_dir"], state_dir=places["state_dir"],
        apps=apps, each=each, activate=activate, caller=caller,
    )  # fmt: skip


def text(plan: Plan, end: str = "") -> str:
    """The text of the artefact whose path ends so."""
    return artefact(plan, end).text


def artefact(plan: Plan, end: str = "") -> Artefact:
    (found,) = (one for one in plan.artefacts if one.path.endswith(end) and not one.link)
    return found
