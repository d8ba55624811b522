from __future__ import annotations

import logging
import random
import re
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from kegapps.daemon.loop import READ, Loop
from kegapps.kegnet.backlog import BacklogLimits
from kegapps.kegnet.client import Client
from kegapps.kegnet.codec import encode
from kegapps.kegnet.events import (
    BoardStatus,
    CoreStatus,
    DrinkCreatedEvent,
    DrinkFacts,
    Drinks,
    DrinksRequest,
    Event,
    FlowRequest,
    MeterUpdate,
    Ping,
    Refusal,
    Session,
    SetRelayOutputEvent,
    StatusRequest,
    Taken,
    ThermoEvent,
    TokenAuthEvent,
)
from tests.apps.kegnet.support import Clock, RawPeer, turn_until

RELAY = SetRelayOutputEvent(output_name="kegboard.relay0", output_mode="enabled")
TOKEN = TokenAuthEvent(tap_name="a", auth_device_name="core.rfid", token_value="01", status="added")
NOW = datetime(2026, 11, 21, 7, 12, 12, tzinfo=UTC)
DRINK = DrinkCreatedEvent(flow_id=7, drink_id=1, tap_name="a", start_time=NOW, end_time=NOW, username="guest")


def reading(ticks: int, age_s: float = 0.0) -> MeterUpdate:
    return MeterUpdate(tap_name="a", reading=ticks, age_s=age_s)


class FakeCore:
    """A listening socket and the connections it got; it can vanish and come back on the same port."""

    def __init__(self, loop: Loop, receive_bytes: int = 0) -> None:
        self.loop = loop
        self.peers: list[RawPeer] = []
        self.on_connection: Callable[[socket.socket], None] = lambda sock: self.peers.append(
            RawPeer(loop, sock)
        )
        self._receive_bytes = receive_bytes
        self._port = 0
        self.listen()

    def listen(self) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self._receive_bytes:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_bytes)
        listener.bind(("127.0.0.1", self._port))
        listener.listen()
        self.listener = listener
        self._port = listener.getsockname()[1]
        self.loop.watch(listener, READ, lambda _ready: self.on_connection(listener.accept()[0]))

    @property
    def address(self) -> tuple[str, int]:
        return ("127.0.0.1", self._port)

    @property
    def peer(self) -> RawPeer:
        return self.peers[-1]

    def vanish(self) -> None:
        self.loop.unwatch(self.listener)
        self.listener.close()
        for peer in self.peers:
            peer.close()


class World:
    """One loop, one fake core, one client and what it told."""

    def __init__(self, receive_bytes: int = 0) -> None:
        self.clock = Clock()
        self.loop = Loop(self.clock)
        self.core = FakeCore(self.loop, receive_bytes)
        self.heard: list[Event] = []
        self.comings: list[str] = []
        self.failures: list[str] = []
        self.client: Client

    def start(self, backlog: BacklogLimits | None = None) -> Client:
        self.client = Client(
            self.loop,
            self.core.address,
            on_event=self.heard.append,
            on_connected=lambda: self.comings.append("connected"),
            on_disconnected=lambda: self.comings.append("disconnected"),
            on_failed=self.failures.append,
            backlog=backlog or BacklogLimits(),
        )
        return self.client

    def connected(self) -> Client:
        client = self.start()
        self.until(lambda: client.connected and self.core.peers, "to connect")
        return client

    def until(self, condition: Callable[[], object], what: str = "") -> None:
        turn_until(self.loop, condition, what)

    def pass_time(self, seconds: float) -> None:
        self.clock.ahead_s += seconds
        self.loop.run_once(0)

    def come_back(self) -> None:
        """The core listens again and the client finds it, however long its wait was."""
        connections = len(self.core.peers)
        self.core.listen()
        self.pass_time(7.0)
        self.until(lambda: self.client.connected and len(self.core.peers) > connections, "to come back")

    def close(self) -> None:
        if hasattr(self, "client"):
            self.client.close()
        self.core.vanish()
        self.loop.close()


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.close()


def test_it_connects_at_once_and_sends_what_it_is_given(world: World) -> None:
    client = world.connected()
    assert world.comings == ["connected"]
    client.send(reading(250))
    assert client.drained
    world.until(lambda: world.core.peer.got)
    (greeting,) = world.core.peer.greetings
    assert isinstance(greeting, Session)
    assert greeting.next == 0
    assert world.core.peer.bytes == encode(greeting) + encode(reading(250))


def test_it_hears_what_a_core_may_say_and_nothing_else(world: World) -> None:
    world.connected()
    world.core.peer.say(RELAY, reading(5), TOKEN, Ping(), b"nonsense\n\n", DRINK)
    world.until(lambda: len(world.heard) == 2)
    assert world.heard == [RELAY, DRINK]
    assert world.client.connected


def test_it_can_ask_a_core_how_it_is_and_hears_even_a_long_answer(world: World) -> None:
    client = world.connected()
    client.send(StatusRequest())
    world.until(lambda: world.core.peer.got)
    assert world.core.peer.got == [StatusRequest()]
    answer = CoreStatus(report={"taps": [{"name": f"kegboard.flow{number}"} for number in range(5000)]})
    world.core.peer.say(answer)
    world.until(lambda: world.heard)
    assert world.heard == [answer]


def test_it_can_ask_for_drinks_and_hears_the_answer(world: World) -> None:
    client = world.connected()
    client.send(DrinksRequest(after=4))
    world.until(lambda: world.core.peer.got)
    assert world.core.peer.got == [DrinksRequest(after=4)]
    drink = DrinkFacts(
        drink_id=5, uuid="u", flow_id=1, tap_name="kegboard.flow0", username=None, ticks=1, volume_ml=1.0,
        start_unix_s=1.0, end_unix_s=2.0,
    )  # fmt: skip
    world.core.peer.say(Drinks(drinks=(drink,), last_id=5))
    world.until(lambda: world.heard)
    assert world.heard == [Drinks(drinks=(drink,), last_id=5)]


def test_what_is_about_the_present_is_not_kept_for_a_core_that_is_away(world: World) -> None:
    world.core.vanish()
    client = world.start()
    client.send(BoardStatus(board_name="kegboard", state="online"))
    client.send(StatusRequest())
    client.send(DrinksRequest(after=0))
    assert client.drained
    client.send(TOKEN)
    world.come_back()
    world.until(lambda: world.core.peer.got)
    assert [type(event) for event in world.core.peer.got] == [TokenAuthEvent]


def test_what_is_given_before_the_connection_stands_is_sent_when_it_does(world: World) -> None:
    client = world.start()
    client.send(TOKEN)
    client.send(reading(1))
    assert not client.drained
    assert client.waiting == 2
    world.until(lambda: world.core.peers and len(world.core.peer.got) == 2)
    assert client.drained
    assert world.core.peer.got == [TOKEN, reading(1)]


def test_a_core_that_starts_later_gets_what_was_kept_with_its_age(world: World) -> None:
    world.core.vanish()
    client = world.start()
    client.send(reading(250))
    world.pass_time(30.0)
    client.send(reading(300))
    world.come_back()
    world.until(lambda: len(world.core.peer.got) == 2)
    first, second = world.core.peer.got
    assert isinstance(first, MeterUpdate)
    assert isinstance(second, MeterUpdate)
    assert (first.reading, second.reading) == (250, 300)
    assert 37 <= first.age_s < 60
    assert 7 <= second.age_s < 30


def test_what_it_missed_while_it_was_away_is_in_its_log(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "kegnet")
    world.connected()
    assert "missed" not in caplog.text
    world.core.vanish()
    world.until(lambda: not world.client.connected)
    world.come_back()
    assert re.search(r"connected to the core .*; what it told during 7\.\d s, .* was missed", caplog.text)


def test_a_core_that_refuses_it_says_why_and_is_not_besieged(world: World) -> None:
    client = world.connected()
    world.core.peer.say(Refusal(reason="no token"))
    world.until(lambda: not client.connected)
    assert client.problem == "it refused us: no token"
    assert world.comings == ["connected", "disconnected"]
    assert client._timer is not None
    assert client._timer.due_s > world.clock()


def test_it_says_why_it_is_not_connected(world: World) -> None:
    world.core.vanish()
    client = world.start()
    world.until(lambda: client.problem)
    world.until(lambda: world.failures)
    assert client.problem == world.failures[0] == "Connection refused"
    assert world.comings == []
    world.come_back()
    assert client.problem == ""


def test_a_lost_core_is_told_and_found_again(world: World) -> None:
    client = world.connected()
    world.core.vanish()
    world.until(lambda: not client.connected)
    assert world.comings == ["connected", "disconnected"]
    world.come_back()
    assert world.comings == ["connected", "disconnected", "connected"]


def test_a_restarted_core_is_looked_for_after_half_a_second_then_less_and_less_up_to_5_s(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(random, "uniform", lambda _low, _high: 1.0)
    client = world.connected()
    world.pass_time(60.0)
    attempts = 0
    delays_s: list[float] = []
    original = client._retry_later

    def noted(problem: str) -> None:
        nonlocal attempts
        attempts += 1
        original(problem)
        assert client._timer is not None
        delays_s.append(round(client._timer.due_s - world.clock(), 1))

    monkeypatch.setattr(client, "_retry_later", noted)
    world.core.vanish()
    for number in range(1, 7):
        world.until(lambda wanted=number: attempts >= wanted)  # type: ignore[misc]
        world.clock.ahead_s += 5.0
    assert delays_s == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]


def test_a_server_that_closes_at_once_is_not_besieged(world: World) -> None:
    accepted = 0

    def slam(sock: socket.socket) -> None:
        nonlocal accepted
        accepted += 1
        sock.close()

    world.core.on_connection = slam
    world.start()
    for _ in range(300):  # 30 s pass
        for _ in range(3):
            world.loop.run_once(0)
        world.clock.ahead_s += 0.1
    assert 3 <= accepted <= 14


def test_the_last_reading_of_each_meter_is_repeated_to_a_core_that_came_back(world: World) -> None:
    client = world.connected()
    other = MeterUpdate(tap_name="b", reading=7)
    for event in (reading(100), other, reading(200), TOKEN):
        client.send(event)
    world.until(lambda: len(world.core.peer.got) == 4)
    world.core.vanish()  # perhaps without having understood any of it
    world.until(lambda: not client.connected)
    client.send(reading(300))
    world.come_back()
    world.until(lambda: len(world.core.peer.got) == 3)
    repeated = world.core.peer.got
    assert [(getattr(event, "tap_name", ""), getattr(event, "reading", 0)) for event in repeated] == [
        ("b", 7), ("a", 200), ("a", 300),
    ]  # fmt: skip
    assert client.drained


def test_repeated_losses_do_not_pile_up_repetitions(world: World) -> None:
    client = world.connected()
    client.send(reading(100))
    for _ in range(5):
        world.core.vanish()
        world.until(lambda: not client.connected)
        world.come_back()
    world.until(lambda: world.core.peer.got)
    client.send(TOKEN)
    world.until(lambda: TOKEN in world.core.peer.got)
    assert [type(event) for event in world.core.peer.got] == [MeterUpdate, TokenAuthEvent]


def test_what_the_kernel_does_not_take_waits_and_arrives_in_order_and_once() -> None:
    world = World(receive_bytes=4096)
    try:
        client = world.connected()
        peer = world.core.peer
        world.loop.unwatch(peer.sock)  # it does not read for now
        requests = [
            FlowRequest(tap_name=f"{number:0100}", request="report_status") for number in range(30_000)
        ]
        sent = 0
        while client.drained:
            client.send(requests[sent])
            sent += 1
        for request in requests[sent : sent + 3000]:
            client.send(request)
        assert not client.drained
        world.loop.watch(peer.sock, READ, peer._read)
        world.until(lambda: len(peer.got) == sent + 3000)
        assert [getattr(event, "tap_name", "") for event in peer.got] == [
            request.tap_name for request in requests[: sent + 3000]
        ]
        assert client.drained
    finally:
        world.close()


def test_an_event_cut_off_by_a_loss_is_sent_whole_to_the_next_core() -> None:
    world = World(receive_bytes=4096)
    try:
        client = world.connected()
        world.loop.unwatch(world.core.peer.sock)
        sent = 0
        while client.drained:
            client.send(FlowRequest(tap_name=f"{sent:0100}", request="report_status"))
            sent += 1
        world.core.vanish()
        world.until(lambda: not client.connected)
        world.come_back()
        world.until(lambda: world.core.peer.got)
        (event,) = world.core.peer.got
        assert isinstance(event, FlowRequest)
        assert event.tap_name == f"{sent - 1:0100}"
    finally:
        world.close()


def test_a_core_that_never_reads_costs_bounded_memory_and_drops_are_counted() -> None:
    world = World(receive_bytes=4096)
    try:
        client = world.start(BacklogLimits(max_events=50))
        world.until(lambda: client.connected and world.core.peers)
        world.loop.unwatch(world.core.peer.sock)
        for number in range(20_000):
            client.send(FlowRequest(tap_name=f"{number:0100}", request="start_flow"))
        assert client.waiting < 50 + 64 + 1
        assert client.dropped > 0
    finally:
        world.close()


@pytest.mark.parametrize(
    "garbage",
    [b"\x00\xff" * 50_000, b"x" * 500_000, b"HTTP/1.1 400 Bad Request\r\n\r\n" * 100, b"{}\n\n" * 5000],
    ids=lambda garbage: ascii(garbage[:16]),
)
def test_a_server_that_talks_nonsense_harms_nothing(world: World, garbage: bytes) -> None:
    client = world.connected()
    world.core.peer.say(garbage, b"\n\n", RELAY)
    world.until(lambda: world.heard)
    assert world.heard == [RELAY]
    client.send(reading(1))
    world.until(lambda: world.core.peer.got)


def test_sending_never_calls_back(world: World) -> None:
    client = world.connected()
    world.core.vanish()
    sending = False

    def must_not_happen() -> None:
        assert not sending

    client._on_disconnected = must_not_happen
    while client.connected:
        sending = True
        client.send(TOKEN)
        client.send(thermo := ThermoEvent(sensor_name="s", sensor_value=4.0))
        sending = False
        world.loop.run_once(0)
    assert thermo is not None


def test_it_may_be_closed_from_within_a_callback(world: World) -> None:
    client = world.connected()
    client._on_event = lambda _event: client.close()
    world.core.peer.say(RELAY, RELAY)
    world.until(lambda: world.core.peer.closed)
    assert not client.connected
    assert world.comings == ["connected"]
    world.pass_time(60.0)
    assert len(world.core.peers) == 1


def test_an_event_that_cannot_be_sent_is_refused_at_once_even_without_a_core(world: World) -> None:
    world.core.vanish()
    client = world.start()
    with pytest.raises(ValueError, match="no number"):
        client.send(ThermoEvent(sensor_name="s", sensor_value=float("nan")))
    assert client.drained


def test_its_socket_sends_at_once_and_notices_a_core_that_vanished(world: World) -> None:
    client = world.connected()
    sock = client._sock
    assert sock is not None
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)


def test_who_speaks_for_another_app_goes_on_in_its_session_and_hears_what_is_stored(world: World) -> None:
    taken: list[int] = []
    world.client = client = Client(
        world.loop, world.core.address, session=("cellar", 7), on_taken=taken.append
    )
    assert not client.is_free
    world.until(lambda: client.is_free and world.core.peers)
    client.send(reading(100))
    client.send(reading(200))
    world.until(lambda: len(world.core.peer.got) == 2)
    assert world.core.peer.greetings == [Session(session="cellar", next=7)]
    world.core.peer.say(Taken(took=8))
    world.until(lambda: taken == [8])
    world.core.vanish()
    world.until(lambda: not client.connected)
    world.come_back()
    world.until(lambda: world.core.peer.got)
    assert [getattr(event, "reading", 0) for event in world.core.peer.got] == [200]
    assert world.core.peer.greetings == [Session(session="cellar", next=8)]


def test_what_belongs_together_is_handed_to_the_kernel_in_one_piece(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = world.connected()
    world.until(lambda: client.drained)
    sends: list[int] = []
    take = Client._account

    def note(self: Client, sent: int) -> None:
        sends.append(sent)
        take(self, sent)

    monkeypatch.setattr(Client, "_account", note)
    together: list[Event] = [reading(1), TOKEN, reading(2), reading(3)]
    client.send_together(*together)
    assert sends == [sum(len(encode(event)) for event in together)]
    world.until(lambda: len(world.core.peer.got) >= 4)
    assert world.core.peer.got[-4:] == together


def test_what_belongs_together_is_kept_for_a_core_that_is_away(world: World) -> None:
    client = world.start()
    client.send_together(reading(1), StatusRequest(), reading(2))
    assert client.waiting == 2
    with pytest.raises(ValueError, match="no number"):
        client.send_together(reading(3), ThermoEvent(sensor_name="s", sensor_value=float("nan")))
    assert client.waiting == 2


def test_a_question_of_an_earlier_connection_is_not_asked_again_in_the_middle_of_what_goes_again(
    world: World,
) -> None:
    client = world.connected()
    client.expect_confirmation()
    client.send_together(reading(1), StatusRequest(), reading(2))
    world.until(lambda: len(world.core.peer.got) >= 3)
    world.core.vanish()
    world.until(lambda: not client.connected)
    world.come_back()
    client.send(StatusRequest())
    world.until(lambda: StatusRequest() in world.core.peer.got)
    got = [event for event in world.core.peer.got if not isinstance(event, Ping)]
    assert [getattr(event, "reading", type(event)) for event in got] == [1, 2, StatusRequest]
