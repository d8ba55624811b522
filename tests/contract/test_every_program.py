"""What every program in scripts/ shares, whatever it is for. master.py is another kind of program."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.apps.daemon.harness import PATIENCE_S, environment, file_says, held, read_until
from tests.ports import free_port as free_port

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (DEBUG|INFO|WARNING|ERROR|CRITICAL) +\([\w.]+\) .+")
COMMON = (
    "--logfile=", "--[no]log_to_file", "--[no]log_to_stdout", "--logformat=", "--[no]rotate_logs",
    "--maximum_log_files=", "--[no]verbose", "--flagfile=", "--[no]daemon", "--pidfile=",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """How to try one program.

    flags     what it needs to serve in the empty directory `cwd`; None if it does not serve but does a job
    failing   the same for a start that must fail
    ready     what it says in the foreground once it serves
    talks     whether it prints more than log lines
    """

    flags: Callable[[Path], list[str]] | None
    failing: Callable[[Path], list[str]]
    ready: bytes = b"(daemon) ready"
    talks: bool = False


def destinations(cwd: Path, url: str) -> list[str]:
    """The flags of a publisher whose one destination is `url`."""
    path = cwd / "urls"
    path.touch(mode=0o600)
    path.write_text(f"{url}\n", encoding="utf-8")
    return [
        f"--urls_file={path}",
        f"--queue={cwd / 'queue.sqlite'}",
        f"--kb_core_addr=localhost:{free_port()}",
    ]


PROGRAMS = {
    "fb_publisher.py": Program(
        flags=lambda cwd: destinations(cwd, "facebook://1234567890/a-token-of-a-page"),
        failing=lambda cwd: destinations(cwd, "discord://1234567890/a-token-of-a-hook"),
    ),
    "gpio_meter.py": Program(
        flags=lambda cwd: [f"--counts={cwd / 'counts'}", f"--kb_core_addr=localhost:{free_port()}"],
        failing=lambda _: ["--counts=/dev/null/counts"],
    ),
    "kegbot_core.py": Program(
        flags=lambda cwd: [f"--store={cwd / 'core.sqlite'}", f"--kb_core_bind_addr=localhost:{free_port()}"],
        failing=lambda cwd: [
            f"--store={cwd / 'core.sqlite'}",
            f"--kb_core_bind_addr=localhost:{taken_port()}",
        ],
    ),
    "kegboard_daemon.py": Program(
        flags=lambda cwd: [f"--kegboard_device={cwd / 'board'}", f"--kb_core_addr=localhost:{free_port()}"],
        failing=lambda cwd: [f"--kegboard_device={cwd / 'missing' / 'board'}"],
    ),
    "kegboard_gateway.py": Program(
        flags=lambda cwd: [
            f"--gateway_store={cwd / 'gateway.sqlite'}",
            "--gateway_bind_addr=localhost:0",
            f"--kb_core_addr=localhost:{free_port()}",
        ],
        failing=lambda cwd: [
            f"--gateway_store={cwd / 'gateway.sqlite'}",
            f"--gateway_bind_addr=localhost:{taken_port()}",
        ],
    ),
    "kegboard_simulator.py": Program(
        flags=lambda cwd: [f"--device_link={cwd / 'board'}", f"--control={cwd / 'control'}"],
        failing=lambda cwd: [f"--device_link={cwd / 'missing' / 'board'}"],
    ),
    "kegboard_monitor.py": Program(
        flags=lambda cwd: [f"--kegboard_device={cwd / 'board'}"],
        failing=lambda cwd: [f"--kegboard_device={cwd / 'missing' / 'board'}"],
        talks=True,
    ),
    "kegboard_tester.py": Program(
        flags=None,
        failing=lambda cwd: [f"--kegboard_device={cwd / 'missing' / 'board'}", "--yes"],
        talks=True,
    ),
    "kegboard-tester.py": Program(
        flags=None,
        failing=lambda cwd: [f"--kegboard_device={cwd / 'board'}"],
        talks=True,
    ),
    "kegbot_admin.py": Program(
        flags=lambda _: ["watch", f"--kb_core_addr=localhost:{free_port()}"],
        failing=lambda cwd: [f"--store={cwd / 'missing.sqlite'}", "taps"],
        talks=True,
    ),
    "kegbot_doctor.py": Program(
        flags=None,
        failing=lambda cwd: [f"--master_config={cwd / 'missing.cfg'}"],
        talks=True,
    ),
    "kegbot_twitter.py": Program(
        flags=lambda cwd: destinations(cwd, "twitter://consumer/secret/access/secret"),
        failing=lambda cwd: destinations(cwd, "facebook://1234567890/a-token-of-a-page"),
    ),
    "publisher.py": Program(
        flags=lambda cwd: destinations(cwd, "json://localhost:1/"),
        failing=lambda cwd: destinations(cwd, "no-such-network://localhost/"),
    ),
    "lcd_daemon.py": Program(
        flags=lambda cwd: [f"--lcd_device_path={cwd / 'lcd'}", f"--kb_core_addr=localhost:{free_port()}"],
        failing=lambda cwd: [f"--lcd_device_path={cwd / 'missing' / 'lcd'}"],
    ),
    "rfid_daemon.py": Program(
        flags=lambda cwd: [
            "--rfid_device_type=serial",
            f"--rfid_device_path={cwd / 'reader'}",
            f"--kb_core_addr=localhost:{free_port()}",
        ],
        failing=lambda cwd: ["--rfid_device_type=serial", f"--rfid_device_path={cwd / 'missing' / 'reader'}"],
    ),
    "mqtt_bridge.py": Program(
        flags=lambda cwd: [
            f"--mqtt_address=127.0.0.1:{free_port()}",
            f"--kb_core_addr=localhost:{free_port()}",
            f"--mqtt_state={cwd / 'bridge.sqlite'}",
        ],
        failing=lambda cwd: [f"--mqtt_state={cwd / 'bridge.sqlite'}", f"--mqtt_tls_ca={cwd / 'missing.pem'}"],
    ),
    "redis_bridge.py": Program(
        flags=lambda cwd: [
            f"--kb_core_addr=localhost:{free_port()}",
            f"--redis_url=redis://localhost:{free_port()}",
            f"--redis_state={cwd / 'redis_bridge.json'}",
        ],
        failing=lambda cwd: [f"--redis_state={cwd}"],
    ),
    "sound_server.py": Program(
        flags=lambda _: [f"--kb_core_addr=localhost:{free_port()}"],
        failing=lambda cwd: [f"--sound_drink={cwd / 'missing.wav'}"],
    ),
    "test_flow.py": Program(
        flags=None,
        failing=lambda _: [f"--kb_core_addr=localhost:{free_port()}", "--timeout=0.2"],
    ),
}
every_program = pytest.mark.parametrize("name", sorted(PROGRAMS))
every_serving_program = pytest.mark.parametrize(
    "name", sorted(name for name, program in PROGRAMS.items() if program.flags)
)

_TAKEN = socket.create_server(("127.0.0.1", 0))


def taken_port() -> int:
    port: int = _TAKEN.getsockname()[1]
    return port


def command(name: str, *args: str) -> list[str]:
    return [sys.executable, str(SCRIPTS / name), *args]


def home(cwd: Path) -> dict[str, str]:
    """No program may look for anything outside its own test."""
    return environment(HOME=str(cwd), XDG_STATE_HOME=str(cwd), XDG_RUNTIME_DIR=str(cwd))


def run(name: str, *args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(name, *args),
        cwd=cwd,
        env=home(cwd),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )


def serving_flags(name: str, cwd: Path) -> list[str]:
    flags = PROGRAMS[name].flags
    assert flags is not None
    return flags(cwd)


def test_every_script_is_tried_here() -> None:
    assert {path.name for path in SCRIPTS.glob("*.py")} - {"master.py"} == set(PROGRAMS)


@every_program
def test_help_is_for_people_and_names_every_flag(name: str, tmp_path: Path) -> None:
    done = run(name, "--help", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    for flag in COMMON:
        assert f"  {flag}" in done.stdout, flag
    assert done.stdout.startswith(run(name, "--helpshort", cwd=tmp_path).stdout.partition("\n\n")[0])
    for jargon in ("absl", "kegapps", "Must not know", "Knows "):
        assert jargon not in done.stdout


@every_program
def test_helpshort_shows_its_own_flags_only_and_each_is_explained(name: str, tmp_path: Path) -> None:
    done = run(name, "--helpshort", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert not any(flag in done.stdout for flag in COMMON)
    lines = done.stdout.partition("\nFlags of this program:\n")[2].splitlines()
    heads = [number for number, line in enumerate(lines) if line.startswith("  --")]
    assert heads
    for number in heads:
        assert re.match(r"      \S", lines[number + 1]), lines[number]


@every_program
def test_a_wrong_flag_is_one_line_and_status_2(name: str, tmp_path: Path) -> None:
    done = run(name, "--no_such_flag=1", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(rf"{name}: .*no_such_flag.* \(try --help\)\n", done.stderr)


@every_program
def test_bytes_that_are_no_text_are_refused_but_for_the_names_of_files(name: str, tmp_path: Path) -> None:
    done = run(name, "--logformat=%(message)s\udcff", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr == f"{name}: flag --logformat: its value has bytes that are not UTF-8 text (try --help)\n"
    )


@pytest.mark.parametrize(
    ("name", "flag"),
    [
        ("publisher.py", "message_anonymous=\udcff{user}"),
        ("redis_bridge.py", "redis_channel_name=\udcff"),
        ("redis_bridge.py", "redis_url=redis://:\udcff@localhost"),
        ("gpio_meter.py", "meters=\udcff=GPIO17"),
    ],
)
def test_so_are_those_that_would_be_sent(name: str, flag: str, tmp_path: Path) -> None:
    done = run(name, *serving_flags(name, tmp_path), f"--{flag}", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n"), "Traceback" in done.stdout) == (2, 1, False)
    assert f"flag --{flag.partition('=')[0]}: its value has bytes" in done.stderr


@every_program
@pytest.mark.parametrize("mode", ["--nodaemon", "--daemon"])
def test_a_start_that_fails_says_why_and_is_not_status_0(name: str, mode: str, tmp_path: Path) -> None:
    done = run(name, mode, *PROGRAMS[name].failing(tmp_path), cwd=tmp_path)
    assert done.returncode == 1
    assert re.fullmatch(rf"{name}: .+\n", done.stderr), done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_a_rehearsal_in_the_background_is_waited_for_and_logged(tmp_path: Path) -> None:
    address = f"localhost:{free_port()}"
    core = [f"--store={tmp_path / 'core.sqlite'}", f"--kb_core_bind_addr={address}"]
    assert run("kegbot_core.py", "--daemon", "--pidfile=core.pid", *core, cwd=tmp_path).returncode == 0
    with held(tmp_path / "core.pid"):
        flags = ["--daemon", "--pidfile=flow.pid", "--log_to_file", "--logfile=flow.log"]
        done = run("test_flow.py", *flags, f"--kb_core_addr={address}", cwd=tmp_path)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert not (tmp_path / "flow.pid").exists()
        lines = (tmp_path / "flow.log").read_text().splitlines()
        assert [line for line in lines if not LINE.fullmatch(line)] == []
        assert "(test_flow) ok: the core counted 1000 ticks" in lines[-1]
        pidfile = "--pidfile=core.pid"
        done = run("kegbot_admin.py", "--daemon", pidfile, *core[:1], "taps", cwd=tmp_path)
        assert (done.returncode, done.stderr.count("locked by process")) == (1, 1)
        with open("/dev/full", "wb") as full:
            said = subprocess.run(
                command("kegbot_admin.py", *core[:1], "taps"),
                cwd=tmp_path, env=home(tmp_path), stdout=full, stderr=subprocess.PIPE, text=True, check=False,
            )  # fmt: skip
        expected = "kegbot_admin.py: standard output: No space left on device\n"
        assert (said.returncode, said.stderr) == (1, expected)


@every_serving_program
def test_in_the_foreground_it_serves_until_sigterm(name: str, tmp_path: Path) -> None:
    program = PROGRAMS[name]
    with subprocess.Popen(
        command(name, "--nodaemon", "--verbose", "--log_to_stdout", *serving_flags(name, tmp_path)),
        cwd=tmp_path,
        env=home(tmp_path),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        try:
            said = read_until(process.stdout, program.ready)
            start_s = time.monotonic()
            process.send_signal(signal.SIGTERM)
            said += process.communicate(timeout=PATIENCE_S)[0]
            assert time.monotonic() - start_s < 1
        finally:
            process.kill()
    assert process.returncode == 0
    lines = said.decode().splitlines()
    assert " INFO     (daemon) stopping: SIGTERM" in "\n".join(lines)
    if not program.talks:
        assert [line for line in lines if not LINE.fullmatch(line)] == []


@every_serving_program
def test_in_the_background_it_is_a_daemon_with_pidfile_and_log(name: str, tmp_path: Path) -> None:
    pidfile, logfile = tmp_path / "app.pid", tmp_path / "app.log"
    as_the_master_does = [
        "--daemon=True", "--log_to_file=True", "--log_to_stdout=False",
        f"--logfile={logfile}", f"--pidfile={pidfile}",
    ]  # fmt: skip
    done = run(name, *as_the_master_does, *serving_flags(name, tmp_path), cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    with held(pidfile) as daemon:
        stat = daemon.stat()
        assert (stat["session"], stat["pgrp"], stat["tty_nr"]) == (daemon.pid, daemon.pid, 0)
        assert daemon.status("Umask") == "0022"
        assert os.readlink(f"/proc/{daemon.pid}/cwd") == "/"
        again = run(name, *as_the_master_does, *serving_flags(name, tmp_path), cwd=tmp_path)
        assert again.returncode == 1
        assert re.fullmatch(rf"{name}: .*{daemon.pid}.*\n", again.stderr)
        start_s = time.monotonic()
        daemon.signal(signal.SIGTERM)
        assert daemon.ended()
        assert time.monotonic() - start_s < 1
    lines = file_says(logfile, "(daemon) stopping: SIGTERM").splitlines()
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    assert not pidfile.exists()
    assert "by force" not in "".join(lines)
