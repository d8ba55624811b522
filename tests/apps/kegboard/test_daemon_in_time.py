"""What the board daemon does after seconds of silence, on a real pty and with a clock that can be turned forward."""

from __future__ import annotations

import fcntl
import os
import time
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from kegapps.daemon.loop import Loop
from kegapps.daemon.port import Port
from kegapps.kbsp import codec, payloads
from kegapps.kbsp.codec import encode
from kegapps.kbsp.messages import Hello, MeterStatus, Ping, SetOutput
from kegapps.kegboard.bridge import Bridge
from kegapps.kegboard.devices import Wanted
from kegapps.kegboard.roster import Naming
from kegapps.kegnet.events import BoardStatus, Event, MeterUpdate, SetRelayOutputEvent
from kegapps.kegnet.hub import Hub
from tests.apps.kegboard.programs import DEADLINE_S

PING = encode(Ping())
HELLO = Hello(firmware_version=18, serial_number="", uptime_ms=5000, uptime_days=0)
OLD_HELLO = Hello(firmware_version=17, serial_number="")


class Stage:
    """A daemon, its core and a hand-played board in one loop; stands in for the runner's service, too."""

    def __init__(self, *, socket: Path | None = None) -> None:
        """`socket`: a name of the device that was not given to the daemon, it only matches a pattern."""
        self.ahead_s = 0.0
        self.loop = Loop(lambda: time.monotonic() + self.ahead_s)
        self.states: list[str] = []
        self.events: list[Event] = []
        self.master, slave = os.openpty()
        tty.setraw(slave)
        os.set_blocking(self.master, False)
        self._slave = slave
        self.hub = Hub(self.loop, ("127.0.0.1", 0), on_event=lambda event, _: self.events.append(event))
        self.path = os.ttyname(slave)
        if socket is not None:
            socket.symlink_to(self.path)
        self.daemon = Bridge(
            self,  # type: ignore[arg-type]
            wanted=Wanted(patterns=(f"{socket}*",)) if socket else Wanted(paths=(self.path,)),
            naming=Naming(name="kegboard", single=socket is None),
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

    def readings(self) -> list[int]:
        return [event.reading for event in self.events if isinstance(event, MeterUpdate)]

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

    def told(self) -> list[str]:
        return [event.state for event in self.events if isinstance(event, BoardStatus)]

    def free(self) -> bool:
        """True if another program could open the device now."""
        fd = os.open(self.path, os.O_RDWR | os.O_NOCTTY)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(fd)
        return True


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.close()


@pytest.fixture
def port_of_a_stranger(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(socket=tmp_path / "port")
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


def test_a_board_is_rebooted_only_if_it_keeps_silent_when_it_is_asked_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[bool] = []
    close = Port.close

    def close_and_tell(port: Port, *, reboot: bool = False) -> None:
        closed.append(reboot)
        close(port, reboot=reboot)

    monkeypatch.setattr(Port, "close", close_and_tell)
    for then in ([False], [False, True], [False, True, True]):
        stage.ahead_s += 26
        while closed != then:
            stage.loop.run_once(0.02)
        stage.serve()
    stage.say(HELLO)
    stage.until_now("firmware 18")
    stage.ahead_s += 26
    stage.until_now("no word from it")
    assert closed[-1] is False


def test_what_came_while_the_daemon_was_stopped_is_read_before_the_board_is_taken_for_silent(
    stage: Stage,
) -> None:
    stage.say(HELLO)
    stage.until("firmware 18")
    stage.say(MeterStatus(meter_name="flow0", reading_ticks=7))
    line = stage.daemon._lines[stage.path]
    stage.ahead_s += 26
    line._tend()  # the loop gives a program that goes on its timers first
    stage.serve()
    assert stage.readings() == [7]
    assert not any("no word" in state for state in stage.states)


def test_a_daemon_that_was_stopped_gives_the_board_a_full_new_period(stage: Stage) -> None:
    stage.say(HELLO)
    stage.until("firmware 18")
    stage.ahead_s += 45
    stage.serve()
    stage.ahead_s += 24
    stage.serve()
    assert not any("no word" in state for state in stage.states)
    stage.ahead_s += 2
    stage.until("no word from it")


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
    assert stage.readings() == []
    stage.ahead_s += 0.3
    deadline_s = time.monotonic() + DEADLINE_S
    while not stage.readings():
        assert time.monotonic() < deadline_s
        stage.loop.run_once(0.02)
    assert stage.readings() == [7]


def test_a_port_that_never_says_hello_is_left_alone_released_and_tried_again_ten_minutes_later(
    port_of_a_stranger: Stage,
) -> None:
    stage = port_of_a_stranger
    os.write(stage.master, b"login: ")
    stage.serve()
    assert not stage.free()
    stage.ahead_s += 26
    stage.until("left alone: nothing on it says hello")
    assert stage.free()
    stage.heard()
    stage.ahead_s += 590
    stage.serve()
    assert stage.free()
    assert stage.heard() == b""
    stage.ahead_s += 20
    stage.serve()
    assert stage.heard() == PING
    stage.say(HELLO)
    stage.until("boards online: kegboard")


def test_a_port_that_was_left_alone_is_tried_again_when_it_is_plugged_in_anew(
    port_of_a_stranger: Stage, tmp_path: Path
) -> None:
    stage, socket = port_of_a_stranger, tmp_path / "port"
    stage.ahead_s += 26
    stage.until("left alone")
    socket.unlink()
    stage.until("no serial device at")
    stage.heard()
    socket.symlink_to(stage.path)
    stage.until_now("no hello yet")
    stage.serve()
    assert stage.heard() == PING


def test_what_a_board_says_before_its_hello_is_passed_on_when_it_has_said_which_it_is(
    port_of_a_stranger: Stage,
) -> None:
    stage = port_of_a_stranger
    stage.say(
        MeterStatus(meter_name="flow0", reading_ticks=5), MeterStatus(meter_name="flow0", reading_ticks=9)
    )
    stage.serve()
    assert stage.readings() == []
    stage.ahead_s += 1
    stage.say(Hello(firmware_version=18, serial_number="KB-0000-0000-deadbeef", uptime_ms=5000))
    while len(stage.readings()) < 2:
        stage.loop.run_once(0.02)
    updates = [event for event in stage.events if isinstance(event, MeterUpdate)]
    assert [(u.tap_name, u.reading) for u in updates] == [("kegboard-deadbeef.flow0", t) for t in (5, 9)]
    assert all(1 <= update.age_s < 30 for update in updates)


def test_a_board_is_told_of_when_it_changes_and_every_ten_seconds(stage: Stage) -> None:
    stage.say(HELLO)
    stage.until("firmware 18")
    stage.serve()
    assert stage.told() == ["online"]
    for beats in (2, 3):
        stage.ahead_s += 10.1
        stage.say(HELLO)
        while len(stage.told()) < beats:
            stage.loop.run_once(0.02)
    stage.ahead_s += 26
    while stage.told()[-1] != "silent":
        stage.loop.run_once(0.02)
    assert set(stage.told()[:-1]) == {"online"}


def test_what_the_core_switched_on_is_off_when_the_core_is_lost(stage: Stage) -> None:
    stage.say(HELLO)
    stage.until("firmware 18")
    while not stage.hub.clients:
        stage.loop.run_once(0.02)
    stage.hub.broadcast(SetRelayOutputEvent(output_name="kegboard.relay1", output_mode="enabled"))
    stage.ahead_s += 1
    stage.serve()
    heard = stage.heard()
    assert heard.endswith(encode(SetOutput(output_id=1, output_mode=1)))
    stage.hub.close()
    stage.until("core not reached")
    stage.serve()
    assert stage.heard() == encode(SetOutput(output_id=1, output_mode=0))


def test_an_output_that_was_on_when_the_line_was_lost_is_switched_off_when_the_board_is_back(
    stage: Stage,
) -> None:
    stage.say(HELLO)
    stage.until("firmware 18")
    while not stage.hub.clients:
        stage.loop.run_once(0.02)
    stage.hub.broadcast(SetRelayOutputEvent(output_name="kegboard.relay1", output_mode="enabled"))
    stage.serve()
    stage.ahead_s += 26
    stage.until("no word from it")
    stage.serve()
    stage.heard()
    stage.say(HELLO)
    stage.until_now("firmware 18")
    stage.ahead_s += 1
    stage.serve()
    assert stage.heard().endswith(encode(SetOutput(output_id=1, output_mode=0)))


def test_nothing_is_looked_at_again_and_again_while_no_device_is_there(tmp_path: Path) -> None:
    loop = Loop()
    hub = Hub(loop, ("127.0.0.1", 0), on_event=lambda *_: None)
    service = Quiet(loop)
    bridge = Bridge(
        service,  # type: ignore[arg-type]
        wanted=Wanted(paths=(str(tmp_path / "board"),), patterns=(str(tmp_path / "port*"),)),
        naming=Naming(name="kegboard", single=False),
        core=("127.0.0.1", hub.address[1]),
        required_firmware=7,
    )
    bridge.start()
    while not hub.clients:
        loop.run_once(0.02)
    loop.run_once(0.2)
    due_s = loop._wait_s()
    assert due_s is not None
    assert due_s > 5  # the next is the word to the core that is due every 10 s
    bridge.farewell()
    hub.close()
    loop.close()


class Quiet:
    """The runner's service, for a program whose words do not matter."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop

    def ready(self, status: str = "") -> None:
        """Nobody waits for it."""

    def status(self, text: str) -> None:
        """Nobody reads it."""
