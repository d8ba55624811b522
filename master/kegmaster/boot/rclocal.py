"""rc.local: lines in the one script that every old and many a new Linux runs as the last thing at boot.

Knows that it runs as root, without HOME, maybe under `sh -e`, and that a command that stays stops the boot.
"""

from __future__ import annotations

from .checked import below
from .plan import Artefact, Plan, Service
from .quoting import sh_words
from .shell import as_user, assignments, by_hand, make_directories

PATH = "/etc/rc.local"

# In a subshell, so that nothing of ours is left for the lines after it; the `||` also takes `sh -e` out of it.
_LINES = """\
# shellcheck disable=SC2016
(
RUNAS={user}
{environment}
{as_user}
{make_directories}
cd / && make_directories && as_user sh -c 'exec "$@" >>"$0" 2>&1' {log} \\
    {command}
) </dev/null || echo {name}: not started, see {log} >&2
"""


def plan(service: Service) -> Plan:
    """Lines between marks, before the final `exit 0`. The user's own shell opens the log: he may have moved it."""
    return Plan(
        kind="rc.local",
        artefacts=(
            Artefact(role="block", path=PATH, text=block(service), mode=0o755, frame=("#!/bin/sh\n", "exit 0\n")),
        ),
        start=(by_hand(service, "start"),),
        stop=(by_hand(service, "stop"),),
        notes=(
            "nothing stops it at shutdown but the machine's last SIGTERM and SIGKILL to everybody;"
            " --boot=sysv or systemd stop in order",
            "under systemd, restarting rc-local.service kills the master and its apps",
        ),
        made=(service.pidfile_dir,) if below(service.pidfile_dir, "/run", "/var/run") else (),
    )  # fmt: skip


def block(service: Service) -> str:
    """The lines themselves."""
    return _LINES.format(
        user=sh_words([service.user]), environment=assignments(service), as_user=as_user(service),
        make_directories=make_directories(service), log=sh_words([f"{service.logfile_dir}/boot.log"]),
        command=sh_words(service.command("start")), name=service.name,
    )  # fmt: skip
