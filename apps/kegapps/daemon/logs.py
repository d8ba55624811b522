"""The root logger of a program: Kegbot's line format, to standard output and to a file.

Knows `logging` and where lines go. Must not know what the program does.
"""

from __future__ import annotations

import errno
import logging
import os
import select
import sys
import threading

from kegapps.daemon.errors import StartError
from kegapps.daemon.flags import Options
from kegapps.daemon.logfile import FileHandler, why_not
from kegapps.daemon.streams import is_regular, silence_stdout

# Text that came over a wire must neither break a line nor drive the terminal it is shown on.
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if code != 0x09}
_GONE = frozenset((errno.EPIPE, errno.EIO, errno.EBADF, errno.ECONNRESET))

log = logging.getLogger("daemon")


class LineFormatter(logging.Formatter):
    """A record as one line; only a traceback adds more."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """The line, without its traceback."""
        record.message = record.message.translate(_CONTROL)
        return super().formatMessage(record)


class StdoutHandler(logging.Handler):
    """Writes to standard output until nobody reads it any more; then it falls silent."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record at once."""
        try:
            data = (self.format(record) + "\n").encode(sys.stdout.encoding or "utf-8", "backslashreplace")
            while data:
                data = data[os.write(1, data) :]
        except OSError as error:
            if error.errno in _GONE:
                logging.getLogger().removeHandler(self)
                silence_stdout()
        except Exception:  # noqa: BLE001 - a log call never fails
            self.handleError(record)


class Logs:
    """The handlers that `options` ask for. Make one in the life of a process, in the process that serves.

    Raises StartError if the log file cannot be opened.
    """

    def __init__(self, options: Options) -> None:
        self._formatter = LineFormatter(options.logformat)
        self._file: FileHandler | None = None
        self._to_stdout = False
        root = logging.getLogger()
        root.setLevel(logging.DEBUG if options.verbose else logging.INFO)
        for handler in root.handlers[:]:
            root.removeHandler(handler)
        if options.log_to_file:
            self._file = _file_handler(options)
            self._add(self._file)
        if options.log_to_stdout and not _stdout_is_useless(options):
            self._to_stdout = True
            self._add(StdoutHandler())
        logging.captureWarnings(True)
        threading.excepthook = _log_thread_death

    def reopen(self) -> None:
        """Open the log file again, for whoever moved it."""
        if self._file is not None:
            self._file.reopen()
            log.info("log file opened again")

    def to_file(self, level: int, text: str) -> None:
        """Log one line to the log file only: people are told in another way."""
        if self._file is not None:
            self._file.handle(logging.LogRecord("daemon", level, __file__, 0, text, (), None))

    def last_words(self, level: int, text: str) -> None:
        """Log one line without waiting for any lock or reader; the process is about to be ended by force."""
        record = logging.LogRecord("daemon", level, __file__, 0, text, (), None)
        line = (self._formatter.format(record) + "\n").encode("utf-8", "backslashreplace")
        try:
            if self._file is not None:
                self._file.write_unlocked(line)
            fd = 1 if self._to_stdout else 2
            poll = select.poll()
            poll.register(fd, select.POLLOUT)
            if poll.poll(0) == [(fd, select.POLLOUT)]:
                os.write(fd, line)
        except OSError:
            return

    def _add(self, handler: logging.Handler) -> None:
        handler.setFormatter(self._formatter)
        logging.getLogger().addHandler(handler)


def _file_handler(options: Options) -> FileHandler:
    # What the interpreter or a child writes to standard error would otherwise be lost in the background, and
    # a descriptor that already leads to the log would stay with yesterday's file.
    followers = [fd for fd in (1, 2) if _same(fd, options.logfile)]
    if options.daemon and not is_regular(2):
        followers.append(2)
    try:
        return FileHandler(
            options.logfile,
            keep_days=options.maximum_log_files if options.rotate_logs else None,
            followers=followers,
        )
    except OSError as error:
        raise StartError(f"--logfile={options.logfile}: {why_not(error, options.logfile)}") from None


def _stdout_is_useless(options: Options) -> bool:
    """In the background only a file is worth writing to, and not if it is the log file itself."""
    return (options.daemon and not is_regular(1)) or (options.log_to_file and _same(1, options.logfile))


def _same(fd: int, path: str) -> bool:
    try:
        return is_regular(fd) and os.path.samestat(os.fstat(fd), os.stat(path))
    except OSError:
        return False


def _log_thread_death(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is SystemExit or args.exc_value is None:
        return
    name = args.thread.name if args.thread is not None else "?"
    log.critical(
        "thread %s ended by an unexpected error",
        name,
        exc_info=(args.exc_type, args.exc_value, args.exc_traceback),
    )
