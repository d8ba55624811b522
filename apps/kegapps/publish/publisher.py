"""Announces drinks: asks the core for those that are new, puts words to them, and sees to their delivery.

Knows kegnet's events and the queue. Must not know flags, files of the user or processes.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from kegapps.daemon.loop import READ, Loop, Timer
from kegapps.kegnet.client import Client
from kegapps.kegnet.drinks_record import Record
from kegapps.kegnet.events import (
    CoreStatus,
    DrinkCreatedEvent,
    DrinkFacts,
    Drinks,
    Event,
    FlowUpdate,
    StatusRequest,
)
from kegapps.kegnet.taproom import taproom
from kegapps.publish.delivery import Delivery
from kegapps.publish.feed import Feed, News
from kegapps.publish.held import Held
from kegapps.publish.messages import NewMessage
from kegapps.publish.queue import Queue
from kegapps.publish.queue_file import QueueError
from kegapps.publish.template import Template
from kegapps.publish.wording import Pour, cut, words

log = logging.getLogger("publish")

ANSWER_S: Final = 5.0
"""A core of ours answers at once; one that has not after so long does not know the question, or is in trouble."""

_AGAIN_S: Final = 2.0
_ASK_HELPERS_S: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What is said of which drinks. `is_unnamed` tells of a user whether there must be no mention of them."""

    message: Template
    message_anonymous: Template
    units: str
    min_volume_ml: float
    with_anonymous: bool
    max_length: int
    is_unnamed: Callable[[str | None], bool]

    def of(self, pour: Pour) -> str:
        """The message for `pour`, "" if there is to be none."""
        if pour.volume_ml and pour.volume_ml < self.min_volume_ml:
            return ""
        if not self.with_anonymous if pour.username is None else self.is_unnamed(pour.username):
            return ""
        template = self.message if pour.username is not None else self.message_anonymous
        return cut(template.fill(words(pour, self.units)), self.max_length)


class Announcer:
    """Listens to the core; `announce(messages, record)` gets what is new; it raises QueueError if it cannot keep it."""

    def __init__(
        self,
        loop: Loop,
        record: Record,
        words: Words,
        announce: Callable[[Sequence[NewMessage], Record | None], None],
        *,
        on_change: Callable[[], None],
        samples: int = 0,
    ) -> None:
        self.problem = ""
        """Why what the core tells cannot be kept, if so."""
        self._loop = loop
        self._feed = Feed(record, samples=samples)
        self._words = words
        self._announce = announce
        self._on_change = on_change
        self._titles: dict[str, str] = {}
        self._unsaved: list[NewMessage] = []  # told by a core that will not tell again
        self._timer: Timer | None = None
        self._client: Client | None = None

    def serve(self, client: Client) -> None:
        """By this client it talks to the core."""
        self._client = client

    def on_connected(self) -> None:
        """Ask what happened while there was no connection."""
        self._feed.connected()
        self._turn(with_titles=True)

    def on_event(self, event: Event) -> None:
        """Something came from the core."""
        match event:
            case FlowUpdate():
                self._feed.flow(event)
                return
            case DrinkCreatedEvent():
                self._keep(self._feed.created(event))
            case Drinks():
                self._keep(self._feed.take(event))
            case CoreStatus():
                self._titles = {tap.name: tap.title for tap in taproom(event.report).taps}
                if "last_drink" in event.report:
                    self._feed.recognised()
                return
        # Not with each page of a thousand drinks that were missed.
        self._turn(with_titles=isinstance(event, DrinkCreatedEvent))

    def _turn(self, *, with_titles: bool = False) -> None:
        """Ask what is to be asked."""
        request = self._feed.asked()
        if request is None or self._client is None or not self._client.connected:
            return
        if with_titles:
            self._client.send(StatusRequest())  # first: what the taps are called goes into the words
        self._client.send(request)
        self._wait(ANSWER_S, self._on_silence)

    def _on_silence(self) -> None:
        if self._feed.waits and self._client is not None and self._client.connected:
            self._keep(self._feed.no_answer())
            self._turn()

    def _keep(self, news: News) -> None:
        if news.remark:
            log.info("%s", news.remark)
        messages = [made for drink in news.drinks if (made := self._message(drink)) is not None]
        if news.record is None:
            self._unsaved += messages
            messages = self._unsaved
            if not messages:
                return
        try:
            self._announce(messages, news.record)
        except QueueError as error:
            self._say(str(error))
            self._feed.failed()
            self._wait(_AGAIN_S, self._try_again)
            return
        self._say("")
        if news.record is not None:
            self._feed.moved(news.record)
        else:
            self._unsaved = []

    def _try_again(self) -> None:
        self._keep(News())
        self._feed.again()
        self._turn()

    def _message(self, drink: DrinkFacts) -> NewMessage | None:
        pour = Pour(
            key=drink.uuid,
            drink_id=drink.drink_id,
            username=drink.username,
            tap=self._titles.get(drink.tap_name, drink.tap_name),
            beverage=drink.beverage,
            volume_ml=drink.volume_ml,
            start_unix_s=drink.start_unix_s,
            end_unix_s=drink.end_unix_s,
        )
        text = self._words.of(pour)
        if not text:
            log.debug("drink %d is not announced", drink.drink_id)
            return None
        return NewMessage(
            drink_key=drink.uuid, username=drink.username, text=text, poured_unix_s=drink.end_unix_s
        )

    def _wait(self, delay_s: float, callback: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(delay_s, callback)

    def _say(self, problem: str) -> None:
        if problem != self.problem:
            self.problem = problem
            if problem:
                log.warning("%s; the core keeps what is not announced yet, and is asked again", problem)
            self._on_change()


class Post:
    """The queue and those who deliver from it."""

    def __init__(
        self, loop: Loop, queue: Queue, held: Held, deliveries: Sequence[Delivery], *, again: bool
    ) -> None:
        self.waits_for_helpers = False
        """A run before was killed, and its helpers are still sending."""
        self._loop = loop
        self._queue = queue
        self._held = held
        self._deliveries = deliveries
        self._again = again
        loop.watch(held.wake, READ, lambda _ready: self._on_wake())

    def begin(self) -> None:
        """Send what waits, as soon as no helper of a run before is left."""
        self.waits_for_helpers = not self._held.no_helper_is_left()
        if self.waits_for_helpers:
            self._loop.call_later(_ASK_HELPERS_S, self.begin)
            return
        try:
            count = self._queue.settle_doubts(None, again=self._again, unix_s=time.time())
        except QueueError as error:
            log.warning("%s", error)
            self._loop.call_later(_AGAIN_S, self.begin)
            return
        if count:
            log.warning(
                "%d messages were being sent when a run before ended, and perhaps were; they are %s (--in_doubt)",
                count,
                "sent again" if self._again else "given up",
            )
        for delivery in self._deliveries:
            delivery.begin()

    def add(self, messages: Sequence[NewMessage], record: Record | None) -> None:
        """Keep `messages` for every destination, and `record`. Raises QueueError."""
        places = [(delivery.destination.key, delivery.destination.label) for delivery in self._deliveries]
        new = self._queue.add(messages, places, record=record, unix_s=time.time())
        if new:
            log.info("to be announced: %d", new)
            for delivery in self._deliveries:
                delivery.look()

    def close(self) -> None:
        """What is being sent is sent by its helper."""
        for delivery in self._deliveries:
            delivery.close()
        self._loop.unwatch(self._held.wake)
        self._queue.close()
        self._held.close()

    def _on_wake(self) -> None:
        self._held.drain_wake()
        for delivery in self._deliveries:
            delivery.try_now()
