"""What a person can choose on the command line of a publisher, and what that means for its parts.

Knows absl.flags. Must not know the core, the queue's file or networks.
"""

from __future__ import annotations

from collections.abc import Callable

from absl import flags

from kegapps.daemon.errors import StartError, UsageError
from kegapps.daemon.secret_file import FileError
from kegapps.publish import destinations, template, wording
from kegapps.publish.delivery import Settings
from kegapps.publish.destinations import Adapt, Destination, DestinationError
from kegapps.publish.pacing import parse_rate
from kegapps.publish.private_file import Unnamed, read_secret
from kegapps.publish.publisher import Words

FLAGS = flags.FLAGS

Absolute = Callable[[str], str]
"""Makes a path absolute, as the person meant it: Service.path."""

flags.DEFINE_string(
    "urls_file",
    "",
    "A file of mode 0600 with the destinations: one Apprise URL a line, perhaps with a name before it; # begins a "
    "comment. It is read once, at the start.",
)
flags.DEFINE_string(
    "queue",
    "",
    "The SQLite file that keeps what is to be announced. Empty: PROGRAM.sqlite in $XDG_STATE_HOME/kegbot or "
    "~/.local/state/kegbot; as root in /var/lib/kegbot.",
)
flags.DEFINE_string(
    "message",
    "{user} poured {volume} of {beverage} from {tap}",
    "What is said of a drink. It may name: " + ", ".join(f"{{{name}}}" for name in wording.NAMES) + ".",
)
flags.DEFINE_string(
    "message_anonymous",
    "Somebody poured {volume} of {beverage} from {tap}",
    "What is said of a drink of nobody in particular.",
)
flags.DEFINE_enum("units", "ml", list(wording.UNITS), "Units of {volume}. oz and pint are those of the USA.")
flags.DEFINE_float("min_volume_ml", 0.0, "Smaller drinks are not announced.", 0.0, 1e6)
flags.DEFINE_boolean("announce_anonymous", True, "Announce drinks of nobody in particular, too.")
flags.DEFINE_string(
    "optout_file",
    "",
    "A file with the names of users whose drinks are not announced, one a line. It is read again when it changes, "
    "and holds for what waits, too.",
)
flags.DEFINE_string(
    "rate_limit",
    "1/10",
    "COUNT/SECONDS: each destination gets no more than so many messages in so many seconds.",
)
flags.DEFINE_float("timeout_s", 30.0, "A destination that has not answered by then has not.", 0.1, 600.0)
flags.DEFINE_float(
    "retry_first_s", 5.0, "The first pause after a failure; each further one is longer.", 0.1, 3600.0
)
flags.DEFINE_float("retry_max_s", 300.0, "The longest pause after a failure.", 0.1, 86400.0)
flags.DEFINE_integer(
    "max_attempts",
    0,
    "Give a message up after so many attempts, so that those behind it get their turn. 0: never.",
    lower_bound=0,
)
flags.DEFINE_float("max_age_h", 0.0, "Give up what was poured so many hours ago. 0: never.", 0.0, 1e6)
flags.DEFINE_integer(
    "max_waiting", 0, "Of what waits for a destination, keep so many of the newest. 0: all.", lower_bound=0
)
flags.DEFINE_enum(
    "in_doubt",
    "retry",
    ["retry", "give_up"],
    "What to do with a message that perhaps was sent: nobody answered in time, or the power failed meanwhile.",
)
flags.DEFINE_integer(
    "max_length",
    500,
    "A longer message is cut. Characters of many scripts, and emoji, count as two.",
    lower_bound=20,
    upper_bound=30000,
)
flags.DEFINE_boolean("dry_run", False, "Send nothing and keep nothing; log what would be sent.")
flags.DEFINE_boolean("json", False, "queue: print JSON, one message a line.")
flags.DEFINE_boolean(
    "all", False, "queue: also what is done; queue retry, queue dismiss: all that was given up."
)


def destinations_by_flags(absolute: Absolute, adapt: Adapt) -> tuple[Destination, ...]:
    """What --urls_file lists. Raises StartError."""
    if not FLAGS.urls_file:
        raise StartError("nowhere to send to: give --urls_file, or try it by --dry_run")
    path = absolute(FLAGS.urls_file)
    try:
        return destinations.parse(read_secret(path), adapt)
    except FileError as error:
        raise StartError(f"--urls_file: {error}") from None
    except DestinationError as error:
        raise StartError(f"--urls_file: {path}: {error}") from None


def words_by_flags(absolute: Absolute) -> Words:
    """What is said, and of which drinks. Raises StartError and UsageError."""
    try:
        unnamed = Unnamed(absolute(FLAGS.optout_file) if FLAGS.optout_file else "")
    except FileError as error:
        raise StartError(f"--optout_file: {error}") from None
    return Words(
        message=_template("message"),
        message_anonymous=_template("message_anonymous"),
        units=FLAGS.units,
        min_volume_ml=FLAGS.min_volume_ml,
        with_anonymous=FLAGS.announce_anonymous,
        max_length=FLAGS.max_length,
        is_unnamed=unnamed.__contains__,
    )


def _template(flag: str) -> template.Template:
    try:
        return template.parse(str(FLAGS[flag].value), wording.NAMES)
    except template.TemplateError as error:
        raise UsageError(f"--{flag} {error}") from None


def settings_by_flags(program: str) -> Settings:
    """How `program` delivers. Raises UsageError."""
    try:
        rate = parse_rate(FLAGS.rate_limit)
    except ValueError as error:
        raise UsageError(f"--rate_limit={FLAGS.rate_limit}: {error}") from None
    return Settings(
        rate=rate,
        timeout_s=FLAGS.timeout_s,
        retry_first_s=FLAGS.retry_first_s,
        retry_max_s=FLAGS.retry_max_s,
        max_attempts=FLAGS.max_attempts,
        max_age_s=FLAGS.max_age_h * 3600.0,
        max_waiting=FLAGS.max_waiting,
        again_in_doubt=FLAGS.in_doubt == "retry",
        wanted_by=program,
    )
