"""The life every program shares: command line, log, pidfile, becoming a daemon, signals, and how it ends.

`main` is all a program needs. Must not know any single program.
"""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence

from kegapps.daemon import detach, flags, stop, streams
from kegapps.daemon import usage as usage_text
from kegapps.daemon.errors import StartError, UsageError
from kegapps.daemon.logs import Logs
from kegapps.daemon.loop import Loop
from kegapps.daemon.notify import Notifier
from kegapps.daemon.service import Service

__all__ = ["DONE", "FAILED", "USAGE", "Service", "StartError", "UsageError", "main"]

DONE, FAILED, USAGE = 0, 1, 2

Serve = Callable[[Service], int | None]

log = logging.getLogger("daemon")


def main(
    serve: Serve,
    *,
    module: str,
    argv: Sequence[str],
    usage: str | None = "",
    job: bool = False,
    max_positional: int | None = None,
) -> int:
    """Run `serve` as the command line says; returns the exit status: 0 done, 1 failed, 2 usage.

    `module` is the program's `__name__`, `usage` what it is for (its docstring). A program that is a
    `job` ends by itself: with --daemon its command waits for that (or for `Service.ready`) and ends with the same
    status, and what it prints goes into the log. `max_positional` bounds the words that are no flags; more
    are a usage error. `serve` may raise StartError (status 1) and UsageError (status 2).
    """
    streams.open_missing(needs_stdout=job)
    stop.reset_inherited()
    name = os.path.basename(argv[0] if argv else "") or module
    flags.define()
    try:
        positional = flags.parse(argv)
        if max_positional is not None and len(positional) > max_positional:
            raise UsageError(f"unexpected word: {positional[max_positional]}")
        options = flags.options(name.removesuffix(".py"))
    except flags.HelpAsked as asked:
        return _answer(name, usage or "", str(asked))
    except UsageError as error:
        return _failed(name, f"{error} (try --help)", USAGE)
    except StartError as error:
        return _failed(name, str(error))
    return _Run(serve, name=name, positional=positional, options=options, job=job).start()


class _Run:
    """One run of a program, after its command line was understood."""

    def __init__(
        self, serve: Serve, *, name: str, positional: list[str], options: flags.Options, job: bool
    ) -> None:
        self._serve = serve
        self._name = name
        self._job = job
        self._positional = positional
        self._options = options
        self._start_pid = os.getpid()
        self._start_dir = _current_dir()
        self._had_terminal = streams.has_terminal()
        self._logs: Logs | None = None
        self._verdict: detach.Verdict | None = None
        self._stopping = False
        self._pidfile = None
        if options.pidfile:
            from kegapps.daemon.pidfile import Pidfile

            self._pidfile = Pidfile(options.pidfile, timeout=0)

    def start(self) -> int:
        """Become a daemon or stay, as wanted; the exit status."""
        try:
            if self._options.daemon:
                status, reason = detach.launch(
                    self._body, pidfile=self._pidfile, explain=self._explain, job=self._job
                )
                return _failed(self._name, reason, status) if status else DONE
            if self._pidfile is not None:
                self._pidfile.acquire()
        except Exception as error:  # noqa: BLE001 - no memory, no process, no pidfile: one line each
            return _failed(self._name, self._explain(error))
        try:
            return self._body(None)
        finally:
            if self._stopping:
                stop.ignore_more()
            if self._pidfile is not None:
                self._pidfile.release()

    def _body(self, verdict: detach.Verdict | None) -> int:
        """Everything from the log to the exit status, in the process that serves. Raises nothing."""
        self._verdict = verdict
        try:
            if self._job and verdict is not None:
                streams.to_log(self._name.removesuffix(".py"))  # before the log takes over standard error
            self._logs = Logs(self._options)
            loop = Loop()
            notifier = Notifier(os.environ, self._start_pid)
            stop.Signals(
                loop,
                on_signal=lambda number: self._on_signal(number, loop, notifier),
                on_stuck=self._end_by_force,
            )
            service = Service(
                loop,
                self._positional,
                start_dir=self._start_dir,
                notifier=notifier,
                on_ready=verdict.ready if verdict else lambda: None,
            )
            status = int(self._serve(service) or DONE)
            sys.stdout.flush()
            return status if 0 <= status <= 255 else FAILED
        except StartError as error:
            return self._fail(str(error))
        except UsageError as error:
            return self._fail(f"{error} (try --help)", USAGE)
        except SystemExit as error:
            if error.code is None or isinstance(error.code, int):
                return error.code or DONE
            return self._fail(str(error.code))
        except streams.OutputError as error:
            streams.silence_stdout()
            if error.nobody_reads:
                return FAILED  # `program | head`: nothing is wrong, and nobody is there to be told
            return self._fail(f"standard output: {error}")
        except BaseException:  # noqa: BLE001 - a crash of any kind belongs in the log, and is status 1
            return self._crash()

    def _on_signal(self, number: int, loop: Loop, notifier: Notifier) -> None:
        if number == signal.SIGHUP:
            # In the foreground the terminal may have been closed: then nobody is there to stop us later.
            gone = self._verdict is None and self._had_terminal and not streams.has_terminal()
            if not gone:
                if self._logs is not None:
                    self._logs.reopen()
                return
        elif number not in stop.ENDING:
            return  # the program's own handler takes care of it
        if not self._stopping:
            self._stopping = True
            log.info("stopping: %s", signal.Signals(number).name)
            notifier.stopping()
        loop.stop()

    def _end_by_force(self) -> None:
        try:
            if self._logs is not None:
                text = f"did not end within {stop.STOP_GRACE_S} s of being told to; ended by force"
                self._logs.last_words(logging.CRITICAL, text)
            if self._pidfile is not None and self._pidfile.i_am_locking():
                self._pidfile.release()
        finally:
            os._exit(FAILED)

    def _explain(self, error: Exception) -> str:
        import lockfile

        if isinstance(error, lockfile.Error):
            return f"--pidfile={error}"
        return f"cannot go to the background: {error}"

    def _fail(self, reason: str, status: int = FAILED) -> int:
        if self._logs is not None:
            self._logs.to_file(logging.ERROR, reason)
        return self._tell(reason, status)

    def _crash(self) -> int:
        error = sys.exc_info()[1]
        if isinstance(error, OSError) and error.errno == errno.EMFILE:
            # Whose import or socket gets none first is a matter of luck: no mistake in that line of code.
            log.debug("too few file descriptors", exc_info=True)
            return self._fail(f"too few file descriptors ({error.strerror}): raise the limit (ulimit -n)")
        log.critical("ended by an unexpected error", exc_info=True)
        where = f"; see {self._options.logfile}" if self._options.log_to_file else ""
        return self._tell(f"ended by an unexpected error: {type(error).__name__}: {error}{where}")

    def _tell(self, reason: str, status: int = FAILED) -> int:
        """Let whoever waits for us know: the shell's command, or the person in front of us."""
        if self._verdict is None:
            return _failed(self._name, reason, status)
        self._verdict.failed(reason, status)
        return status


def _answer(name: str, usage: str, asked: str) -> int:
    if asked == "version":
        text = usage_text.version(name)
    else:
        text = usage_text.text(name, usage, everything=asked != "helpshort")
    try:
        print(text, flush=True)
    except streams.OutputError as error:
        streams.silence_stdout()
        if not error.nobody_reads:
            return _failed(name, f"standard output: {error}")
    return DONE


def _failed(name: str, reason: str, status: int = FAILED) -> int:
    streams.say(f"{name}: {reason}")
    return status


def _current_dir() -> str:
    try:
        return os.getcwd()
    except OSError:
        return "/"
