"""What the board daemon does after seconds of silence, on a real pty and with a clock that can be turned forward."""

from __future__ import annotations

import os
import time
import tty
from collections.abc import Iterator

import pytest

from kegapps.daemon.loop import Loop
from kegapps.kbsp import codec, payloads
from kegapps.kbsp.codec import encode
from kegapps.kbsp.messages import Hello, MeterStatus, Ping
from kegapps.kegboard.bridge import Bridge
from kegapps.kegnet.events import Event, MeterUpdate
from kegapps.kegnet.hub import Hub
from tests.apps.kegboard.programs import DEADLINE_S

PING = encode(Ping())
HELLO = Hello(firmware_version=18, serial_number="", uptime_ms=5000, uptime_days=0)
OLD_HELLO = Hello(firmware_version=17, serial_number="")


class Stage:
    """A daemon, its core and a hand-played board in one loop; stands in for the runner's service, too."""

    def __init__(self) -> None:
        self.ahead_s = 0.0
        self.loop = Loop(lambda: time.monotonic() + self.ahead_s)
        self.states: list[str] = []
        self.events: list[Event] = []
        self.master, slave = os.openpty()
        tty.setraw(slave)
        os.set_blocking(self.master, False)
        self._slave = slave
        self.hub = Hub(self.loop, ("127.0.0.1", 0), on_event=lambda event, _: self.events.append(event))
        self.daemon = Bridge(
            self,  # type: ignore[arg-type]
            device=os.ttyname(slave),
            name="kegboard",
            core=("127.0.0.1", self.hub.address[1]),
            required_firmware=7,
        )
        self.daemon.start()

    def ready(self, status: str = "") -> None:
        self.states.append(status)

    def status(self, text: str) -> None:
        if text != self.states[-1]:  # as the runner does
            self.states.append(text)

    def say(self, *messages: Hello | MeterStatus) -> None:
        os.write(self.master, b"".join(map(encode, messages)))

    def heard(self) -> bytes:
        try:
            return os.read(self.master, 4096)
        except BlockingIOError:
            return b""

    def until(self, part: str) -> None:
        deadline_s = time.monotonic() + DEADLINE_S
        while not any(part in state for state in self.states):
            assert time.monotonic() < deadline_s, f"no {part!r} in {self.states}"
            self.loop.run_once(0.02)

    def until_now(self, part: str) -> None:
        """As `until`, for the latest state."""
        del self.states[:-1]
        self.until(part)

    def serve(self) -> None:
        for _ in range(5):
            self.loop.run_once(0.01)

    def close(self) -> None:
        self.daemon.farewell()
        self.hub.close()
        self.loop.close()
        os.close(self.master)
        os.close(self._slave)


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.close()


def test_a_board_with_a_heartbeat_that_falls_silent_is_opened_again(stage: Stage) -> None:
    stage.say(HELLO)
    stage.until("firmware 18")
    stage.heard()
    stage.ahead_s += 24
    stage.serve()
    assert not any("no word" in state for state in stage.states)
    stage.ahead_s += 2
    stage.until("no word from it on /dev/pts/")
    stage.serve()
    assert stage.heard() == PING
    stage.say(HELLO)
    stage.until_now("firmware 18")


def test_a_board_without_a_heartbeat_may_be_silent(stage: Stage) -> None:
    stage.say(OLD_HELLO)
    stage.until("firmware 17")
    stage.ahead_s += 3600
    stage.serve()
    assert not any("no word" in state for state in stage.states)


def test_a_device_that_never_answers_is_asked_again_and_then_doubted(stage: Stage) -> None:
    stage.serve()
    assert stage.heard() == PING
    for wait_s in (3.1, 5, 10):
        stage.ahead_s += wait_s
        stage.serve()
        assert stage.heard() == PING
    stage.ahead_s += 7
    stage.until("is it a Kegboard?")
    told = len(stage.states)
    for _ in range(5):
        stage.ahead_s += 26
        stage.serve()
    assert len(stage.states) == told  # it goes on trying, without a line in the log for each time


def test_the_reading_behind_a_frame_cut_short_does_not_wait_for_the_heartbeat(stage: Stage) -> None:
    stage.say(HELLO)
    stage.until("firmware 18")
    reading = MeterStatus(meter_name="flow0", reading_ticks=7)
    os.write(stage.master, codec.frame(payloads.METER_STATUS, bytes(112))[:30] + encode(reading))
    stage.serve()
    assert stage.events == []
    stage.ahead_s += 0.3
    deadline_s = time.monotonic() + DEADLINE_S
    while not stage.events:
        assert time.monotonic() < deadline_s
        stage.loop.run_once(0.02)
    assert [event.reading for event in stage.events if isinstance(event, MeterUpdate)] == [7]
