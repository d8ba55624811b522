"""Logging in Kegbot's line format, to standard output and to a file that may be rotated, moved or removed.

Knows `logging` and files. Must not know flags or what the program does.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import re
import stat
import sys
import threading
import time

from kegapps.daemon.errors import StartError
from kegapps.daemon.flags import Options

# Text that came over a wire must neither break a line nor drive the terminal it is shown on.
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if code != 0x09}
_DATED = re.compile(r"\.\d{4}-\d{2}-\d{2}\Z")


class LineFormatter(logging.Formatter):
    """A record as one line; only a traceback adds more."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """The line without its traceback."""
        record.message = record.message.translate(_CONTROL)
        return super().formatMessage(record)


class StdoutHandler(logging.Handler):
    """Writes to standard output until nobody reads it any more; then it falls silent."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record at once."""
        try:
            sys.stdout.write(self.format(record) + "\n")
            sys.stdout.flush()
        except OSError:
            logging.getLogger().removeHandler(self)
            silence_stdout()
        except Exception:  # noqa: BLE001 - logging's rule: a log call never fails
            self.handleError(record)


class FileHandler(logging.Handler):
    """Appends to `path`, each record by one write, so that lines stay whole whoever else writes there.

    Opens the file again when it was moved or removed, and on `reopen()`. With `keep_days`, the first record
    after midnight (local time) renames the file to `path.YYYY-MM-DD`, the day it is of, and keeps that many.
    With `own_stderr`, file descriptor 2 always leads to the file, too: what the interpreter or a child says
    there is then not lost.
    """

    def __init__(self, path: str, *, keep_days: int | None, own_stderr: bool) -> None:
        super().__init__()
        self.path = path
        self._keep_days = keep_days
        self._own_stderr = own_stderr
        self._fd = _open_log(path)
        self._day = self._day_of_file()
        self._adopt_stderr()

    def emit(self, record: logging.LogRecord) -> None:
        """Append one record."""
        try:
            self._follow_name()
            if self._keep_days is not None:
                self._rotate_at_midnight(record.created)
            _write(self._fd, (self.format(record) + "\n").encode("utf-8", "backslashreplace"))
        except OSError:
            return  # disk full, or the directory is gone: the program matters more than its log
        except Exception:  # noqa: BLE001 - logging's rule: a log call never fails
            self.handleError(record)

    def reopen(self) -> None:
        """Close the file and open whatever bears its name now; if that fails, go on with the old one."""
        self.acquire()
        try:
            self._replace()
        except OSError:
            return
        finally:
            self.release()

    def write_unlocked(self, line: bytes) -> None:
        """Append bytes without any lock, for the last words of a process whose threads are stuck."""
        _write(self._fd, line)

    def close(self) -> None:
        """Close the file."""
        self.acquire()
        try:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1
        finally:
            self.release()
            super().close()

    def _replace(self) -> None:
        fd = _open_log(self.path)
        old, self._fd = self._fd, fd
        os.close(old)
        self._day = self._day_of_file()
        self._adopt_stderr()

    def _follow_name(self) -> None:
        try:
            same = os.path.samestat(os.stat(self.path), os.fstat(self._fd))
        except OSError:
            same = False
        if not same:
            try:
                self._replace()
            except OSError:
                return

    def _day_of_file(self) -> str:
        """The day of the last change, so that a restart after midnight rotates, too."""
        info = os.fstat(self._fd)
        if not stat.S_ISREG(info.st_mode):
            self._keep_days = None  # renaming /dev/null helps nobody
        return _day(info.st_mtime if info.st_size else time.time())

    def _rotate_at_midnight(self, now_s: float) -> None:
        today = _day(now_s)
        if today <= self._day:  # equal, or the clock was set back
            return
        dated = f"{self.path}.{self._day}"
        self._day = today
        # A second midnight of the same day (the clock was stepped) adds to the file instead of replacing it.
        if os.fstat(self._fd).st_size and not os.path.lexists(dated):
            os.rename(self.path, dated)
            self._replace()
            self._day = today
            self._remove_old()

    def _remove_old(self) -> None:
        folder, name = os.path.split(self.path)
        dated = sorted(
            entry.path
            for entry in os.scandir(folder)
            if entry.name.startswith(name) and _DATED.fullmatch(entry.name, len(name))
        )
        for path in dated[: -self._keep_days] if self._keep_days else []:
            os.unlink(path)

    def _adopt_stderr(self) -> None:
        if self._own_stderr:
            os.dup2(self._fd, 2)


class Logs:
    """The root logger's handlers, as `options` want them. Make one a process."""

    def __init__(self, options: Options) -> None:
        """Raises StartError if the log file cannot be opened."""
        self.file: FileHandler | None = None
        root = logging.getLogger()
        root.setLevel(logging.DEBUG if options.verbose else logging.INFO)
        for handler in root.handlers[:]:
            root.removeHandler(handler)
        self._formatter = LineFormatter(options.logformat)
        if options.log_to_file:
            try:
                self.file = FileHandler(
                    options.logfile,
                    keep_days=options.maximum_log_files if options.rotate_logs else None,
                    own_stderr=options.daemon and not _is_regular(2),
                )
            except OSError as error:
                raise StartError(f"--logfile={options.logfile}: {_why_not(error, options.logfile)}") from None
            self._add(self.file)
        if options.log_to_stdout and not self._stdout_is_useless(options):
            self._add(StdoutHandler())
        logging.captureWarnings(True)
        threading.excepthook = _log_thread_death

    def reopen(self) -> None:
        """Open the log file again, for whoever moved it."""
        if self.file is not None:
            self.file.reopen()

    def last_words(self, level: int, text: str) -> None:
        """Log one line without waiting for any lock; for when the process is about to be ended by force."""
        record = logging.LogRecord("daemon", level, __file__, 0, text, (), None)
        line = (self._formatter.format(record) + "\n").encode("utf-8", "backslashreplace")
        try:
            if self.file is not None:
                self.file.write_unlocked(line)
            else:
                flags = fcntl.fcntl(2, fcntl.F_GETFL)
                fcntl.fcntl(2, fcntl.F_SETFL, flags | os.O_NONBLOCK)
                os.write(2, line)
                fcntl.fcntl(2, fcntl.F_SETFL, flags)
        except OSError:
            return

    def _add(self, handler: logging.Handler) -> None:
        handler.setFormatter(self._formatter)
        logging.getLogger().addHandler(handler)

    def _stdout_is_useless(self, options: Options) -> bool:
        """In the background only a file is worth writing to, and not if it is the log file itself."""
        if options.daemon and not _is_regular(1):
            return True
        try:
            return self.file is not None and os.path.samestat(os.fstat(1), os.stat(options.logfile))
        except OSError:
            return False


def silence_stdout() -> None:
    """Let standard output lead nowhere, or the interpreter complains when it flushes it at exit."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


def _log_thread_death(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is SystemExit or args.exc_value is None:
        return
    name = args.thread.name if args.thread is not None else "?"
    logging.getLogger("daemon").critical(
        "thread %s ended by an unexpected error",
        name,
        exc_info=(args.exc_type, args.exc_value, args.exc_traceback),
    )


def _open_log(path: str) -> int:
    # NONBLOCK: a FIFO that nobody reads would hold us for ever. NOCTTY: a daemon must not win a terminal.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    fd = os.open(path, flags, 0o644)
    mode = os.fstat(fd).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISCHR(mode):
        os.close(fd)
        raise OSError(errno.ENXIO, "not a regular file", path)
    return fd


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _day(time_s: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(time_s))


def _is_regular(fd: int) -> bool:
    try:
        return stat.S_ISREG(os.fstat(fd).st_mode)
    except OSError:
        return False


def _why_not(error: OSError, path: str) -> str:
    folder = os.path.dirname(path)
    match error.errno:
        case errno.ENOENT | errno.ENOTDIR:
            return f"there is no directory {folder}; create it or name another file"
        case errno.EISDIR:
            return "is a directory; name a file"
        case errno.ENXIO:
            return "is not a regular file; name another"
        case _:
            return f"cannot be written ({error.strerror}); name a file in a directory of yours"
