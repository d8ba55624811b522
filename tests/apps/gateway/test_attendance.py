from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from kegapps.daemon.loop import Loop
from kegapps.gateway.attendance import SILENCE_S, Attendance
from kegapps.gateway.batch import Status
from kegapps.gateway.records import Device
from kegapps.kegnet.events import BoardStatus
from tests.apps.kegnet.support import Clock

DEVICE = Device(
    device="kb 1", board_name="kb-1", state="allowed", token_hash="", fresh=False, first_unix_s=0.0, heard_unix_s=0.0,
    asks_unix_s=None, host="", fw_version="1.9", uptime_s=None, events_dropped=0, events_malformed=0,
)  # fmt: skip
STATUS = Status(boot=True, fw_version="2.0.0", uptime_s=12.0, events_dropped=0, ml_per_tick={}, meters=())


class Room:
    def __init__(self) -> None:
        self.clock = Clock()
        self.loop = Loop(self.clock)
        self.told: list[BoardStatus] = []
        self.changes = 0
        self.attendance = Attendance(self.loop, tell=self.told.append, on_change=self._changed)

    def _changed(self) -> None:
        self.changes += 1

    def pass_time(self, seconds: float) -> None:
        self.clock.ahead_s += seconds
        self.loop.run_once(0)

    def said(self) -> Sequence[tuple[str, str]]:
        told, self.told[:] = [(status.state, status.detail) for status in self.told], []
        return told


@pytest.fixture
def room() -> Iterator[Room]:
    room = Room()
    yield room
    room.loop.close()


def test_a_board_that_comes_is_online_and_it_is_said_every_ten_seconds(room: Room) -> None:
    assert room.attendance.hear(DEVICE, "192.0.2.7")
    assert room.attendance.online == ["kb-1"]
    assert room.said() == [("online", "firmware 1.9")]
    assert not room.attendance.hear(DEVICE, "192.0.2.7")
    room.attendance.learn(DEVICE, STATUS, age_s=3.0)
    room.pass_time(10.1)
    (told,) = room.told
    assert (told.board_name, told.device, told.detail) == ("kb-1", "http 192.0.2.7", "firmware 2.0.0")
    assert told.uptime_s == pytest.approx(25.1, abs=0.5)


def test_one_that_is_silent_for_two_heartbeats_and_a_half_is_absent_until_it_comes_again(room: Room) -> None:
    room.attendance.hear(DEVICE, "192.0.2.7")
    room.pass_time(SILENCE_S - 1)
    assert room.said()[-1][0] == "online"
    room.pass_time(12)
    assert room.said() == [("absent", "not heard for 161 s")]
    assert room.attendance.online == []
    assert room.attendance.hear(DEVICE, "192.0.2.7")
    assert room.said() == [("online", "firmware 1.9")]


def test_without_boards_nothing_happens(room: Room) -> None:
    room.pass_time(1000.0)
    assert (room.told, room.changes, room.loop._timers) == ([], 0, [])
