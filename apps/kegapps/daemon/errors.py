"""How a program says that it cannot do what it was asked: one line for a person.

Knows nothing else.
"""

from __future__ import annotations


class StartError(Exception):
    """The program cannot start; `str(error)` is one line: what is wrong and what to do. Exit status 1."""


class UsageError(Exception):
    """The command line is wrong; `str(error)` is one line naming the flag or word. Exit status 2."""
