"""The bridge at a machine with boards: a core to its daemons, which keeps what they say until the real one has it.

Knows the hub, the outbox, its spool, the link and the loop. Must not know flags.
What an app says is on the disk before it is confirmed to it, and stays there until the core itself, far away, says
that it has stored what came of it; what brokers and bridges confirm on the way is not relied upon.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from typing import Any, Final

from kegapps.bridge.mqtt_letters import (
    Beat,
    Down,
    LetterError,
    Up,
    read_down,
    read_took,
    write_beat,
    write_status,
    write_up,
)
from kegapps.bridge.mqtt_link import Message, MqttLink, Will
from kegapps.bridge.mqtt_orders import Orders
from kegapps.bridge.mqtt_outbox import Outbox
from kegapps.bridge.mqtt_seal import Seals
from kegapps.bridge.mqtt_settings import Broker
from kegapps.bridge.mqtt_spool import Spool, SpoolError
from kegapps.bridge.mqtt_statuses import TOLD_FOR_S, absent, aged
from kegapps.bridge.mqtt_topics import Topics
from kegapps.daemon.loop import Timer
from kegapps.daemon.service import Service
from kegapps.kegnet.address import shown_address
from kegapps.kegnet.events import APP_EVENTS, BoardStatus, Event, SetRelayOutputEvent
from kegapps.kegnet.hub import Hub
from kegapps.kegnet.ratelimit import RateLimit

log = logging.getLogger("mqtt")

RETRY_S: Final = 1.0  # after the disk took nothing
REPEAT_S: Final = (5.0, 60.0)  # after so long without a confirmation, all that is not confirmed is sent again
BEAT_EVERY_S: Final = 0.25  # orders may come faster than that; stamps need not
MAX_BOARDS: Final = 64


@dataclass(slots=True, kw_only=True)
class _Told:
    status: BoardStatus
    peer: str
    at_s: float


class BoardsBridge:
    """One machine's apps, one broker, and a core somewhere."""

    def __init__(
        self,
        service: Service,
        *,
        broker: Broker,
        library: Any,
        topics: Topics,
        name: str,
        spool: Spool,
        address: tuple[str, int],
        token: str = "",
        secret: str = "",
    ) -> None:
        """Listens for the apps on `address`. Raises OSError if it cannot.

        Without the `secret` that the core's bridge has, no order opens a valve: anybody may have given it.
        """
        self._service = service
        self._loop = service.loop
        self._topics = topics
        self._name = name
        self._spool = spool
        self._seals = Seals(secret)
        self._told_of_secret = False
        self._run = os.urandom(8).hex()
        self._outbox = Outbox(spool.kept(), next_number=int(spool.note("next_number") or 0))
        self._orders = Orders(self._run)
        self._closing: Timer | None = None  # of valves that are not fed
        self._beat_after_s = 0.0
        self._boards: dict[str, _Told] = {}
        self._turn_due = False
        self._trouble = ""
        self._sent = 0  # all numbers below were published over this connection
        self._repeat: Timer | None = None
        self._repeat_s = REPEAT_S[0]
        self._core_is_there = False
        self._nonsense = RateLimit(5, 60.0)
        self._given_up = 0  # so many were told of
        self._regrets = RateLimit(1, 60.0)
        self._hub = Hub(
            self._loop, address, on_event=self._from_app, on_gone=self._app_gone, token=token, confirms=True
        )
        self._hub.resume(spool.sessions())
        self._link = MqttLink(
            self._loop,
            broker,
            library,
            client_id=topics.client_id(name),
            will=Will(topic=topics.machine(name, "availability"), payload=b"offline"),
            subscriptions=(topics.core, topics.machine(name, "taken"), topics.machine(name, "down")),
            on_up=self._on_up,
            on_down=self._on_down,
            on_message=self._on_message,
            on_state=self._show,
        )

    @property
    def status(self) -> str:
        """For a person."""
        behind = "" if self._core_is_there or not self._link.is_up else "waiting for a core behind the "
        parts = [f"{behind}{self._link.state}"]
        if self._trouble:
            parts.insert(0, f"nothing can be stored: {self._trouble}")
        parts.append(f"machine {self._name}: apps at {shown_address(*self._hub.address)}")
        return "; ".join(parts)

    def start(self) -> None:
        """Look for the broker."""
        self._link.start()

    def close(self) -> None:
        """Close the valves, store what came last, and say good-bye."""
        self._close_valves()
        self._turn()
        if self._link.is_up:
            self._link.publish(
                self._topics.machine(self._name, "availability"), b"offline", qos=1, retain=True
            )
        self._link.close()
        self._hub.close()
        self._spool.close()

    # From the apps

    def _from_app(self, event: Event, peer: str) -> None:
        if isinstance(event, BoardStatus):
            if event.board_name in self._boards or len(self._boards) < MAX_BOARDS:
                self._boards[event.board_name] = _Told(status=event, peer=peer, at_s=self._loop.now_s())
            self._tell_status(event)
        elif isinstance(event, APP_EVENTS):
            self._outbox.add(event, self._loop.now_s())
        # Even a Ping counts in an app's session. Questions are left without an answer, as a core of 2012 does.
        self._turn_soon()

    def _app_gone(self, peer: str) -> None:
        for name, told in list(self._boards.items()):
            if told.peer == peer:
                del self._boards[name]
                self._tell_status(absent(told.status, "the daemon that told of it has gone"))

    def _turn_soon(self) -> None:
        # At the end of the loop's round: all that arrived in it goes into one commit.
        if not self._turn_due:
            self._turn_due = True
            self._loop.call_later(0.0, self._turn)

    def _turn(self) -> None:
        self._turn_due = False
        self._outbox.fill(self._loop.now_s())
        changes = self._outbox.changes()
        sessions = self._hub.session_changes()
        if changes or sessions:
            try:
                self._spool.commit(changes, sessions, next_number=self._outbox.next_number)
            except SpoolError as error:
                self._outbox.not_stored(changes)
                self._tell_trouble(str(error))
                self._turn_due = True
                self._loop.call_later(RETRY_S, self._turn)
                return
        self._tell_trouble("")
        self._tell_given_up()
        self._hub.stored()
        self._pump()

    def _tell_given_up(self) -> None:
        more = self._outbox.dropped - self._given_up
        if more and self._regrets.admit(self._loop.now_s()) is not None:
            self._given_up += more
            log.warning(
                "%d events were given up: too many are kept, or a token was too old to be acted upon", more
            )

    def _tell_trouble(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            if trouble:
                log.error("nothing can be stored: %s; the apps keep what they have", trouble)
            self._show()

    # To the core

    def _pump(self) -> None:
        """Publish what is on the disk, numbered, and not published yet."""
        if not (self._link.is_up and self._core_is_there):
            return
        self._sent = max(self._sent, self._outbox.first)
        now_s = self._loop.now_s()
        for number, event in self._outbox.numbered(self._sent, now_s):
            letter = Up(
                session=self._spool.session, number=number, first=self._outbox.first,
                run=self._run, sent_s=now_s, event=event,
            )  # fmt: skip
            if not self._write("up", write_up(letter), qos=1):
                return
            self._sent = number + 1
        if self._outbox.first < self._sent and (self._repeat is None or self._repeat.cancelled):
            self._repeat = self._loop.call_later(self._repeat_s, self._send_again)

    def _send_again(self) -> None:
        """Nothing was confirmed for long, though there is a core."""
        if self._link.is_up and self._core_is_there and self._outbox.first < self._sent:
            self._repeat_s = min(2 * self._repeat_s, REPEAT_S[1])
            self._sent = self._outbox.first
            self._pump()

    def _tell_status(self, status: BoardStatus) -> None:
        self._write("status", write_status(status), qos=1)

    def _write(self, what: str, letter: bytes, *, qos: int = 0) -> bool:
        topic = self._topics.machine(self._name, what)
        return self._link.publish(topic, self._seals.seal(topic, letter), qos=qos)

    def _on_up(self) -> None:
        self._link.publish(self._topics.machine(self._name, "availability"), b"online", qos=1, retain=True)
        self._beat(again=False)  # for a core to know that there is such a machine, also one without a board
        now_s = self._loop.now_s()
        for told in self._boards.values():
            if (ago_s := now_s - told.at_s) < TOLD_FOR_S:
                self._tell_status(aged(told.status, ago_s))

    def _on_down(self) -> None:
        self._core_goes()

    def _core_comes(self) -> None:
        self._core_is_there = True
        self._sent = 0  # what another one had, it had not stored perhaps
        self._repeat_s = REPEAT_S[0]
        self._on_up()
        self._pump()
        self._show()

    def _core_goes(self) -> None:
        self._core_is_there = False
        if self._repeat is not None:
            self._repeat.cancel()
        # Nobody keeps watch over an open valve any more.
        self._close_valves()
        self._show()

    # From the core

    def _on_message(self, message: Message) -> None:
        if message.topic == self._topics.core:
            self._core_comes() if message.payload == b"online" else self._core_goes()
        elif message.retained:
            self._complain(message.topic, "it is retained, and so may be of any time")
        else:
            what = (self._topics.who(message.topic) or ("", ""))[1]
            try:
                if what == "taken":
                    self._on_taken(self._seals.check(message.topic, message.payload))
                elif what == "down":
                    self._on_down_letter(read_down(self._seals.check(message.topic, message.payload)))
            except LetterError as error:
                self._complain(message.topic, str(error))

    def _on_taken(self, payload: bytes) -> None:
        letter = read_took(payload)
        if letter.session != self._spool.session or letter.took > self._outbox.next_number:
            return
        if self._outbox.confirm(letter.took):
            self._repeat_s = REPEAT_S[0]
            if self._repeat is not None:
                self._repeat.cancel()
            self._turn_soon()
        if letter.again is not None:
            self._sent = letter.again
            self._pump()

    def _on_down_letter(self, letter: Down) -> None:
        event = letter.event
        if not isinstance(event, SetRelayOutputEvent):
            self._hub.broadcast(event)
            return
        if event.output_mode == "enabled" and not self._seals:
            self._tell_of_secret(event.output_name)
            return
        now_s = self._loop.now_s()
        if self._orders.take(event, letter.stamp, now_s):
            self._hub.broadcast(event)
            self._watch_valves()
            if event.output_mode == "enabled" and now_s >= self._beat_after_s:
                self._beat(again=False)
        elif now_s >= self._beat_after_s:
            self._beat(again=True)

    def _tell_of_secret(self, output_name: str) -> None:
        if not self._told_of_secret:
            self._told_of_secret = True
            log.warning(
                "%s stays closed: anybody at the broker may have given the order; give the bridges of both machines "
                "the same --mqtt_secret_file",
                ascii(output_name)[1:-1],
            )

    def _beat(self, *, again: bool) -> None:
        now_s = self._loop.now_s()
        self._beat_after_s = now_s + BEAT_EVERY_S
        letter = Beat(stamp=self._orders.stamp(now_s), again=again)
        self._write("beat", write_beat(letter))

    # Valves

    def _watch_valves(self) -> None:
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None
        due_s = self._orders.due_s()
        if due_s is not None:
            self._closing = self._loop.call_later(max(0.0, due_s - self._loop.now_s()), self._close_unfed)

    def _close_unfed(self) -> None:
        orders = self._orders.close_unfed(self._loop.now_s())
        for order in orders:
            log.warning("closing %s: the core's order was not repeated in time", order.output_name)
        self._hub.broadcast(*orders)
        self._watch_valves()

    def _close_valves(self) -> None:
        self._hub.broadcast(*self._orders.close_all())
        self._watch_valves()

    # Telling people

    def _complain(self, topic: str, reason: str) -> None:
        unsaid = self._nonsense.admit(self._loop.now_s())
        if unsaid is not None:
            more = f" ({unsaid} more like it were not logged)" if unsaid else ""
            log.warning("skipped what came to %s: %s%s", ascii(topic)[1:-1], reason, more)

    def _show(self) -> None:
        self._service.status(self.status)
