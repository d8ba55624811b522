"""kegboard_tester.py as a process, on an emulated board."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from kegapps.kegboard.devices import AUTO_PATTERNS
from tests.apps.kegboard.programs import DEADLINE_S, SCRIPTS, Bar, Program, Simulator

SHORT = ("--interval_s=0.25", "--outputs=0,1", "--cycles=1")
NATIVE_USB = "--noreset_on_open"


def start(bar: Bar, *flags: str, script: str = "kegboard_tester.py") -> Program:
    return bar.run(script, "--kegboard_device=board", *flags)


def command_for(board: Simulator) -> list[str]:
    return [sys.executable, str(SCRIPTS / "kegboard_tester.py"), f"--kegboard_device={board.link}", "--yes"]


def relays(board: Simulator) -> list[str]:
    return [name for name, on in board.state()["relays"].items() if on]


def test_a_healthy_board_passes_and_its_relays_are_off_afterwards(bar: Bar) -> None:
    board = bar.simulator()
    tester = start(bar, "--yes", *SHORT)
    assert tester.wait() == 0
    text = "\n".join(tester.lines)
    assert re.findall(r"relay\d \w+", text) == ["relay0 on", "relay0 off", "relay1 on", "relay1 off"]
    assert "ok: 4 of 4 commands answered" in tester.lines[-1]
    assert relays(board) == []


def test_json_is_one_object_a_line(bar: Bar) -> None:
    bar.simulator(NATIVE_USB)
    tester = start(bar, "--yes", "--json", "--interval_s=0.25", "--outputs=5", "--cycles=1")
    assert tester.wait() == 0
    said = [json.loads(line) for line in tester.lines]
    switched = [(step["output"], step["enabled"], step["ok"]) for step in said if "output" in step]
    assert switched == [(5, True, True), (5, False, True)]
    verdict = said[-1]
    assert {name: verdict[name] for name in ("result", "faults", "commands", "answered")} == {
        "result": "ok", "faults": [], "commands": 2, "answered": 2,
    }  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_whoever_ends_it_the_relays_are_off(bar: Bar, number: int) -> None:
    board = bar.simulator(NATIVE_USB)
    tester = start(bar, "--yes", "--interval_s=30")
    tester.line("relay0 on: answered")
    assert relays(board) == ["relay0"]
    assert tester.end(number) == 1
    assert tester.lines[-1] == "kegboard_tester.py: board: interrupted".replace("board:", f"{board.link}:")
    assert relays(board) == []


def test_without_an_end_being_interrupted_is_no_failure(bar: Bar) -> None:
    board = bar.simulator(NATIVE_USB)
    tester = start(bar, "--yes", "--cycles=0", "--interval_s=0.25", "--outputs=0")
    for _ in range(2):
        tester.line("relay0 off")
    assert tester.end() == 0
    assert relays(board) == []


def test_a_reader_of_its_output_that_goes_away_leaves_no_relay_on(bar: Bar) -> None:
    board = bar.simulator(NATIVE_USB)
    command = command_for(board)
    with subprocess.Popen(
        [*command, "--interval_s=0.25"], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        while b"relay0 on" not in process.stdout.readline():
            pass
        process.stdout.close()
        assert process.wait(DEADLINE_S) == 1
    assert relays(board) == []


def test_a_stopped_terminal_keeps_no_relay_on(bar: Bar) -> None:
    board = bar.simulator(NATIVE_USB)
    command = command_for(board)
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(command[0], [*command, "--interval_s=0.25", "--cycles=0"])
    said = b""
    while b"relay0 on" not in said:
        said += os.read(terminal, 4096)
    os.write(terminal, b"\x13")  # Ctrl-S
    for _ in range(2):  # it goes on although nothing can be printed
        until(lambda: relays(board) == ["relay3"])
        until(lambda: relays(board) == ["relay0"])
    os.kill(pid, signal.SIGTERM)
    begin_s = time.monotonic()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert time.monotonic() - begin_s < 1.0
    assert relays(board) == []
    os.close(terminal)


def test_what_a_stopped_terminal_missed_is_printed_when_it_goes_on(bar: Bar) -> None:
    board = bar.simulator(NATIVE_USB)
    command = command_for(board)
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(command[0], [*command, *SHORT])
    said = b""
    while b"relay0 on" not in said:
        said += os.read(terminal, 4096)
    os.write(terminal, b"\x13")
    until(lambda: relays(board) == ["relay1"])
    until(lambda: relays(board) == [])
    os.write(terminal, b"\x11")  # Ctrl-Q
    with contextlib.suppress(OSError):  # how a terminal ends
        while data := os.read(terminal, 4096):
            said += data
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert re.findall(rb"relay\d \w+", said) == [b"relay0 on", b"relay0 off", b"relay1 on", b"relay1 off"]
    assert b"ok: 4 of 4 commands answered" in said
    os.close(terminal)


def until(condition: Callable[[], object]) -> None:
    end_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.01)


def test_an_empty_device_is_a_mistake(bar: Bar) -> None:
    tester = bar.run("kegboard_tester.py", "--yes", "--kegboard_device=")
    assert tester.wait() == 2
    (line,) = tester.lines
    assert "--kegboard_device is empty; name the board's device, or auto" in line


def test_a_board_unplugged_in_the_middle_is_said_to_be(bar: Bar) -> None:
    board = bar.simulator(NATIVE_USB)
    tester = start(bar, "--yes", "--interval_s=30")
    tester.line("relay0 on: answered")
    board.verb("unplug", "--keep_power")
    assert tester.wait() == 1
    assert "relay0 may be on; the board switches it off within 10 s" in "\n".join(tester.lines)
    assert tester.lines[-1].endswith("unplugged")


def test_a_board_in_use_is_not_touched_and_it_is_said_who_uses_it(bar: Bar) -> None:
    board = bar.simulator()
    daemon = bar.daemon(bar.core())
    daemon.line("firmware 18")
    tester = start(bar, "--yes")
    assert tester.wait() == 1
    (line,) = tester.lines
    assert line == (
        f"kegboard_tester.py: {board.link}: in use by another program: kegboard_daemon.py, "
        f"process {daemon.process.pid}; stop it first"
    )


@pytest.mark.parametrize("script", ["kegboard_tester.py", "kegboard-tester.py"])
def test_without_a_terminal_it_needs_to_be_told_that_valves_may_open(bar: Bar, script: str) -> None:
    board = bar.simulator(NATIVE_USB)
    tester = start(bar, script=script)
    assert tester.wait() == 1
    assert "VALVES MAY OPEN" in tester.lines[0]
    assert "Give --yes" in tester.lines[0]
    assert board.state()["opened"] == 0


@pytest.mark.parametrize(("answer", "status"), [("yes", 0), ("no", 1), ("", 1), ("y", 1)])
def test_on_a_terminal_it_asks(bar: Bar, answer: str, status: int) -> None:
    board = bar.simulator(NATIVE_USB)
    command = [
        sys.executable,
        str(SCRIPTS / "kegboard_tester.py"),
        f"--kegboard_device={board.link}",
        *SHORT,
        "--outputs=0",
    ]
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(command[0], command)
    said = b""
    while b"Type yes to go on: " not in said:
        said += os.read(terminal, 4096)
    os.write(terminal, f"{answer}\n".encode())
    try:
        while data := os.read(terminal, 4096):
            said += data
    except OSError:
        pass  # how a terminal ends
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == status, said
    os.close(terminal)
    assert b"VALVES MAY OPEN" in said
    assert (b"relay0 on" in said) == (status == 0)
    assert (board.state()["opened"] > 0) == (status == 0)


@pytest.mark.parametrize("outputs", ["6", "0,x", "", "-1", "00"])
def test_outputs_that_no_board_has_are_a_mistake(bar: Bar, outputs: str) -> None:
    tester = start(bar, "--yes", f"--outputs={outputs}")
    assert tester.wait() == 2
    assert "expected numbers from 0 to 5" in tester.lines[0]


@pytest.mark.skipif(any(map(glob.glob, AUTO_PATTERNS)), reason="this machine has serial devices")
def test_where_there_is_no_serial_device_auto_says_so(bar: Bar) -> None:
    tester = bar.run("kegboard_tester.py", "--yes")
    assert tester.wait() == 1
    assert "no serial device at /dev/serial/by-id/*" in tester.lines[0]
