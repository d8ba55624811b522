"""Services by name: install, remove and reinstall, for apps and for the master itself.

Runs in the client only; no resident process imports it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ..command import Command
from .work import Work, guarded


def perform(command: Command) -> int:
    """Carry out install, remove, reinstall or one of the stop_and_... verbs; returns the exit status."""
    from .install import install
    from .reinstall import reinstall, stop_and
    from .remove import remove

    verbs: dict[str, Callable[[Work], int]] = {
        "install": install, "remove": remove, "reinstall": reinstall,
        "stop_and_remove": partial(stop_and, then="remove"),
        "stop_and_reinstall": partial(stop_and, then="reinstall"),
        "stop_and_restart": partial(stop_and, then="restart"),
    }  # fmt: skip
    return guarded(command, verbs[command.options.verb])
