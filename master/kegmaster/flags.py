"""The command line of master.py: verbs, flags, help.

Knows argparse, which costs a fifth of absl's import. Must not know what the verbs do.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from . import __version__
from .exit_codes import HELP, Verb
from .lean import Final, NoReturn

VERBS: Final = {
    "start": "start the enabled apps, or those named, and the master if none runs",
    "stop": "stop the apps named, or all of them and the master",
    "restart": "stop and start again, as the configuration now says",
    "try-restart": "restart, if a master runs; else do nothing",
    "reload": "read the configuration again, and start, stop or restart just the apps that it changes",
    "force-reload": "the same as reload",
    "status": "show what runs, what does not, and why",
    "configtest": "check the configuration, print the commands that start would run, and touch nothing",
    "run": "be the master in the foreground, for containers and init systems",
    "logs": "print the end of the apps' logs; -f to follow",
    "events": "print what happened to the apps and the master, last; -f to follow",
}
DEFAULT_TIMEOUT_S: Final = 90.0
DEFAULT_LINES: Final = 20


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message} (try --help)", file=sys.stderr)
        raise SystemExit(Verb.USAGE)


def parse(argv: Sequence[str], program: str) -> argparse.Namespace:
    """Read the words behind the program's name; --help and --helpshort print and exit 0, mistakes exit 2."""
    parser = _Parser(
        prog=program, add_help=False, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter,
        usage=f"{program} VERB [APP ...] [flags]", description="Launcher and watchdog for the apps of one INI file.",
    )  # fmt: skip
    parser.add_argument("verb", nargs="?", metavar="VERB", help=", ".join(VERBS))
    parser.add_argument("names", nargs="*", metavar="APP", help="section names; none: all enabled apps")
    add = parser.add_argument_group("flags").add_argument
    add("--master_config", "--config", metavar="FILE", help="the configuration")
    add("--pidfile_dir", metavar="DIR", help="pidfiles, socket and records")
    add("--logfile_dir", metavar="DIR", help="logs")
    add(
        "--state_dir",
        metavar="DIR",
        help="what must outlive a reboot; default: --pidfile_dir if that is given",
    )
    add("--verbose", action="store_true", help="tell more, here and in the log")
    add("--noverbose", dest="verbose", action="store_false", help=argparse.SUPPRESS)
    add("--dry_run", action="store_true", help="reload: only show what would change")
    add("--nodry_run", dest="dry_run", action="store_false", help=argparse.SUPPRESS)
    add("--json", action="store_true", help="print JSON")
    add("--nojson", dest="json", action="store_false", help=argparse.SUPPRESS)
    add(
        "--timeout",
        metavar="SECONDS",
        type=_seconds,
        default=DEFAULT_TIMEOUT_S,
        help="wait no longer than this (90)",
    )
    add("-f", "--follow", action="store_true", help="logs, events: go on printing what is added")
    add(
        "-n",
        "--lines",
        metavar="N",
        type=_lines,
        default=DEFAULT_LINES,
        help="logs, events: so many lines (20)",
    )
    add(
        "--help",
        "-h",
        "-?",
        dest="show",
        action="store_const",
        const="help",
        help="everything: verbs, flags, keys, statuses",
    )
    add("--helpshort", dest="show", action="store_const", const="helpshort", help="verbs and flags")
    add("--version", dest="show", action="store_const", const="version", help="the version")
    options = parser.parse_intermixed_args(list(argv))
    if options.show:
        _show(parser, options.show)
        raise SystemExit(Verb.DONE)
    if options.verb is None:
        parser.error("no verb given")
    if options.verb not in VERBS:
        parser.error(f"unknown verb {options.verb!r}; the verbs are {', '.join(VERBS)}")
    return options


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e9:
        raise argparse.ArgumentTypeError(f"expected seconds, found {text!r}")
    return value


def _lines(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise argparse.ArgumentTypeError(f"expected a number of lines, found {text!r}")
    return int(text)


def _show(parser: argparse.ArgumentParser, what: str) -> None:
    if what == "version":
        print(f"kegmaster {__version__}")
        return
    verbs = "\n".join(f"  {verb:<14}{text}" for verb, text in VERBS.items())
    print(parser.format_help() + f"\nverbs:\n{verbs}\n")
    if what == "help":
        from .keys import KEYS

        print("keys of a section (all others are flags of its program, --key=value):")
        for key in KEYS.values():
            if not key.planned:
                default = f" [{key.default}]" if key.default else ""
                print(f"  {key.name:<24}{key.help}{default}")
        print(f"\n{HELP}", end="")
