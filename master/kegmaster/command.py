"""master.py: what a person typed, carried out and answered.

Knows the command line, the control channel and the terminal. Must import lazily: most verbs need little.
"""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence

from . import client, flags, paths, pidfiles
from .config import Directories
from .dispatch import Dispatch, Terminal
from .exit_codes import Status, Verb
from .lean import Any
from .loading import Source, UnreadableError
from .paths import NoHomeError, RunDirectory
from .programs import Search
from .reexec import CHECK, TAKE_OVER, Program, this_program
from .spec import App, Config

_BIRTHS = 3
"""How often a master is made, if others get in the way and are gone before they answer."""


class Command:
    """One invocation."""

    def __init__(self, options: flags.Options, program: str) -> None:
        """Find out where everything is. Raises NoHomeError."""
        self.options = options
        self.program = os.path.basename(program)
        self._script = os.path.abspath(program)
        given: tuple[Any, ...] = (options.master_config, options.pidfile_dir, options.logfile_dir)
        if None in given:
            fallback = paths.defaults(dict(os.environ), os.geteuid())
            given = tuple(
                chosen if chosen is not None else default
                for chosen, default in zip(
                    given, (fallback.config, fallback.pidfile_dir, fallback.logfile_dir), strict=True
                )
            )
        self.config_file, pidfile_dir, logfile_dir = (
            os.path.abspath(os.path.expanduser(path)) for path in given
        )
        state_dir = options.state_dir or (
            pidfile_dir if options.pidfile_dir is not None else fallback.state_dir
        )
        self.run_directory = RunDirectory(
            path=pidfile_dir, state=os.path.abspath(os.path.expanduser(state_dir))
        )
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
        verbs: dict[str, Callable[[], int]] = {
            "start": self.start, "restart": self.start, "stop": self.stop, "status": self.status,
            "configtest": self.configtest, "run": self.run, "logs": self.logs, "events": self.events,
            "reexec": self.reexec,
            CHECK: self.take_over, TAKE_OVER: self.take_over,
            "reload": self.reload, "force-reload": self.reload, "try-restart": self.try_restart,
        }  # fmt: skip
        return verbs[self.options.verb]()

    # Verbs

    def configtest(self) -> int:
        """Print the commands that `start` would run, and every problem."""
        import shlex

        config, _ = self.source.load(self.options.names)
        # What a program missing from this machine would be given is worth seeing too.
        apps = self._chosen(self.source.parse() if config.unsound else config)
        unknown = self._unknown(config)
        if self.options.json:
            fields = ("name", "type", "pidfile", "logfile")
            rows = [
                {field: getattr(app, field) for field in fields} | {"argv": list(app.argv)} for app in apps
            ]
            print(
                json.dumps(
                    {"config": config.file, "apps": rows, "problems": [str(p) for p in config.problems]},
                    indent=2,
                )
            )
        else:
            for app in apps:
                print(shlex.join(app.argv))
            for problem in config.problems:
                self.terminal.error(str(problem), bare=True)
        if unknown:
            return self.terminal.fail(f"{config.file}: there is no section [{unknown[0]}]", Verb.USAGE)
        return Verb.NOT_CONFIGURED if config.problems else Verb.DONE

    def start(self) -> int:
        """Start or restart, making a master if there is none."""
        sock = client.connect(self.run_directory.socket)
        fresh = sock is None
        if fresh:
            config, missing = self.source.load(self.options.names)
            if (code := self._startable(config, missing)) is not None:
                return code
            sock = self._make_master(config)
        # A new master may have adopted what a dead one left: that too is to be restarted.
        return self.dispatch.follow(
            sock, self.options.verb, self.options.names, fresh=fresh,
            make=lambda: self._make_master(self.source.load(self.options.names)[0]),
        )  # fmt: skip

    def try_restart(self) -> int:
        """Restart what the master that runs has; without a master, nothing is to be done."""
        sock = client.connect(self.run_directory.socket)
        if sock is None:
            return self._nothing_runs("restart")
        return self.dispatch.follow(sock, "restart", self.options.names, sparing=True)

    def reload(self) -> int:
        """Have the master read the configuration again."""
        if self.options.names:
            return self.terminal.fail("reload takes no names: it looks at the whole file", Verb.USAGE)
        sock = client.connect(self.run_directory.socket)
        if sock is None:
            return self.terminal.fail(
                "no master runs, so there is nothing to reload; start reads the file", Verb.NOT_RUNNING
            )
        return self.dispatch.reload(sock, dry_run=self.options.dry_run)

    def reexec(self) -> int:
        """Have the master replaced by what is installed now."""
        if self.options.names:
            return self.terminal.fail("reexec takes no names: it replaces the master", Verb.USAGE)
        sock = client.connect(self.run_directory.socket)
        if sock is None:
            return self.terminal.fail("no master runs, so there is nothing to replace", Verb.NOT_RUNNING)
        return self.dispatch.reexec(sock)

    def take_over(self) -> int:
        """Be tried out by, or come after, the version before."""
        from . import birth, takeover
        from .journal import Journal

        if self.options.verb == CHECK:
            return takeover.check(self.source, self.run_directory, self.options.names)
        origin = birth.Birth(
            source=self.source, run=self.run_directory, lock=pidfiles.Lock(self.run_directory.pidfile),
            journal=Journal(self.logfile, verbose=self.options.verbose), program=self._program(),
        )  # fmt: skip
        return takeover.take_over(origin, self.options.names, verbose=self.options.verbose)

    def stop(self) -> int:
        """Stop apps; without names the master too. After a crash of the master, what it left is found and ended."""
        sock = client.connect(self.run_directory.socket)
        if sock is None:
            try:
                config, unreadable = self.source.load()[0], ""
            except UnreadableError as error:
                config, unreadable = Config(file=self.config_file), str(error)
            if not unreadable and (unknown := self._unknown(config)):
                return self.terminal.fail(f"{config.file}: there is no section [{unknown[0]}]", Verb.USAGE)
            if not self.dispatch.leftovers():
                return self._nothing_runs("stop", noting=() if unreadable else self.options.names)
            if unreadable:
                self.terminal.error(unreadable, bare=True)
            sock = self._make_master(config, revive=False)
        return self.dispatch.follow(sock, "stop", self.options.names)

    def status(self) -> int:
        """Show what runs."""
        from . import render

        try:
            answer = self.dispatch.status(self.options.names)
        except client.NoAnswerError:
            pid = self.dispatch.claimed()
            return self.terminal.fail(
                f"the master (process {pid}) does not answer; see {self.logfile}. If it is stopped, kill -CONT {pid}"
                f" lets it go on; kill -KILL {pid} has it replaced, the apps run on",
                Status.UNKNOWN,
            )
        if answer is None:
            from . import afterlife

            report, code = afterlife.status(self.run_directory, self.config_file)
        elif "status" not in answer:
            return self.terminal.fail(str(answer.get("error", "the master gave no answer")), Status.UNKNOWN)
        else:
            report, code = answer["status"], int(answer["exit"])
        if code == Status.UNKNOWN and self.options.names:
            self.terminal.error(f"{self.config_file}: there is no section [{self._unlisted(report)}]")
        if self.options.json:
            print(json.dumps(report, indent=2))
            return code
        numbers = None
        if self.options.verbose:
            from .usage import usage

            numbers = usage(row["pid"] for row in report["apps"] if row["pid"])
        print(render.table(report, usage=numbers))
        return code

    def run(self) -> int:
        """Be the master in the foreground."""
        from . import birth

        config, missing = self.source.load(self.options.names)
        for problem in config.problems:
            self.terminal.error(str(problem), bare=True)
        if (code := self._startable(config, missing, say=False)) is not None:
            return code
        try:
            return birth.foreground(
                self.source,
                self.run_directory,
                config,
                self.logfile,
                self.options.names,
                verbose=self.options.verbose,
                program=self._program(),
            )
        except birth.LockedError:
            return self.terminal.fail(f"a master runs already in {self.run_directory.path}", Verb.FAILED)
        except birth.BirthError as error:
            return self.terminal.fail(str(error), Verb.FAILED)

    def logs(self) -> int:
        """Print logs."""
        from . import logs

        config, _ = self.source.load()
        if unknown := self._unknown(config):
            return self.terminal.fail(f"{config.file}: there is no section [{unknown[0]}]", Verb.USAGE)
        files = {app.name: app.logfile for app in self._chosen(config)}
        return logs.show(files, lines=self.options.lines, follow=self.options.follow)

    def events(self) -> int:
        """Print what happened."""
        from . import eventlog
        from .recall import Recall

        names = self.options.names
        recall = Recall(self.run_directory, eventlog.path_beside(self.logfile), names, json=self.options.json)
        found = recall.last(self.options.lines, self.options.timeout)
        # Of an app that is no longer configured, there may be much to tell.
        if names and not found:
            unknown = [name for name in self._unknown(self.source.parse()) if name != paths.NAME]
            if unknown:
                return self.terminal.fail(
                    f"{self.config_file}: there is no section [{unknown[0]}]", Verb.USAGE
                )
        if self.options.follow:
            recall.follow(self.dispatch.reconnect)
        return Verb.DONE

    # Their parts

    def _program(self) -> Program:
        """What a later version of us is to be called with, from any directory."""
        directories = self.source.directories
        flags = [
            f"--master_config={self.config_file}", f"--pidfile_dir={self.run_directory.path}",
            f"--logfile_dir={directories.logfile_dir}", f"--state_dir={self.run_directory.state}",
            *(["--verbose"] if self.options.verbose else []),
        ]  # fmt: skip
        return this_program(self._script, flags)

    def _nothing_runs(self, verb: str, *, noting: Sequence[str] = ()) -> int:
        """`noting`: apps that are to stay stopped all the same when a master is made."""
        problems = []
        if noting:
            from .intent import Intent

            intent = Intent(self.run_directory.stopped)
            problems += [intent.problem] if intent.problem else []
            if lost := intent.add(noting):
                problems.append(f"{lost}; the next start will start {', '.join(noting)}")
        for problem in problems:
            self.terminal.error(problem, bare=True)
        nothing = {"verb": verb, "apps": [], "problems": problems, "exit": 0}
        print(json.dumps(nothing, indent=2) if self.options.json else "nothing is running")
        return Verb.DONE

    def _make_master(self, config: Config, *, revive: bool = True) -> socket.socket | None:
        """Make a master and connect to it; None if it is gone already, having carried a stop on to its end."""
        from . import birth

        files = (self.source, self.run_directory, config, self.logfile)
        for _ in range(_BIRTHS):
            try:
                birth.detach(*files, verbose=self.options.verbose, revive=revive, program=self._program())
                return client.connect(self.run_directory.socket)
            except birth.LockedError:
                # Somebody else is just doing the same, or a master hangs; or one was just about to end.
                if sock := self.dispatch.reconnect():
                    return sock
                if pidfiles.locked(self.run_directory.pidfile):
                    break
            except birth.BirthError as error:
                raise client.NoAnswerError(str(error)) from None
        raise client.NoAnswerError(
            f"a master holds {self.run_directory.pidfile} but does not answer;"
            f" see {self.logfile}, kill -TERM {self.dispatch.claimed()} ends it and its apps"
        )

    def _startable(self, config: Config, missing: frozenset[str], *, say: bool = True) -> int | None:
        """The exit status if there is nothing that could be started; None if there is."""
        problems = [
            problem
            for problem in config.problems
            if not self.options.names or problem.section in self.options.names
        ]
        if unknown := self._unknown(config):
            return self.terminal.fail(f"{config.file}: there is no section [{unknown[0]}]", Verb.USAGE)
        sound = {app.name for app in config.apps if app.enabled}
        if any(config.find(name) for name in self.options.names) or (sound and not self.options.names):
            return None
        if say:
            for problem in problems:
                self.terminal.error(str(problem), bare=True)
        if not problems:
            return self.terminal.fail(
                f"{config.file}: nothing to start; write _enabled = True into a section", Verb.NOT_CONFIGURED
            )
        lacking = {problem.section for problem in problems} <= missing
        return Verb.NOT_INSTALLED if lacking else Verb.NOT_CONFIGURED

    def _chosen(self, config: Config) -> list[App]:
        names = self.options.names
        return [app for app in config.apps if app.name in names or (app.enabled and not names)]

    def _unknown(self, config: Config) -> list[str]:
        return config.unknown(self.options.names)

    def _unlisted(self, report: dict[str, Any]) -> str:
        listed = {row["name"] for row in report["apps"]}
        return next((name for name in self.options.names if name not in listed), "")


def _open_standard_files() -> None:
    """Whoever closed descriptors 0 to 2 must not have a pipe or a socket of ours take their place."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number: this one
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def main(argv: Sequence[str]) -> int:
    """Run master.py with this command line, the program's path first; returns the exit status."""
    program = os.path.basename(argv[0])
    _open_standard_files()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        code = int(Command(flags.parse(argv[1:], program), argv[0]).perform())
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
        print(f"{program}: interrupted; what was begun goes on", file=sys.stderr)
        return 130
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            print(f"{program}: cannot go on: {error.filename or 'output'}: {error.strerror}", file=sys.stderr)
        # Flushing what is left of the output once more at exit would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return Verb.FAILED
