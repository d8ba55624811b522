"""Other launchers' configurations: import reads them, export writes them.

Runs in the client only; no resident process imports it.
"""

from __future__ import annotations

from ..command import Command


def perform(command: Command) -> int:
    """Carry out import or export; returns the exit status."""
    from . import carry_out

    return carry_out.import_files(command) if command.options.verb == "import" else carry_out.export(command)
