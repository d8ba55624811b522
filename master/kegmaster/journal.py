"""The launcher's own log: Kegbot's line format, one write a line, never an obstacle.

Knows a file and the wall clock. `logging` would cost the resident process 1 MB and each start 8 ms for the same line.
"""

from __future__ import annotations

import os
import sys
import time


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

    def _write(self, level: str, text: str) -> None:
        now = time.time()
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
        text = " ".join(text.splitlines())
        line = f"{stamp},{int(now * 1000) % 1000:03d} {level:<8} (kegbot_master) {text}\n"
        if self._echo and sys.stdout is not None:
            try:
                sys.stdout.write(line)
                sys.stdout.flush()
            except OSError:
                self._echo = False
        # Opened anew for each line: a moved or deleted log is simply begun again, and lines are few.
        try:
            fd = os.open(
                self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644
            )
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
