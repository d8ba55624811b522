"""Other launchers' configurations: import reads them, export writes them.

Runs in the client only; no resident process imports it.
"""

from __future__ import annotations

from ..command import Command


def perform(command: Command) -> int:
    """Carry out import or export; returns the exit status."""
    return command.terminal.fail(f"{command.options.verb} is not built yet", 3)
