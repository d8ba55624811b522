"""Completion scripts for bash and zsh, from the tables of verbs and flags."""

from __future__ import annotations

from .command import Command


def perform(command: Command) -> int:
    """Print the completion script of the shell named; returns the exit status."""
    return command.terminal.fail(f"{command.options.verb} is not built yet", 3)
