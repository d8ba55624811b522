"""cron: one @reboot line in the crontab of whoever installs it; root's may name another user to run as.

Knows crontab(5). cron gives HOME and nothing else worth having; it runs the line when cron itself starts for the first
time after boot (some crons: each time they start), whatever else is up by then.
"""

from __future__ import annotations

from .checked import below
from .environment import variables
from .plan import Artefact, BootError, Plan, Service
from .quoting import cron_command, sh_words
from .shell import by_hand


def plan(service: Service) -> Plan:
    """One line. The master makes its own directories; the log of the line itself needs one before."""
    if below(service.pidfile_dir, "/run/user"):
        raise BootError(
            f"{service.pidfile_dir} is not there before the user logs in, and goes with the last logout, while what"
            f" cron starts runs on; use another --pidfile_dir, such as {service.state_dir}/run"
        )
    return Plan(
        kind="cron",
        artefacts=(Artefact(role="crontab", text=f"@reboot {cron_command(_command(service))}\n"),),
        start=(by_hand(service, "start"),),
        stop=(by_hand(service, "stop"),),
        made=(service.pidfile_dir,) if below(service.pidfile_dir, "/run", "/var/run") else (),
        notes=(
            "nothing stops it at shutdown but the machine's last SIGTERM and SIGKILL to everybody",
            "it starts when cron does, which need not be after the network",
        ),
        needs_root=bool(service.user),
    )


def _command(service: Service) -> str:
    # HOME, USER and the like are cron's to set, which knows whose crontab this is, unless it is to be another user.
    known = variables(service)
    wanted = known if service.user else [name for name in known if name not in ("HOME", "USER", "LOGNAME")]
    settings = [f"{name}={sh_words([known[name]])}" for name in wanted]
    start = sh_words(service.command("start"))
    if not service.user:
        # A variable, because cron takes no long lines. The master itself goes to / in the end.
        made = f'log={sh_words([service.logfile_dir])}; mkdir -p "$log" && cd "$log"'
        return f"{made} && {' '.join(settings)} {start} </dev/null >>boot.log 2>&1"
    owner = sh_words([service.user, *(["-g", service.group] if service.group else [])])
    directories = sh_words(dict.fromkeys((service.pidfile_dir, service.logfile_dir, service.state_dir)))
    made = f'for d in {directories}; do [ -d "$d" ] || install -d -o {owner} "$d" || exit 1; done'
    # The user's own shell opens the log, with no more rights than he has.
    log = sh_words([f"{service.logfile_dir}/boot.log"])
    logged = f'sh -c \'exec "$@" >>"$0" 2>&1\' {log} {start}'
    return f"{made}; cd / && {' '.join(settings)} runuser -u {owner} -- {logged} </dev/null"
