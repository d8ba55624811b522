"""runit and s6: a directory with a script that becomes the master, found by a scanner of such directories.

Knows runsv(8) and s6-supervise. Both restart what ends, and neither touches the children of what was killed: the next
master adopts them. The script must exec, or signals would reach the shell.
"""

from __future__ import annotations

from .checked import below
from .plan import Artefact, Plan, Service
from .quoting import sh_words
from .shell import assignments, make_directories

_RUN = """\
#!/bin/sh
# shellcheck disable=SC2016
exec 2>&1
RUNAS={user}

{environment}
{make_directories}
make_directories || exit 1
cd / && exec {as_user}{argv} run{flags}
"""

_FINISH = """\
#!/bin/sh
# $1 is how the master ended. 0: it was asked to, by `master.py stop`, and to start it again would undo that.
[ "$1" = 0 ] || exit 0
{stay_down}
"""


def runit(service: Service) -> Plan:
    """A service directory, and the link by which runsvdir finds it."""
    directory, link = f"/etc/sv/{service.name}", f"/etc/service/{service.name}"
    return Plan(
        kind="runit",
        artefacts=(
            Artefact(path=f"{directory}/run", text=_run(service, "chpst -u"), mode=0o755),
            Artefact(path=f"{directory}/finish", text=_FINISH.format(stay_down="exec sv down ."), mode=0o755),
            Artefact(path=link, link=directory),
        ),
        start=(("sv", "start", directory),),
        # sv itself would lose patience after 7 seconds.
        stop=(("sv", "-w", str(service.timeout_stop_s), "stop", directory),),
        forget=(("rm", "-rf", f"{directory}/supervise"),),
        made=(directory, *_made(service)),
        notes=(
            "runsvdir starts it within 5 seconds, also without --now",
            f"where runsvdir looks elsewhere (Void: /var/service), the link to {directory} belongs there",
        ),
    )  # fmt: skip


def s6(service: Service) -> Plan:
    """A service directory, and the link by which s6-svscan finds it."""
    directory, scanned = f"/etc/s6/sv/{service.name}", "/etc/service"
    return Plan(
        kind="s6",
        artefacts=(
            Artefact(path=f"{directory}/run", text=_run(service, "s6-setuidgid"), mode=0o755),
            Artefact(path=f"{directory}/finish", text=_FINISH.format(stay_down="exit 125"), mode=0o755),
            Artefact(path=f"{directory}/timeout-kill", text=f"{service.timeout_stop_s * 1000}\n"),
            Artefact(path=f"{scanned}/{service.name}", link=directory),
        ),
        enable=(("s6-svscanctl", "-a", scanned),),
        start=(("s6-svc", "-u", directory),),
        stop=(("s6-svc", "-wD", "-T", str(service.timeout_stop_s * 1000), "-d", directory),),
        forget=(("s6-svscanctl", "-an", scanned), ("rm", "-rf", f"{directory}/supervise", f"{directory}/event")),
        made=(directory, *_made(service)),
        notes=(
            "s6-svscan starts it at once, also without --now",
            f"where s6-svscan looks elsewhere (s6-linux-init: /run/service), the link to {directory} belongs there",
        ),
    )  # fmt: skip


def _made(service: Service) -> tuple[str, ...]:
    return (service.pidfile_dir,) if below(service.pidfile_dir, "/run", "/var/run") else ()


def _run(service: Service, change_user: str) -> str:
    owner = f"{service.user}:{service.group}" if service.group else service.user
    return _RUN.format(
        user=sh_words([service.user]), environment=assignments(service),
        make_directories=make_directories(service), argv=sh_words(service.argv),
        as_user=f"{change_user} {sh_words([owner])} " if service.user else "",
        flags="".join(f" \\\n    {sh_words([word])}" for word in service.flags),
    )  # fmt: skip
