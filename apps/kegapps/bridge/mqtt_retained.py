"""What the broker holds of us: told when it changes, again to a broker that comes back, and cleared when it is over.

Knows topics and payloads, the file, and how to publish. Must not know what any of it means.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol

from kegapps.bridge.mqtt_spool import Spool, SpoolError

log = logging.getLogger("mqtt")


class Publish(Protocol):
    """MqttLink.publish."""

    def __call__(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int,
        retain: bool,
        on_answer: Callable[[bool], None] | None = None,
    ) -> bool:
        """False if there is no connection."""


class Retained:
    """Remembers over restarts on which topics something may be, so that a tap that went meanwhile is cleared."""

    def __init__(self, spool: Spool, publish: Publish) -> None:
        self._spool = spool
        self._publish = publish
        self._topics = spool.retained()
        self._held: dict[str, bytes] = {}  # told over this connection
        self._clearing: dict[
            str, object
        ] = {}  # by topic: the last attempt, which the broker has not answered
        self._cleared: set[str] = set()  # it has, and that is not noted yet

    def forget(self) -> None:
        """It may be another broker, or one that kept nothing."""
        self._held.clear()
        self._clearing.clear()
        self._cleared.clear()

    def hold(self, wanted: Mapping[str, bytes]) -> None:
        """The broker should hold this, and nothing else of ours."""
        # Noted before it is told: what is told and not noted would stay with the broker for ever.
        if not wanted.keys() <= self._topics and not self._note(self._topics | wanted.keys()):
            return
        for topic, payload in wanted.items():
            self._clearing.pop(topic, None)
            self._cleared.discard(topic)
            if self._held.get(topic) != payload and self._publish(topic, payload, qos=1, retain=True):
                self._held[topic] = payload
        for topic in self._topics - wanted.keys():
            if self._held.get(topic) != b"":
                attempt = object()
                on_answer = partial(self._on_cleared, topic, attempt)
                if self._publish(topic, b"", qos=1, retain=True, on_answer=on_answer):
                    self._held[topic] = b""
                    self._clearing[topic] = attempt

    def _on_cleared(self, topic: str, attempt: object, is_taken: bool) -> None:
        # Only now: what was published to a broker that fell is still there when it comes back.
        if self._clearing.get(topic) is not attempt:
            return
        del self._clearing[topic]
        if is_taken:
            self._cleared.add(topic)
        if not self._clearing and self._cleared and self._note(self._topics - self._cleared):
            self._cleared.clear()

    def _note(self, topics: set[str]) -> bool:
        try:
            self._spool.set_retained(topics)
        except SpoolError as error:
            log.warning("which topics are used is not noted: %s", error)
            return False
        self._topics = topics
        return True
