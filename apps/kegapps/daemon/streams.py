"""Standard input, output and error: made sure of at the start, and given up quietly when nobody is there.

Knows descriptors 0 to 2 and the controlling terminal. Must not know flags or logging.
"""

from __future__ import annotations

import contextlib
import io
import os
import select
import stat
import sys


def open_missing() -> None:
    """Give closed descriptors of 0 to 2 to the null device: the next file opened would become one of them.

    Afterwards `sys.stdin`, `sys.stdout` and `sys.stderr` exist, and the latter two print whatever they are
    given.
    """
    fd = os.open(os.devnull, os.O_RDWR)
    while fd <= 2:
        os.set_inheritable(fd, True)
        fd = os.open(os.devnull, os.O_RDWR)
    os.close(fd)
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        # A letter that the terminal's encoding lacks must not end a program; and a reader of a pipe wants
        # lines.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace", line_buffering=True)


def say(line: str) -> None:
    """Print one line on standard error, if anybody is there."""
    with contextlib.suppress(OSError, ValueError):
        print(" ".join(line.split()), file=sys.stderr, flush=True)


def silence_stdout() -> None:
    """Let standard output lead nowhere, or the interpreter complains when it flushes it at exit."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


def stdout_is_broken() -> bool:
    """True if standard output is a pipe or socket that nobody reads any more."""
    poll = select.poll()
    poll.register(1, 0)
    return any(ready & (select.POLLERR | select.POLLNVAL) for _, ready in poll.poll(0))


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
