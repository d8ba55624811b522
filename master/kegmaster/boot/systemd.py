"""systemd: a unit for the machine, or for one user's own manager.

Knows systemd.unit(5), systemd.service(5) and systemd.exec(5).

KillMode=process: the master alone is signalled. It stops its apps itself, in their order and each in its own way; and
when it is killed, they run on, and the next master, a second later, finds and adopts them by its records. Those
must outlive that second, and a failed stop too: hence RuntimeDirectoryPreserve=yes. With KillMode=mixed or
control-group the death of the master's process would be the death of all apps.
"""

from __future__ import annotations

import re

from .checked import below
from .environment import PATH
from .plan import Artefact, Attempt, BootError, Plan, Service
from .quoting import systemd_exec, systemd_value, systemd_word

_FORGIVEN = ("2", "6")
"""Exit statuses that no other try will change: wrong usage, configuration missing or wrong."""


def system(service: Service) -> Plan:
    """A unit of the machine's systemd."""
    unit = f"{service.name}.service"
    return Plan(
        kind="systemd",
        artefacts=(Artefact(path=f"/etc/systemd/system/{unit}", text=_unit(service)),),
        enable=(("systemctl", "daemon-reload"), ("systemctl", "enable", unit)),
        start=(("systemctl", "start", unit),),
        stop=(("systemctl", "stop", unit),),
        disable=(("systemctl", "disable", unit),),
        forget=(("systemctl", "daemon-reload"), ("systemctl", "reset-failed", unit)),
        made=(service.pidfile_dir,) if below(service.pidfile_dir, "/run", "/var/run") else (),
        notes=("what its apps print is in their own logs; what the master says: journalctl -u " + unit,),
    )


def user(service: Service) -> Plan:
    """A unit of one user's systemd, which runs from boot only if the user may linger."""
    if not service.home:
        raise BootError(
            "the user has no home directory, where the unit would stand; use --boot=systemd as root"
        )
    unit = f"{service.name}.service"
    own = ("systemctl", "--user")
    return Plan(
        kind="systemd-user",
        artefacts=(Artefact(path=f"{service.home}/.config/systemd/user/{unit}", text=_unit(service)),),
        enable=((*own, "daemon-reload"), (*own, "enable", unit)),
        attempts=_linger(service.user),
        start=((*own, "start", unit),),
        stop=((*own, "stop", unit),),
        disable=((*own, "disable", unit),),
        forget=((*own, "daemon-reload"), (*own, "reset-failed", unit)),
        notes=(
            f"without lingering it starts at the user's first login and ends with the last logout; with it, at boot."
            f" loginctl show-user {service.user or 'NAME'} -p Linger tells",
            "systemctl --user needs XDG_RUNTIME_DIR, which su, sudo and cron do not give:"
            " XDG_RUNTIME_DIR=/run/user/UID",
        ),
        needs_root=False,
    )  # fmt: skip


def _linger(name: str) -> tuple[Attempt, ...]:
    if not name:
        return ()
    return (
        Attempt(
            command=("loginctl", "enable-linger", name),
            done_if=f"/var/lib/systemd/linger/{name}",
            otherwise=f"it will start at login, not at boot, until root has run: loginctl enable-linger {name}",
            undo=("loginctl", "disable-linger", name),
        ),
    )


def _unit(service: Service) -> str:
    lines = [
        "[Unit]",
        f"Description={systemd_value(service.description)}",
        *_ordering(service),
        # A box that is out of reach has nobody to run reset-failed.
        "StartLimitIntervalSec=0",
        "",
        "[Service]",
        "Type=notify",
        "NotifyAccess=main",
        f"ExecStart={systemd_exec(service.command('run'))}",
        f"ExecReload={systemd_exec(service.command('reload'))}",
        *_identity(service),
        *(f"Environment={value}" for value in _environment()),
        *_directories(service),
        "KillMode=process",
        f"TimeoutStopSec={service.timeout_stop_s}",
        # Readiness comes with the last app; that may wait for a device, and is watched by the master itself.
        "TimeoutStartSec=infinity",
        # An exit that was asked for, by `master.py stop`, is none to undo.
        "Restart=on-failure",
        "RestartSec=1",
        # A master that is silent for a minute hangs: it is ended, and its successor adopts the apps.
        "WatchdogSec=60",
        f"RestartPreventExitStatus={' '.join(_FORGIVEN)}",
        # One app that the kernel kills for its memory is no reason to stop all others.
        "OOMPolicy=continue",
        # A cgroup for each app, where the master finds all processes of it.
        "Delegate=yes",
        "",
        "[Install]",
        f"WantedBy={'multi-user.target' if service.system else 'default.target'}",
    ]
    return "".join(f"{line}\n" for line in lines)


def _ordering(service: Service) -> list[str]:
    places = (*service.argv, service.config, service.pidfile_dir, service.logfile_dir, service.state_dir)
    # In a value without Exec, `$` is a character like any other.
    needed = " ".join(
        dict.fromkeys(systemd_word(path, dollar="$") for path in places if path.startswith("/"))
    )
    if not service.system:
        return []
    return [
        "Wants=network-online.target",
        "After=network-online.target remote-fs.target nss-user-lookup.target time-set.target",
        f"RequiresMountsFor={needed}",
    ]


def _identity(service: Service) -> list[str]:
    if not service.system:
        return []
    return [
        *([f"User={service.user}"] if service.user else []),
        *([f"Group={service.group}"] if service.group else []),
    ]


def _environment() -> tuple[str, ...]:
    return f"PATH={PATH}", "LANG=C.UTF-8", "PYTHONUTF8=1"


def _directories(service: Service) -> list[str]:
    """Those that the service's user may not make himself; a user's own are made by the master."""
    if not service.system:
        return []
    lines = []
    if name := _simple(service.pidfile_dir, "/run", "/var/run"):
        lines += [f"RuntimeDirectory={name}", "RuntimeDirectoryPreserve=yes"]
    for option, path, root in (
        ("StateDirectory", service.state_dir, "/var/lib"), ("LogsDirectory", service.logfile_dir, "/var/log"),
    ):  # fmt: skip
        if below(path, root) and (name := _simple(path, root)):
            lines.append(f"{option}={name}")
    return lines


def _simple(path: str, *roots: str) -> str:
    name = below(path, *roots)
    if name and not re.fullmatch(r"[A-Za-z0-9_./-]+", name):
        raise BootError(
            f"{path!r}: systemd makes directories below {roots[0]} at boot, with letters, digits, _ . and - in"
            " their names; choose such a name"
        )
    return name
