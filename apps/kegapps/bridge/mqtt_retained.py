"""What the broker holds of us: told when it changes, again to a broker that comes back, and cleared when it is over.

Knows topics and payloads, the file, and how to publish. Must not know what any of it means.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Protocol

from kegapps.bridge.mqtt_spool import Spool, SpoolError

log = logging.getLogger("mqtt")


class Publish(Protocol):
    """MqttLink.publish."""

    def __call__(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> bool:
        """False if there is no connection."""


class Retained:
    """Remembers over restarts on which topics something may be, so that a tap that went meanwhile is cleared."""

    def __init__(self, spool: Spool, publish: Publish) -> None:
        self._spool = spool
        self._publish = publish
        self._topics = spool.retained()
        self._held: dict[str, bytes] = {}  # told over this connection

    def forget(self) -> None:
        """It may be another broker, or one that kept nothing."""
        self._held.clear()

    def hold(self, wanted: Mapping[str, bytes]) -> None:
        """The broker should hold this, and nothing else of ours."""
        # Noted before it is told: what is told and not noted would stay with the broker for ever.
        if not wanted.keys() <= self._topics and not self._note(self._topics | wanted.keys()):
            return
        gone = self._topics - wanted.keys()
        for topic, payload in (*wanted.items(), *((topic, b"") for topic in gone)):
            if self._held.get(topic) != payload and self._publish(topic, payload, qos=1, retain=True):
                self._held[topic] = payload
        if gone:
            self._note(set(wanted))

    def _note(self, topics: set[str]) -> bool:
        try:
            self._spool.set_retained(topics)
        except SpoolError as error:
            log.warning("what is new is not published: %s", error)
            return False
        self._topics = topics
        return True
