"""What an app told its core arrives, in order and once, whoever dies in between."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kegapps.daemon.loop import Loop
from kegapps.kegnet.backlog import Stored
from kegapps.kegnet.client import Client
from kegapps.kegnet.delivery import MAX_UNCONFIRMED, Sent, Sessions
from kegapps.kegnet.events import Event, FlowRequest, MeterUpdate, Session, Taken, TokenAuthEvent
from kegapps.kegnet.hub import Hub
from tests.apps.kegnet.support import turn_until


def stored(number: int) -> Stored:
    return Stored(event=FlowRequest(tap_name=f"{number}", request="start_flow"), since_s=0.0)


def numbers(messages: list[Stored] | None) -> list[int] | None:
    return None if messages is None else [int(getattr(message.event, "tap_name", "")) for message in messages]


# The app's side


def test_what_a_core_did_not_confirm_is_sent_again_with_the_same_numbers() -> None:
    sent = Sent("s", core_confirms=False)
    assert sent.begin() == Session(session="s", next=0)
    sent.confirm(Taken(took=0))
    for number in range(5):
        sent.add(stored(number))
    sent.confirm(Taken(took=2))
    assert numbers(sent.lose()) == [2, 3, 4]
    assert sent.begin() == Session(session="s", next=2)


def test_to_a_core_that_never_confirmed_nothing_is_sent_again() -> None:
    sent = Sent("s", core_confirms=False)
    sent.begin()
    sent.add(stored(0))
    assert sent.lose() is None
    assert sent.begin() == Session(session="s", next=1)


def test_a_core_that_confirms_no_more_gets_what_the_last_one_did_not_confirm_once() -> None:
    sent = Sent("s", core_confirms=False)
    sent.begin()
    sent.confirm(Taken(took=0))
    sent.add(stored(0))
    assert numbers(sent.lose()) == [0]
    sent.begin()
    sent.add(stored(0))
    assert numbers(sent.lose()) == [0]  # it may have died before it could answer
    sent.begin()
    sent.add(stored(0))
    assert sent.lose() is None


def test_a_core_that_is_known_to_confirm_gets_them_until_it_does() -> None:
    sent = Sent("s", core_confirms=True)
    for _ in range(3):
        sent.begin()
        sent.add(stored(0))
        assert numbers(sent.lose()) == [0]


def test_no_more_than_a_bounded_number_is_under_way_or_kept() -> None:
    sent = Sent("s", core_confirms=True)
    sent.begin()
    for number in range(MAX_UNCONFIRMED + 10):
        assert not sent.is_full  # it is not known if this core confirms
        sent.add(stored(number))
    sent.confirm(Taken(took=0))
    assert sent.is_full
    sent.confirm(Taken(took=20))
    assert not sent.is_full
    assert numbers(sent.lose()) == list(range(20, MAX_UNCONFIRMED + 10))


@pytest.mark.parametrize("took", [0, 2, 3, 4, 2**62])
def test_a_confirmation_of_whatever_number_does_no_harm(took: int) -> None:
    sent = Sent("s", core_confirms=True)
    sent.begin()
    for number in range(3):
        sent.add(stored(number))
    sent.confirm(Taken(took=took))
    assert numbers(sent.lose()) == list(range(min(took, 3), 3))


# The core's side


def test_sessions_are_forgotten_when_there_are_too_many() -> None:
    sessions = Sessions(2)
    first = sessions.begin(Session(session="a", next=0))
    assert first.is_new()
    for name in ("b", "c"):
        sessions.begin(Session(session=name, next=0))
    assert sessions.begin(Session(session="a", next=0)).is_new()
    assert len(sessions._sessions) == 2


def test_only_what_is_stored_is_confirmed_and_what_came_is_had() -> None:
    sessions = Sessions(2)
    first = sessions.begin(Session(session="a", next=0))
    assert first.tell() == Taken(took=0)
    assert [first.is_new() for _ in range(3)] == [True] * 3
    assert first.tell() is None
    again = sessions.begin(Session(session="a", next=1))
    assert again.tell() == Taken(took=0)
    assert [again.is_new() for _ in range(3)] == [False, False, True]
    sessions.store()
    assert again.tell() == Taken(took=4)


def test_what_has_to_be_stored_is_how_far_each_session_came_and_which_are_forgotten() -> None:
    sessions = Sessions(2)
    sessions.resume({"old": 3, "older": 9})
    assert sessions.changes() == {}
    received = sessions.begin(Session(session="old", next=3))
    assert received.tell() == Taken(took=3)
    assert received.is_new()
    sessions.begin(Session(session="new", next=0))
    assert sessions.changes() == {"old": 4, "older": None}
    assert sessions.changes() == {"old": 4, "older": None}  # until it is stored: a commit may fail
    sessions.store()
    assert sessions.changes() == {}


# Both


STEPS = st.lists(st.sampled_from(["send", "read", "store", "tell"]), max_size=20)


class World:
    """An app with some messages to say, a core, and what the kernel holds between them."""

    def __init__(self, total: int) -> None:
        self.sent = Sent("s", core_confirms=True)
        self.to_say = deque(map(stored, range(total)))
        self.stored: list[int] = []
        self.stored_sessions: dict[str, int] = {}
        self.start_core()

    def start_core(self) -> None:
        """Another core, which knows what the one before has stored."""
        self.sessions = Sessions(4)
        self.sessions.resume(self.stored_sessions)
        self.unstored: list[int] = []
        self.connect()

    def connect(self) -> None:
        """A new connection; what the kernel held for the old one is gone."""
        self.to_say.extendleft(reversed(self.sent.lose() or []))
        self.received = self.sessions.begin(self.sent.begin())
        self.wire: deque[Stored] = deque()

    def do(self, step: str) -> None:
        if step == "send" and self.to_say:
            self.wire.append(self.to_say.popleft())
            self.sent.add(self.wire[-1])
        elif step == "read" and self.wire:
            message = self.wire.popleft()
            if self.received.is_new():
                self.unstored += numbers([message]) or []
        elif step == "store":
            for session, had in self.sessions.changes().items():
                assert had is not None
                self.stored_sessions[session] = had
            self.stored += self.unstored
            self.unstored = []
            self.sessions.store()
        elif step == "tell" and (taken := self.received.tell()) is not None:
            self.sent.confirm(taken)

    def finish(self) -> None:
        """One connection that lasts."""
        self.connect()
        while self.to_say or self.wire:
            self.do("send")
            self.do("read")
        self.do("store")


@given(st.integers(0, 20), st.lists(STEPS, max_size=8))
def test_a_core_that_lives_has_every_message_once_and_in_order_however_connections_break(
    total: int, connections: list[list[str]]
) -> None:
    world = World(total)
    for steps in connections:
        for step in steps:
            world.do(step)
        world.connect()
    world.finish()
    assert world.stored == list(range(total))


@given(st.integers(0, 20), st.lists(STEPS, max_size=8))
def test_what_was_said_to_cores_that_die_is_stored_once_and_in_order(
    total: int, lives: list[list[str]]
) -> None:
    world = World(total)
    for steps in lives:
        for step in steps:
            world.do(step)
        world.start_core()
    world.finish()
    assert world.stored == list(range(total))


class Confirming:
    """A core that confirms, and can die with everything that it did not store."""

    def __init__(self, loop: Loop, port: int = 0) -> None:
        self.unstored: list[Event] = []
        self.hub = Hub(
            loop,
            ("127.0.0.1", port),
            on_event=lambda event, _peer: self.unstored.append(event),
            confirms=True,
        )

    def store(self) -> list[Event]:
        """What it stored now."""
        self.hub.stored()
        kept, self.unstored = self.unstored, []
        return kept


def token(number: int) -> TokenAuthEvent:
    return TokenAuthEvent(
        tap_name="t", auth_device_name="core.rfid", token_value=f"{number:04}", status="added"
    )


def test_a_token_that_a_dying_core_had_not_stored_reaches_the_next_one_once() -> None:
    loop = Loop()
    core = Confirming(loop)
    client = Client(loop, core.hub.address)
    turn_until(loop, lambda: client.connected and core.hub.clients)
    client.send(token(1))
    turn_until(loop, lambda: core.unstored)
    assert core.store() == [token(1)]
    client.send(token(2))
    turn_until(loop, lambda: core.unstored)
    core.hub.close()  # with token 2 in its memory only
    turn_until(loop, lambda: not client.connected)
    client.send(token(3))
    following = Confirming(loop, core.hub.address[1])
    turn_until(loop, lambda: len(following.unstored) == 2)
    assert [getattr(event, "token_value", "") for event in following.store()] == ["0002", "0003"]
    client.send(MeterUpdate(tap_name="t", reading=1))
    turn_until(loop, lambda: following.unstored)
    client.close()
    following.hub.close()
    loop.close()


def test_what_a_core_had_before_a_connection_broke_it_does_not_take_again() -> None:
    loop = Loop()
    core = Confirming(loop)
    client = Client(loop, core.hub.address)
    turn_until(loop, lambda: client.connected and core.hub.clients)
    core.hub.stored()
    for number in range(3):
        client.send(token(number))
    turn_until(loop, lambda: len(core.unstored) == 3)
    next(iter(core.hub._peers.values())).sock.shutdown(2)
    turn_until(loop, lambda: not client.connected)
    turn_until(loop, lambda: client.connected and core.hub.clients)
    client.send(token(3))
    turn_until(loop, lambda: len(core.unstored) == 4)
    assert [getattr(event, "token_value", "") for event in core.store()] == ["0000", "0001", "0002", "0003"]
    client.close()
    core.hub.close()
    loop.close()


def test_received_counts_from_where_the_session_began() -> None:
    sessions = Sessions(1)
    received = sessions.begin(Session(session="a", next=10))
    assert received.tell() == Taken(took=10)
    assert received.is_new()
    sessions.store()
    assert received.tell() == Taken(took=11)


def test_a_core_that_is_known_to_confirm_gets_all_again_however_often_it_was_silent() -> None:
    sent = Sent("a", core_confirms=False)
    sent.begin()
    sent.expect_confirmation()
    stored = Stored(event=MeterUpdate(tap_name="kegboard.flow0", reading=1), since_s=0.0)
    sent.add(stored)
    for _ in range(3):
        assert sent.lose() == [stored]
        assert sent.begin().next == 0
        sent.add(stored)
