"""System V init: a script with an LSB header, for init systems that know no more.

Knows the Linux Standard Base's "Init Script Actions" and "Comment Conventions", and init-functions. The master
keeps pidfiles, finds the dead and stops in order; the script only speaks to it, and passes its exit status on.
"""

from __future__ import annotations

import textwrap

from .checked import below
from .plan import Artefact, Plan, Service
from .quoting import sh_words
from .shell import as_user, assignments, make_directories

_HEADER = """\
#!/bin/sh
### BEGIN INIT INFO
# Provides:          {name}
# Required-Start:    $remote_fs $syslog
# Required-Stop:     $remote_fs $syslog
# Should-Start:      $network $named $time
# Should-Stop:       $network
# Default-Start:     2 3 4 5
# Default-Stop:      0 1 6
# Short-Description: {description}
# Description:       Starts the apps that its configuration names, and
#                    restarts those that die.
### END INIT INFO

# A $ in a path is a $.
# shellcheck disable=SC2016
"""

_BODY = """\
NAME={name}
RUNAS={user}
INTERPRETER={interpreter}
MASTER={master}

{environment}
# Variables for the apps may be set there.
# shellcheck source=/dev/null
[ -r {default} ] && . {default}

# Ours, for systems whose init-functions are missing, or lack some.
log_daemon_msg() {{ printf '%s: %s' "$1" "$2"; }}
log_end_msg() {{ if [ "$1" = 0 ]; then echo ' ... done.'; else echo ' ... failed!'; fi; }}
log_failure_msg() {{ echo "$*" >&2; }}
# shellcheck source=/dev/null
[ -r /lib/lsb/init-functions ] && . /lib/lsb/init-functions

if [ ! -x "$INTERPRETER" ] || [ ! -f "$MASTER" ]; then
    case "$1" in
        stop) exit 0 ;;
        status) exit 4 ;;
        start|restart|try-restart|reload|force-reload)
            log_failure_msg "$NAME: $MASTER is not installed, or $INTERPRETER is not"
            exit 5 ;;
    esac
fi

{as_user}
{make_directories}
# The verb, for the master.
master() {{
    cd / || return 1
    as_user {argv} "$1"{flags}
}}

must_be_root() {{
    [ "$(id -u)" = 0 ] && return 0
    log_failure_msg "$NAME: only root may $1"
    exit 4
}}

start() {{
    log_daemon_msg "Starting" "$NAME"
    make_directories && master start </dev/null >/dev/null
    code=$?
    log_end_msg "$code"
    return "$code"
}}

stop() {{
    log_daemon_msg "Stopping" "$NAME"
    master stop </dev/null >/dev/null
    code=$?
    log_end_msg "$code"
    return "$code"
}}

case "$1" in
    start|stop)
        must_be_root "$1"
        "$1"
        exit $? ;;
    restart)
        must_be_root "$1"
        stop && start
        exit $? ;;
    try-restart)
        must_be_root "$1"
        master status >/dev/null 2>&1 || exit 0
        stop && start
        exit $? ;;
    reload|force-reload)
        must_be_root "$1"
        master reload
        exit $? ;;
    status)
        master status
        exit $? ;;
    *)
        echo "Usage: $0 {{start|stop|restart|try-restart|reload|force-reload|status}}" >&2
        exit 2 ;;
esac
"""


def plan(service: Service) -> Plan:
    """An init script, and the links that call it. Debian's and Red Hat's commands: the one that is there does it."""
    name = service.name
    path = f"/etc/init.d/{name}"
    return Plan(
        kind="sysv",
        artefacts=(Artefact(path=path, text=script(service), mode=0o755),),
        enable=(_first(f"update-rc.d {name} defaults", f"chkconfig --add {name}", f"insserv {name}"),),
        start=((path, "start"),),
        stop=((path, "stop"),),
        disable=(_first(f"update-rc.d -f {name} remove", f"chkconfig --del {name}", f"insserv -r {name}"),),
        notes=(
            "under systemd, which wraps such scripts, a dead master would still be called active:"
            " --boot=systemd is better there",
        ),
        made=(service.pidfile_dir,) if below(service.pidfile_dir, "/run", "/var/run") else (),
    )


def script(service: Service) -> str:
    """The text of the init script."""
    interpreter, master = service.argv[:2]
    description = " ".join(service.description.split())
    header = _HEADER.format(
        name=service.name, description=textwrap.shorten(description, 58, placeholder=" ...")
    )
    flags = "".join(f" \\\n        {sh_words([word])}" for word in service.flags)
    body = _BODY.format(
        name=sh_words([service.name]), user=sh_words([service.user]), interpreter=sh_words([interpreter]),
        master=sh_words([master]), argv=sh_words(service.argv), environment=assignments(service),
        flags=flags, as_user=as_user(service),
        make_directories=make_directories(service), default=sh_words([f"/etc/default/{service.name}"]),
    )  # fmt: skip
    return f"{header}{body}"


def _first(*commands: str) -> tuple[str, ...]:
    """The first of these programs that is installed does it."""
    branches = [f"command -v {line.split()[0]} >/dev/null 2>&1; then exec {line}" for line in commands]
    return ("sh", "-c", f"if {'; elif '.join(branches)}; else exit 5; fi")
