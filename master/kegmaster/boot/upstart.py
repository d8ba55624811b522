"""upstart: a job, for Ubuntu from 2009 to 2014.

Knows init(5) of upstart. No `expect`: the program stays in the foreground, and a wrong count of forks would leave a
job that can neither be started nor stopped until the next boot.
"""

from __future__ import annotations

from .checked import below
from .environment import variables
from .plan import Artefact, Plan, Service
from .quoting import sh_words
from .shell import make_directories


def plan(service: Service) -> Plan:
    """The job; and where its user may not make a directory below /run, one that does so before."""
    name = service.name
    artefacts = [Artefact(path=f"/etc/init/{name}.conf", text=_job(service))]
    if service.user and below(service.pidfile_dir, "/run", "/var/run"):
        artefacts.append(Artefact(path=f"/etc/init/{name}-directories.conf", text=_directories(service)))
    return Plan(
        kind="upstart",
        artefacts=tuple(artefacts),
        start=(("start", name),),
        stop=(("stop", name),),
        notes=(f"what it prints is in /var/log/upstart/{name}.log", f"init-checkconf /etc/init/{name}.conf checks it"),
        foreign=True,
    )  # fmt: skip


def _job(service: Service) -> str:
    words = ' '.join(service.description.split()).replace("\\", "\\\\").replace('"', '\\"')  # fmt: skip
    lines = [
        f'description "{words}"',
        'author "kegmaster"',
        "",
        "start on (local-filesystems and net-device-up IFACE!=lo and runlevel [2345])",
        "stop on runlevel [!2345]",
        "",
        "respawn",
        "respawn limit unlimited",
        # `master.py stop` is meant.
        "normal exit 0",
        f"kill timeout {service.timeout_stop_s}",
        *([f"setuid {service.user}"] if service.user else []),
        *([f"setgid {service.group}"] if service.group else []),
        *(f"env {sh_words([f'{name}={value}'])}" for name, value in variables(service).items()),
        "",
        # Quotes have upstart leave the line to a shell, which reads them and makes way.
        f"exec {sh_words(service.command('run'))}",
    ]
    return "".join(f"{line}\n" for line in lines)


def _directories(service: Service) -> str:
    return (
        f'description "directories of {service.name}"\nstart on starting {service.name}\ntask\n\nscript\n'
        f"RUNAS={sh_words([service.user])}\n{make_directories(service)}make_directories\nend script\n"
    )
