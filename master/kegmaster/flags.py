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
    "start": "start the enabled apps, or those named, and the master if none runs",
    "stop": "stop the apps named, or all of them and the master",
    "restart": "stop and start again, as the configuration now says",
    "try-restart": "restart, if a master runs; else do nothing",
    "reload": "read the configuration again, and start, stop or restart just the apps that it changes",
    "force-reload": "the same as reload",
    "reexec": "replace the master by the version that is installed now, while the apps run",
    "status": "show what runs, what does not, and why",
    "configtest": "check the configuration, print the commands that start would run, and touch nothing",
    "run": "be the master in the foreground, for containers and init systems",
    "logs": "print the end of the apps' logs; -f to follow",
    "events": "print what happened to the apps and the master, last; -f to follow",
}
DEFAULT_TIMEOUT_S: Final = 90.0
DEFAULT_LINES: Final = 20


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
    lines: int = DEFAULT_LINES
    show: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """One flag: its words, the option it sets, and to what: `value`, or, if it has a `metavar`, what follows it."""

    words: tuple[str, ...]
    sets: str
    help: str = ""
    metavar: str = ""
    read: Callable[[str], object] = str
    value: object = True


def _seconds(text: str) -> float:
    try:
        value = float(text) if text.isascii() else -1.0
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e9:
        raise ValueError(f"expected seconds, found {text!r}")
    return value


def _lines(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise ValueError(f"expected a number of lines, found {text!r}")
    return int(text)


FLAGS: Final = (
    Flag(words=("--master_config", "--config"), sets="master_config", metavar="FILE", help="the configuration"),
    Flag(words=("--pidfile_dir",), sets="pidfile_dir", metavar="DIR", help="pidfiles, socket and records"),
    Flag(words=("--logfile_dir",), sets="logfile_dir", metavar="DIR", help="logs"),
    Flag(words=("--state_dir",), sets="state_dir", metavar="DIR",
         help="what must outlive a reboot; default: --pidfile_dir if that is given"),
    Flag(words=("--verbose",), sets="verbose", help="tell more, here and in the log"),
    Flag(words=("--noverbose",), sets="verbose", value=False),
    Flag(words=("--dry_run",), sets="dry_run", help="reload: only show what would change"),
    Flag(words=("--nodry_run",), sets="dry_run", value=False),
    Flag(words=("--json",), sets="json", help="print JSON"),
    Flag(words=("--nojson",), sets="json", value=False),
    Flag(words=("--timeout",), sets="timeout", metavar="SECONDS", read=_seconds, help="wait no longer than this (90)"),
    Flag(words=("-f", "--follow"), sets="follow", help="logs, events: go on printing what is added"),
    Flag(words=("-n", "--lines"), sets="lines", metavar="N", read=_lines, help="logs, events: so many lines (20)"),
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
    if options.show:
        _show(program, options.show)
        raise SystemExit(Verb.DONE)
    if not options.verb:
        _fail(program, "no verb given")
    if options.verb not in (*VERBS, *reexec.VERBS):
        _fail(program, f"unknown verb {options.verb!r}; the verbs are {', '.join(VERBS)}")
    return options


def _fail(program: str, message: str) -> NoReturn:
    print(f"{program}: {message} (try --help)", file=sys.stderr)
    raise SystemExit(Verb.USAGE)


def _read(words: list[str]) -> Options:
    known = {word: flag for flag in FLAGS for word in flag.words}
    options = Options()
    plain: list[str] = []
    strange: list[str] = []
    while words:
        word = words.pop(0)
        if word == "--":
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
        flag = known.get(name)
        if flag is None:
            strange.append(word)
        elif flag.metavar:
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
        options.verb, options.names = plain[0], plain[1:]
    return options


def _next(words: list[str], known: dict[str, Flag], flag: Flag) -> str:
    if not words or words[0].partition("=")[0] in known:
        raise _MistakeError(f"argument {'/'.join(flag.words)}: expected {flag.metavar}")
    return words.pop(0)


def _set(options: Options, flag: Flag, text: str) -> None:
    try:
        setattr(options, flag.sets, flag.read(text))
    except ValueError as error:
        raise _MistakeError(f"argument {'/'.join(flag.words)}: {error}") from None


def _show(program: str, what: str) -> None:
    if what == "version":
        print(f"kegmaster {__version__}")
        return
    print(
        f"usage: {program} VERB [APP ...] [flags]\n\nLauncher and watchdog for the apps of one INI file.\n\nflags:"
    )
    for flag in FLAGS:
        if flag.help:
            words = ", ".join(flag.words)
            print(f"  {f'{words} {flag.metavar}'.rstrip():<32}{flag.help}")
    verbs = "\n".join(f"  {verb:<14}{text}" for verb, text in VERBS.items())
    print(f"\nverbs:\n{verbs}\n\nAPP is a section of the configuration; none: all enabled apps.\n")
    if what == "help":
        from .keys import KEYS

        print("keys of a section (all others are flags of its program, --key=value):")
        for key in KEYS.values():
            if not key.planned:
                default = f" [{key.default}]" if key.default else ""
                print(f"  {key.name:<24}{key.help}{default}")
        print(f"\n{HELP}", end="")
