"""Announces drinks on social networks, in chats, by mail: by whatever Apprise can send to.

  publisher.py --urls_file=FILE                 announce drinks from now on
  publisher.py --dry_run                        show what would be said of the newest drinks, and of those to come
  publisher.py queue [--all] [--json]           list what waits or was given up; with --all also what is done
  publisher.py queue retry NUMBER ... | --all   send what was given up
  publisher.py queue dismiss NUMBER ... | --all never send it

Each line of FILE is an Apprise URL, such as discord://WEBHOOK_ID/WEBHOOK_TOKEN, or a name of yours and a URL.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from absl import flags

from kegapps.daemon import flags as common_flags
from kegapps.daemon import runner
from kegapps.daemon.errors import StartError, UsageError
from kegapps.daemon.service import Service
from kegapps.daemon.state_path import state_path
from kegapps.kegnet.address import shown_address
from kegapps.kegnet.client import Client
from kegapps.kegnet.flags import core_address, kegnet_token
from kegapps.publish import destinations, template, verbs, wording
from kegapps.publish.delivery import MAX_HELPERS, Delivery, Places, Settings
from kegapps.publish.destinations import Adapt, Destination, DestinationError
from kegapps.publish.held import Held
from kegapps.publish.pacing import parse_rate
from kegapps.publish.private_file import FileError, Unnamed, read_secret
from kegapps.publish.publisher import Announcer, Post, Words
from kegapps.publish.queue import Cursor, NewMessage, Queue, QueueError
from kegapps.publish.sender import Answer, Sender

FLAGS = flags.FLAGS

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

_SAMPLES: Final = 5  # of the newest drinks, shown by --dry_run

log = logging.getLogger("publish")


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """What a program lets through, and what it is called: `name` without .py; `more` is added to its messages."""

    name: str
    adapt: Adapt
    usage: str
    max_length: int = 500
    more: str = ""


EVERY: Final = Network(name="publisher", adapt=lambda _scheme, url: url, usage=__doc__)


def main(argv: Sequence[str], network: Network = EVERY) -> int:
    """Run the publisher of `network`; the exit status."""
    job = "queue" in argv[1:]
    FLAGS.set_default("max_length", network.max_length)
    for flag in ("message", "message_anonymous"):
        FLAGS.set_default(flag, f"{FLAGS[flag].default}{network.more}")
    if job:
        common_flags.define()
        FLAGS.set_default("log_to_stdout", False)  # what it prints is its result
    return runner.main(
        lambda service: _serve(service, network), module=__name__, argv=argv, usage=network.usage, job=job
    )


def _serve(service: Service, network: Network) -> int | None:
    first, *rest = service.positional or [""]
    if first not in ("", "queue"):
        raise UsageError(f"unexpected word: {first}; {verbs.USAGE}")
    path = service.path(FLAGS.queue) if FLAGS.queue else state_path(f"{network.name}.sqlite", flag="queue")
    if first:
        verbs.run(path, rest, as_json=FLAGS.json, everything=FLAGS.all)
        return None
    words = _words(service)
    if FLAGS.dry_run:
        return _rehearse(service, network, words)
    return _Program(service, network, path, words).run()


class _Program:
    """A publisher at work."""

    def __init__(self, service: Service, network: Network, path: str, words: Words) -> None:
        self._service = service
        settings = _settings(network)
        found = _destinations(service, network)
        token, address = kegnet_token(service.path), core_address()
        check(service, found, wanted_by=settings.wanted_by)
        try:
            self._queue = Queue(path, create=True)
            held = Held(path)
            places = Places(MAX_HELPERS)
            self._deliveries = [
                Delivery(
                    service.loop,
                    self._queue,
                    destination,
                    settings,
                    places,
                    keeps=(held.sending,),
                    is_unnamed=words.is_unnamed,
                    on_change=self._tell,
                )
                for destination in found
            ]
            cursor = self._queue.cursor()
            for label, count in self._queue.elsewhere(destination.key for destination in found):
                log.warning(
                    "messages that wait for %s: %d; --urls_file does not name that any more, or it has another URL and "
                    "no name before it; %s.py queue lists them",
                    label, count, network.name,
                )  # fmt: skip
        except QueueError as error:
            raise StartError(str(error)) from None
        self._post = Post(service.loop, self._queue, held, self._deliveries, again=settings.again_in_doubt)
        self._announcer = Announcer(service.loop, cursor, words, self._post.add, on_change=self._tell)
        self._client = Client(
            service.loop,
            address,
            on_event=self._announcer.on_event,
            on_connected=self._on_connected,
            on_disconnected=self._tell,
            token=token,
        )
        self._announcer.serve(self._client)
        log.info("destinations: %s", ", ".join(destination.label for destination in found))

    def run(self) -> int | None:
        """Until told to end."""
        self._post.begin()
        self._service.ready(self._status())
        self._service.loop.run()
        self._client.close()
        self._post.close()
        return None

    def _on_connected(self) -> None:
        self._tell()
        self._announcer.on_connected()

    def _tell(self) -> None:
        self._service.status(self._status())

    def _status(self) -> str:
        client = self._client
        link = "listening to" if client.connected else "waiting for"
        refusal = f", which refuses us: {client.refusal}" if client.refusal else ""
        parts = [f"{link} the core at {shown_address(*client.address)}{refusal}"]
        if self._announcer.problem:
            parts.append(self._announcer.problem)
        if self._post.waits_for_helpers:
            parts.append("waiting for what a run before is still sending")
        for delivery in self._deliveries:
            if delivery.problem:
                parts.append(f"{delivery.destination.label} waits: {delivery.problem}")
        return "; ".join(parts)


def check(service: Service, found: Sequence[Destination], *, wanted_by: str) -> None:
    """See if Apprise is there and can use each URL; returns early when told to end. Raises StartError."""
    answers: list[Answer] = []
    ended: list[int] = []
    order: dict[str, object] = {"check": [destination.url for destination in found], "wanted_by": wanted_by}
    try:
        helper = Sender(service.loop, order, on_answer=answers.append, on_end=ended.append)
    except OSError as error:
        raise StartError(f"cannot start a helper: {error.strerror}") from None
    helper.finish()
    while not ended and not service.loop.stopping:
        service.loop.run_once(None)
    if not ended:
        helper.abandon()
        return
    answer = (
        answers[0] if answers else {"fatal": f"the helper that loads Apprise ended with status {ended[0]}"}
    )
    if fatal := answer.get("fatal"):
        raise StartError(str(fatal))
    for destination, usable in zip(found, answer["usable"], strict=True):
        if not usable:
            raise StartError(
                f"--urls_file={FLAGS.urls_file}: line {destination.line}: Apprise cannot use this URL; see the form "
                "of each service's at https://appriseit.com/services/"
            )


def _rehearse(service: Service, network: Network, words: Words) -> int | None:
    """--dry_run: the newest drinks and all that come, as messages in the log."""
    places = ""
    if FLAGS.urls_file:
        found = _destinations(service, network)
        places = f" to {', '.join(destination.label for destination in found)}"

    def show(messages: Sequence[NewMessage], _cursor: Cursor | None) -> None:
        for message in messages:
            log.info("would be sent%s: %s", places, message.text)

    announcer = Announcer(service.loop, None, words, show, on_change=lambda: None, samples=_SAMPLES)

    def status() -> str:
        link = "listening to" if client.connected else "waiting for"
        where = shown_address(*client.address)
        return f"rehearsing (--dry_run), nothing is sent; {link} the core at {where}"

    def on_connected() -> None:
        service.status(status())
        announcer.on_connected()

    client = Client(
        service.loop,
        core_address(),
        on_event=announcer.on_event,
        on_connected=on_connected,
        on_disconnected=lambda: service.status(status()),
        token=kegnet_token(service.path),
    )
    announcer.serve(client)
    service.ready(status())
    service.loop.run()
    client.close()
    return None


def _destinations(service: Service, network: Network) -> tuple[Destination, ...]:
    if not FLAGS.urls_file:
        raise StartError("nowhere to send to: give --urls_file, or try it by --dry_run")
    path = service.path(FLAGS.urls_file)
    try:
        return destinations.parse(read_secret(path), network.adapt)
    except FileError as error:
        raise StartError(f"--urls_file: {error}") from None
    except DestinationError as error:
        raise StartError(f"--urls_file={path}: {error}") from None


def _words(service: Service) -> Words:
    try:
        unnamed = Unnamed(service.path(FLAGS.optout_file) if FLAGS.optout_file else "")
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


def _settings(network: Network) -> Settings:
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
        wanted_by=f"{network.name}.py",
    )
