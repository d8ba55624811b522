from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from kegapps.daemon.loop import Loop
from kegapps.kegnet.client import Client
from kegapps.kegnet.codec import encode
from kegapps.kegnet.events import (
    Credentials,
    Event,
    MeterUpdate,
    Ping,
    Refusal,
    SetRelayOutputEvent,
    StatusRequest,
)
from kegapps.kegnet.hub import Hub, HubLimits
from kegapps.kegnet.strangers import STRANGER_BYTES
from kegapps.kegnet.token_file import TokenFileError, read_token
from tests.apps.kegnet.support import Clock, Core, RawPeer, running_core

ROOT = Path(__file__).parents[3]
TOKEN = "correct-horse-battery-staple"
READING = MeterUpdate(tap_name="kegboard.flow0", reading=250)
RELAY = SetRelayOutputEvent(output_name="kegboard.relay0", output_mode="enabled")
KEY = Credentials(token=TOKEN)


def stranger(core: Core) -> RawPeer:
    """Connected, and perhaps not accepted yet."""
    return RawPeer(core.loop, socket.create_connection(core.hub.address))


def refused(core: Core, peer: RawPeer) -> str:
    """Why it was refused, once it is."""
    core.turn_until(lambda: peer.closed)
    (refusal,) = peer.got
    assert isinstance(refusal, Refusal)
    return refusal.reason


# The file


def token_file(folder: Path, text: str = TOKEN + "\n", mode: int = 0o600) -> str:
    path = folder / "token"
    path.write_text(text)
    path.chmod(mode)
    return str(path)


@pytest.mark.parametrize("text", [TOKEN, TOKEN + "\n", TOKEN + "\r\n", "x" * 16, "~" * 256 + "\n"])
def test_a_token_is_the_one_line_of_its_file(tmp_path: Path, text: str) -> None:
    assert read_token(token_file(tmp_path, text)) == text.strip()


@pytest.mark.parametrize(
    "text", ["", "\n", "x" * 15, "x" * 257, "x" * 5000, "two words are not it", "a\n" * 10, "ä" * 20]
)
def test_a_file_with_anything_else_is_refused_without_showing_it(tmp_path: Path, text: str) -> None:
    path = token_file(tmp_path, text)
    with pytest.raises(TokenFileError, match="16 to 256 printable") as problem:
        read_token(path)
    assert str(problem.value).startswith(f"{path}: expected")
    assert not text.strip() or text.strip() not in str(problem.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o660, 0o644, 0o700 | 0o011])
def test_a_file_that_others_may_read_or_change_is_refused_with_the_command_that_helps(
    tmp_path: Path, mode: int
) -> None:
    path = token_file(tmp_path, mode=mode)
    with pytest.raises(TokenFileError, match=rf"mode {mode:04o}.*; chmod 600 {path}$"):
        read_token(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    path = token_file(tmp_path)
    os.chown(path, 12345, 12345)
    with pytest.raises(TokenFileError, match="belongs to 12345; this runs as root"):
        read_token(path)


def test_what_is_no_plain_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo, 0o600)
    for path, reason in (
        (fifo, "no plain file"),
        (tmp_path, "no plain file"),
        (tmp_path / "none", "No such file"),
    ):
        with pytest.raises(TokenFileError, match=reason):
            read_token(str(path))


# The core


def test_who_shows_the_token_first_is_served_what_came_along_with_it_too() -> None:
    with running_core(token=TOKEN) as core:
        app = stranger(core)
        app.say(KEY, READING, READING)
        core.turn_until(lambda: len(core.got) == 2)
        core.hub.broadcast(RELAY)
        core.turn_until(lambda: app.got)
        assert app.got == [RELAY]
        assert core.hub.clients == 1


def test_a_token_and_long_messages_after_it_may_come_in_pieces_of_any_size() -> None:
    readings = [MeterUpdate(tap_name=f"{number:0100}", reading=number) for number in range(30)]
    stream = encode(Credentials(token=TOKEN)) + b" " * 5000 + b"".join(map(encode, readings))
    for size in (1, 7, 1023, 1024, 1025, len(stream)):
        with running_core(token=TOKEN) as core:
            app = stranger(core)
            for at in range(0, len(stream), size):
                app.say(stream[at : at + size])
                core.loop.run_once(0)
            core.turn_until(lambda: len(core.got) == 30)
            assert core.got == readings
            app.close()


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (Credentials(token=TOKEN + "x"), "another token"),
        (Credentials(token=TOKEN[:-1]), "another token"),
        (Credentials(token="x" * 256), "another token"),
        (READING, "shows no token"),
        (StatusRequest(), "shows no token"),
        (b"\n\n", "shows no token"),
        (b'{"event": "Ping", "data": {"token": null}}\n\n', "shows no token"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "shows no token"),
        (b"x" * (STRANGER_BYTES + 10), "shows no token"),
        (b"\xff" * 100_000, "shows no token"),
    ],
    ids=lambda item: ascii(item)[:40],
)
def test_who_begins_with_anything_else_is_told_why_and_was_told_nothing_before(
    first: bytes | Event, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    with running_core(token=TOKEN) as core:
        app = stranger(core)
        core.turn_until(lambda: core.hub._strangers)
        core.hub.broadcast(RELAY)
        app.say(first, KEY, READING)
        core.turn_until(lambda: app.closed)
        if len(app.got) == 1:  # what of its own it had not sent yet may have cut our words off
            assert reason in refused(core, app)
        assert RELAY not in app.got
        assert reason in caplog.text
        assert TOKEN not in caplog.text
        assert not core.got
        assert not core.gone


def test_who_shows_nothing_is_gone_after_five_seconds(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    with running_core(token=TOKEN, clock=clock) as core:
        first = stranger(core)
        core.turn_until(lambda: core.hub._strangers)
        clock.ahead_s += 3
        second = stranger(core)
        core.turn_until(lambda: core.hub._strangers and len(core.hub._strangers) == 2)
        second.say(b'{"event": "Ping", ')
        clock.ahead_s += 2.5
        assert "no token within 5 s" in refused(core, first)
        assert not second.closed
        clock.ahead_s += 2.5
        assert "no token within 5 s" in refused(core, second)
        assert core.hub._strangers is not None
        assert len(core.hub._strangers) == 0
        assert caplog.text.count("refused 127.0.0.1") == 2


def test_a_crowd_of_strangers_takes_no_room_from_those_who_know_the_token(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with running_core(HubLimits(max_strangers=4, max_clients=3), token=TOKEN) as core:
        crowd = [stranger(core) for _ in range(40)]
        core.turn_until(lambda: sum(peer.closed for peer in crowd) == 36)
        honest = stranger(core)
        honest.say(KEY, READING)
        core.turn_until(lambda: core.got)
        assert not honest.closed
        assert caplog.text.count("refused 127.0.0.1") == 20  # the others are counted
        for peer in crowd:
            peer.close()


def test_a_look_whether_the_core_serves_is_nothing_to_tell(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "kegnet")
    with running_core(token=TOKEN) as core:
        stranger(core).close()
        watchdog = stranger(core)
        watchdog.say(Ping())
        watchdog.sock.shutdown(socket.SHUT_WR)
        core.turn_until(lambda: watchdog.closed)
        app = stranger(core)
        app.say(Ping(), KEY, READING)
        core.turn_until(lambda: core.got)
        assert core.hub._strangers is not None
        core.turn_until(lambda: not core.hub._strangers)
        assert "refused" not in caplog.text


def test_with_a_token_a_hub_may_listen_for_other_machines() -> None:
    loop = Loop()
    hub = Hub(loop, ("0.0.0.0", 0), on_event=lambda _event, _peer: None, token=TOKEN)
    hub.close()
    loop.close()


# The app


def test_our_client_shows_it_on_every_connection() -> None:
    with running_core(token=TOKEN) as core:
        client = Client(core.loop, core.hub.address, token=TOKEN)
        client.send(READING)
        core.turn_until(lambda: core.got)
        next(iter(core.hub._peers.values())).sock.shutdown(socket.SHUT_RDWR)
        core.turn_until(lambda: not client.connected)
        core.turn_until(lambda: client.connected and core.hub.clients == 1)
        client.send(StatusRequest())
        core.turn_until(lambda: StatusRequest() in core.got)
        client.close()


def test_a_client_with_a_wrong_token_says_so() -> None:
    with running_core(token=TOKEN) as core:
        client = Client(core.loop, core.hub.address, token=TOKEN + "x")
        core.turn_until(lambda: "another token" in client.problem)
        client.close()


# The programs


def run(*argv: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *argv], cwd=cwd, capture_output=True, text=True, timeout=30, check=False
    )


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("kegbot_core.py", ["--store=x.sqlite", "--kb_core_bind_addr=localhost:0"]),
        ("sound_server.py", []),
        ("test_flow.py", []),
        ("kegbot_admin.py", ["watch"]),
        ("kegboard_daemon.py", ["--kegboard_device=board"]),
    ],
)
def test_every_program_refuses_a_token_file_that_others_may_read(
    tmp_path: Path, program: str, words: list[str]
) -> None:
    path = token_file(tmp_path, mode=0o644)
    (tmp_path / "board").touch()
    done = run(str(ROOT / "scripts" / program), "--kegnet_token_file=token", *words, cwd=tmp_path)
    assert done.returncode == 1
    assert f"chmod 600 {path}" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert TOKEN not in done.stdout + done.stderr


def test_a_core_with_a_token_file_hears_an_app_that_has_it_and_no_other(tmp_path: Path) -> None:
    token_file(tmp_path)
    with subprocess.Popen(
        [sys.executable, str(ROOT / "scripts" / "kegbot_core.py"), "--store=x.sqlite", "--kb_core_bind_addr=0.0.0.0:0",
         "--kegnet_token_file=token"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as core:  # fmt: skip
        try:
            assert core.stdout
            listening = next(line for line in core.stdout if "Listening for apps on" in line)
            address = "localhost:" + listening.rpartition(":")[2].strip()
            flow = [str(ROOT / "scripts" / "test_flow.py"), f"--kb_core_addr={address}", "--step_wait=0.01"]
            without = run(*flow, cwd=tmp_path)
            having = run(*flow, "--kegnet_token_file=token", cwd=tmp_path)
        finally:
            core.terminate()
        told = core.stdout.read()
    assert without.returncode == 1
    assert "refused us" in without.stderr
    assert "token" in without.stderr
    assert having.returncode == 0, having.stderr
    assert "refused 127.0.0.1" in told
    assert TOKEN not in told + listening + str(without) + str(having)
