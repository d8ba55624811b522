"""The machines with boards, seen from the core: known by their letters, and not more than there is room for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kegapps.bridge.mqtt_letters import Beat, write_beat, write_status
from kegapps.bridge.mqtt_link import Message
from kegapps.bridge.mqtt_machines import MAX_MACHINES, SILENT_S, Machines
from kegapps.bridge.mqtt_seal import Seals
from kegapps.bridge.mqtt_topics import Topics
from kegapps.daemon.loop import Loop
from kegapps.kegnet.events import BoardStatus, Event, SetRelayOutputEvent

TOPICS = Topics()
SEALS = Seals("a secret of all")
BEAT = write_beat(Beat(stamp="r 1.000"))


class Clock(Loop):
    """A loop whose time is what the test says."""

    at_s = 1000.0

    def now_s(self) -> float:
        return self.at_s


class Room:
    """The machines, and what they and the core are told."""

    def __init__(self, seals: Seals) -> None:
        self.loop = Clock()
        self.told: list[str] = []
        self.core: list[Event] = []
        self.machines = Machines(
            self.loop, TOPICS, ("127.0.0.1", 9), token="", allowed=(), seals=seals, publish=self._publish,
            send=self.core.append, on_online=lambda: None, on_board=lambda: None,
        )  # fmt: skip

    def _publish(self, topic: str, payload: bytes, *, qos: int = 0) -> bool:
        assert payload
        assert qos == 0
        self.told.append(topic)
        return True

    def hear(self, name: str, what: str, payload: bytes, *, retained: bool = False) -> None:
        self.machines.take(Message(topic=TOPICS.machine(name, what), payload=payload, retained=retained))


@pytest.fixture
def room() -> Iterator[Room]:
    built = Room(Seals())
    yield built
    built.loop.close()


@pytest.fixture
def sealed() -> Iterator[Room]:
    built = Room(SEALS)
    yield built
    built.loop.close()


def test_a_machine_is_there_once_it_wrote_and_until_it_is_said_to_be_gone(room: Room) -> None:
    room.hear("cellar", "beat", BEAT)
    assert room.machines.online == ["cellar"]
    room.hear("cellar", "availability", b"offline")
    assert room.machines.online == []
    room.hear("cellar", "availability", b"online", retained=True)
    assert room.machines.online == ["cellar"]


def test_a_machine_that_is_only_said_to_be_there_takes_no_place(room: Room) -> None:
    for number in range(MAX_MACHINES):
        room.hear(f"forged{number}", "availability", b"online", retained=True)
    room.hear("cellar", "beat", BEAT)
    assert room.machines.online == ["cellar"]


def test_with_a_secret_letters_without_its_seal_take_no_place_either(sealed: Room) -> None:
    for number in range(MAX_MACHINES):
        sealed.hear(f"forged{number}", "beat", BEAT)
    sealed.hear("cellar", "beat", SEALS.seal(TOPICS.machine("cellar", "beat"), BEAT))
    assert sealed.machines.online == ["cellar"]


def test_who_is_silent_for_long_makes_room_and_its_boards_may_be_anothers(room: Room) -> None:
    board = write_status(BoardStatus(board_name="kegboard", state="online"))
    room.hear("forged", "status", board)
    for number in range(MAX_MACHINES - 1):
        room.hear(f"forged{number}", "beat", BEAT)
    room.loop.at_s += SILENT_S - 1
    room.hear("cellar", "beat", BEAT)
    assert "cellar" not in room.machines.online
    room.loop.at_s += 2
    room.hear("cellar", "status", board)
    assert "cellar" in room.machines.online
    assert "forged" not in room.machines.online
    room.machines.tell(SetRelayOutputEvent(output_name="kegboard.relay0", output_mode="enabled"))
    assert room.told == [TOPICS.machine("cellar", "down")]


def test_who_writes_now_and_then_is_not_put_out(room: Room) -> None:
    for _ in range(3):
        for number in range(MAX_MACHINES):
            room.hear(f"bar{number}", "beat", BEAT)
        room.loop.at_s += SILENT_S - 1
        room.hear("late", "beat", BEAT)
    assert len(room.machines.online) == MAX_MACHINES
    assert "late" not in room.machines.online
