"""Paths as the person who typed them meant them, also after a daemon has moved to another directory.

Knows paths. Must not know flags or what the paths lead to.
"""

from __future__ import annotations

import os


class Paths:
    """Remembers the current directory; make one before the program goes to the background."""

    def __init__(self) -> None:
        try:
            self._directory = os.getcwd()
        except OSError:
            self._directory = "/"  # it was removed; only absolute paths make sense now

    def absolute(self, path: str) -> str:
        """`path` from the remembered directory; `~` is the home directory."""
        return os.path.normpath(os.path.join(self._directory, os.path.expanduser(path)))
