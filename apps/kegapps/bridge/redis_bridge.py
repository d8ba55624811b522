"""Joins the core and Redis: what each tells the other, and how both are.

Knows the loop and the order of things. Must not know bytes or flags.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Final

from kegapps.bridge import redis_dialect, redis_resp
from kegapps.bridge.redis_address import RedisAddress
from kegapps.bridge.redis_cursor import CursorFile
from kegapps.bridge.redis_deafness import Deafness
from kegapps.bridge.redis_dialect import Refused
from kegapps.bridge.redis_drinks import DrinkFeed
from kegapps.bridge.redis_echo import Echo
from kegapps.bridge.redis_link import ANSWER_S, RedisLink
from kegapps.bridge.redis_outgoing import Outgoing
from kegapps.bridge.redis_resp import Failure, Reply, TooLong
from kegapps.daemon.loop import Timer
from kegapps.daemon.service import Service
from kegapps.kegnet.address import shown_address
from kegapps.kegnet.client import Client
from kegapps.kegnet.events import (
    DrinkCreatedEvent,
    Drinks,
    DrinksRequest,
    Event,
    FlowUpdate,
    MeterUpdate,
    SetRelayOutputEvent,
)
from kegapps.kegnet.ratelimit import RateLimit

log = logging.getLogger("redis")

SAVE_AGAIN_S: Final = 5.0

_AHEAD_S: Final = 1.0
_MAX_DOUBTED: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Directions:
    """What is passed on."""

    to_core: bool
    to_redis: bool


class RedisBridge:
    """Between the core at `core` and `channel` of the Redis at `address`; begins at once.

    `cursor` keeps which drinks were published; None if nothing goes to Redis.
    """

    def __init__(
        self,
        service: Service,
        *,
        core: tuple[str, int],
        token: str,
        address: RedisAddress,
        channel: str,
        directions: Directions,
        cursor: CursorFile | None,
    ) -> None:
        self._service = service
        self._loop = service.loop
        self._address = address
        self._channel = channel
        self._cursor = cursor
        self._saving: Timer | None = None
        self._drinks = DrinkFeed(
            cursor.load() if cursor else (), say=lambda remark: log.warning("%s", remark)
        )
        self._outgoing = Outgoing()
        self._deafness = Deafness()
        self._echo = Echo()
        self._doubted = 0  # messages that may be a second bridge's
        self._complaints = RateLimit(5, 60.0)
        self._answer: Timer | None = None  # the core's to our first question
        self._reply: Timer | None = None  # Redis' to what is under way
        self._refusal = ""  # why it takes no messages, until it takes one
        self._publisher: RedisLink | None = None
        self._subscriber: RedisLink | None = None
        if directions.to_redis:
            self._publisher = RedisLink(
                self._loop, address, [redis_resp.command("PING")],
                on_ready=self._on_publisher, on_reply=self._on_published, on_gone=self._on_publisher_gone,
            )  # fmt: skip
        if directions.to_core:
            # Of the time before nothing is known: the core sees for itself that somebody else tells of the meters.
            self._subscriber = RedisLink(
                self._loop, address, [redis_resp.command("SUBSCRIBE", channel)],
                on_ready=self._on_subscriber, on_reply=self._on_message, on_gone=self._on_subscriber_gone,
            )  # fmt: skip
        self._client = Client(
            self._loop,
            core,
            on_event=self._on_event,
            on_connected=self._on_core,
            on_disconnected=self._on_core_gone,
            on_failed=lambda _problem: self._tell(),
            token=token,
        )

    @property
    def status(self) -> str:
        """How it is, for a person."""
        trouble = []
        link = next((link for link in self._links if not link.ready), None)
        if link is not None or self._refusal:
            problem = self._refusal or (link.problem if link is not None else "")
            trouble.append(f"waiting for Redis at {self._address}{_because(problem)}")
        if not self._client.connected:
            core = shown_address(*self._client.address)
            trouble.append(f"waiting for the core at {core}{_because(self._client.problem)}")
        if trouble:
            return "; ".join(trouble)
        arrow = "<->" if len(self._links) == 2 else "->" if self._publisher else "<-"
        return f"core at {shown_address(*self._client.address)} {arrow} {self._channel} of Redis at {self._address}"

    def close(self) -> None:
        """Disconnect."""
        for link in self._links:
            link.close()
        self._client.close()
        self._save()

    @property
    def _links(self) -> list[RedisLink]:
        return [link for link in (self._publisher, self._subscriber) if link is not None]

    def _tell(self) -> None:
        self._service.status(self.status)

    # What the core tells goes to Redis.

    def _on_core(self) -> None:
        if self._publisher is not None:
            self._ask(self._drinks.connected())
        self._tell()

    def _on_core_gone(self) -> None:
        if self._answer is not None:
            self._answer.cancel()
        self._tell()

    def _ask(self, request: DrinksRequest | None) -> None:
        if request is None:
            return
        self._client.send(request)
        if self._drinks.is_asking:
            self._answer = self._loop.call_later(ANSWER_S, self._on_no_answer)

    def _on_no_answer(self) -> None:
        if self._drinks.is_asking:
            log.info(
                "the core does not tell of stored drinks: those poured while this program is away are not published"
            )
            self._publish(*self._drinks.no_answer())

    def _on_event(self, event: Event) -> None:
        if self._publisher is None:
            return
        if isinstance(event, FlowUpdate | SetRelayOutputEvent):
            if redis_dialect.is_published(event):
                self._publish(event)
            return
        if isinstance(event, DrinkCreatedEvent):
            drinks, request = self._drinks.heard(event)
        elif isinstance(event, Drinks):
            drinks, request = self._drinks.answer(event)
            self._save()
        else:
            return
        self._publish(*drinks)
        self._ask(request)

    def _publish(self, *events: FlowUpdate | SetRelayOutputEvent | DrinkCreatedEvent) -> None:
        for event in events:
            self._outgoing.add(event, self._loop.now_s())
        self._send_out()

    def _send_out(self) -> None:
        if self._publisher is None or not self._publisher.ready:
            return
        for event in self._outgoing.take(self._loop.now_s()):
            payload = redis_dialect.payload(event)
            self._echo.say(payload)
            self._publisher.send(redis_resp.command("PUBLISH", self._channel, payload))
        if self._outgoing.under_way and self._reply is None:
            self._reply = self._loop.call_later(ANSWER_S, self._on_no_reply)

    def _on_publisher(self) -> None:
        self._tell()
        self._send_out()

    def _on_published(self, reply: Reply) -> None:
        self._forget_reply()
        if isinstance(reply, Failure):
            # The next one would fare no better, and all are to be kept in their order.
            assert self._publisher is not None
            self._refusal = f"it refused a message: {reply.text[:200]}"
            self._publisher.give_up(self._refusal)
            return
        if self._refusal:
            self._refusal = ""
            self._tell()
        event = self._outgoing.answered()
        if isinstance(event, DrinkCreatedEvent):
            request = self._drinks.published(event)
            self._save()
            self._ask(request)
        self._send_out()

    def _on_no_reply(self) -> None:
        self._reply = None
        if self._publisher is not None and self._outgoing.under_way:
            self._publisher.give_up(f"no answer for {ANSWER_S:g} s")

    def _on_publisher_gone(self) -> None:
        self._forget_reply()
        self._outgoing.lost()
        self._tell()

    def _forget_reply(self) -> None:
        if self._reply is not None:
            self._reply.cancel()
            self._reply = None

    def _save(self) -> None:
        """What is published, once all that was asked for is: a crash in between repeats some, and loses none."""
        if self._saving is not None:
            self._saving.cancel()
            self._saving = None
        if self._cursor is None:
            return
        try:
            self._cursor.save(self._drinks.record)
        except OSError as error:
            self._complain(
                f"cannot keep which drinks were published: {self._cursor.path}: {error.strerror}; tried again"
            )
            self._saving = self._loop.call_later(SAVE_AGAIN_S, self._save)

    # What others publish goes to the core.

    def _on_subscriber(self) -> None:
        self._deafness.end(self._loop.now_s())
        self._tell()

    def _on_subscriber_gone(self) -> None:
        self._deafness.begin(self._loop.now_s())
        self._echo.expect_nothing()
        self._tell()

    def _on_message(self, reply: Reply) -> None:
        if not (isinstance(reply, list) and len(reply) == 3 and reply[0] == b"message"):
            return
        text = reply[2]
        if isinstance(text, TooLong):
            self._complain(f"skipped a message of {text.length} bytes")
        elif isinstance(text, bytes) and not self._echo.is_own(text):
            self._pass_on(text)

    def _pass_on(self, text: bytes) -> None:
        event = redis_dialect.read(text)
        if isinstance(event, Refused):
            if event.reason:
                self._refuse(text, event)
            return
        if isinstance(event, MeterUpdate):
            event = replace(event, gap_s=self._deafness.gap_s(event.tap_name))
        self._client.send(event)

    def _refuse(self, text: bytes, refused: Refused) -> None:
        """Say why, unless a second bridge says what this one does: it may be a little ahead."""
        if not refused.is_the_cores or self._doubted >= _MAX_DOUBTED:
            self._complain(f"skipped a message: {refused.reason}{_because(refused.excerpt)}")
            return
        self._doubted += 1
        self._loop.call_later(_AHEAD_S, lambda: self._decide(text, refused))

    def _decide(self, text: bytes, refused: Refused) -> None:
        self._doubted -= 1
        now_s = self._loop.now_s()
        if self._echo.finds_twin(text, now_s):
            log.warning(
                "another bridge publishes to %s what this core tells: all of it is there twice; stop one of them, or "
                "start it with --redis_direction=to_core",
                self._channel,
            )
        elif not self._echo.has_twin(now_s):
            self._complain(f"skipped a message: {refused.reason}")

    def _complain(self, text: str) -> None:
        unsaid = self._complaints.admit(self._loop.now_s())
        if unsaid is not None:
            log.warning("%s%s", text, f" ({unsaid} lines like this left out)" if unsaid else "")


def _because(problem: str) -> str:
    return f": {problem}" if problem else ""
