"""One connection to the broker, made again for ever: subscribed, published to, and known to be there or not.

Knows paho, one socket and the loop. Must not know what is published, or who reads it.
A thread looks the name up, connects and shakes hands, for these may take seconds and the loop must not; from then on
all is done in the loop. Each connection is a client and a session of its own: what a lost one had under way is gone,
so whoever published it gets no answer and says it again, or something newer. The broker has to tell nothing that is
too long for us, which needs MQTT 5 (Mosquitto 1.6 of 2019 and later).
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from kegapps.bridge.mqtt_dial import CONNECT_TIMEOUT_S, KEEPALIVE_S, dial, new_client
from kegapps.bridge.mqtt_settings import Broker
from kegapps.bridge.mqtt_tls import unanswered
from kegapps.daemon.loop import READ, WRITE, Loop, Timer
from kegapps.daemon.thread_calls import ThreadCalls
from kegapps.kegnet.ratelimit import RateLimit
from kegapps.kegnet.sockets import tune

log = logging.getLogger("mqtt")

_RETRY_S: Final = (0.5, 5.0)
_NOT_AUTHORIZED: Final = {0x86, 0x87}  # CONNACK: bad user name or password; not authorized


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """Something published to a topic; a `retained` one was there before we came."""

    topic: str
    payload: bytes
    retained: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Will:
    """What the broker is to say for us, retained, when we are gone without a word."""

    topic: str
    payload: bytes


class MqttLink:
    """Looks for the broker from `start` on. Callbacks come from the loop only.

    on_up       connected and subscribed
    on_down     not any more; what was published and not answered may or may not have arrived
    on_message  something came to a topic of `subscriptions`
    on_state    `state`, a line for a person, is another one
    """

    def __init__(
        self,
        loop: Loop,
        broker: Broker,
        library: Any,
        *,
        client_id: str,
        will: Will,
        subscriptions: tuple[str, ...] = (),
        on_up: Callable[[], None],
        on_down: Callable[[], None],
        on_message: Callable[[Message], None],
        on_state: Callable[[], None],
    ) -> None:
        self.is_up = False
        self.problem = ""
        self._loop = loop
        self._broker = broker
        self._mqtt = library
        self._client_id = client_id
        self._will = will
        self._subscriptions = subscriptions
        self._on_up = on_up
        self._on_down = on_down
        self._on_message = on_message
        self._on_state = on_state
        self._calls = ThreadCalls(loop)
        self._client: Any = None
        self._sock: Any = None
        self._watched = 0
        self._timer: Timer | None = None  # the next attempt, or the end of patience
        self._misc: Timer | None = None
        self._failures = 0
        self._arrived: list[Message] = []
        self._news: list[Callable[[], None]] = []  # from paho's callbacks, to be acted upon after them
        self._unanswered: dict[int, tuple[str, Callable[[bool], None] | None]] = {}  # by packet id
        self._awaited_subscription = 0
        self._is_answered = False  # our hello, by this connection's broker
        self._refusals = RateLimit(3, 60.0)
        self._closed = False

    @property
    def state(self) -> str:
        """For a person: whether the broker is there."""
        if self.is_up:
            return f"broker at {self._broker}"
        return f"waiting for the broker at {self._broker}" + (f": {self.problem}" if self.problem else "")

    @property
    def unanswered(self) -> int:
        """How many QoS 1 publications the broker has not confirmed."""
        return len(self._unanswered)

    def start(self) -> None:
        """Look for the broker, now and whenever it is lost."""
        client = self._client = self._new_client()
        threading.Thread(target=self._dial, args=(client,), daemon=True, name="mqtt-connect").start()

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 0,
        retain: bool = False,
        on_answer: Callable[[bool], None] | None = None,
    ) -> bool:
        """Publish, if there is a connection; else False. With `qos` 1, `on_answer(taken)` tells when it was answered.

        If the connection is lost before, it is never called.
        """
        if not self.is_up:
            return False
        info = self._client.publish(topic, payload, qos=qos, retain=retain)
        if qos:
            self._unanswered[info.mid] = (topic, on_answer)
        self._watch()
        return True

    def close(self, *, within_s: float = 0.4) -> None:
        """Say what was published and not sent yet, as far as `within_s` seconds allow, then good-bye."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self.is_up:
            until_s = self._loop.now_s() + within_s
            client = self._client
            while self._client is client and (client.want_write() or self._unanswered):
                if (left_s := until_s - self._loop.now_s()) <= 0:
                    break
                self._loop.run_once(left_s)
            if self._client is client and self._client.disconnect() == 0:
                self._client.loop_write()
        self._release()
        self._calls.close()

    # Connecting

    def _new_client(self) -> Any:
        client = new_client(
            self._mqtt, self._broker, client_id=self._client_id, on_too_long=self._note_too_long
        )
        client.will_set(self._will.topic, self._will.payload, qos=1, retain=True)
        client.on_connect = self._note_connected
        client.on_subscribe = self._note_subscribed
        client.on_disconnect = self._note_lost
        client.on_publish = self._note_answer
        client.on_message = self._note_message
        client.on_socket_register_write = _leave_writing_to_us
        client.on_socket_close = self._forget_socket
        return client

    def _dial(self, client: Any) -> None:
        """In a thread of its own: nothing else touches `client` meanwhile."""
        problem = dial(self._mqtt, client, self._broker)
        self._calls.call_soon(partial(self._on_dialled, client, problem))

    def _on_dialled(self, client: Any, problem: str) -> None:
        if client is not self._client:
            return
        if problem:
            self._give_up(problem)
            return
        self._sock = client.socket()
        self._is_answered = False
        tune(self._sock)
        self._watched = 0
        self._watch()
        self._timer = self._loop.call_later(
            CONNECT_TIMEOUT_S, partial(self._give_up, f"no answer for {CONNECT_TIMEOUT_S:g} s")
        )
        self._misc = self._loop.call_later(KEEPALIVE_S / 2, self._look_after)

    def _begin(self, reason: Any) -> None:
        self._is_answered = True
        if reason.is_failure:
            hint = ""
            if reason.value in _NOT_AUTHORIZED:
                hint = "; see --mqtt_user and --mqtt_password_file"
            self._give_up(f"it refused us: {reason}{hint}")
        elif self._subscriptions:
            _, self._awaited_subscription = self._client.subscribe(
                [(topic, 1) for topic in self._subscriptions]
            )
        else:
            self._rise()

    def _on_subscribed(self, packet_id: int, reasons: list[Any]) -> None:
        if packet_id != self._awaited_subscription:
            return
        for topic, reason in zip(self._subscriptions, reasons, strict=False):
            if reason.is_failure:
                self._give_up(f"it does not let us read {topic}: {reason}")
                return
        self._rise()

    def _rise(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.is_up = True
        self.problem = ""
        log.info("connected to the broker at %s as %s", self._broker, self._client_id)
        # A broker that throws us out at once must not be besieged.
        self._timer = self._loop.call_later(_RETRY_S[1], self._trust)
        self._on_state()
        self._on_up()

    def _trust(self) -> None:
        self._failures = 0

    # Connected

    def _watch(self) -> None:
        if self._sock is None:
            return
        wanted = READ | (WRITE if self._client.want_write() else 0)
        if wanted != self._watched:
            self._watched = wanted
            self._loop.watch(self._sock, wanted, self._on_ready)

    def _on_ready(self, ready: int) -> None:
        client, sock = self._client, self._sock
        if ready & READ:
            client.loop_read()
            # What TLS has decrypted already makes no socket readable.
            while hasattr(sock, "pending") and client.socket() is sock and sock.pending():
                client.loop_read()
        if ready & WRITE and client.socket() is sock:
            client.loop_write()
        self._act()

    def _look_after(self) -> None:
        """Pings go out when they are due, and are missed when they are not answered."""
        self._misc = self._loop.call_later(KEEPALIVE_S / 2, self._look_after)
        self._client.loop_misc()
        self._act()

    def _act(self) -> None:
        """Do what paho's callbacks took note of, now that paho is not on the stack any more."""
        client = self._client
        news, self._news = self._news, []
        for act in news:
            if self._client is not client:
                return
            act()
        if self._client is client:
            self._watch()

    # paho's callbacks only take note: within them its locks are held.

    def _note_connected(self, _client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self._news.append(partial(self._begin, reason))

    def _note_subscribed(
        self, _client: Any, _data: Any, packet_id: int, reasons: Any, _properties: Any
    ) -> None:
        self._news.append(partial(self._on_subscribed, packet_id, list(reasons)))

    def _note_lost(self, _client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if not self._closed:
            self._news.append(partial(self._lose, f"lost: {reason}"))

    def _note_too_long(self, length: int) -> None:
        self._news.append(partial(self._give_up, f"it sent {length} bytes at once, which nobody asked for"))

    def _forget_socket(self, _client: Any, _data: Any, sock: Any) -> None:
        if sock is self._sock:  # not while a thread dials
            self._loop.unwatch(sock)

    def _note_answer(self, _client: Any, _data: Any, packet_id: int, reason: Any, _properties: Any) -> None:
        if packet_id in self._unanswered:  # QoS 0 is "answered" when it was sent
            self._news.append(partial(self._on_answer, packet_id, reason))

    def _note_message(self, _client: Any, _data: Any, message: Any) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return
        arrived = Message(topic=topic, payload=bytes(message.payload), retained=bool(message.retain))
        self._news.append(partial(self._on_message, arrived))

    def _on_answer(self, packet_id: int, reason: Any) -> None:
        topic, on_answer = self._unanswered.pop(packet_id, ("", None))
        if reason.is_failure:
            unsaid = self._refusals.admit(self._loop.now_s())
            if unsaid is not None:
                log.warning("the broker does not take what we publish to %s: %s", topic, reason)
        if on_answer is not None:
            on_answer(not reason.is_failure)

    # Losing

    def _lose(self, problem: str) -> None:
        self._give_up(problem if self._is_answered else unanswered(tls=self._broker.tls))

    def _give_up(self, problem: str) -> None:
        was_up = self.is_up
        if was_up:
            log.warning("lost the broker at %s: %s", self._broker, problem)
        elif problem != self.problem:
            log.warning("cannot reach the broker at %s: %s; trying on", self._broker, problem)
        self._release()
        self.problem = problem
        first_s, longest_s = _RETRY_S
        # The spread keeps the clients of a restarted broker from coming all at once.
        delay_s = min(longest_s, first_s * 2 ** min(self._failures, 10)) * random.uniform(0.8, 1.2)
        self._failures += 1
        if not self._closed:
            self._timer = self._loop.call_later(delay_s, self.start)
        self._on_state()
        if was_up:
            self._on_down()

    def _release(self) -> None:
        self.is_up = False
        for timer in (self._timer, self._misc):
            if timer is not None:
                timer.cancel()
        client, sock = self._client, self._sock
        self._client = self._sock = None
        self._news.clear()
        self._unanswered.clear()
        if sock is not None and client.socket() is sock:
            self._loop.unwatch(sock)
            sock.close()


def _leave_writing_to_us(_client: Any, _data: Any, _sock: Any) -> None:
    """With this callback paho never writes by itself; the loop looks at what it wants to write."""
