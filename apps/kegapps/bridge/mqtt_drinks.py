"""Every drink of the store published, in order: asked of the core, and noted when the broker has it.

Knows drinks, the cursor on the disk, and how to ask and publish. Must not know connections.
A drink that the broker had when one of the two fell is published again, with the same uuid.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, Protocol

from kegapps.bridge.mqtt_spool import Spool, SpoolError
from kegapps.bridge.mqtt_views import drink_payload
from kegapps.kegnet.events import DrinkFacts, Drinks, DrinksRequest, Event

log = logging.getLogger("mqtt")

_NOTE: Final = "drinks_told"
_AT_ONCE: Final = 50


class Publish(Protocol):
    """MqttLink.publish."""

    def __call__(self, topic: str, payload: bytes, *, qos: int, on_answer: Callable[[bool], None]) -> bool:
        """False if there is no connection."""


class DrinkFeed:
    """What was poured before the bridge ran for the first time is history, and is not published."""

    def __init__(self, spool: Spool, topic: str, *, ask: Callable[[Event], None], publish: Publish) -> None:
        self._spool = spool
        self._topic = topic
        self._ask = ask
        self._publish = publish
        note = spool.note(_NOTE)
        self._told = None if note is None else int(note)  # the highest drink_id that the broker has
        self._waiting: list[DrinkFacts] = []  # published or to be published, not answered yet
        self._busy = False  # one is published and not answered

    def look(self) -> None:
        """There may be drinks that were not published: at the start, and when one was made."""
        if not self._busy:
            after = -1 if self._told is None else self._told
            self._ask(DrinksRequest(after=after, limit=1 if self._told is None else _AT_ONCE))

    def lose(self) -> None:
        """The core or the broker is away; `look` again when both are there."""
        self._waiting.clear()
        self._busy = False

    def take(self, answer: Drinks) -> tuple[DrinkFacts, ...]:
        """The core's answer; returned are its drinks."""
        if self._busy:
            return answer.drinks
        if self._told is None:
            self._note(answer.last_id)
        elif answer.last_id < self._told:
            log.warning(
                "the core's last drink is number %d, and %d were told of: it has another store, all of which is told",
                answer.last_id,
                self._told,
            )
            self._note(0)
            self.look()
        else:
            self._waiting = [drink for drink in answer.drinks if drink.drink_id > self._told]
            self._next()
        return answer.drinks

    def _next(self) -> None:
        if not self._waiting:
            self._busy = False
            return
        drink = self._waiting[0]
        self._busy = self._publish(
            self._topic, drink_payload(drink), qos=1, on_answer=lambda taken: self._on_answer(drink, taken)
        )

    def _on_answer(self, drink: DrinkFacts, _taken: bool) -> None:
        # One that the broker refuses (an access list, perhaps) is in the log, and would be refused for ever.
        if self._waiting[:1] == [drink]:
            self._note(drink.drink_id)
            del self._waiting[0]
            self._next()
            if not self._busy:
                self.look()  # there may be more than one answer holds

    def _note(self, drink_id: int) -> None:
        self._told = drink_id
        try:
            self._spool.set_note(_NOTE, str(drink_id))
        except SpoolError as error:
            log.error("drinks may be published twice: %s", error)
