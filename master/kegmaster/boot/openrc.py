"""OpenRC: a service script with functions of its own.

Knows openrc-run(8). Its ready-made start and stop look for an executable or a pidfile and get both wrong for a script
that an interpreter runs; the master itself knows better. PATH is the master's only: by its own, openrc-run finds ebegin
and eend. Nothing is needed that not every OpenRC has: Debian's has no localmount.
"""

from __future__ import annotations

from .checked import below
from .plan import Artefact, Plan, Service
from .quoting import sh_words
from .shell import as_user, assignments, make_directories

_SCRIPT = """\
#!/sbin/openrc-run
# shellcheck shell=sh disable=SC2016,SC2034
name={name}
description={description}
extra_started_commands="reload"
RUNAS={user}

depend() {{
    use localmount net dns logger
    after bootmisc
}}

{as_user}
{make_directories}
# The verb, for the master.
master() {{
    (
{environment}
    cd / && as_user {argv} "$1"{flags}
    )
}}

start_pre() {{
    make_directories
}}

start() {{
    ebegin "Starting $name"
    master start </dev/null >/dev/null
    eend $?
}}

stop() {{
    ebegin "Stopping $name"
    master stop </dev/null >/dev/null
    eend $?
}}

reload() {{
    ebegin "Reloading $name"
    master reload </dev/null
    eend $?
}}

status() {{
    master status
}}
"""


def plan(service: Service) -> Plan:
    """A script for the runlevel `default`."""
    name = service.name
    return Plan(
        kind="openrc",
        artefacts=(Artefact(path=f"/etc/init.d/{name}", text=script(service), mode=0o755),),
        enable=(("rc-update", "add", name, "default"),),
        start=(("rc-service", name, "start"),),
        stop=(("rc-service", name, "stop"),),
        disable=(("rc-update", "delete", name),),
        made=(service.pidfile_dir,) if below(service.pidfile_dir, "/run", "/var/run") else (),
    )


def script(service: Service) -> str:
    """The text of the service script."""
    return _SCRIPT.format(
        name=sh_words([service.name]), description=sh_words([" ".join(service.description.split())]),
        user=sh_words([service.user]), environment=assignments(service), as_user=as_user(service),
        make_directories=make_directories(service), argv=sh_words(service.argv),
        flags="".join(f" \\\n        {sh_words([word])}" for word in service.flags),
    )  # fmt: skip
