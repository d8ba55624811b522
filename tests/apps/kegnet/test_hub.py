from __future__ import annotations

import errno
import logging
import os
import resource
import socket
import struct
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from kegapps.daemon.loop import Loop
from kegapps.kegnet.codec import encode
from kegapps.kegnet.events import (
    CORE_EVENTS,
    BoardStatus,
    CoreStatus,
    Credentials,
    DrinkCreatedEvent,
    Drinks,
    DrinksRequest,
    Event,
    FlowRequest,
    FlowUpdate,
    MeterUpdate,
    Ping,
    Refusal,
    Session,
    SetRelayOutputEvent,
    StatusRequest,
    ThermoEvent,
    TokenAuthEvent,
)
from kegapps.kegnet.hub import Hub, HubLimits
from tests.apps.kegnet.support import Clock, Core, RawPeer, running_core

NOW = datetime(2026, 11, 21, 7, 12, 12, tzinfo=UTC)
READING = MeterUpdate(tap_name="kegboard.flow0", reading=250)
RELAY = SetRelayOutputEvent(output_name="kegboard.relay0", output_mode="enabled")
FLOW = FlowUpdate(
    flow_id=7, tap_name="kegboard.flow0", state="completed", username=None, start_time=NOW,
    last_activity_time=NOW, ticks=1000, volume_ml=454.5,
)  # fmt: skip
DRINK = DrinkCreatedEvent(
    flow_id=7, drink_id=1, tap_name="kegboard.flow0", start_time=NOW, end_time=NOW, username="guest"
)


def ignore(_event: Event, _peer: str) -> None:
    pass


def read_to_the_end(sock: socket.socket) -> None:
    while sock.recv(65536):
        pass


@pytest.fixture
def core() -> Iterator[Core]:
    with running_core() as running:
        yield running


def test_what_an_app_may_say_reaches_the_core_in_order_with_its_address(core: Core) -> None:
    said: list[Event] = [
        READING,
        FlowRequest(tap_name="t", request="start_flow"),
        TokenAuthEvent(tap_name="t", auth_device_name="core.rfid", token_value="aa", status="added"),
        ThermoEvent(sensor_name="s", sensor_value=4.25, age_s=3.5),
    ]
    app = core.app()
    app.say(*said)
    core.turn_until(lambda: len(core.got) == 4)
    assert core.got == said
    host, port = app.sock.getsockname()
    assert set(core.from_peers) == {f"{host}:{port}"}


def test_what_the_core_says_reaches_every_app_the_sender_included(core: Core) -> None:
    apps = [core.app() for _ in range(3)]
    core.on_event = lambda _event: core.hub.broadcast(RELAY, FLOW)
    apps[0].say(READING)
    core.turn_until(lambda: all(len(app.got) == 2 for app in apps))
    assert [app.got for app in apps] == [[RELAY, FLOW]] * 3


def test_answers_to_events_of_one_segment_arrive_together_and_in_order(core: Core) -> None:
    app = core.app()
    readings = [MeterUpdate(tap_name="t", reading=number) for number in range(10)]
    core.on_event = lambda event: core.hub.broadcast(event)
    app.say(*readings)
    core.turn_until(lambda: len(app.got) == 10)
    assert app.got == readings


@pytest.mark.parametrize("event", [FLOW, DRINK, RELAY], ids=lambda event: type(event).__name__)
def test_what_only_the_core_may_say_is_neither_passed_on_nor_repeated(core: Core, event: Event) -> None:
    assert isinstance(event, CORE_EVENTS)
    liar, display = core.app(), core.app()
    liar.say(event, READING)
    core.turn_until(lambda: core.got)
    core.hub.broadcast(RELAY)
    core.turn_until(lambda: display.got and liar.got)
    assert core.got == [READING]
    assert display.got == liar.got == [RELAY]
    assert core.hub.counts.rejected == 1


@pytest.mark.parametrize(
    "odd",
    [
        b"\n\n",
        b"hello\n\n",
        b'{"event": "QuitEvent", "data": {}}\n\n',
        b'{"event": "HeartbeatSecondEvent", "data": {}}\n\n',
        b'{"event": "NoSuchEvent", "data": {}}\n\n',
        b'{"event": "Ping"}\n\n',
        b'["MeterUpdate"]\n\n',
        b'"MeterUpdate"\n\n',
        b'{"event": "MeterUpdate", "data": {"tap_name": "t", "reading": null}}\n\n',
        b'{"event": "MeterUpdate", "data": {"tap_name": "t", "reading": -1}}\n\n',
        b'{"event": "MeterUpdate", "data": {"tap_name": "t", "reading": "abc"}}\n\n',
        b'{"event": "MeterUpdate", "data": {"tap_name": "t", "reading": "12"}}\n\n',
        b"x" * 200_000 + b"\n\n",
        b"\xff\x00\n\n",
    ],
    ids=lambda odd: ascii(odd[:60]),
)
def test_odd_input_costs_only_itself_and_the_connection_is_kept(core: Core, odd: bytes) -> None:
    app = core.app()
    app.say(READING, odd, READING)
    core.turn_until(lambda: len(core.got) == 2)
    assert core.hub.counts.rejected == 1
    assert not app.closed


def test_a_ping_is_accepted_and_does_nothing(core: Core) -> None:
    core.app().say(Ping(), READING)
    core.turn_until(lambda: core.got)
    assert core.got == [READING]
    assert core.hub.counts.rejected == 0


def test_what_our_own_apps_say_in_a_ping_reaches_the_core(core: Core) -> None:
    said: list[Event] = [
        BoardStatus(board_name="kegboard", state="online"),
        StatusRequest(),
        DrinksRequest(after=0),
    ]
    core.app().say(Credentials(token="not-wanted-here-at-all"), *said)
    core.turn_until(lambda: len(core.got) == 3)
    assert core.got == said
    assert core.hub.counts.rejected == 0


def test_an_answer_reaches_only_the_app_that_asked_and_after_what_was_said_before(core: Core) -> None:
    asking, other = core.app(), core.app()
    answer = CoreStatus(report={"clients": 2})

    def on_event(_event: Event) -> None:
        core.hub.broadcast(RELAY)
        core.hub.send_to(core.from_peers[-1], answer)
        core.hub.send_to("127.0.0.1:1", answer)

    core.on_event = on_event
    asking.say(StatusRequest())
    core.turn_until(lambda: len(asking.got) == 2 and other.got)
    assert asking.got == [RELAY, answer]
    core.hub.broadcast(DRINK)
    core.turn_until(lambda: len(other.got) == 2)
    assert other.got == [RELAY, DRINK]


def test_a_hub_that_does_not_confirm_ignores_sessions(core: Core) -> None:
    app = core.app()
    app.say(Session(session="a", next=5), READING)
    core.turn_until(lambda: core.got)
    core.hub.stored()
    core.hub.broadcast(RELAY)
    core.turn_until(lambda: app.got)
    assert app.got == [RELAY]


def test_an_app_cannot_answer_for_the_core(core: Core) -> None:
    core.app().say(CoreStatus(report={}), Drinks(drinks=(), last_id=0), READING)
    core.turn_until(lambda: core.got)
    assert core.got == [READING]
    assert core.hub.counts.rejected == 2


def test_the_core_is_told_when_a_connection_is_over_after_its_last_event(core: Core) -> None:
    staying, leaving = core.app(), core.app()
    leaving.say(READING, READING)
    name = "{}:{}".format(*leaving.sock.getsockname())
    leaving.close()
    core.turn_until(lambda: core.gone)
    assert core.gone == [name]
    assert core.got_when_gone == [2]
    assert not staying.closed


def test_a_thousand_bad_messages_are_a_handful_of_log_lines(
    core: Core, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "kegnet")
    app = core.app()
    app.say(b"bad\n\n" * 1000, READING)
    core.turn_until(lambda: core.got)
    app.close()
    core.turn_until(lambda: core.hub.clients == 0)
    skipped = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(skipped) == HubLimits().logged_rejections
    assert "not JSON" in skipped[0].getMessage()
    assert "1000 messages of it were skipped" in caplog.records[-1].getMessage()


def test_a_client_that_does_not_read_is_dropped_and_counted_and_the_others_get_everything() -> None:
    with running_core(HubLimits(max_queued_bytes=100_000)) as core:
        sleeper, display = core.socket(receive_bytes=4096), core.app()
        sent = 0
        while core.hub.counts.dropped == 0:
            core.hub.broadcast(FLOW)
            sent += 1
            core.loop.run_once(0)
            assert sent < 100_000
        core.hub.broadcast(DRINK)
        core.turn_until(lambda: len(display.got) == sent + 1)
        assert core.hub.clients == 1
        assert core.hub.counts.dropped == 1
        sleeper.settimeout(5)
        with pytest.raises(ConnectionResetError):
            read_to_the_end(sleeper)


def test_a_client_that_reads_slowly_gets_everything_in_order(core: Core) -> None:
    slow = core.socket(receive_bytes=4096)
    slow.settimeout(5)
    flows = [MeterUpdate(tap_name="t" * 100, reading=number) for number in range(5000)]
    for flow in flows:
        core.hub.broadcast(flow)
    expected = b"".join(map(encode, flows))
    got = b""
    while len(got) < len(expected):
        core.loop.run_once(0)
        got += slow.recv(10_000)
    assert got == expected
    assert core.hub.counts.dropped == 0


def test_one_client_too_many_is_turned_away_and_the_others_stay() -> None:
    with running_core(HubLimits(max_clients=3)) as core:
        apps = [core.app() for _ in range(3)]
        fourth = RawPeer(core.loop, socket.create_connection(core.hub.address))
        core.turn_until(lambda: fourth.closed)
        assert core.hub.counts.turned_away == 1
        assert fourth.got == [Refusal(reason="3 are connected already")]
        apps[0].close()
        core.turn_until(lambda: core.hub.clients == 2)
        core.app().say(READING)
        core.turn_until(lambda: core.got)
        fourth.close()


def test_a_client_that_sends_too_much_is_read_more_slowly_and_loses_nothing() -> None:
    clock = Clock()
    with running_core(HubLimits(messages_per_s=10, messages_at_once=100), clock=clock) as core:
        flooding, polite = core.app(), core.app()
        flooding.say(*[MeterUpdate(tap_name="flood", reading=number) for number in range(3000)])
        core.turn_until(lambda: any(peer.paused for peer in core.hub._peers.values()))
        polite.say(READING)
        core.turn_until(lambda: READING in core.got)
        had = len(core.got)
        for _ in range(10):
            core.loop.run_once(0)
        assert len(core.got) == had < 3000
        while len(core.got) < 3001:
            clock.ahead_s += 10
            core.loop.run_once(0.01)
        assert [event for event in core.got if event != READING] == [
            MeterUpdate(tap_name="flood", reading=number) for number in range(3000)
        ]


def test_a_client_that_is_read_slowly_may_leave_meanwhile() -> None:
    clock = Clock()
    with running_core(HubLimits(messages_per_s=1, messages_at_once=1), clock=clock) as core:
        app = core.app()
        app.say(READING, READING, READING)
        core.turn_until(lambda: any(peer.paused for peer in core.hub._peers.values()))
        app.close()
        while core.hub.clients:  # what is sent to it meets a reset
            core.hub.broadcast(RELAY)
            core.loop.run_once(0)
        clock.ahead_s += 100
        core.loop.run_once(0)
        assert core.gone


def test_without_descriptors_left_the_hub_goes_on_and_accepts_again_later(core: Core) -> None:
    app = core.app()
    late = socket.create_connection(core.hub.address)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        for _ in range(3):
            core.loop.run_once(0.01)
        assert core.hub.clients == 1
        app.say(READING)
        core.turn_until(lambda: core.got)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    core.turn_until(lambda: core.hub.clients == 2)
    late.close()


def test_clients_that_reset_leave_at_once_or_half_close_are_forgotten(core: Core) -> None:
    core.app().close()
    rude = core.socket()
    rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    rude.close()
    half = core.socket()
    half.sendall(encode(READING))
    half.shutdown(socket.SHUT_WR)
    core.turn_until(lambda: core.hub.clients == 0)
    assert core.got == [READING]


def test_localhost_is_the_ipv4_loopback_and_port_0_any_free_one() -> None:
    loop = Loop()
    hub = Hub(loop, ("localhost", 0), on_event=ignore)
    assert hub.address[0] == "127.0.0.1"
    assert hub.address[1] > 0
    hub.close()
    hub.close()
    loop.close()


def test_an_address_that_others_can_reach_is_refused() -> None:
    for host in ("0.0.0.0", "192.0.2.1", "::"):
        with pytest.raises(OSError, match="reached from other machines") as refused:
            Hub(Loop(), (host, 0), on_event=ignore)
        assert refused.value.errno == errno.EADDRNOTAVAIL


def test_a_port_that_is_taken_is_an_error(core: Core) -> None:
    with pytest.raises(OSError, match="in use") as taken:
        Hub(core.loop, core.hub.address, on_event=ignore)
    assert taken.value.errno == errno.EADDRINUSE


def test_after_closing_the_apps_know_and_the_port_is_free(core: Core) -> None:
    app = core.app()
    core.hub.broadcast(RELAY)
    core.hub.close()
    core.turn_until(lambda: app.closed)
    assert app.got == [RELAY]
    again = Hub(core.loop, core.hub.address, on_event=ignore)
    again.close()


def test_the_core_may_close_the_hub_from_within_an_event(core: Core) -> None:
    app = core.app()

    def end(_event: Event) -> None:
        core.hub.broadcast(RELAY)
        core.hub.close()

    core.on_event = end
    app.say(READING, READING)
    core.turn_until(lambda: app.closed)
    assert core.got == [READING]


def test_an_event_that_cannot_be_sent_is_sent_to_nobody(core: Core) -> None:
    app = core.app()
    with pytest.raises(ValueError, match="no number"):
        core.hub.broadcast(RELAY, ThermoEvent(sensor_name="s", sensor_value=float("nan")))
    core.hub.broadcast(DRINK)
    core.turn_until(lambda: app.got)
    assert app.got == [DRINK]


def test_accepted_sockets_send_at_once_and_notice_a_peer_that_vanished(core: Core) -> None:
    core.app()
    (peer,) = core.hub._peers.values()
    assert peer.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert peer.sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert 0 < peer.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) <= 30_000
    assert peer.sock.gettimeout() == 0
