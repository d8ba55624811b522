"""Lines of POSIX shell that start the master as its user, for init systems that are shell scripts.

Knows sh, and the programs that change the user. Must not know any init system.
"""

from __future__ import annotations

from .environment import variables
from .plan import Service
from .quoting import sh_words

AS_USER = """\
as_user() {
    if [ -z "$RUNAS" ] || [ "$(id -u)" != 0 ]; then
        "$@"
    elif command -v runuser >/dev/null 2>&1; then
        runuser -u "$RUNAS"%(group)s -- "$@"
    else
        su -s /bin/sh%(group)s -c 'exec "$0" "$@"' -- "$RUNAS" "$@"
    fi
}
"""
"""runuser needs no login shell and starts no session; where there is none (BusyBox), su does as well."""

MAKE_DIRECTORIES = """\
make_directories() {
    for directory in %(directories)s; do
        [ -d "$directory" ] || install -d -m 0755 -o "${RUNAS:-root}"%(group)s "$directory" || return 1
    done
}
"""
"""What is there already is left as it is: its owner and mode are somebody's decision."""


def as_user(service: Service) -> str:
    """A function that runs its arguments as $RUNAS; empty: as whoever we are."""
    return AS_USER % {"group": f" -g {sh_words([service.group])}" if service.group else ""}


def make_directories(service: Service) -> str:
    """A function that makes what the user may not make himself: at each boot, /run is empty."""
    directories = dict.fromkeys((service.pidfile_dir, service.logfile_dir, service.state_dir))
    return MAKE_DIRECTORIES % {
        "directories": sh_words(directories),
        "group": f" -g {sh_words([service.group])}" if service.group else "",
    }


def assignments(service: Service) -> str:
    """The environment, exported."""
    found = variables(service)
    lines = [f"{name}={sh_words([value])}" for name, value in found.items()]
    return "\n".join([*lines, f"export {' '.join(found)}", ""])


def by_hand(service: Service, verb: str) -> tuple[str, ...]:
    """The command that does now, as the service's user, what an init system without one of its own does at boot."""
    if not service.user:
        return service.command(verb)
    owner = ("-u", service.user, *(("-g", service.group) if service.group else ()))
    settings = [f"{name}={value}" for name, value in variables(service).items()]
    return ("runuser", *owner, "--", "env", *settings, *service.command(verb))
