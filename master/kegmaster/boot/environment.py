"""The few variables that a master started at boot is given, because there it can expect none.

Must not know how an init system is told of them.
"""

from __future__ import annotations

from .plan import Service

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def variables(service: Service) -> dict[str, str]:
    """PATH and UTF-8 for everybody; who the user is, where no init system looks it up."""
    return of_user(service.user, service.home)


def of_user(user: str, home: str) -> dict[str, str]:
    """The same for a user and his home directory; either may be empty."""
    found = {"PATH": PATH, "LANG": "C.UTF-8", "PYTHONUTF8": "1"}
    if home:
        found["HOME"] = home
    if user:
        found |= {"USER": user, "LOGNAME": user}
    return found
