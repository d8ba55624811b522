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
from kegapps.kegnet.drinks_record import Record
from kegapps.kegnet.flags import core_address, kegnet_token
from kegapps.publish import verbs
from kegapps.publish.choices import destinations_by_flags, settings_by_flags, words_by_flags
from kegapps.publish.delivery import MAX_HELPERS, Delivery
from kegapps.publish.destinations import Adapt, Destination
from kegapps.publish.held import Held
from kegapps.publish.messages import NewMessage
from kegapps.publish.places import Places
from kegapps.publish.publisher import Announcer, Post, Words
from kegapps.publish.queue import Queue
from kegapps.publish.queue_file import QueueError
from kegapps.publish.sender import Answer, Sender

FLAGS = flags.FLAGS

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
    words = words_by_flags(service.path)
    if FLAGS.dry_run:
        return _rehearse(service, network, words)
    return _Program(service, network, path, words).run()


class _Program:
    """A publisher at work."""

    def __init__(self, service: Service, network: Network, path: str, words: Words) -> None:
        self._service = service
        settings = settings_by_flags(f"{network.name}.py")
        found = destinations_by_flags(service.path, network.adapt)
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
            record = self._queue.record()
            for label, count in self._queue.elsewhere(destination.key for destination in found):
                log.warning(
                    "messages that wait for %s: %d; --urls_file does not name that any more, or it has another URL and "
                    "no name before it; %s.py queue lists them",
                    label, count, network.name,
                )  # fmt: skip
        except QueueError as error:
            raise StartError(str(error)) from None
        self._post = Post(service.loop, self._queue, held, self._deliveries, again=settings.again_in_doubt)
        self._announcer = Announcer(service.loop, record, words, self._post.add, on_change=self._tell)
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
        found = destinations_by_flags(service.path, network.adapt)
        places = f" to {', '.join(destination.label for destination in found)}"

    def show(messages: Sequence[NewMessage], _record: Record | None) -> None:
        for message in messages:
            log.info("would be sent%s: %s", places, message.text)

    announcer = Announcer(service.loop, (), words, show, on_change=lambda: None, samples=_SAMPLES)

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
