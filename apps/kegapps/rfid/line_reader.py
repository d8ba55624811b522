"""Standard input as a reader: for scripts and tests.

Knows a descriptor. What its lines say is `word_lines`' business.
"""

from __future__ import annotations

import os
from typing import Final

from kegapps.daemon.loop import READ, Loop, Timer
from kegapps.rfid.reader import Listener
from kegapps.rfid.word_lines import BadLine, Word, WordDecoder

STDIN: Final = 0
READ_BYTES: Final = 4096


class LineReader:
    """A `reader.Reader` on the descriptor `fd`."""

    def __init__(self, loop: Loop, listener: Listener, *, fd: int = STDIN) -> None:
        self._loop = loop
        self._listener = listener
        self._fd = fd
        self._decoder = WordDecoder()
        self._timer: Timer | None = None
        self.is_there = False

    @property
    def status(self) -> str:
        """Whether more can come."""
        return "reading tags from standard input" if self.is_there else "standard input has ended"

    def open(self) -> None:
        """Begin to read."""
        self.is_there = True
        try:
            self._loop.watch(self._fd, READ, self._read)
        except PermissionError:
            # A file: always ready, so not to be watched.
            self._timer = self._loop.call_later(0.0, self._read_on)

    def show(self, *, present: bool) -> None:
        """Nobody is there to be shown it."""

    def close(self) -> None:
        """Read no more."""
        if self.is_there:
            self.is_there = False
            if self._timer is not None:
                self._timer.cancel()
            else:
                self._loop.unwatch(self._fd)

    def _read_on(self) -> None:
        self._timer = self._loop.call_later(0.0, self._read_on)
        self._read(READ)

    def _read(self, _ready: int) -> None:
        try:
            data = os.read(self._fd, READ_BYTES)
        except OSError:  # the terminal is gone
            data = b""
        for word in self._decoder.feed(data) if data else self._decoder.end():
            self._take(word)
        if not data:
            self.close()
            self._listener.ended()

    def _take(self, word: Word | BadLine) -> None:
        if isinstance(word, BadLine):
            self._listener.complain(
                f"{word.excerpt} is no token: expected hexadecimal digits, such as 0415ab96c3"
            )
        elif word.what == "removed":
            self._listener.take_off(word.token)
        else:
            self._listener.seen(word.token, stays=word.what == "added")
