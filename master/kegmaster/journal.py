"""The launcher's own log: Kegbot's line format, one write a line, never an obstacle.

Knows a file and the wall clock. `logging` would cost the resident process 1 MB and each start 8 ms for the same line.
"""

from __future__ import annotations

import os
import select
import sys
import time

from .applog import open_log, rotate

_PIPE_BYTES = 4096
CAP_BYTES = 4 << 20
"""The log is kept in two files of so much at most: months of an ordinary master, and no SD card is filled."""


class Journal:
    """Appends lines such as `2026-01-31 18:00:00,123 INFO     (kegbot_master) text`."""

    def __init__(self, path: str, *, verbose: bool = False, echo: bool = False) -> None:
        """`verbose`: debug lines too. `echo`: to stdout too, for `run`."""
        self.path = path
        self._verbose = verbose
        self._echo = echo
        self._lost = 0

    def debug(self, text: str) -> None:
        """Of use when something is to be found out."""
        if self._verbose:
            self._write("DEBUG", text)

    def info(self, text: str) -> None:
        """What happened."""
        self._write("INFO", text)

    def warning(self, text: str) -> None:
        """What a person should look at some day."""
        self._write("WARNING", text)

    def error(self, text: str) -> None:
        """What a person should look at now."""
        self._write("ERROR", text)

    def _begin_anew(self, fd: int) -> int:
        """The full log, open as `fd`, becomes LOG.1; where that cannot be, it grows on."""
        try:
            rotate(self.path, 1)
            new = open_log(self.path, None, None)
        except OSError:
            return fd
        os.close(fd)
        return new

    def _say(self, line: bytes) -> None:
        """To stdout, if whoever reads there keeps up: so much fits into a pipe that is ready at all (pipe(7))."""
        try:
            if select.select([], [1], [], 0)[1]:
                os.write(1, line)
        except OSError:
            self._echo = False

    def _write(self, level: str, text: str) -> None:
        now = time.time()
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
        text = " ".join(text.splitlines())
        line = f"{stamp},{int(now * 1000) % 1000:03d} {level:<8} (kegbot_master) {text}\n"
        if self._echo and sys.stdout is not None:
            self._say(line.encode("utf-8", "replace")[:_PIPE_BYTES])
        # Opened anew for each line: a moved or deleted log is simply begun again, and lines are few.
        try:
            fd = open_log(self.path, None, None)
            if os.fstat(fd).st_size >= CAP_BYTES:
                fd = self._begin_anew(fd)
            try:
                if self._lost:
                    os.write(
                        fd,
                        f"{stamp},000 WARNING  (kegbot_master) {self._lost} lines could not be written\n".encode(),
                    )
                    self._lost = 0
                os.write(fd, line.encode("utf-8", "replace"))
            finally:
                os.close(fd)
        except OSError:
            self._lost += 1
