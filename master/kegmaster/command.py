"""master.py: what a person typed, carried out and answered.

Knows the command line, the control channel and the terminal. Must import lazily: most verbs need little.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Callable, Sequence

from . import client, flags, paths, pidfiles, sole
from .config import Directories
from .dispatch import Dispatch, Terminal
from .exit_codes import Verb
from .loading import Source, UnreadableError
from .paths import NoHomeError, RunDirectory
from .programs import Search
from .reexec import CHECK, TAKE_OVER
from .spec import App, Config

_MANAGING = ("start", "restart", "try-restart", "stop", "reload", "force-reload", "reexec")
_LOOKING = ("configtest", "status", "logs", "events")


class Command:
    """One invocation."""

    def __init__(self, options: flags.Options, program: str) -> None:
        """Find out where everything is. Raises NoHomeError."""
        self.options = options
        self.program = os.path.basename(program)
        self.script = os.path.abspath(program)
        self.config_file, pidfile_dir, logfile_dir, state_dir = (
            os.path.abspath(os.path.expanduser(path)) for path in _places(options)
        )
        self.asked_config = None if options.master_config is None else self.config_file
        """What was named; None: whatever the master that runs there has is meant."""
        self.run_directory = RunDirectory(path=pidfile_dir, state=state_dir)
        self.logfile = f"{logfile_dir}/{paths.NAME}.log"
        self.terminal = Terminal(self.program, options.verb, json=options.json)
        self.dispatch = Dispatch(self.terminal, self.run_directory, self.logfile, options.timeout)
        self.source = Source(
            file=self.config_file,
            directories=Directories(pidfile_dir=pidfile_dir, logfile_dir=logfile_dir),
            search=Search(
                beside=os.path.dirname(os.path.realpath(program)),
                base=os.path.dirname(self.config_file),
                inherited=os.environ.get("PATH", ""),
            ),
        )

    def perform(self) -> int:
        """Do it; returns the exit status."""
        if module := flags.CLIENT_VERBS.get(self.options.verb):
            from importlib import import_module

            return int(import_module(f".{module}", __package__).perform(self))
        if self.options.verb in _LOOKING:
            from . import looking

            return int(getattr(looking, self.options.verb)(self))
        from . import making, orders

        verbs: dict[str, Callable[[Command], int]] = {
            "start": orders.start, "restart": orders.start, "stop": orders.stop, "run": making.foreground,
            "reexec": orders.reexec, CHECK: orders.take_over, TAKE_OVER: orders.take_over,
            "reload": orders.reload, "force-reload": orders.reload, "try-restart": orders.try_restart,
        }  # fmt: skip
        code = verbs[self.options.verb](self)
        if self.options.verb in _MANAGING and os.path.isdir(f"{self.run_directory.state}/services"):
            from .services import actions

            actions.note(self.run_directory.state, self.options.verb, self.options.names, code)
        return code

    def chosen(self, config: Config) -> list[App]:
        """The apps that were named; without names, the enabled ones."""
        names = self.options.names
        return [app for app in config.apps if app.name in names or (app.enabled and not names)]

    def unknown(self, config: Config) -> list[str]:
        """The names given that are no section."""
        return config.unknown(self.options.names)


def _places(options: flags.Options) -> tuple[str, str, str, str]:
    """Configuration, run directory, log directory and state directory: as given, else where they are by default.

    Raises NoHomeError.
    """
    config, run, log, state = (
        options.master_config, options.pidfile_dir, options.logfile_dir, options.state_dir or options.pidfile_dir,
    )  # fmt: skip
    if config is not None and run is not None and log is not None and state is not None:
        return config, run, log, state
    default = paths.defaults(os.environ, os.geteuid())
    if config is None:
        own_or_system = (default.config, default.system_config)
        config = next(filter(os.path.exists, own_or_system), default.config)
        if config == default.system_config and not os.environ.get(paths.HOME_VARIABLE):
            default = _machines_or_own(default)
    if run is None:
        # Wherever it was started from, with whatever variables set: a configuration has one master.
        living = sole.elsewhere(os.path.abspath(os.path.expanduser(config)))
        run = living[1] if living else next(filter(_inhabited, default.other_run_dirs), default.pidfile_dir)
    if options.master_config is None and options.verb in ("logs", "events"):
        # Who names none wants to read of what runs, whatever file that was started with.
        config = sole.configuration(os.path.abspath(os.path.expanduser(run))) or config
    if log is None:
        file, directory = (os.path.abspath(os.path.expanduser(path)) for path in (config, run))
        log = sole.log_directory(file, directory) or default.logfile_dir
    return (
        config,
        run,
        log,
        default.state_dir if state is None else state,
    )


def _machines_or_own(own: paths.Defaults) -> paths.Defaults:
    """Who has no configuration of his own means the machine's master, where there is one; a second would double it."""
    if _inhabited(own.pidfile_dir) or not _inhabited(paths.SYSTEM.pidfile_dir):
        return own
    return paths.SYSTEM


def _inhabited(run: str) -> bool:
    """A master lives there, or one that fell has left its apps."""
    files = RunDirectory(path=run)
    return os.path.isdir(run) and (pidfiles.locked(files.pidfile) or os.path.isdir(files.records))


def _open_standard_files() -> None:
    """Whoever closed descriptors 0 to 2 must not have a pipe or a socket of ours take their place."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number: this one
    # Python has no streams for those that were closed when it began.
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115  # for as long as we live
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def main(argv: Sequence[str]) -> int:
    """Run master.py with this command line, the program's path first; returns the exit status."""
    program = os.path.basename(argv[0])
    _open_standard_files()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    verb = ""
    try:
        try:
            options = flags.parse(argv[1:], program)
        except SystemExit as done:
            sys.stdout.flush()  # while whoever reads no more can still be met with calm
            return int(done.code or Verb.DONE)
        verb = options.verb
        code = int(Command(options, argv[0]).perform())
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except FileNotFoundError as error:
        print(
            f"{program}: {error.filename or 'the current directory'} is gone; change to another",
            file=sys.stderr,
        )
        return Verb.FAILED
    except NoHomeError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return Verb.NOT_CONFIGURED
    except UnreadableError as error:
        print(error, file=sys.stderr)
        return Verb.NO_RIGHTS if error.rights else Verb.NOT_CONFIGURED
    except client.RightsError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return Verb.NO_RIGHTS
    except client.NoAnswerError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return Verb.FAILED
    except KeyboardInterrupt:
        if verb not in _LOOKING:
            print(f"{program}: interrupted; what was begun goes on", file=sys.stderr)
        return 130
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            print(f"{program}: cannot go on: {error.filename or 'output'}: {error.strerror}", file=sys.stderr)
        # Flushing what is left of the output once more at exit would fail again.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        return Verb.FAILED
