"""Whose report it is: the app that a datagram's sender is proven to belong to.

Knows /proc. The kernel vouches for the sender's pid and user, and for nothing that the datagram says.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping

from . import proc
from .instance import Instance
from .notify import Report


def sender(
    report: Report, instances: Mapping[str, Instance], awaited: Callable[[], Collection[str]]
) -> str | None:
    """The name of the app that sent `report`; None if that cannot be told.

    `awaited`: the apps that are to send such a report. A helper of an app (systemd-notify in a script) may be gone
    before its report is read; if only one app is awaited, it is the one that is meant.
    """
    for name, instance in instances.items():
        if report.pid == instance.main_pid:
            return name
    for name, instance in instances.items():
        if proc.stems_from(report.pid, instance.cookie):
            return name
    if proc.stat(report.pid) is not None or report.uid not in (0, os.geteuid()):
        return None
    names = awaited()
    return next(iter(names)) if len(names) == 1 else None
