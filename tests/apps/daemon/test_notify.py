"""What the service manager hears on its socket."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.apps.daemon.harness import (
    PATIENCE_S,
    background,
    command,
    environment,
    foreground,
    held,
    read_until,
    run,
)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(PATIENCE_S)
        yield listener


def test_ready_status_and_stopping_are_told(manager: socket.socket, tmp_path: Path) -> None:
    env = environment(NOTIFY_SOCKET=manager.getsockname())
    with foreground(cwd=tmp_path, env=env) as program:
        assert manager.recv(4096) == b"READY=1\nSTATUS=serving"
        program.send_signal(signal.SIGTERM)
        assert manager.recv(4096) == b"STOPPING=1"
        assert program.wait(PATIENCE_S) == 0


def test_an_abstract_socket_will_do(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("")  # the kernel chooses an abstract name
        listener.settimeout(PATIENCE_S)
        name = listener.getsockname()[1:].decode()
        with foreground(cwd=tmp_path, env=environment(NOTIFY_SOCKET=f"@{name}")):
            assert listener.recv(4096) == b"READY=1\nSTATUS=serving"


def test_a_daemon_tells_its_number(manager: socket.socket, tmp_path: Path) -> None:
    with background(cwd=tmp_path, env=environment(NOTIFY_SOCKET=manager.getsockname())) as (_, daemon):
        assert manager.recv(4096).decode() == f"READY=1\nSTATUS=serving\nMAINPID={daemon.pid}"


def test_a_status_is_one_line_and_is_logged_when_it_changes(manager: socket.socket, tmp_path: Path) -> None:
    env = environment(NOTIFY_SOCKET=manager.getsockname())
    with foreground("--behave=status_flood", cwd=tmp_path, env=env) as program:
        assert manager.recv(4096) == b"READY=1\nSTATUS=one two"
        assert manager.recv(4096) == b"STATUS=status 0"
        assert b"INFO     (daemon) status: status 999\n" in read_until(program.stdout, b"status 999\n")


def test_a_manager_that_does_not_read_never_holds_a_program_up(
    manager: socket.socket, tmp_path: Path
) -> None:
    env = environment(NOTIFY_SOCKET=manager.getsockname())
    with foreground("--behave=status_flood", cwd=tmp_path, env=env) as program:
        read_until(program.stdout, b"status 999\n")
        program.send_signal(signal.SIGTERM)
        assert program.wait(PATIENCE_S) == 0


@pytest.mark.parametrize(
    "address", ["/nowhere/notify", "@nobody", "relative", "@", "/" + "x" * 200, "vsock:2:3"]
)
def test_a_manager_that_is_not_there_does_not_matter(address: str, tmp_path: Path) -> None:
    with foreground(cwd=tmp_path, env=environment(NOTIFY_SOCKET=address)) as program:
        read_until(program.stdout, b"ready")
        program.send_signal(signal.SIGTERM)
        assert program.wait(PATIENCE_S) == 0


def test_the_watchdog_is_fed_at_half_its_time(manager: socket.socket, tmp_path: Path) -> None:
    env = environment(NOTIFY_SOCKET=manager.getsockname(), WATCHDOG_USEC="40000")
    with foreground(cwd=tmp_path, env=env):
        manager.recv(4096)
        assert [manager.recv(4096) for _ in range(5)] == [b"WATCHDOG=1"] * 5


def test_a_loop_that_hangs_feeds_no_watchdog(manager: socket.socket, tmp_path: Path) -> None:
    env = environment(NOTIFY_SOCKET=manager.getsockname(), WATCHDOG_USEC="200000")
    with foreground("--behave=hang_in_loop", cwd=tmp_path, env=env) as program:
        assert manager.recv(4096) == b"READY=1\nSTATUS=about to hang"
        assert manager.recv(4096) == b"WATCHDOG=1"
        manager.settimeout(1)  # ten times as long as it may be silent
        with pytest.raises(TimeoutError):
            manager.recv(4096)
        program.kill()


def test_the_watchdog_meant_for_the_command_is_fed_by_its_daemon(
    manager: socket.socket, tmp_path: Path
) -> None:
    env = environment(NOTIFY_SOCKET=manager.getsockname(), WATCHDOG_USEC="40000")
    script = 'WATCHDOG_PID=$$ exec "$0" "$@"'
    subprocess.run(
        ["sh", "-c", script, *command("--daemon", "--pidfile=p")],
        cwd=tmp_path,
        env=env,
        check=True,
        timeout=PATIENCE_S,
    )
    with held(tmp_path / "p"):
        manager.recv(4096)
        assert manager.recv(4096) == b"WATCHDOG=1"


@pytest.mark.parametrize(
    "wrong",
    [
        {"WATCHDOG_PID": "1"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "-5"},
        {"WATCHDOG_USEC": "²"},
    ],
)
def test_a_watchdog_that_is_not_ours_is_not_fed(
    wrong: dict[str, str], manager: socket.socket, tmp_path: Path
) -> None:
    env = environment(NOTIFY_SOCKET=manager.getsockname()) | {"WATCHDOG_USEC": "1000"} | wrong
    with foreground(cwd=tmp_path, env=env) as program:
        manager.recv(4096)
        program.send_signal(signal.SIGTERM)
        assert manager.recv(4096) == b"STOPPING=1"


def test_without_a_manager_nothing_is_sent(tmp_path: Path) -> None:
    assert run("--behave=talk", cwd=tmp_path, env=environment(WATCHDOG_USEC="1000")).returncode == 0
