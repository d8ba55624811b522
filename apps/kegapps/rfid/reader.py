"""What a kind of reader has to do, and whom it tells of its tags.

Knows the two interfaces. Must not know any kind of reader, nor the core.
"""

from __future__ import annotations

from typing import Protocol


class Listener(Protocol):
    """Is told of the tags on a reader, from the loop."""

    def seen(self, token: str, *, stays: bool = False) -> None:
        """A tag is there. If it `stays`, the reader will say when it has gone."""

    def lost(self, token: str) -> None:
        """A tag that stays has gone, perhaps to come back at once."""

    def take_off(self, token: str | None = None) -> None:
        """Whatever lies there, or this token only, has gone for certain."""

    def changed(self) -> None:
        """The reader has come or gone, or its status says something else."""

    def complain(self, text: str) -> None:
        """Something for the log, unless there is too much of that."""

    def ended(self) -> None:
        """No tag will ever come again."""


class Reader(Protocol):
    """One reader: waited for, read, waited for again, until it is closed."""

    @property
    def status(self) -> str:
        """How it is, for a person."""

    @property
    def is_there(self) -> bool:
        """True while tags can be read."""

    def open(self) -> None:
        """Begin. Raises StartError if that can never succeed."""

    def show(self, *, present: bool) -> None:
        """Let it show that a tag lies there, or that none does."""

    def close(self) -> None:
        """Let go of it for good, and tell nothing any more."""
