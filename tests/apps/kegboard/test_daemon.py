"""The board daemon between an emulated board on a pty and a core on a socket: real programs, real bytes."""

from __future__ import annotations

import fcntl
import os
import signal
import time

import pytest

from kegapps.kbsp.codec import Decoder
from kegapps.kbsp.messages import Message, OutputStatus
from kegapps.kegnet.events import MeterUpdate, SetRelayOutputEvent, ThermoEvent, TokenAuthEvent
from tests.apps.kegboard.programs import Bar, Program, free_port

SHORT_BOOT = ("--bootloader_s=0.2", "--boot_tune_s=0.1")
THERMO = "thermo-cd08001234561028"


def found(daemon: Program) -> str:
    return daemon.line("status: board kegboard: firmware 18")


def test_every_tick_of_a_pour_reaches_the_core_the_first_ones_included(bar: Bar) -> None:
    board, core = bar.simulator(*SHORT_BOOT, boot=True), bar.core()
    daemon = bar.daemon(core)
    found(daemon)
    pour = board.begin("pour", "flow0", "2573", "--seconds=0.5")
    core.until(lambda: core.readings()[-1:] == [2573])
    assert pour()["ok"]
    assert core.readings()[0] == 0
    assert core.ticks() == 2573


def test_a_reading_of_2573_survives_noise_around_it(bar: Bar) -> None:
    board, core = bar.simulator(), bar.core()
    found(bar.daemon(core))
    for ticks in (2573, 20171):
        board.verb("noise", "300")
        assert board.verb("odometer", "flow0", str(ticks))["ok"]
        board.verb("noise", "7")
        core.until_read(ticks)


def test_a_meter_that_wraps_is_passed_on_as_it_counts(bar: Bar) -> None:
    board, core = bar.simulator(), bar.core()
    found(bar.daemon(core))
    board.verb("odometer", "flow1", "4294967290")
    core.until(lambda: core.readings("kegboard.flow1"))
    board.verb("pour", "flow1", "9", "--seconds=0")
    core.until(lambda: core.readings("kegboard.flow1")[-1] == 3)
    assert core.readings("kegboard.flow1") == [0, 4294967290, 3]


def test_a_board_unplugged_in_the_middle_of_a_pour_is_back_within_two_seconds(bar: Bar) -> None:
    board, core = bar.simulator(*SHORT_BOOT, boot=True), bar.core()
    daemon = bar.daemon(core)
    found(daemon)
    pour = board.begin("pour", "flow0", "900", "--seconds=2.5")
    core.until(lambda: core.readings()[-1:] > [100])
    board.verb("unplug")
    daemon.line("status: unplugged, waiting for ")
    core.until(lambda: core.hub.clients == 1)
    before = len(core.readings())
    board.verb("plug")
    plugged_s = time.monotonic()
    daemon.line("status: board kegboard: no hello yet")
    assert time.monotonic() - plugged_s < 2.0
    found(daemon)
    assert not pour()["ok"]  # while there was no power, nobody counted
    counted_since = board.state()["meters"]["flow0"]
    assert counted_since > 100
    core.until(lambda: core.readings()[-1] == counted_since)
    assert core.readings()[before] == 0
    assert core.readings()[before + 1 :] == sorted(core.readings()[before + 1 :])


def test_a_board_with_power_of_its_own_loses_no_tick_while_it_is_unplugged(bar: Bar) -> None:
    board, core = bar.simulator("--noreset_on_open"), bar.core()
    daemon = bar.daemon(core)
    found(daemon)
    pour = board.begin("pour", "flow0", "600", "--seconds=1.2")
    core.until(lambda: core.readings()[-1:] > [100])
    board.verb("unplug", "--keep_power")
    daemon.line("status: unplugged")
    board.verb("plug")
    found(daemon)
    assert pour()["ok"]
    board.verb("pour", "flow0", "1", "--seconds=0")
    core.until(lambda: core.readings()[-1] == 601)
    assert core.readings() == sorted(core.readings())


def test_what_was_poured_while_the_cable_was_out_comes_with_the_time_that_nobody_heard(bar: Bar) -> None:
    board, core = bar.simulator("--noreset_on_open"), bar.core()
    daemon = bar.daemon(core)
    found(daemon)
    board.verb("pour", "flow0", "6", "--seconds=0")
    core.until_read(6)
    board.verb("unplug", "--keep_power")
    daemon.line("status: unplugged")
    board.verb("pour", "flow0", "2000", "--seconds=1")
    board.verb("plug")
    found(daemon)
    board.verb("pour", "flow0", "20", "--seconds=0")
    core.until_read(2026)
    first = next(e for e in core.events if isinstance(e, MeterUpdate) and e.reading > 6)
    assert 1.0 < first.gap_s < 10.0


def test_a_new_daemon_tells_for_how_long_a_board_runs_that_it_finds_running(bar: Bar) -> None:
    board, core = bar.simulator("--noreset_on_open"), bar.core()
    daemon = bar.daemon(core)
    found(daemon)
    board.verb("pour", "flow0", "100", "--seconds=0")
    core.until_read(100)
    daemon.end(signal.SIGKILL)
    killed_s = time.monotonic()
    board.verb("reset")
    board.verb("pour", "flow0", "500", "--seconds=1.2")
    found(bar.daemon(core))
    board.verb("pour", "flow0", "20", "--seconds=0")
    core.until_read(520)
    first = next(e for e in core.events if isinstance(e, MeterUpdate) and e.reading > 100)
    assert 1.0 < first.board_uptime_s < time.monotonic() - killed_s + 3.0  # it is an upper bound


def test_a_reset_while_connected_begins_again_at_zero(bar: Bar) -> None:
    board, core = bar.simulator(), bar.core()
    daemon = bar.daemon(core)
    found(daemon)
    board.verb("pour", "flow0", "50", "--seconds=0")
    core.until(lambda: core.readings()[-1:] == [50])
    board.verb("reset")
    board.verb("pour", "flow0", "70", "--seconds=0")
    core.until(lambda: core.readings()[-1] == 70)
    assert core.readings() == [0, 50, 0, 70]


def test_a_daemon_that_finds_a_running_board_passes_its_reading_on_as_it_is(bar: Bar) -> None:
    board, core = bar.simulator("--noreset_on_open"), bar.core()
    board.verb("pour", "flow0", "500", "--seconds=0")
    found(bar.daemon(core))
    board.verb("pour", "flow0", "1", "--seconds=0")
    core.until(core.readings)
    assert core.readings() == [501]


def test_temperatures_and_tokens_reach_the_core_in_its_words(bar: Bar) -> None:
    board, core = bar.simulator(), bar.core()
    daemon = bar.daemon(core)
    found(daemon)
    board.verb("temperature", THERMO, "-3.5")
    board.verb("token", "core.rfid", "0415ab96c3")
    board.verb("token_add", "onewire", "0f07060504030201")
    board.verb("token_remove", "onewire", "0f07060504030201")
    core.until(lambda: sum(isinstance(event, TokenAuthEvent) for event in core.events) == 4)
    tokens = [
        (event.auth_device_name, event.token_value, event.status)
        for event in core.events
        if isinstance(event, TokenAuthEvent)
    ]
    assert sorted(tokens) == [
        ("core.onewire", "0f07060504030201", "added"),
        ("core.onewire", "0f07060504030201", "removed"),
        ("core.rfid", "0415ab96c3", "added"),
        ("core.rfid", "0415ab96c3", "removed"),
    ]
    core.until(lambda: ThermoEvent(sensor_name=f"kegboard.{THERMO}", sensor_value=-3.5) in core.events)
    board.verb("temperature", THERMO, "85")
    daemon.line("reads 85 degrees C")
    assert not any(isinstance(event, ThermoEvent) and event.sensor_value == 85.0 for event in core.events)


def relay(name: str, *, on: bool) -> SetRelayOutputEvent:
    return SetRelayOutputEvent(output_name=name, output_mode="enabled" if on else "disabled")


def test_the_core_switches_relays_and_the_end_of_the_daemon_switches_them_off(bar: Bar) -> None:
    board, core = bar.simulator(), bar.core()
    daemon = bar.daemon(core)
    found(daemon)
    core.until(lambda: core.hub.clients)
    core.hub.broadcast(*(relay(f"kegboard.relay{number}", on=True) for number in range(6)))
    core.hub.broadcast(relay("kegboard.relay2", on=False), relay("other.relay3", on=False))
    core.until(lambda: list(board.state()["relays"].values()) == [True, True, False, True, True, True])
    daemon.line("relay5 is on")
    stopped_s = time.monotonic()
    assert daemon.end() == 0
    assert time.monotonic() - stopped_s < 1.0
    assert not any(board.state()["relays"].values())


def test_a_killed_daemon_leaves_the_valve_to_the_watchdog_of_the_board(bar: Bar) -> None:
    board, core = bar.simulator("--noreset_on_open"), bar.core()
    daemon = bar.daemon(core)
    found(daemon)
    core.until(lambda: core.hub.clients)
    core.hub.broadcast(relay("kegboard.relay0", on=True))
    daemon.line("relay0 is on")
    asked_s = time.monotonic()
    daemon.end(signal.SIGKILL)
    assert board.state()["relays"]["relay0"]
    off = OutputStatus(output_name="relay0", enabled=False)
    assert listen(str(board.link), lambda message: message == off) == off
    assert 9.0 < time.monotonic() - asked_s < 11.0


def listen(device: str, wanted: object) -> Message:
    """Open the device as a plain program would; the first message that is wanted."""
    assert callable(wanted)
    fd = os.open(device, os.O_RDWR | os.O_NOCTTY)
    try:
        decoder = Decoder()
        while True:
            for message in decoder.feed(os.read(fd, 4096)):
                if wanted(message):
                    return message
    finally:
        os.close(fd)


def test_two_boards_are_two_daemons_with_names_of_their_own(bar: Bar) -> None:
    core = bar.core()
    boards = {name: bar.simulator(name=name) for name in ("left", "right")}
    for name in boards:
        daemon = bar.daemon(core, f"--kegboard_name={name}", device=name)
        daemon.line(f"status: board {name}: firmware 18")
    for ticks, (_, board) in enumerate(boards.items(), start=20):
        board.verb("pour", "flow0", str(ticks), "--seconds=0")
    core.until(lambda: core.readings("left.flow0") == [0, 20] and core.readings("right.flow0") == [0, 21])
    core.until(lambda: core.hub.clients == 2)
    core.hub.broadcast(relay("right.relay0", on=True), relay("left.relay1", on=True))
    core.until(lambda: boards["right"].state()["relays"]["relay0"])
    core.until(lambda: boards["left"].state()["relays"]["relay1"])
    assert not boards["left"].state()["relays"]["relay0"]
    assert not boards["right"].state()["relays"]["relay1"]


def test_readings_wait_for_a_core_that_comes_late_and_tell_their_age(bar: Bar) -> None:
    board, port = bar.simulator(), free_port()
    daemon = bar.daemon(f"localhost:{port}")
    daemon.line("core not reached at localhost:")
    found(daemon)
    board.verb("pour", "flow0", "200", "--seconds=0.3")
    time.sleep(0.3)  # not to wait for anything: to give the readings an age
    core = bar.core(port)
    core.until(lambda: core.readings()[-1:] == [200])
    assert core.ticks() == 200
    assert any(isinstance(event, MeterUpdate) and event.age_s > 0.25 for event in core.events)
    daemon.line("status: board kegboard: firmware 18")


def test_a_device_that_comes_late_is_waited_for(bar: Bar) -> None:
    core = bar.core()
    daemon = bar.daemon(core)
    daemon.line("ready: waiting for ")
    board = bar.simulator()
    found(daemon)
    board.verb("pour", "flow0", "5", "--seconds=0")
    core.until(lambda: core.readings() == [0, 5])


def test_a_device_that_cannot_be_used_is_waited_for_with_the_reason(bar: Bar) -> None:
    core = bar.core()
    (bar.cwd / "board").write_text("no device")
    assert "not a serial device" in bar.daemon(core).line("ready: waiting for ")
    (bar.cwd / "folder").mkdir()
    assert "a directory, not a device" in bar.daemon(core, device="folder").line("ready: waiting for ")


def test_a_device_in_use_is_waited_for(bar: Bar) -> None:
    board, core = bar.simulator(), bar.core()
    fd = os.open(board.link, os.O_RDWR | os.O_NOCTTY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    daemon = bar.daemon(core)
    assert "in use by another program" in daemon.line("ready: waiting for ")
    os.close(fd)
    found(daemon)


def test_firmware_that_is_too_old_is_not_listened_to(bar: Bar) -> None:
    board, core = bar.simulator("--firmware_version=6"), bar.core()
    daemon = bar.daemon(core)
    line = daemon.line("status: board kegboard: firmware 6 is too old")
    assert "7 or later is needed" in line
    board.verb("pour", "flow0", "50", "--seconds=0")
    daemon.end()
    core.until(lambda: not core.hub.clients)
    assert core.events == []


@pytest.mark.parametrize(
    ("flag", "status", "complaint"),
    [
        ("--kegboard_device=no/such/board", 1, "no such directory: "),
        ("--kegboard_device=", 2, "--kegboard_device: name the board's serial device"),
        ("--kb_core_addr=localhost:beer", 2, "--kb_core_addr: 'localhost:beer' is no address"),
        ("--kegboard_name=", 2, "--kegboard_name='': expected a short name"),
    ],
)
def test_a_start_that_cannot_work_fails_with_one_line(
    bar: Bar, flag: str, status: int, complaint: str
) -> None:
    daemon = bar.run("kegboard_daemon.py", flag)
    assert daemon.wait() == status
    assert len(daemon.lines) == 1
    assert daemon.lines[0].startswith("kegboard_daemon.py: ")
    assert complaint in daemon.lines[0]


def test_the_hello_of_a_board_that_does_not_reset_is_asked_for(bar: Bar) -> None:
    board, core = (
        bar.simulator("--noreset_on_open", "--board_serial_number=KB-0000-0000-deadbeef"),
        bar.core(),
    )
    assert "serial KB-0000-0000-deadbeef" in found(bar.daemon(core))
    assert board.state()["received_bytes"] == 16


def test_the_monitor_and_the_daemon_do_not_share_a_device(bar: Bar) -> None:
    bar.simulator()
    core = bar.core()
    daemon = bar.daemon(core)
    found(daemon)
    monitor = bar.run("kegboard_monitor.py", "--kegboard_device=board", "--send=ping")
    monitor.line("in use by another program")
    daemon.end()
    assert "firmware 18" in monitor.line("hello")
    assert monitor.end() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["ended", "killed"])
def test_a_daemon_that_is_started_again_does_not_reboot_the_board(bar: Bar, number: int) -> None:
    board, core = bar.simulator(*SHORT_BOOT, boot=True), bar.core()
    daemon = bar.daemon(core)
    found(daemon)
    board.verb("pour", "flow0", "500", "--seconds=0")
    core.until_read(500)
    daemon.end(number)
    board.verb("pour", "flow0", "70", "--seconds=0")
    found(bar.daemon(core))
    board.verb("pour", "flow0", "1", "--seconds=0")
    core.until_read(571)
    assert core.ticks() == 571
