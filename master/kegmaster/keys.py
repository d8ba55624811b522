"""The one table of the launcher's own keys: name, type, default, help.

The parser, `configtest`, `--help` and the reference in docs/ all come from it. Names are systemd's, in snake_case,
wherever systemd has the thing. Must not know INI, files or processes.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping

from .lean import Final, dataclass
from .spec import Check

TYPES: Final = ("forking", "simple", "notify", "oneshot")
RESTARTS: Final = ("always", "on-failure", "no")

# The numbers are those of Linux on every architecture Python runs on, MIPS and Alpha aside.
SIGNALS: Final[Mapping[str, int]] = {
    "HUP": 1, "INT": 2, "QUIT": 3, "ABRT": 6, "KILL": 9, "USR1": 10, "USR2": 12, "ALRM": 14, "TERM": 15, "WINCH": 28,
}  # fmt: skip

_TRUE = {"1", "yes", "true", "on"}
_FALSE = {"0", "no", "false", "off"}
_UNITS = {"": 1.0, "s": 1.0, "ms": 0.001, "min": 60.0, "h": 3600.0}
_SECONDS = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|h|)\Z", re.ASCII)
_SIZE = re.compile(r"(\d{1,12})\s*([kKmMgG]?)[bB]?\Z", re.ASCII)
_SHIFTS = {"": 0, "k": 10, "m": 20, "g": 30}
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def boolean(text: str) -> bool:
    """True for yes, true, on, 1; False for no, false, off, 0; any case."""
    word = text.lower()
    if ";" in text or "#" in text:
        raise ValueError("expected True or False; a comment needs a line of its own")
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError("expected True or False")


def seconds(text: str) -> float:
    """Seconds >= 0, such as 5, 0.5, 200ms, 2min."""
    if not (match := _SECONDS.match(text)):
        raise ValueError("expected seconds, such as 5, 0.5 or 2min")
    return float(match[1]) * _UNITS[match[2]]


def count(text: str) -> int:
    """A whole number >= 0."""
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise ValueError("expected a whole number, 0 or more")
    return int(text)


def size(text: str) -> int:
    """Bytes, such as 500k, 1MB, 10M, 1G; units of 1024; 0: no limit."""
    if not (match := _SIZE.match(text)):
        raise ValueError("expected a size, such as 500k, 1MB or 10M")
    return int(match[1]) << _SHIFTS[match[2].lower()]


def nice(text: str) -> int:
    """-20 (most favoured) to 19."""
    if not re.match(r"-?[0-9]{1,2}\Z", text) or not -20 <= int(text) <= 19:
        raise ValueError("expected a whole number from -20 to 19")
    return int(text)


def umask(text: str) -> int:
    """Octal, such as 022 or 0027."""
    if not re.match(r"[0-7]{1,4}\Z", text) or int(text, 8) > 0o777:
        raise ValueError("expected an octal mask, such as 022")
    return int(text, 8)


def words(text: str) -> tuple[str, ...]:
    """Words, split and quoted as in a shell; nothing else of a shell."""
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise ValueError(f"cannot be split into words ({str(error).lower()}), close the quote") from None


def names(text: str) -> tuple[str, ...]:
    """Section names, separated by blanks or commas."""
    return tuple(dict.fromkeys(text.replace(",", " ").split()))


def statuses(text: str) -> frozenset[int]:
    """Exit statuses 0 to 255 and signal names, separated by blanks or commas; a signal counts as 128 + its number."""
    found = set()
    for word in names(text):
        if word.isascii() and word.isdigit() and len(word) <= 9 and int(word) <= 255:
            found.add(int(word))
        else:
            try:
                found.add(128 + signal_number(word))
            except ValueError:
                raise ValueError(f"{word!r} is neither an exit status from 0 to 255 nor a signal") from None
    return frozenset(found)


def signal_number(text: str) -> int:
    """A signal by name (TERM, SIGTERM) or number."""
    name = text.upper().removeprefix("SIG")
    if text.isascii() and name in SIGNALS:  # upper() makes plain letters of some that are not
        return SIGNALS[name]
    if text.isascii() and text.isdigit() and len(text) <= 9 and int(text) in SIGNALS.values():
        return int(text)
    raise ValueError(f"expected a signal: {', '.join(SIGNALS)}")


def catchable_signal(text: str) -> int:
    """A signal by name (HUP, SIGHUP) or number, but KILL."""
    number = signal_number(text)
    if number == SIGNALS["KILL"]:
        raise ValueError("no program can take that as a wish, it ends it; expected such as HUP or USR1")
    return number


def _ordinal(number: int) -> str:
    return {1: "1st", 2: "2nd", 3: "3rd"}.get(number, f"{number}th")


def assignments(text: str) -> tuple[tuple[str, str], ...]:
    """NAME=value words, quoted as in a shell."""
    pairs: list[tuple[str, str]] = []
    for word in words(text):
        name, equals, value = word.partition("=")
        if not equals or not _VARIABLE.match(name):
            # The word itself may be a secret.
            raise ValueError(f"expected NAME=value words, and the {_ordinal(len(pairs) + 1)} is none")
        pairs.append((name, value))
    return tuple(pairs)


def variables(text: str) -> tuple[str, ...]:
    """Names of environment variables."""
    found = names(text)
    for name in found:
        if not _VARIABLE.match(name):
            raise ValueError(f"{name!r} is no name of a variable")
    return found


def absolute(text: str) -> str:
    """An absolute path, one that begins with ~/, or one beside this file that begins with ./ or exists; or nothing."""
    if text and not text.startswith("/"):
        raise ValueError("expected an absolute path, or ./ and a path from the configuration's directory")
    return text


def text(text: str) -> str:
    """Anything."""
    return text


def one_of(*choices: str) -> Callable[[str], str]:
    """A parser that takes just these words."""

    def choose(text: str) -> str:
        if text not in choices:
            raise ValueError(f"expected {', '.join(choices[:-1])} or {choices[-1]}")
        return text

    choose.__doc__ = f"One of {', '.join(choices)}."
    return choose


def ready_check(text: str) -> Check:
    """What tells that an app is ready."""
    from .checks import ready

    return ready(text)


def health_check(text: str) -> Check:
    """What tells that an app is well."""
    from .checks import health

    return health(text)


Value = bool | int | float | str | tuple[str, ...] | tuple[tuple[str, str], ...] | frozenset[int] | Check


@dataclass(frozen=True, slots=True)
class Key:
    """One `_key`: how its text is read (`parse` raises ValueError with what was expected), default text, meaning."""

    name: str
    parse: Callable[[str], Value]
    default: str
    help: str
    raw: bool = False
    """Quotes mean something inside the value, so none are taken from around it."""
    secret: bool = False
    """Its value is never shown."""
    planned: bool = False
    """Known, but not built yet: refused, so that nobody relies on it."""


def _table(*keys: Key) -> Mapping[str, Key]:
    return {key.name: key for key in keys}


KEYS: Final[Mapping[str, Key]] = _table(
    Key("_enabled", boolean, "False", "start this app with the others"),
    Key("_program_name", text, "", "the program, with or without its .py; default: the section's name with .py"),
    Key("_command", words, "", "a full command line, for a program that takes no --key=value flags", raw=True),
    Key("_args", words, "", "words added behind the flags", raw=True),
    Key("_type", one_of(*TYPES), "", "forking: makes a daemon of itself (default); simple: stays in the foreground "
        "(default with _command or daemon = False); notify: like simple, and tells when it is ready; "
        "oneshot: does its work and ends"),
    Key("_pidfile_dir", absolute, "", "where its pidfile is; default: --pidfile_dir"),
    Key("_pidfile", absolute, "", "the pidfile that a program of _type = forking writes by itself; with _command and "
        "without this key, its daemon is the one process that its starter leaves"),
    Key("_logfile_dir", absolute, "", "where its log is; default: --logfile_dir"),
    Key("_after", names, "", "start only when these apps are ready, stop before them"),
    Key("_requires", names, "", "like _after, and start these apps too"),
    Key("_wait_for", absolute, "", "start only when this device or file is there"),
    Key("_restart", one_of(*RESTARTS), "always", "when to bring it back after it ended"),
    Key("_restart_sec", seconds, "0", "least wait before a restart"),
    Key("_restart_max_delay_sec", seconds, "60", "the growing wait between restarts ends here"),
    Key("_success_exit_status", statuses, "0", "exit statuses (and signals) that are no failure"),
    Key("_start_limit_burst", count, "0", "give up after so many failures in a row; 0: never"),
    Key("_timeout_start_sec", seconds, "10", "ready within this time, or it failed to start"),
    Key("_timeout_stop_sec", seconds, "10", "it ends within this time, or SIGKILL ends all of it"),
    Key("_stop_command", words, "", "a command that asks the app to end, with its process number for $MAINPID and "
        "${MAINPID}, and as MAINPID in the environment; what is left when the command is done, or half of "
        "_timeout_stop_sec over, gets _kill_signal",
        raw=True),
    Key("_kill_signal", signal_number, "TERM", "asks the app to end"),
    Key("_reload_signal", catchable_signal, "", "has the app read its own configuration again: master.py reload APP "
        "sends it; none: it cannot"),
    Key("_user", text, "", "run as this user (needs root)"),
    Key("_group", text, "", "run with this group (needs root); default: the user's own"),
    Key("_umask", umask, "022", "file mode creation mask, octal"),
    Key("_nice", nice, "0", "scheduling priority"),
    Key("_limit_nofile", count, "0", "most open files; 0: as inherited"),
    Key("_working_directory", absolute, "/", "current directory of the app"),
    Key("_environment", assignments, "", "NAME=value words for its environment", raw=True, secret=True),
    Key("_environment_file", absolute, "", "file of NAME=value lines, for secrets: readable by its owner only"),
    Key("_pass_environment", variables, "", "variables handed on from the launcher's own environment"),
    Key("_ready", ready_check, "", "tcp://, unix://, http://, kegnet://, file: or a command that tells when "
        "it is ready", raw=True),
    Key("_health", health_check, "", "the same, asked again and again while it runs; an unwell app is replaced",
        raw=True),
    Key("_watchdog_sec", seconds, "0", "replace it when it sends no WATCHDOG=1 for so long; 0: it need not"),
    Key("_memory_max", size, "0", "replace it when it uses more memory than this, such as 64M; 0: no limit"),
    Key("_log_max_bytes", size, "1MB", "rotate its log before it exceeds this size, between lines; 0: never"),
    Key("_log_backups", count, "5", "old logs to keep, as LOG.1 (the newest), LOG.2 ..."),
    Key("_on_failure", words, "", "a command to run each time it fails", raw=True),
    Key("_on_change", words, "", "a command to run when it runs, waits to be restarted, is given up, ended or stopped",
        raw=True),
)  # fmt: skip
