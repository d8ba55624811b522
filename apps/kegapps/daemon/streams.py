"""Standard input, output and error: made sure of at the start, and given up quietly when nobody is there.

Knows descriptors 0 to 2 and the controlling terminal. Must not know flags or log files.
"""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import os
import select
import stat
import sys
from collections.abc import Callable
from typing import Any


class OutputError(Exception):
    """Standard output cannot be written; `str()` is why, and `nobody_reads` is true if its reader went away.

    No OSError: what a program catches as trouble with its own files must not hide this.
    """

    def __init__(self, error: OSError) -> None:
        super().__init__(error.strerror or str(error))
        self.nobody_reads = error.errno in (errno.EPIPE, errno.ECONNRESET)


class _Descriptor(io.FileIO):
    """Standard output, with errors of its own kind."""

    def write(self, data: Any) -> int:
        try:
            while (written := super().write(data)) is None:  # somebody who shares it made it not block
                select.select([], [self], [])
        except OSError as error:
            raise OutputError(error) from None
        return written


class LogWriter(io.TextIOBase):
    """A standard stream of a process without a terminal: every line becomes a line of the log."""

    def __init__(self, log: Callable[[str, str], None]) -> None:
        self._log = log
        self._rest = ""

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, text: str) -> int:
        """Log the lines that `text` completes."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            if line.strip():
                self._log("%s", line)
        return len(text)


def open_missing(*, needs_stdout: bool = False) -> None:
    """Give closed descriptors of 0 to 2 to the null device: the next file opened would become one of them.

    Afterwards `sys.stdin`, `sys.stdout` and `sys.stderr` exist, and the latter two print whatever they are
    given; but with `needs_stdout`, for a program whose output is what it is for, a standard output that was closed
    raises OutputError.
    """
    fd = os.open(os.devnull, os.O_RDWR)
    while fd <= 2:
        os.set_inheritable(fd, True)
        fd = os.open(os.devnull, os.O_RDWR)
    os.close(fd)
    if needs_stdout and sys.stdout is None:
        fd = os.open(os.devnull, os.O_RDONLY)
        os.dup2(fd, 1)
        os.close(fd)
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        # A letter that the terminal's encoding lacks must not end a program; and a reader of a pipe wants
        # lines.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace", line_buffering=True)
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.fileno() == 1:
        raw = _Descriptor(1, "w", closefd=False)
        sys.stdout = io.TextIOWrapper(
            io.BufferedWriter(raw), sys.stdout.encoding, errors="backslashreplace", line_buffering=True
        )


def to_log(name: str) -> None:
    """Let what is printed go into the log, where standard output or error is no file."""
    log = logging.getLogger(name)
    if not is_regular(1):
        sys.stdout = LogWriter(log.info)
    if not is_regular(2):
        sys.stderr = LogWriter(log.warning)


def printable(text: str) -> str:
    """`text` on one line; what would drive a terminal, and bytes that are no UTF-8, are written out.

    ESC becomes `x1b` behind a backslash.
    """
    return "".join(
        letter if letter.isprintable() else _written_out(letter) for letter in " ".join(text.split())
    )


def _written_out(letter: str) -> str:
    if "\udc80" <= letter <= "\udcff":  # how Python reads a byte of a file's name that is no UTF-8
        return f"\\x{ord(letter) - 0xDC00:02x}"
    return letter.encode("unicode_escape").decode()


def say(line: str) -> None:
    """Print one line on standard error, if anybody is there."""
    with contextlib.suppress(OSError, ValueError):
        print(printable(line), file=sys.stderr, flush=True)


def silence_stdout() -> None:
    """Let standard output lead nowhere, or the interpreter complains when it flushes it at exit."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


def is_regular(fd: int) -> bool:
    """True if `fd` is open and a regular file."""
    try:
        return stat.S_ISREG(os.fstat(fd).st_mode)
    except OSError:
        return False


def has_terminal() -> bool:
    """True if there is a controlling terminal that has not been hung up."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY))
    except OSError:
        return False
    return True
