"""The command line of master.py: verbs, flags, help.

Must not know what the verbs do. No argparse: every command would pay for its import, and the resident processes
that `start` forks off would keep it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from . import __version__, reexec
from .exit_codes import HELP, Verb
from .lean import Final, NoReturn, dataclass, field

VERBS: Final = {
    "start": "start the enabled apps, or just those named (disabled ones, too), and the master if none runs",
    "stop": "stop the apps named, or all of them and the master",
    "restart": "stop and start again, as the configuration now says",
    "try-restart": "restart, if a master runs; else do nothing",
    "reload": "read the configuration again, and start, stop or restart just the apps that it changes; with names: "
    "have these apps read their own again (_reload_signal)",
    "force-reload": "the same as reload",
    "reexec": "replace the master by the version that is installed now, while the apps run",
    "status": "show what runs, what does not, and why",
    "configtest": "check the configuration, print the commands that start would run, and touch nothing",
    "run": "be the master in the foreground, for containers and init systems; with names: print what these apps say",
    "logs": "print the end of the apps' logs; -f to follow",
    "events": "print what happened to the apps and the master, last; -f to follow",
    "install": "start the master at boot; with NAME -- PROGRAM WORDS: run that program as the app NAME, from now on",
    "remove": "undo what install did: for the app named, or for the master",
    "reinstall": "install again, as the last install of that name was",
    "stop_and_remove": "stop, then remove",
    "stop_and_reinstall": "stop, then reinstall",
    "stop_and_restart": "stop, then start",
    "import": "print the configuration that does what FILE of another launcher does",
    "export": "print what has another launcher run these apps (--format)",
    "completion": "print the completion script for bash or zsh",
}
CLIENT_VERBS: Final = {
    "install": "services", "remove": "services", "reinstall": "services", "stop_and_remove": "services",
    "stop_and_reinstall": "services", "stop_and_restart": "services", "import": "convert", "export": "convert",
    "completion": "completion",
}  # fmt: skip
"""The verbs that no master carries out, and the package or module that does: its `perform(command)`."""
BOOTS: Final = (
    "auto", "none", "systemd", "systemd-user", "sysv", "openrc", "runit", "s6", "upstart", "launchd", "cron",
    "rc.local", "windows-task", "windows-startup", "nssm", "sc",
)  # fmt: skip
FORMATS: Final = ("systemd", "supervisord", "procfile", "compose", "kubernetes")
SOURCES: Final = ("supervisord", "procfile", "circus", "systemd", "kegbot_master")
_WORDS: Final = {
    "install": "[NAME -- PROGRAM WORDS ...]", "import": "FILE ...", "completion": "bash|zsh", "reexec": "",
}  # fmt: skip
"""What stands behind these verbs; behind all others names of apps do."""
DEFAULT_TIMEOUT_S: Final = 90.0
DEFAULT_LINES: Final = 20
DEFAULT_DEATHS: Final = 1


@dataclass(slots=True, kw_only=True)
class Options:
    """What was typed. `show`: help, helpshort or version instead of a verb."""

    verb: str = ""
    names: list[str] = field(default_factory=list)
    master_config: str | None = None
    pidfile_dir: str | None = None
    logfile_dir: str | None = None
    state_dir: str | None = None
    verbose: bool = False
    dry_run: bool = False
    json: bool = False
    timeout: float = DEFAULT_TIMEOUT_S
    follow: bool = False
    lines: int | None = None
    boot: str = "auto"
    user: str = ""
    now: bool = False
    print: bool = False
    service_name: str = ""
    boot_name: str = "kegmaster"
    description: str = ""
    s4u: bool = False
    activate: str = ""
    each: bool = False
    replace: bool = False
    absolute: bool = True
    env: list[str] = field(default_factory=list)
    env_file: str = ""
    yes: bool = False
    remove_install_args: bool = False
    remove_env_vars: bool = False
    remove_nssm: bool = False
    force: bool = False
    daemon_start: bool = True
    deep: bool = False
    crash: bool = False
    format: str = ""
    source: str = ""
    output: str = ""
    show: str = ""
    program: list[str] = field(default_factory=list)
    """What stands behind `--`, word by word as it was typed: `install NAME -- PROGRAM WORDS`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """One flag: its words, the option it sets, and to what: `value`, or, if it has a `metavar`, what follows it."""

    words: tuple[str, ...]
    sets: str
    help: str = ""
    metavar: str = ""
    read: Callable[[str], object] = str
    value: object = True
    verbs: tuple[str, ...] = ()
    """The verbs that heed it; none: all do."""
    choices: tuple[str, ...] = ()
    many: bool = False
    """It may stand there again and again; the option is a list."""


def _seconds(text: str) -> float:
    try:
        value = float(text) if text.isascii() else -1.0
    except ValueError:
        value = -1.0
    if not 0 < value < 1e9:
        raise ValueError(f"expected seconds, more than 0, found {text!r}")
    return value


def _lines(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise ValueError(f"expected a number of lines, found {text!r}")
    return int(text)


_SERVICES: Final = tuple(verb for verb, where in CLIENT_VERBS.items() if where == "services")
FLAGS: Final = (
    Flag(words=("--master_config", "--config"), sets="master_config", metavar="FILE", help="the configuration"),
    Flag(words=("--pidfile_dir",), sets="pidfile_dir", metavar="DIR", help="pidfiles, socket and records"),
    Flag(words=("--logfile_dir",), sets="logfile_dir", metavar="DIR", help="logs"),
    Flag(words=("--state_dir",), sets="state_dir", metavar="DIR",
         help="what must outlive a reboot; default: --pidfile_dir if that is given"),
    Flag(words=("--verbose",), sets="verbose", help="tell more, here and in the log"),
    Flag(words=("--noverbose",), sets="verbose", value=False),
    Flag(words=("--dry_run",), sets="dry_run", verbs=("reload", "force-reload"),
         help="reload: only show what would change"),
    Flag(words=("--nodry_run",), sets="dry_run", value=False),
    Flag(words=("--json",), sets="json", help="print JSON"),
    Flag(words=("--nojson",), sets="json", value=False),
    Flag(words=("--timeout",), sets="timeout", metavar="SECONDS", read=_seconds, help="wait no longer than this (90)"),
    Flag(words=("-f", "--follow"), sets="follow", verbs=("logs", "events"),
         help="logs, events: go on printing what is added"),
    Flag(words=("-n", "--lines"), sets="lines", metavar="N", read=_lines, verbs=("logs", "events"),
         help="logs, events: so many lines (20); logs --crash: so many deaths (1)"),
    Flag(words=("--boot",), sets="boot", metavar="INIT", choices=BOOTS, verbs=("install", "reinstall", "remove"),
         help="install: the init system; auto: the one of this machine; none: leave its boot alone"),
    Flag(words=("--user",), sets="user", metavar="NAME", verbs=("install",),
         help="install: the master runs as this user; with a PROGRAM: the app does"),
    Flag(words=("--now",), sets="now", verbs=("install", "reinstall"), help="install: start it, too"),
    Flag(words=("--print",), sets="print", verbs=("install", "remove", "reinstall"),
         help="install, remove: show the files and commands, and do nothing"),
    Flag(words=("--service_name",), sets="service_name", metavar="NAME", verbs=_SERVICES,
         help="install: the app's name, as the first word"),
    Flag(words=("--boot_name",), sets="boot_name", metavar="NAME", verbs=_SERVICES,
         help="install: what the init system calls the master (kegmaster)"),
    Flag(words=("--description",), sets="description", metavar="TEXT", verbs=("install",),
         help="install: what the init system shows"),
    Flag(words=("--s4u",), sets="s4u", verbs=("install",),
         help="install, on Windows: the task stores no password, and has no rights on the network"),
    Flag(words=("--activate",), sets="activate", metavar="COMMAND", verbs=("install",),
         help="install, on Windows: what the batch file calls first"),
    Flag(words=("--each",), sets="each", verbs=("install",), help="install, on Windows: a service for each app"),
    Flag(words=("--replace",), sets="replace", verbs=("install",), help="install: even if NAME is there already"),
    Flag(words=("--no_absolute", "--noabsolute"), sets="absolute", value=False, verbs=("install",),
         help="install: leave relative paths as they are"),
    Flag(words=("--absolute",), sets="absolute"),
    Flag(words=("--env",), sets="env", metavar="NAME=VALUE", many=True, verbs=("install",),
         help="install: a variable for the app, kept in a file that only its user reads"),
    Flag(words=("--env_file",), sets="env_file", metavar="FILE", verbs=("install",),
         help="install: a file of such NAME=VALUE lines"),
    Flag(words=("--yes", "-y"), sets="yes", verbs=("reinstall", "remove", "stop_and_reinstall", "stop_and_remove"),
         help="reinstall: do not ask"),
    Flag(words=("--remove_install_args",), sets="remove_install_args", verbs=_SERVICES,
         help="remove: forget what reinstall would need"),
    Flag(words=("--remove_env_vars",), sets="remove_env_vars", verbs=_SERVICES, help="remove: its variables, too"),
    Flag(words=("--remove_nssm",), sets="remove_nssm", verbs=_SERVICES, help="remove, on Windows: our nssm.exe, too"),
    Flag(words=("--force",), sets="force", verbs=("start", "run", "restart"),
         help="start: end a master that does not answer, if it is proven to be one, and take its apps over"),
    Flag(words=("--noforce",), sets="force", value=False),
    Flag(words=("--no_daemon_start", "--nodaemon_start"), sets="daemon_start", value=False, verbs=("start", "restart"),
         help="start: only if a master runs"),
    Flag(words=("--daemon_start",), sets="daemon_start"),
    Flag(words=("--deep",), sets="deep", verbs=("configtest",),
         help="configtest: look into the configuration files of the programs, too"),
    Flag(words=("--crash",), sets="crash", verbs=("logs",), help="logs: what was printed before each death"),
    Flag(words=("--format",), sets="format", metavar="FORMAT", choices=FORMATS, verbs=("export",),
         help="export: for which launcher"),
    Flag(words=("--output",), sets="output", metavar="DIR", verbs=("export",),
         help="export: write files into DIR, not to stdout"),
    Flag(words=("--from",), sets="source", metavar="LAUNCHER", choices=SOURCES, verbs=("import",),
         help="import: whose file it is, if that cannot be seen"),
    Flag(words=("--help", "-h", "-?"), sets="show", value="help", help="everything: verbs, flags, keys, statuses"),
    Flag(words=("--helpshort",), sets="show", value="helpshort", help="verbs and flags"),
    Flag(words=("--version",), sets="show", value="version", help="the version"),
)  # fmt: skip


class _MistakeError(Exception):
    """What is wrong with the command line, in words."""


def parse(argv: Sequence[str], program: str) -> Options:
    """Read the words behind the program's name; --help and --helpshort print and exit 0, mistakes exit 2."""
    try:
        options = _read(list(argv))
    except _MistakeError as mistake:
        _fail(program, str(mistake))
    if options.verb == "help" and not options.show:
        options.show, options.verb = "help", next(iter(options.names), "")
    if options.show:
        _show(program, options.show, options.verb)
        raise SystemExit(Verb.DONE)
    if not options.verb:
        _fail(program, "no verb given")
    if options.verb not in (*VERBS, *reexec.VERBS):
        from .problems import nearest

        meant = nearest(options.verb, VERBS)
        hint = f"did you mean {meant}?" if meant else f"the verbs are {', '.join(VERBS)}"
        _fail(program, f"unknown verb {options.verb!r}; {hint}")
    return options


def _fail(program: str, message: str) -> NoReturn:
    print(f"{program}: {message} (try --help)", file=sys.stderr)
    raise SystemExit(Verb.USAGE)


def _read(words: list[str]) -> Options:
    known = {word: flag for flag in FLAGS for word in flag.words}
    options = Options()
    plain: list[str] = []
    strange: list[str] = []
    used: list[Flag] = []
    while words:
        word = words.pop(0)
        if word == "--":
            if plain[:1] == ["install"]:
                options.program = words
            else:
                plain += words
            break
        if not word.startswith("-") or word == "-":
            plain.append(word)
            continue
        name, given, text = word.partition("=")
        if not word.startswith("--"):
            # -f, -n 5, -n5, -fn5
            name, text = word[:2], word[2:].removeprefix("=")
            given = word[2:]
        flag = known.get(name) or known.get(f"--{name[2:].replace('-', '_')}")
        if flag is None:
            strange.append(word)
            continue
        used.append(flag)
        if flag.metavar:
            _set(options, flag, text if given else _next(words, known, flag))
        else:
            setattr(options, flag.sets, flag.value)
            if given and word.startswith("--"):
                raise _MistakeError(f"argument {'/'.join(flag.words)}: it takes no value, found {text!r}")
            if given:
                words.insert(0, f"-{word[2:]}")
    if strange:
        raise _MistakeError(f"unrecognized arguments: {' '.join(strange)}")
    if plain:
        # OpenMSIStream's verbs are written with _, and read with either.
        options.verb = plain[0].replace("-", "_") if plain[0].replace("-", "_") in CLIENT_VERBS else plain[0]
        options.names = list(dict.fromkeys(plain[1:]))
    for flag in used:
        if options.verb and not options.show and flag.verbs and options.verb not in flag.verbs:
            raise _MistakeError(
                f"{flag.words[0]} has no meaning for {options.verb}, only for {', '.join(flag.verbs)}"
            )
    return options


def _next(words: list[str], known: dict[str, Flag], flag: Flag) -> str:
    if not words or words[0].partition("=")[0] in known:
        raise _MistakeError(f"argument {'/'.join(flag.words)}: expected {flag.metavar}")
    return words.pop(0)


def _set(options: Options, flag: Flag, text: str) -> None:
    if flag.choices and text not in flag.choices:
        raise _MistakeError(f"argument {'/'.join(flag.words)}: {text!r} is none of {', '.join(flag.choices)}")
    try:
        value = flag.read(text)
        if flag.many:
            getattr(options, flag.sets).append(value)
        else:
            setattr(options, flag.sets, value)
    except ValueError as error:
        raise _MistakeError(f"argument {'/'.join(flag.words)}: {error}") from None


def _list(flags: Sequence[Flag]) -> None:
    for flag in flags:
        if flag.help:
            words = ", ".join(flag.words)
            words = f"{words} {flag.metavar}".rstrip()
            print(f"  {words:<31} {flag.help}" if len(words) < 32 else f"  {words}\n{'':<34}{flag.help}")
            for line in _lines_of(flag.choices):
                print(f"{'':<34}{line}")


def _lines_of(choices: Sequence[str]) -> list[str]:
    from textwrap import wrap

    return wrap(values_of(choices), 76, break_on_hyphens=False) if choices else []


def values_of(choices: Sequence[str]) -> str:
    """The values that a flag may have, in words."""
    return f"{', '.join(choices[:-1])} or {choices[-1]}"


def _show(program: str, what: str, verb: str = "") -> None:
    if what == "version":
        print(f"kegmaster {__version__}")
        return
    if verb in VERBS:
        words = " ".join(filter(None, (program, verb, _WORDS.get(verb, "[APP ...]"), "[flags]")))
        print(f"usage: {words}")
        print(f"\n{VERBS[verb]}\n\nflags:")
        _list([flag for flag in FLAGS if not flag.verbs or verb in flag.verbs])
        print(f"\n{program} --help: all verbs, flags and keys, and what an exit status means")
        return
    print(
        f"usage: {program} VERB [APP ...] [flags]\n\nLauncher and watchdog for the apps of one INI file.\n\nflags:"
    )
    _list(FLAGS)
    verbs = "\n".join(f"  {verb:<20}{text}" for verb, text in VERBS.items())
    print(f"\nverbs:\n{verbs}\n\nAPP is a section of the configuration; none: all enabled apps.\n")
    if what == "help":
        from .keys import KEYS

        print("keys of a section (all others are flags of its program, --key=value):")
        for key in KEYS.values():
            if not key.planned:
                default = f" [{key.default}]" if key.default else ""
                print(f"  {key.name:<24}{key.help}{default}")
        print(f"\n{HELP}", end="")
