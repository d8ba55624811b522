"""Every drink of the store published, in order: asked of the core, and noted when the broker has it.

Knows drinks, the record on the disk, and how to ask and publish. Must not know connections.
A drink that the broker had when one of the two fell is published again, with the same uuid.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from kegapps.bridge.mqtt_spool import Spool, SpoolError
from kegapps.bridge.mqtt_views import drink_payload
from kegapps.kegnet.drinks_read import DrinksRead
from kegapps.kegnet.drinks_record import Record, read_record, record_text
from kegapps.kegnet.events import DrinkFacts, Drinks, Event

log = logging.getLogger("mqtt")

_NOTE: Final = "drinks_read"
_NOTE_OF_BEFORE: Final = "drinks_told"  # a number, and nobody knows of which store


class Publish(Protocol):
    """MqttLink.publish."""

    def __call__(self, topic: str, payload: bytes, *, qos: int, on_answer: Callable[[bool], None]) -> bool:
        """False if there is no connection."""


class DrinkFeed:
    """What a store holds when the bridge first sees it is history, and is not published."""

    def __init__(self, spool: Spool, topic: str, *, ask: Callable[[Event], None], publish: Publish) -> None:
        self._spool = spool
        self._topic = topic
        self._ask = ask
        self._publish = publish
        self._read = DrinksRead(_noted(spool))
        self._waiting: deque[tuple[DrinkFacts, Record]] = deque()  # published or to be, and what to note then
        self._last: Record | None = None  # to be noted when all of them are
        self._asked = False  # and not answered yet
        self._more = False  # something was poured since then
        self._first_heard: int | None = None  # before the core has shown which store it has
        self._busy = False  # one is published and not answered

    def heard(self, drink_id: int) -> None:
        """The core has made a drink."""
        if not self._read.is_sure:
            self._first_heard = min(self._first_heard or drink_id, drink_id)
        self.look()

    def look(self) -> None:
        """There may be drinks that were not published: at the start, and when one was made."""
        if self._asked or self._busy:
            self._more = True
            return
        self._asked, self._more = True, False
        self._ask(self._read.request())

    def meet_core(self) -> None:
        """There is a core, perhaps another one, and it owes no answer."""
        self._asked, self._first_heard = False, None
        self._read.connected()
        self.look()

    def lose_broker(self) -> None:
        """The broker is away; `look` again when it is there."""
        self._waiting.clear()
        self._last = None
        self._busy = False

    def take(self, answer: Drinks) -> tuple[DrinkFacts, ...]:
        """The core's answer; returned are its drinks."""
        if not self._asked:
            return answer.drinks
        self._asked = False
        page = self._read.take(answer, first_heard=self._first_heard)
        if page.remark:
            log.warning("%s", page.remark)
        if self._read.is_sure:
            self._first_heard = None
        self._more |= page.more
        self._waiting.extend(zip(page.drinks, page.steps, strict=True))
        self._last = page.record
        self._next()
        return answer.drinks

    def _next(self) -> None:
        if self._waiting:
            drink, _ = self._waiting[0]
            self._busy = self._publish(
                self._topic,
                drink_payload(drink),
                qos=1,
                on_answer=lambda taken: self._on_answer(drink, taken),
            )
            if not self._busy:
                self.lose_broker()
            return
        self._busy = False
        if self._last is not None:
            self._note(self._last)
            self._last = None
        if self._more:
            self.look()

    def _on_answer(self, drink: DrinkFacts, _taken: bool) -> None:
        # One that the broker refuses (an access list, perhaps) is in the log, and would be refused for ever.
        if self._waiting and self._waiting[0][0] is drink:
            self._note(self._waiting.popleft()[1])
            self._next()

    def _note(self, record: Record) -> None:
        if record == self._read.record:
            return
        self._read.keep(record)
        try:
            self._spool.set_note(_NOTE, record_text(record))
        except SpoolError as error:
            log.error("drinks may be published twice: %s", error)


def _noted(spool: Spool) -> Record:
    note = spool.note(_NOTE)
    if note is None:
        if spool.note(_NOTE_OF_BEFORE) is not None:
            log.warning("it was not noted which store the drinks were of: they are published from now on")
        return ()
    try:
        return read_record(note)
    except ValueError:
        log.error("what was noted of drinks cannot be read: they are published from now on")
        return ()
