"""The simulator as people and programs use it: its device, its links, its verbs on a command line."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import stat
import termios
import time
from pathlib import Path
from typing import Any

import pytest

from kegapps.daemon.loop import Loop
from kegapps.kbsp.codec import Decoder
from kegapps.kbsp.messages import Hello, Message, MeterStatus
from kegapps.kegboard import simulator_client
from tests.apps.kegboard.programs import DEADLINE_S, Bar, Program, Simulator


class EndOfLineError(Exception):
    """The device has gone."""


class Host:
    """A plain program that has the device open."""

    def __init__(self, device: Path) -> None:
        self.fd = os.open(device, os.O_RDWR | os.O_NOCTTY)
        self._decoder = Decoder()
        self._messages: list[Message] = []

    def next(self) -> Message:
        while not self._messages:
            data = os.read(self.fd, 4096)
            if not data:
                raise EndOfLineError
            self._messages += self._decoder.feed(data)
        return self._messages.pop(0)

    def close(self) -> None:
        os.close(self.fd)


def client(bar: Bar, *words: str) -> Program:
    return bar.run("kegboard_simulator.py", "--device_link=board", *words)


def said(program: Program) -> tuple[int, list[str]]:
    status = program.wait()
    return status, program.lines


# The device


def test_opening_the_device_boots_the_board_and_it_says_hello_after_two_seconds(bar: Bar) -> None:
    board = bar.simulator(boot=True)
    opened_s = time.monotonic()
    host = Host(board.link)
    hello = host.next()
    assert 1.9 < time.monotonic() - opened_s < 3.0
    assert hello == Hello(firmware_version=18, serial_number="", uptime_ms=500, uptime_days=0)
    host.close()


def test_every_opening_is_a_boot_unless_told_otherwise(bar: Bar) -> None:
    boards = {flag: bar.simulator(f"--{flag}", name=flag) for flag in ("reset_on_open", "noreset_on_open")}
    for flag, board in boards.items():
        board.verb("odometer", "flow0", "99")
        for times in (1, 2):
            host = Host(board.link)
            board_state = wait_for(board, "opened", times)
            assert board_state["meters"]["flow0"] == (99 if flag == "noreset_on_open" else 0)
            host.close()
            wait_for(board, "connected", False)


def wait_for(board: Simulator, key: str, value: object) -> dict[str, Any]:
    deadline_s = time.monotonic() + DEADLINE_S
    while (state := board.state())[key] != value:
        assert time.monotonic() < deadline_s, state
    return state


def test_the_device_is_a_line_in_raw_mode_from_the_first_byte(bar: Bar) -> None:
    board = bar.simulator()
    host = Host(board.link)
    input_flags, output_flags, _, local_flags, *_ = termios.tcgetattr(host.fd)
    assert not input_flags & (termios.ICRNL | termios.IXON)
    assert not output_flags & termios.OPOST
    assert not local_flags & (termios.ECHO | termios.ICANON | termios.ISIG)
    host.close()


def test_a_host_that_does_not_read_costs_bytes_and_nothing_else(bar: Bar) -> None:
    board = bar.simulator()
    host = Host(board.link)
    wait_for(board, "connected", True)
    for _ in range(10):
        assert board.verb("noise", "20000")["ok"]
    state = board.state()
    assert state["dropped_bytes"] > 100_000
    host.close()
    wait_for(board, "connected", False)
    fresh = Host(board.link)
    assert isinstance(fresh.next(), Hello)  # and not what the other one left unread
    fresh.close()


def test_nothing_is_kept_for_a_host_that_is_not_there(bar: Bar) -> None:
    board = bar.simulator("--noreset_on_open")
    board.verb("pour", "flow0", "10", "--seconds=0")
    host = Host(board.link)
    wait_for(board, "connected", True)
    board.verb("pour", "flow0", "5", "--seconds=0")
    while not isinstance(message := host.next(), MeterStatus):
        continue
    assert message == MeterStatus(meter_name="flow0", reading_ticks=15)
    host.close()


def test_unplugging_ends_the_line_and_takes_the_name_away(bar: Bar) -> None:
    board = bar.simulator()
    host = Host(board.link)
    wait_for(board, "connected", True)
    assert isinstance(host.next(), Hello)
    assert board.verb("unplug")["ok"]
    assert not os.path.lexists(board.link)
    with contextlib.suppress(OSError):
        assert os.read(host.fd, 100) == b""
    host.close()
    state = board.state()
    assert (state["plugged"], state["powered"], state["uptime_s"]) == (False, False, 0.0)
    assert board.verb("plug")["ok"]
    assert board.link.is_symlink()
    host = Host(board.link)
    assert isinstance(host.next(), Hello)
    host.close()


def test_a_host_that_leaves_dtr_raised_does_not_reboot_the_board_for_the_next(bar: Bar) -> None:
    board = bar.simulator()
    host = Host(board.link)
    wait_for(board, "connected", True)
    attributes = termios.tcgetattr(host.fd)
    attributes[2] &= ~termios.HUPCL
    termios.tcsetattr(host.fd, termios.TCSANOW, attributes)
    wait_for(board, "booted", True)
    assert board.verb("odometer", "flow0", "99")["ok"]
    for times in (2, 3):
        host.close()
        wait_for(board, "connected", False)
        host = Host(board.link)
        assert wait_for(board, "opened", times)["meters"]["flow0"] == 99
    host.close()
    wait_for(board, "connected", False)
    board.verb("unplug", "--keep_power")
    board.verb("plug")
    host = Host(board.link)
    assert wait_for(board, "opened", 4)["meters"]["flow0"] == 0  # another port: DTR was low on it
    host.close()


# Several boards, and what became of every tick


def test_several_boards_are_one_program_with_a_link_and_a_serial_number_each(bar: Bar) -> None:
    boards = bar.simulators(3, "--board_serial_number=KB-0000-0000-deadbeef")
    assert [board.state()["serial_number"] for board in boards] == [
        "KB-0000-0000-deadbeef",
        "KB-0000-0000-00000002",
        "KB-0000-0000-00000003",
    ]
    boards[1].verb("pour", "flow0", "7", "--seconds=0")
    assert [board.state()["meters"]["flow0"] for board in boards] == [0, 7, 0]
    boards[2].verb("unplug")
    assert [board.link.is_symlink() for board in boards] == [True, True, False]
    assert boards[0].program.end() == 0
    assert os.listdir(bar.cwd) == []


def test_what_became_of_every_tick_is_told_over_all_boots(bar: Bar) -> None:
    board = bar.simulator()
    host = Host(board.link)
    wait_for(board, "connected", True)
    board.verb("flow", "flow0", "500")
    last = 0
    while last < 100:
        if isinstance(message := host.next(), MeterStatus):
            last = message.reading_ticks
    board.verb("unplug")
    with contextlib.suppress(OSError, EndOfLineError):
        while True:  # what was on its way when the power went
            if isinstance(message := host.next(), MeterStatus):
                last = message.reading_ticks
    host.close()
    account = board.ticks()
    assert account["told"] == last
    assert account["told"] + account["lost"] == account["counted"]
    board.verb("plug")
    board.verb("flow", "flow0", "0")
    before = account["counted"]
    account = board.ticks()
    assert account["untold"] == account["counted"] - before
    assert account["passed"] >= account["counted"]
    status, lines = said(client(bar, "ticks"))
    assert status == 0
    assert json.loads("\n".join(lines))["flow0"] == account


def test_ticks_that_a_host_left_unread_are_untold(bar: Bar) -> None:
    board = bar.simulator("--noreset_on_open")
    host = Host(board.link)
    wait_for(board, "connected", True)
    board.verb("pour", "flow0", "50", "--seconds=0")
    assert board.ticks()["told"] == 50
    host.close()
    wait_for(board, "connected", False)
    assert board.ticks()["untold"] == 50


# Names in the file system


def test_the_link_replaces_an_old_link_and_goes_with_the_program(bar: Bar) -> None:
    (bar.cwd / "board").symlink_to("/dev/nowhere")
    board = bar.simulator()
    assert os.readlink(board.link) == board.state()["device"]
    assert stat.S_IMODE(board.control.stat().st_mode) == 0o600
    assert board.program.end() == 0
    assert os.listdir(bar.cwd) == []


@pytest.mark.parametrize("make", [Path.touch, Path.mkdir], ids=["a file", "a directory"])
def test_what_is_no_link_is_not_replaced(bar: Bar, make: object) -> None:
    assert callable(make)
    make(bar.cwd / "board")
    status, lines = said(client(bar))
    assert status == 1
    assert len(lines) == 1
    assert "is no symbolic link" in lines[0]
    assert (bar.cwd / "board").exists()


def test_a_second_simulator_does_not_take_the_name_of_the_first(bar: Bar) -> None:
    board = bar.simulator()
    status, lines = said(client(bar))
    assert status == 1
    assert "another simulator answers" in lines[0]
    assert board.verb("pour", "flow0", "1", "--seconds=0")["ok"]


def test_what_a_killed_simulator_left_behind_does_not_matter(bar: Bar) -> None:
    board = bar.simulator()
    board.program.end(signal.SIGKILL)
    assert board.control.exists()
    assert bar.simulator().verb("pour", "flow0", "1", "--seconds=0")["ok"]


@pytest.mark.parametrize(
    ("flags", "expected_status", "complaint"),
    [
        (["--device_link="], 2, "--device_link: name the device"),
        (["--device_link=no/such/board"], 1, "/no/such/board: no such directory: "),
        (["--device_link=board", "--control=" + "x" * 200], 1, "choose another --control"),
        (["--device_link=board", "--thermo=2810563412000800"], 2, "the checksum should be cd"),
        (["--device_link=board", "--board_serial_number=" + "x" * 30], 2, "only 29 characters fit"),
    ],
)
def test_a_start_that_cannot_work_fails_with_one_line(
    bar: Bar, flags: list[str], expected_status: int, complaint: str
) -> None:
    status, lines = said(bar.run("kegboard_simulator.py", *flags))
    assert status == expected_status
    assert len(lines) == 1
    assert complaint in lines[0]


# Verbs


def test_pour_returns_when_it_is_poured_and_counted(bar: Bar) -> None:
    board = bar.simulator()
    started_s = time.monotonic()
    assert said(client(bar, "pour", "flow0", "100", "--seconds=0.5")) == (
        0,
        ["flow0: 100 of 100 ticks counted by the board"],
    )
    assert time.monotonic() - started_s >= 0.5
    assert board.state()["meters"] == {"flow0": 100, "flow1": 0}


def test_pour_fails_if_the_board_did_not_count_it_all(bar: Bar) -> None:
    bar.simulator().verb("unplug")
    status, lines = said(client(bar, "pour", "flow0", "10"))
    assert status == 1
    assert "0 of 10 ticks counted by the board; it had no power" in lines[0]


def test_the_tap_closes_when_the_pouring_client_goes(bar: Bar) -> None:
    board = bar.simulator()
    pouring = client(bar, "pour", "flow0", "6000", "--seconds=60")
    deadline_s = time.monotonic() + DEADLINE_S
    while board.state()["meters"]["flow0"] == 0:
        assert time.monotonic() < deadline_s
    assert pouring.end(signal.SIGINT) == 1
    assert pouring.lines[-1] == "kegboard_simulator.py: interrupted"
    level = -1
    while level != (level := board.state()["meters"]["flow0"]) or level == 0:
        board.verb(
            "pour", "flow1", "1", "--seconds=0"
        )  # takes a report, up to 101 ms, in which more would flow
    assert level < 6000


def test_a_temperature_may_be_below_zero_on_the_command_line(bar: Bar) -> None:
    board = bar.simulator()
    assert said(client(bar, "temperature", "thermo-cd08001234561028", "-3.5"))[0] == 0
    assert board.state()["temperatures_c"] == {"thermo-cd08001234561028": -3.5}


def test_state_is_json_for_programs(bar: Bar) -> None:
    bar.simulator("--meters=6", "--board_serial_number=KB-1", "--thermo=")
    status, lines = said(client(bar, "state"))
    state = json.loads("\n".join(lines))
    assert status == 0
    assert list(state["meters"]) == [f"flow{number}" for number in range(6)]
    assert (state["serial_number"], state["temperatures_c"], state["connected"]) == ("KB-1", {}, False)


@pytest.mark.parametrize(
    ("words", "status", "complaint"),
    [
        (["pour", "flow0"], 2, "expected pour METER TICKS"),
        (["poor"], 2, "kegboard_simulator.py: 'poor' is no verb"),
        (["pour", "flow0", "-5"], 2, "'-5': expected a whole number"),
        (["script"], 2, "expected script FILE"),
        (["script", "nowhere"], 1, "No such file"),
        (["pour", "flow3", "1"], 1, "the board has no flow3"),
        (["token_remove", "onewire", "0f07060504030201"], 1, "not on the contact"),
    ],
)
def test_a_verb_that_fails_says_so_in_one_line(
    bar: Bar, words: list[str], status: int, complaint: str
) -> None:
    bar.simulator()
    found_status, lines = said(client(bar, *words))
    assert found_status == status
    assert len(lines) == 1
    assert complaint in lines[0]


def test_a_verb_without_a_simulator_says_how_to_get_one(bar: Bar) -> None:
    status, lines = said(client(bar, "state"))
    assert status == 1
    assert "no simulator answers at " in lines[0]


def test_a_verb_waits_for_a_simulator_that_is_just_starting(
    bar: Bar, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = Loop()
    answers: list[dict[str, Any]] = []
    monkeypatch.setattr("kegapps.kegboard.simulator_client.START_S", DEADLINE_S)

    def done(answer: dict[str, Any]) -> None:
        answers.append(answer)
        loop.stop()

    simulator_client._Call(loop, str(bar.cwd / "board.control"), ["state"], on_done=done)
    bar.simulator()
    loop.run()
    assert answers[0]["ok"]
    loop.close()


def test_a_script_is_verbs_line_by_line_with_waits_and_background(bar: Bar) -> None:
    board = bar.simulator("--noreset_on_open")
    (bar.cwd / "evening").write_text(
        "# two taps at once\n"
        "pour flow0 100 --seconds=0.4 &\n"
        "pour flow1 50 --seconds=0.2 &\n"
        "wait 0.05\n"
        "unplug --keep_power   # the cable only\n"
        "\n"
        "plug\n"
        "wait\n"
        "token core.rfid 0415ab96c3\n"
    )
    status, lines = said(client(bar, "script", "evening"))
    assert (status, len(lines)) == (0, 2)
    assert board.state()["meters"] == {"flow0": 100, "flow1": 50}


@pytest.mark.parametrize(
    ("text", "status", "complaint", "ticks"),
    [
        ("pour flow0 5 --seconds=0\npoor\n", 2, "evening:2: 'poor' is no verb", 0),
        ("pour flow0 5 --seconds=0\nwait soon\n", 2, "evening:2: wait: 'soon': expected seconds", 0),
        ("pour flow0 5 --seconds=0\nreset 'x\n", 2, "evening:2: No closing quotation", 0),
        ("pour flow0 5 --seconds=0\npour flow9 1\n", 2, "evening:2: pour: 'flow9' is no meter", 0),
        ("pour flow0 5 --seconds=0\npour flow5 1\npour flow0 9\n", 1, "evening:2: the board has no flow5", 5),
    ],
    ids=["no verb", "no seconds", "no end of a quote", "no meter", "fails when done"],
)
def test_a_script_is_checked_before_it_runs_and_ends_at_the_first_failure(
    bar: Bar, text: str, status: int, complaint: str, ticks: int
) -> None:
    board = bar.simulator()
    (bar.cwd / "evening").write_text(text)
    found_status, lines = said(client(bar, "script", "evening"))
    assert found_status == status
    assert complaint in lines[-1]
    assert board.state()["meters"]["flow0"] == ticks


@pytest.mark.parametrize(
    "request_bytes", [b"spam\n", b"[]\n", b"{}\n", b'{"words": 3}\n', b"[" * 100_000 + b"\n", b"x" * 200_000]
)
def test_a_request_that_is_none_costs_its_sender_the_connection_and_nobody_else(
    bar: Bar, request_bytes: bytes
) -> None:
    board = bar.simulator()
    with socket.socket(socket.AF_UNIX) as rude:
        rude.settimeout(DEADLINE_S)
        rude.connect(str(board.control))
        try:
            rude.sendall(request_bytes)
            assert rude.recv(100) == b""
        except (BrokenPipeError, ConnectionResetError):
            pass
    assert board.verb("state")["ok"]


def test_help_names_every_verb(bar: Bar) -> None:
    status, lines = said(bar.run("kegboard_simulator.py", "--helpshort"))
    assert status == 0
    text = "\n".join(lines)
    for verb in (
        "pour",
        "odometer",
        "temperature",
        "token_add",
        "unplug",
        "plug",
        "reset",
        "noise",
        "script",
    ):
        assert f"\n{verb} " in text
    assert "--[no]reset_on_open" in text
    assert "--pidfile" not in text
