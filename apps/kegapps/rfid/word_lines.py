"""What scripts say of tags, a line each: bytes in, words out.

Knows the lines. Must not know descriptors or clocks. No input makes it raise. A line is one of ::

    HEX              a tag was held to the reader
    added HEX        a tag was put on it and lies there
    removed HEX      it was taken off
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from kegapps.rfid.tokens import as_token

MAX_LINE_BYTES: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What happened to a token."""

    token: str
    what: Literal["shown", "added", "removed"]


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that says nothing of a tag; its beginning."""

    excerpt: str


class WordDecoder:
    """Takes bytes as they arrive and gives what the lines say; how they are cut makes no difference."""

    def __init__(self) -> None:
        self._line = b""
        self._too_long = False

    def feed(self, data: bytes) -> Iterator[Word | BadLine]:
        """What the lines say that `data` completes. Empty lines and those that begin with # say nothing."""
        *ends, rest = data.split(b"\n")
        for end in ends:
            yield from self._take(end)
        self._keep(rest)

    def end(self) -> Iterator[Word | BadLine]:
        """Nothing more will come: the last line needs no end."""
        yield from self._take(b"")

    def _keep(self, piece: bytes) -> None:
        self._line += piece[: MAX_LINE_BYTES + 1]
        self._too_long = self._too_long or len(self._line) > MAX_LINE_BYTES
        self._line = self._line[:MAX_LINE_BYTES]

    def _take(self, piece: bytes) -> Iterator[Word | BadLine]:
        self._keep(piece)
        line, too_long = self._line.decode("utf-8", "replace").strip(), self._too_long
        self._line, self._too_long = b"", False
        if (line or too_long) and not line.startswith("#"):
            word = None if too_long else _word(line)
            yield word or BadLine(ascii(line[:40]))


def _word(line: str) -> Word | None:
    what, _, rest = line.partition(" ")
    if what in ("added", "removed"):
        token = as_token(rest.strip())
        return Word(token=token, what="added" if what == "added" else "removed") if token else None
    token = as_token(line)
    return Word(token=token, what="shown") if token else None
