"""The life every program shares: command line, log, pidfile, becoming a daemon, signals, and how it ends.

`main` is all a program needs. Must not know any single program.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import sys
from collections.abc import Callable, Sequence

from kegapps.daemon import detach, flags
from kegapps.daemon import usage as usage_text
from kegapps.daemon.errors import StartError, UsageError
from kegapps.daemon.logs import Logs, silence_stdout
from kegapps.daemon.loop import Loop
from kegapps.daemon.notify import Notifier
from kegapps.daemon.stop import STOP_GRACE_S, Signals

__all__ = ["Service", "StartError", "main"]

DONE, FAILED, USAGE = 0, 1, 2

log = logging.getLogger("daemon")


class Service:
    """What the runner gives to a program's `serve`.

    loop        ends on SIGTERM and SIGINT
    positional  the words of the command line that are no flags
    """

    def __init__(
        self, loop: Loop, positional: list[str], notifier: Notifier, on_ready: Callable[[], None]
    ) -> None:
        self.loop = loop
        self.positional = positional
        self.stopping = False
        self._notifier = notifier
        self._on_ready = on_ready
        self._status = ""
        self._is_ready = False

    def ready(self, status: str = "") -> None:
        """The program serves now: the command that started it in the background ends with status 0.

        Tells the service manager, too. Call it once; later calls only set the status.
        """
        if self._is_ready:
            self.status(status)
            return
        self._is_ready = True
        log.info("ready%s", f": {status}" if status else "")
        self._status = status
        self._notifier.ready(status)
        self._on_ready()
        self._ping()

    def status(self, text: str) -> None:
        """Show `text` (one line) as what the program is doing, and log it if it changed."""
        if text != self._status:
            self._status = text
            log.info("status: %s", text)
            self._notifier.status(text)

    def _ping(self) -> None:
        interval_s = self._notifier.ping_interval_s
        if interval_s is not None:
            self._notifier.ping()
            self.loop.call_later(interval_s, self._ping)


Serve = Callable[[Service], int | None]


def main(
    serve: Serve,
    *,
    module: str,
    argv: Sequence[str],
    usage: str | None = "",
    daemonizable: bool = True,
    max_positional: int | None = None,
) -> int:
    """Run `serve` as the command line says; returns the exit status: 0 done, 1 failed, 2 usage.

    `module` is the program's `__name__`, `usage` what it is for (its docstring). A program that is not
    `daemonizable` has no --daemon and no --pidfile. `max_positional` bounds the words that are no flags.
    """
    del module
    _open_missing_streams()
    detach.defaults()
    name = os.path.basename(argv[0]) if argv and argv[0] else "kegapps"
    flags.define(daemonizable=daemonizable)
    try:
        positional = flags.parse(argv)
        if max_positional is not None and len(positional) > max_positional:
            raise UsageError(f"unexpected word: {positional[max_positional]}")
        options = flags.options(name.removesuffix(".py"))
    except flags.HelpAsked as asked:
        return _answer(name, usage or "", str(asked))
    except UsageError as error:
        _complain(f"{name}: {error} (try --help)")
        return USAGE
    except StartError as error:
        return _failed(name, str(error))
    return _Run(serve, name=name, positional=positional, options=options).start()


class _Run:
    """One run of a program, after its command line was understood."""

    def __init__(self, serve: Serve, *, name: str, positional: list[str], options: flags.Options) -> None:
        self._serve = serve
        self._name = name
        self._positional = positional
        self._options = options
        self._start_pid = os.getpid()
        self._had_terminal = _has_terminal()
        self._logs: Logs | None = None
        self._verdict: detach.Verdict | None = None
        if options.pidfile:
            from kegapps.daemon.pidfile import Pidfile

            self._pidfile: Pidfile | None = Pidfile(options.pidfile, timeout=0)
        else:
            self._pidfile = None

    def start(self) -> int:
        """Become a daemon or not, as wanted; the exit status."""
        if self._options.daemon:
            reason = detach.launch(self._body, pidfile=self._pidfile, explain=self._explain)
            return _failed(self._name, reason) if reason else DONE
        try:
            with self._pidfile or contextlib.nullcontext():
                return self._body(None)
        except Exception as error:
            if self._pidfile is None or self._logs is not None:
                raise
            return _failed(self._name, self._explain(error))

    def _explain(self, error: Exception) -> str:
        if type(error).__module__.partition(".")[0] == "lockfile":
            return f"--pidfile={error}"
        return f"could not go to the background: {error}"

    def _body(self, verdict: detach.Verdict | None) -> int:
        """Everything from the log to the exit status, in the process that serves."""
        self._verdict = verdict
        loop = Loop()
        notifier = Notifier(os.environ, self._start_pid)
        service = Service(loop, self._positional, notifier, verdict.ready if verdict else lambda: None)

        def on_signal(number: int) -> None:
            if number == signal.SIGHUP and not (self._had_terminal and not verdict and not _has_terminal()):
                if self._logs is not None:
                    self._logs.reopen()
                log.info("log reopened")
                return
            if not service.stopping:
                service.stopping = True
                log.info("stopping: %s", signal.Signals(number).name)
                notifier.stopping()
            loop.stop()

        try:
            self._logs = Logs(self._options)
            Signals(loop, on_signal=on_signal, on_stuck=self._end_by_force)
            status = int(self._serve(service) or DONE)
            return status if 0 <= status <= 255 else FAILED
        except StartError as error:
            return self._fail(str(error))
        except SystemExit as error:
            if error.code is None or isinstance(error.code, int):
                return error.code or DONE
            return self._fail(str(error.code))
        except BrokenPipeError:
            if not _stdout_is_broken():
                return self._crash()
            silence_stdout()
            return FAILED
        except BaseException:  # noqa: BLE001 - a crash of any kind belongs into the log, and gives status 1
            return self._crash()

    def _fail(self, reason: str) -> int:
        if self._options.log_to_file and self._logs is not None:
            log.error("%s", reason)
        if self._verdict is not None:
            self._verdict.failed(reason)
            return FAILED
        return _failed(self._name, reason)

    def _crash(self) -> int:
        error = sys.exc_info()[1]
        log.critical("ended by an unexpected error", exc_info=True)
        where = f"; see {self._options.logfile}" if self._options.log_to_file else ""
        return self._fail_quietly(f"unexpected error: {type(error).__name__}: {error}{where}")

    def _fail_quietly(self, reason: str) -> int:
        """As `_fail`, but the log has it already."""
        if self._verdict is not None:
            self._verdict.failed(reason)
        elif not self._options.log_to_stdout:
            _failed(self._name, reason)
        return FAILED

    def _end_by_force(self) -> None:
        if self._logs is not None:
            text = f"did not end within {STOP_GRACE_S} s of being told to; ending by force"
            self._logs.last_words(logging.CRITICAL, text)
        if self._pidfile is not None and self._pidfile.i_am_locking():
            self._pidfile.release()
        os._exit(FAILED)


def _answer(name: str, usage: str, asked: str) -> int:
    if asked == "version":
        text = usage_text.version(name)
    else:
        text = usage_text.text(name, usage, everything=asked != "helpshort")
    try:
        print(text, flush=True)
    except BrokenPipeError:
        silence_stdout()
    except OSError as error:
        silence_stdout()
        return _failed(name, f"standard output: {error.strerror}")
    return DONE


def _failed(name: str, reason: str) -> int:
    _complain(f"{name}: {' '.join(reason.split())}")
    return FAILED


def _complain(line: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        print(line, file=sys.stderr, flush=True)


def _has_terminal() -> bool:
    """True if there is a controlling terminal that has not been hung up."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _stdout_is_broken() -> bool:
    poll = select.poll()
    poll.register(1, 0)
    return any(ready & (select.POLLERR | select.POLLNVAL) for _, ready in poll.poll(0))


def _open_missing_streams() -> None:
    """Give descriptors 0 to 2 to the null device if closed: the next file opened would become one."""
    fd = os.open(os.devnull, os.O_RDWR)
    while fd <= 2:
        os.set_inheritable(fd, True)
        fd = os.open(os.devnull, os.O_RDWR)
    os.close(fd)
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal's encoding lacks must not end a program; a reader of a pipe wants lines.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace", line_buffering=True)
