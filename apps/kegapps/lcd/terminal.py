"""A display drawn in a terminal, for people who have none yet: framed, at the bottom, log lines above it.

Knows standard output and a terminal's cursor. Must not know kegnet or what is shown. Where standard output is no
terminal, each picture is one line. A terminal that takes nothing (Ctrl-S, a dead connection) holds nobody up: what it
missed is not made up for, but the picture it gets then is the newest. A file on a full disk gets the next picture that
fits; a pipe without a reader ends the program, as it ends whatever prints.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import signal
import stat
import sys
from collections import deque
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Final

from kegapps.daemon.logs import StdoutHandler
from kegapps.daemon.loop import WRITE, Loop
from kegapps.daemon.streams import OutputError, is_regular, printable
from kegapps.daemon.thread_calls import ThreadCalls
from kegapps.lcd.cells import fill

STDOUT: Final = 1
_SIGNALS: Final = (signal.SIGWINCH, signal.SIGCONT)  # another window, and back from Ctrl-Z
_FRAME, _PLAIN_FRAME = "─│┌┐└┘", "-|++++"
"""Horizontal, vertical, and the corners row by row; the second where the terminal's encoding lacks the first."""

_FULL: Final = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
_GONE: Final = frozenset((errno.EPIPE, errno.ECONNRESET))

MAX_LOG_LINES: Final = 200
"""Kept for a terminal that takes nothing; the oldest go first."""


class TerminalDisplay:
    """`columns` by `rows` characters, fewer in a smaller window."""

    def __init__(self, loop: Loop, *, columns: int, rows: int, on_status: Callable[[], None]) -> None:
        self._loop = loop
        self._wanted = (columns, rows)
        self._on_status = on_status
        self._picture: tuple[str, ...] = ()
        self._lit = True
        self._problem = ""
        self._terminal = os.isatty(STDOUT)
        self._fd = _opened_anew()
        self._out = b""  # begun to be written
        self._waiting = False  # until it takes more
        self._stale = False  # there is something to be drawn after that
        self._frame_rows = 0  # how much of the terminal above the cursor is the frame
        self._clear = False
        self._log_lines: deque[str] = deque(maxlen=MAX_LOG_LINES)
        self._size = self._measured()
        self._encoding = sys.stdout.encoding or "utf-8"
        lacking = "?" in _FRAME.encode(self._encoding, "replace").decode(self._encoding)
        self._frame = _PLAIN_FRAME if lacking else _FRAME
        if self._terminal:
            self._calls = ThreadCalls(loop)
            self._handlers = _put_above(self._log)
            self._before = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        self._tells = not self._terminal and _tells_of_its_reader(self._fd)
        if self._tells:
            loop.watch(self._fd, 0, lambda _ready: self._lose_reader())

    @property
    def columns(self) -> int:
        """How many characters fit into a row."""
        return self._size[0]

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return self._size[1]

    @property
    def ready(self) -> bool:
        """True unless standard output did not take the last picture."""
        return not self._problem

    @property
    def status(self) -> str:
        """How it is, for a person."""
        return self._problem or ("showing it here" if self._terminal else "writing lines to standard output")

    def show(self, rows: Sequence[str]) -> None:
        """Draw these rows."""
        self._picture = tuple(rows)
        self._draw()

    def backlight(self, on: bool) -> None:
        """Bright or dim; lines have neither."""
        if self._terminal and on != self._lit:
            self._lit = on
            self._draw()

    def close(self) -> None:
        """Give the terminal back; the last picture stays."""
        if self._terminal:
            for number, before in self._before.items():
                signal.signal(number, before)
            self._calls.close()
            _restore(self._handlers)
        self._loop.unwatch(self._fd)
        if self._fd != STDOUT:
            os.close(self._fd)
        self._problem = self._problem or "closed"

    # Drawing

    def _draw(self) -> None:
        self._stale = True
        if not self._waiting:
            self._write()

    def _write(self) -> None:
        """Write what was begun, then what is to be drawn, as far as it is taken."""
        while self._out or self._stale:
            whole = not self._out
            if whole:
                self._stale = False
                self._out = (self._framed() if self._terminal else self._line()).encode(
                    self._encoding, "replace"
                )
            try:
                sent = os.write(self._fd, self._out)
            except BlockingIOError:
                self._waiting = True
                self._loop.watch(self._fd, WRITE, lambda _ready: self._resume())
                return
            except OSError as error:
                if whole:
                    self._out = b""  # the next picture takes its place; of half a line the rest is still owed
                self._fail(error)
                return
            self._out = self._out[sent:]
        self._tell("")

    def _resume(self) -> None:
        self._waiting = False
        if self._tells:
            self._loop.watch(self._fd, 0, lambda _ready: self._lose_reader())
        else:
            self._loop.unwatch(self._fd)
        self._write()

    def _fail(self, error: OSError) -> None:
        """It was not taken: for now, or for ever."""
        if self._terminal or error.errno in _GONE:
            # From the loop: who shows a picture or logs a line is not to be told so.
            self._loop.call_later(0.0, lambda: _end(error))
            return
        what = "is full" if error.errno in _FULL else "fails"
        self._tell(f"standard output {what} ({error.strerror}): trying again with the next picture")

    def _lose_reader(self) -> None:
        _end(BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)))

    def _tell(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            self._loop.call_later(0.0, self._on_status)

    def _line(self) -> str:
        return f"| {' | '.join(' '.join(printable(row).split()) for row in self._picture)} |\n"

    def _framed(self) -> str:
        columns, rows = self._size
        bar, corners = self._frame[1], self._frame[2:]
        edge = self._frame[0] * (columns + 2)
        dim, plain = ("", "") if self._lit else ("\x1b[2m", "\x1b[22m")
        picture = [*self._picture[:rows], *[""] * (rows - len(self._picture))]
        lines = [*self._log_lines, f"{dim}{corners[0]}{edge}{corners[1]}"]
        lines += [f"{bar} {fill(row, columns)} {bar}" for row in picture]
        lines.append(f"{corners[2]}{edge}{corners[3]}{plain}")
        self._log_lines.clear()
        back = "\x1b[2J\x1b[H" if self._clear else f"\x1b[{self._frame_rows}F" if self._frame_rows else ""
        self._clear = False
        self._frame_rows = rows + 2
        return back + "".join(f"{line}\x1b[K\n" for line in lines) + "\x1b[J"

    # The log, and the window's size

    def _log(self, line: str) -> None:
        self._log_lines.append(line)
        self._draw()

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._calls.call_soon(self._resize)  # this may be in the middle of a drawing

    def _resize(self) -> None:
        self._size = self._measured()
        # Terminals put the lines that were there into another shape, each its own way; a shell wrote below them.
        self._clear = True
        self._draw()
        self._on_status()

    def _measured(self) -> tuple[int, int]:
        columns, rows = self._wanted
        with contextlib.suppress(OSError):
            if self._terminal and (window := os.get_terminal_size(self._fd)).columns:
                columns, rows = min(columns, window.columns - 5), min(rows, window.lines - 3)
        return max(1, columns), max(1, rows)


class _AboveHandler(logging.Handler):
    """Puts log lines above the picture instead of into it."""

    def __init__(self, put: Callable[[str], None]) -> None:
        super().__init__()
        self._put = put

    def emit(self, record: logging.LogRecord) -> None:
        """Hand over one record."""
        try:
            for line in self.format(record).splitlines():
                self._put(line)
        except Exception:  # noqa: BLE001 - a log call never fails
            self.handleError(record)


def _put_above(put: Callable[[str], None]) -> list[tuple[logging.Handler, logging.Handler]]:
    """Each handler that writes to standard output, with the one that now stands in its place."""
    root = logging.getLogger()
    pairs: list[tuple[logging.Handler, logging.Handler]] = []
    for old in root.handlers[:]:
        if isinstance(old, StdoutHandler):
            new = _AboveHandler(put)
            new.setFormatter(old.formatter)
            new.setLevel(old.level)
            root.removeHandler(old)
            root.addHandler(new)
            pairs.append((old, new))
    return pairs


def _restore(pairs: list[tuple[logging.Handler, logging.Handler]]) -> None:
    root = logging.getLogger()
    for old, new in pairs:
        root.removeHandler(new)
        root.addHandler(old)


def _end(error: OSError) -> None:
    raise OutputError(error)


def _tells_of_its_reader(fd: int) -> bool:
    """True for a pipe or socket: that nobody reads any more is known before the next picture, be that hours away."""
    mode = os.fstat(fd).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _opened_anew() -> int:
    """Standard output, where possible by a descriptor of our own: that it never blocks is then for us alone.

    A shell that shares ours would be surprised by errors. A file is written by the common one, with its position.
    """
    if is_regular(STDOUT):
        return STDOUT
    try:
        return os.open(f"/proc/self/fd/{STDOUT}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:  # a socket, such as a service manager's journal
        return STDOUT
