"""Services by name: install, remove and reinstall, for apps and for the master itself.

Runs in the client only; no resident process imports it.
"""

from __future__ import annotations

from ..command import Command


def perform(command: Command) -> int:
    """Carry out install, remove, reinstall or one of the stop_and_... verbs; returns the exit status."""
    return command.terminal.fail(f"{command.options.verb} is not built yet", 3)
