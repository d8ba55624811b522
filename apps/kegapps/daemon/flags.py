"""The command line every program shares: common flags, usage errors, and where paths lead.

Knows absl.flags. Must not know logging, processes, or any single program. How help looks is in `usage.py`.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import logging
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from absl import flags

from kegapps.daemon.errors import StartError, UsageError

FLAGS = flags.FLAGS

LOG_FORMAT = "%(asctime)s %(levelname)-8s (%(name)s) %(message)s"
_CIRCLE = re.compile(r"circular flagfile dependency.*?flagfile: ?(.*)")
_NO_VALUE = re.compile(
    r"flag --(\w+)=(.*): (invalid literal for int\(\)|could not convert string to float|\('Non-boolean)"
)
_MINUS_NUMBER = re.compile(r"Unknown command line flag '([0-9.]+)'")
_PATHS = frozenset(
    (
        "api_key_file", "control", "counts", "device_link", "flagfile", "gateway_store", "kegboard_device",
        "kegnet_token_file", "lcd_device_path", "logfile", "master_config", "mqtt_password_file", "mqtt_secret_file",
        "mqtt_state", "mqtt_tls_ca", "mqtt_tls_certificate", "mqtt_tls_key", "optout_file", "pidfile", "queue",
        "redis_state", "rfid_device_path", "sound_drink", "sound_flow", "sounds", "store", "urls_file", "w1_folder",
    )
)  # fmt: skip
"""Flags of all programs that name files: the name of a file is any bytes, every other value is text."""
_TRUTH_WORDS = frozenset(("true", "false", "t", "f", "1", "0", "yes", "no", "on", "off"))


class HelpAsked(Exception):  # noqa: N818 - not an error: the person asked for it
    """`--help`, `--helpshort`, `--helpfull` or `--version` was met; `str()` is that name."""


class _AskFlag(flags.BooleanFlag):
    """A flag that is a question: meeting it ends the parsing."""

    is_question = True

    def parse(self, argument: str | bool) -> None:
        super().parse(argument)
        if self.value:
            raise HelpAsked(self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The common flags as given; paths are absolute, or empty for "none"."""

    daemon: bool
    pidfile: str
    logfile: str
    log_to_file: bool
    log_to_stdout: bool
    logformat: str
    rotate_logs: bool
    maximum_log_files: int
    verbose: bool


def define() -> None:
    """Define the common flags; a second call changes nothing."""
    if "helpshort" in FLAGS:
        return
    flags.DEFINE_boolean(
        "daemon",
        False,
        "Run in the background. The command returns when the program is ready or its job done, or says "
        "why not.",
    )
    flags.DEFINE_string(
        "pidfile",
        "",
        "File that holds the process number while the program runs. It is locked: a second program with "
        "the same file does not start, and a file left behind by a crash does not matter. Empty: none.",
    )
    flags.DEFINE_string(
        "logfile",
        "",
        "Log to this file if --log_to_file is given. Empty: PROGRAM.log in the directory you are in.",
    )
    flags.DEFINE_boolean("log_to_file", False, "Write the log to --logfile.")
    flags.DEFINE_boolean(
        "log_to_stdout",
        True,
        "Write the log to standard output; in the background only if that is a file.",
    )
    flags.DEFINE_string("logformat", LOG_FORMAT, "Form of a log line, in the words of Python's logging.")
    flags.DEFINE_boolean("rotate_logs", True, "Begin a new log file every midnight, and date the old one.")
    flags.DEFINE_integer(
        "maximum_log_files",
        7,
        "Dated log files to keep with --rotate_logs; older ones are removed. 0 keeps all.",
        lower_bound=0,
    )
    flags.DEFINE_boolean("verbose", False, "Log the details, too.")
    for name, short_name, text in (
        ("help", "?", "Show every flag."),
        ("helpshort", None, "Show the flags of this program only."),
        ("helpfull", "h", "Show every flag, as --help does."),
        ("version", None, "Show the version."),
    ):
        flags.DEFINE_flag(_AskFlag(name, False, text, short_name=short_name))


def parse(argv: Sequence[str]) -> list[str]:
    """The words of `argv` that are no flags, without `argv[0]`; the flags' values are in FLAGS afterwards.

    Raises HelpAsked, or UsageError for anything that a person has to correct.
    """
    _refuse_separate_truth(argv)
    try:
        with contextlib.redirect_stderr(io.StringIO()) as warnings:
            words = FLAGS(list(argv))[1:]
    except flags.CantOpenFlagFileError as error:
        cause = error.__context__
        reason = f"{cause.filename}: {cause.strerror}" if isinstance(cause, OSError) else str(error)
        raise UsageError(f"--flagfile: cannot read {_one_line(reason)}") from None
    except UnicodeDecodeError:
        raise UsageError("--flagfile: the file is not UTF-8 text") from None
    except (flags.Error, ValueError) as error:
        raise UsageError(_in_words(_one_line(str(error)))) from None
    if found := _CIRCLE.search(warnings.getvalue()):
        raise UsageError(f"--flagfile: {found[1]} includes itself, directly or through another file")
    _check_numbers()
    _check_text()
    _check_logformat(FLAGS.logformat)
    return words


def options(program: str) -> Options:
    """The common flags of `program` (its name without ".py"), after `parse`.

    Raises StartError if a relative path is wanted but the current directory is gone.
    """
    log_to_file = bool(FLAGS.log_to_file)
    logfile = FLAGS.logfile or f"{program}.log"
    pidfile = FLAGS.pidfile
    return Options(
        daemon=bool(FLAGS.daemon),
        pidfile=_absolute("pidfile", pidfile) if pidfile else "",
        logfile=_absolute("logfile", logfile) if log_to_file else "",
        log_to_file=log_to_file,
        log_to_stdout=bool(FLAGS.log_to_stdout),
        logformat=FLAGS.logformat,
        rotate_logs=bool(FLAGS.rotate_logs),
        maximum_log_files=FLAGS.maximum_log_files,
        verbose=bool(FLAGS.verbose),
    )


def _absolute(flag: str, path: str) -> str:
    if "\0" in path:
        raise StartError(f"--{flag}: the path contains a zero byte")
    try:
        return os.path.abspath(os.path.expanduser(path))
    except FileNotFoundError:
        raise StartError(
            f"--{flag}={path}: the current directory does not exist any more; give an absolute path"
        ) from None


def _refuse_separate_truth(argv: Sequence[str]) -> None:
    """`--daemon False` would mean --daemon and a stray word: the opposite of what was meant."""
    for word, following in itertools.pairwise(argv[1:]):
        if word == "--":
            return
        name = word.lstrip("-")
        if (
            word.startswith("-")
            and name in FLAGS
            and FLAGS[name].boolean
            and following.lower() in _TRUTH_WORDS
        ):
            raise UsageError(f"{word} {following}: write --{name} or --no{name}, or join them: --{name}=true")


def _check_numbers() -> None:
    """NaN passes every bound, and infinity those that are not there."""
    for name in FLAGS:
        value = FLAGS[name].value
        if isinstance(value, float) and not math.isfinite(value):
            raise UsageError(f"flag --{name}: expected a number, found '{value}'")


def _check_text() -> None:
    """Bytes that are no text could neither be sent nor stored, and would end the program when they are."""
    for name in FLAGS:
        value = FLAGS[name].value
        texts = value if isinstance(value, list) else [value]
        if name not in _PATHS and any(isinstance(text, str) and not is_text(text) for text in texts):
            raise UsageError(f"flag --{name}: its value has bytes that are not UTF-8 text")


def is_text(text: str) -> bool:
    """False if it came from bytes that are not UTF-8, as words of a command line may."""
    return not any("\ud800" <= char <= "\udfff" for char in text)


def _check_logformat(logformat: str) -> None:
    record = logging.LogRecord("name", logging.INFO, "path", 1, "message", (), None)
    try:
        logging.Formatter(logformat).format(record)
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"--logformat={logformat}: not a log format ({_one_line(str(error))})") from None


def _in_words(text: str) -> str:
    """What absl says of a value, without the words of Python."""
    if found := _MINUS_NUMBER.match(text):
        return f"-{found[1]}: no such flag; if it is none, write -- before it"
    if not (found := _NO_VALUE.match(text)):
        return text
    name, value, reason = found.groups()
    kind = "a whole number" if "int()" in reason else "a number" if "float" in reason else "true or false"
    return f"flag --{name}: expected {kind}, found {value!r}"


def _one_line(text: str) -> str:
    return " ".join(text.split())
