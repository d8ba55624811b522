from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kegapps.kbsp.messages import BoardConfiguration, Message, OneWirePresence, Ping
from kegapps.kegboard.wording import as_json, describe, name_of
from tests.apps.kbsp.vectors import FRAMES, MESSAGES
from tests.apps.kegboard.programs import SCRIPTS, Bar

RECORDING = b"".join(FRAMES.values())


def monitor(cwd: Path, *arguments: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, str(SCRIPTS / "kegboard_monitor.py"), *arguments]
    return subprocess.run(command, cwd=cwd, input=data, capture_output=True, timeout=20, check=False)


@pytest.mark.parametrize(
    ("message", "name", "text"),
    [
        (MESSAGES["hello_firmware_18"], "hello", "firmware 18, serial not set, up 2.738 s"),
        (MESSAGES["hello_firmware_3"], "hello", "firmware 3"),
        (MESSAGES["meter_flow0_2573"], "meter_status", "flow0 = 2573 ticks"),
        (MESSAGES["temperature_minus_3_5"], "temperature_reading", "thermo-cd08001234561028 = -3.5000 C"),
        (MESSAGES["output_relay1_on"], "output_status", "relay1 on"),
        (MESSAGES["token_rfid_removed"], "auth_token", "core.rfid 0415ab96c3 removed"),
        (OneWirePresence(device_id=0), "onewire_presence", "0000000000000000 removed"),
        (BoardConfiguration(board_name="bar"), "board_configuration", "board_name=bar"),
        (MESSAGES["set_output_1_on"], "set_output", "output_id=1 output_mode=1 mode_bytes=2"),
        (Ping(), "ping", ""),
    ],
)
def test_a_message_is_shown_in_words(message: Message, name: str, text: str) -> None:
    assert (name_of(message), describe(message)) == (name, text)


def test_a_message_is_shown_as_json_with_its_token_in_hex() -> None:
    assert as_json(MESSAGES["token_rfid_present"]) == {
        "message": "auth_token",
        "device_name": "core.rfid",
        "token": "0415ab96c3",
        "status": 1,
    }


@pytest.mark.parametrize("source", ["recording", "-"])
def test_a_recording_is_printed_message_by_message(tmp_path: Path, source: str) -> None:
    (tmp_path / "recording").write_bytes(RECORDING)
    done = monitor(tmp_path, f"--input={source}", data=RECORDING)
    assert done.returncode == 0
    assert done.stdout.decode().splitlines() == [
        f"{name_of(message):<20} {describe(message)}".rstrip() for message in MESSAGES_IN_ORDER
    ]
    assert done.stderr.decode().startswith(f"{len(FRAMES)} messages, 0 garbage bytes, 0 crc errors")


MESSAGES_IN_ORDER = [MESSAGES[name] for name in FRAMES]


def test_json_is_one_object_a_line(tmp_path: Path) -> None:
    done = monitor(tmp_path, "--input=-", "--json", data=RECORDING)
    objects = [json.loads(line) for line in done.stdout.splitlines()]
    assert objects == [json.loads(json.dumps(as_json(message))) for message in MESSAGES_IN_ORDER]


def test_count_ends_it_early(tmp_path: Path) -> None:
    done = monitor(tmp_path, "--input=-", "--count=2", data=RECORDING)
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 2)


def test_damage_is_told_and_gives_status_1(tmp_path: Path) -> None:
    frame = bytearray(FRAMES["meter_flow0_45"])
    frame[20] ^= 1
    done = monitor(tmp_path, "--input=-", data=bytes(frame) + RECORDING + b"KBSP v1")
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == len(FRAMES)
    first, last = done.stderr.decode().splitlines()
    assert first == "!! 29 garbage bytes, 1 crc errors"
    assert last.startswith(f"{len(FRAMES)} messages, 36 garbage bytes, 1 crc errors")


@pytest.mark.parametrize(
    ("flag", "complaint"),
    [
        ("--input=nowhere", "--input=nowhere: No such file or directory"),
        ("--input=.", "Is a directory"),
        ("--kegboard_device=no/such/board", "no such directory"),
    ],
)
def test_a_start_that_cannot_work_fails_with_one_line(tmp_path: Path, flag: str, complaint: str) -> None:
    done = monitor(tmp_path, flag)
    assert done.returncode == 1
    assert done.stdout == b""
    assert len(done.stderr.splitlines()) == 1
    assert complaint in done.stderr.decode()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_recording_without_end_can_be_interrupted(bar: Bar, number: int) -> None:
    watching = bar.run("kegboard_monitor.py", "--input=/dev/zero")
    watching.line("garbage bytes")
    start_s = time.monotonic()
    assert watching.end(number) == 1
    assert time.monotonic() - start_s < 1
    assert watching.lines[-1].startswith("0 messages, ")


def test_an_empty_device_name_is_a_usage_error(tmp_path: Path) -> None:
    done = monitor(tmp_path, "--kegboard_device=")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)


def test_a_late_device_is_waited_for_and_a_lost_one_too(bar: Bar) -> None:
    watching = bar.run("kegboard_monitor.py", "--kegboard_device=board", "--json")
    watching.line("waiting for ")
    board = bar.simulator()
    watching.line('"hello"')
    board.verb("pour", "flow0", "2573", "--seconds=0")
    assert json.loads(watching.line("meter_status"))["reading_ticks"] == 2573
    board.verb("unplug")
    watching.line("unplugged, waiting for ")
    board.verb("plug")
    watching.line('"hello"')
    board.verb("noise", "50")
    watching.line("garbage bytes")
    assert watching.end() == 0
    assert "messages" in watching.lines[-1]


def test_it_says_why_it_waits_also_if_it_is_to_end_by_itself(bar: Bar) -> None:
    bar.simulator()
    first = bar.run("kegboard_monitor.py", "--kegboard_device=board")
    first.line("opened")
    second = bar.run("kegboard_monitor.py", "--kegboard_device=board", "--count=1", "--send=ping")
    assert second.line("waiting for ").endswith("in use by another program")
    first.end()
    second.line("hello")
    assert second.wait() == 0


@pytest.mark.parametrize(
    ("path", "reason"), [("/etc/passwd", "not a serial device"), ("/etc", "a directory, not a device")]
)
def test_a_file_that_is_no_device_is_said_to_be_none_whoever_may_open_it(
    bar: Bar, path: str, reason: str
) -> None:
    assert reason in bar.run("kegboard_monitor.py", f"--kegboard_device={path}").line("waiting for ")


def test_a_ping_may_be_sent_to_a_board_that_does_not_reset(bar: Bar) -> None:
    bar.simulator("--noreset_on_open")
    watching = bar.run("kegboard_monitor.py", "--kegboard_device=board", "--send=ping", "--count=1")
    assert "firmware 18" in watching.line("hello")
    assert watching.wait() == 0


def test_a_reader_that_goes_away_ends_it_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "recording").write_bytes(RECORDING * 1000)
    command = [sys.executable, str(SCRIPTS / "kegboard_monitor.py"), "--input=recording"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as watching:
        assert watching.stdout is not None
        assert watching.stderr is not None
        os.read(watching.stdout.fileno(), 10)
        watching.stdout.close()
        assert b"Traceback" not in watching.stderr.read()
