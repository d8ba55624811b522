"""Prints lines without waiting for whoever reads them: a program with relays on must not hang at a terminal.

Knows standard output and the loop. Must not know what is printed. A terminal that Ctrl-S stopped, or a pipe that nobody
empties, blocks whoever writes to it.
"""

from __future__ import annotations

import select
from collections import deque
from typing import Final

from kegapps.daemon.loop import WRITE, Loop

STDOUT: Final = 1
MAX_LINES: Final = 1000  # kept for a reader that does not read


class Printer:
    """Standard output, line by line. Raises OutputError if its reader went away, from any method."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque()
        self._left_out = 0
        self._poll = select.poll()
        self._poll.register(STDOUT, select.POLLOUT)

    def print(self, line: str) -> None:
        """Print it now, or as soon as that does not block."""
        if len(self._lines) == MAX_LINES:
            self._lines.popleft()
            self._left_out += 1
        self._lines.append(line)
        self.go_on()

    def go_on(self) -> None:
        """Print of what is kept what can be printed now."""
        while self._lines and self._poll.poll(0):
            if self._left_out:
                print(f"({self._left_out} lines left out)", flush=True)
                self._left_out = 0
            else:
                print(self._lines.popleft(), flush=True)

    def finish(self, loop: Loop) -> bool:
        """Wait for the reader, but not once `loop` was told to stop; true if all was printed."""
        self.go_on()
        if self._lines and not loop.stopping:
            loop.watch(STDOUT, WRITE, lambda _ready: self.go_on())  # no file: that never blocks
            while self._lines and not loop.stopping:
                loop.run_once(None)
            loop.unwatch(STDOUT)
        return not self._lines
