"""The display in a terminal: lcd_daemon.py on a pty whose other end is read as a terminal reads it, beside a core's hub."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pty
import re
import resource
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from kegapps.daemon.loop import READ, Loop
from kegapps.kegnet.address import shown_address
from kegapps.kegnet.hub import Hub
from kegapps.lcd import terminal
from tests.apps.kegnet.support import Core, running_core
from tests.apps.lcd.test_daemon import drink, flow

SCRIPT = Path(__file__).parents[3] / "scripts" / "lcd_daemon.py"
_PIECE = re.compile(rb"\x1b\[(\d*)([A-Za-z])|([\n\r])|([^\x1b\n\r]+)")


class Screen:
    """What a terminal shows that knows as much as is needed here, and refuses what it does not know."""

    def __init__(self, columns: int, lines: int) -> None:
        self.columns = columns
        self.lines = lines
        self.rows = [""]
        self.at = self.top = 0  # the cursor's row, and the window's first
        self._column = 0
        self._rest = b""

    def take(self, data: bytes) -> None:
        data = self._rest + data
        cut = data.rfind(b"\x1b")
        if cut >= 0 and not re.match(rb"\x1b\[\d*[A-Za-z]", data[cut:]):
            data, self._rest = data[:cut], data[cut:]
        else:
            self._rest = b""
        for number, command, control, text in _PIECE.findall(data):
            if text:
                self._write(text.decode(errors="replace"))
            elif control:
                self._column = 0
                if control == b"\n":
                    self._down()
            else:
                self._obey(command.decode(), int(number or 0))

    def resize(self, columns: int, lines: int) -> None:
        self.columns, self.lines = columns, lines
        self.top = max(0, self.at - lines + 1)

    def _write(self, text: str) -> None:
        for letter in text:
            if self._column == self.columns:
                self._column = 0
                self._down()
            self.rows[self.at] = (
                self.rows[self.at][: self._column].ljust(self._column)
                + letter
                + self.rows[self.at][self._column + 1 :]
            )
            self._column += 1

    def _down(self) -> None:
        self.at += 1
        self.top = max(self.top, self.at - self.lines + 1)
        if self.at == len(self.rows):
            self.rows.append("")

    def _obey(self, command: str, number: int) -> None:
        match command, number:
            case "F", _:
                # Nobody gets at what has been scrolled out of the window.
                self.at, self._column = max(self.top, self.at - number), 0
            case "K", 0:
                self.rows[self.at] = self.rows[self.at][: self._column]
            case "J", 0:
                self.rows[self.at] = self.rows[self.at][: self._column]
                del self.rows[self.at + 1 :]
            case "J", 2:
                self.top = self.at = len(self.rows)
                self.rows.append("")
            case "H", 0:
                self.at, self._column = self.top, 0
            case "m", 2 | 22:
                return
            case _:
                raise AssertionError(f"unknown: {command} {number}")

    def frame(self) -> list[str]:
        """What is in the last frame; nothing if it is not whole, or not the only one in sight."""
        window = self.rows[self.top :]
        tops = [number for number, row in enumerate(window) if row.startswith("┌")]
        bottoms = [number for number, row in enumerate(window) if row.startswith("└")]
        if len(tops) != 1 or len(bottoms) != 1:
            return []
        return [row.strip("│").strip() for row in window[tops[0] + 1 : bottoms[0]]]


class Seat:
    """A terminal with the daemon in it."""

    def __init__(self, core: Core, *flags: str, encoding: str = "utf-8") -> None:
        self.core = core
        columns, lines = 100, 30
        self.screen = Screen(columns, lines)
        self.master, slave = pty.openpty()
        self.resize(columns, lines, tell=False)
        self.process = subprocess.Popen(
            [
                sys.executable, str(SCRIPT), "--lcd_device_type=terminal",
                f"--kb_core_addr={shown_address(*core.hub.address)}", *flags,
            ],
            stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
            env={**os.environ, "PYTHONIOENCODING": encoding},
        )  # fmt: skip
        os.close(slave)
        self.read(True)

    def resize(self, columns: int, lines: int, *, tell: bool = True) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.screen.resize(columns, lines)
        if tell:
            self.process.send_signal(signal.SIGWINCH)

    def read(self, on: bool) -> None:
        """Look at the terminal, or not: then it fills up."""
        if on:
            self.core.loop.watch(self.master, READ, self._read)
        else:
            self.core.loop.unwatch(self.master)

    def _read(self, _ready: int) -> None:
        try:
            self.screen.take(os.read(self.master, 65536))
        except OSError:
            self.core.loop.unwatch(self.master)

    def until_shown(self, *rows: str) -> None:
        self.core.turn_until(lambda: self.screen.frame() == list(rows), f"for {rows}")

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(5)

    def close(self) -> None:
        self.core.loop.unwatch(self.master)
        self.process.kill()
        self.process.wait()
        os.close(self.master)


@contextlib.contextmanager
def seated(*flags: str, encoding: str = "utf-8") -> Iterator[Seat]:
    with running_core() as core:
        seat = Seat(core, *flags, encoding=encoding)
        try:
            core.turn_until(lambda: core.hub.clients == 1)
            yield seat
        finally:
            seat.close()


def test_a_pour_is_drawn_in_a_frame_and_log_lines_do_not_tear_it() -> None:
    with seated("--verbose") as seat:
        seat.core.hub.broadcast(flow())
        seat.until_shown("kegboard.flow0", "user: alice", "15.37 oz", "")
        address = seat.core.hub.address
        seat.core.hub.close()  # some log lines come of that
        seat.core.turn_until(lambda: "no core" in seat.screen.frame())
        seat.core.hub = Hub(seat.core.loop, address, on_event=lambda *_: None)
        seat.core.turn_until(lambda: seat.core.hub.clients == 1)
        seat.core.hub.broadcast(flow(ml=29.5735))
        seat.until_shown("kegboard.flow0", "user: alice", "1.00 oz", "")
        (lost,) = [row for row in seat.screen.rows if "lost the core" in row]
        assert re.match(r"\d{4}-\d\d-\d\d ", lost)
        assert seat.end() == 0


@pytest.mark.parametrize(
    ("columns", "lines", "rows"),
    [(30, 10, ["kegboard.flow0", "user: alice", "15.37 oz", ""]), (20, 5, ["alice", "15.37 oz kegboa"])],
)
def test_another_window_is_drawn_anew_as_large_as_it_can_be(
    columns: int, lines: int, rows: list[str]
) -> None:
    with seated() as seat:
        seat.core.hub.broadcast(flow())
        seat.until_shown("kegboard.flow0", "user: alice", "15.37 oz", "")
        seat.resize(columns, lines)
        seat.until_shown(*rows)
        seat.resize(100, 30)
        seat.until_shown("kegboard.flow0", "user: alice", "15.37 oz", "")


def test_back_from_the_background_it_is_drawn_anew_below_what_the_shell_wrote() -> None:
    with seated() as seat:
        seat.core.hub.broadcast(flow())
        seat.until_shown("kegboard.flow0", "user: alice", "15.37 oz", "")
        top = seat.screen.top
        seat.process.send_signal(signal.SIGSTOP)
        seat.screen.take(b"[1]+  Stopped\r\n$ fg\r\n")
        seat.process.send_signal(signal.SIGCONT)
        seat.core.turn_until(lambda: seat.screen.top > top)
        seat.until_shown("kegboard.flow0", "user: alice", "15.37 oz", "")
        assert "$ fg" in seat.screen.rows


def test_a_terminal_without_lines_and_letters_gets_what_it_has() -> None:
    with seated(encoding="ascii") as seat:
        seat.core.hub.broadcast(flow(user="Zoë"))
        seat.core.turn_until(lambda: "| user: Zo?            |" in seat.screen.rows)
        assert f"+{'-' * 22}+" in seat.screen.rows


def test_a_terminal_that_is_not_read_holds_up_neither_the_pour_nor_the_end() -> None:
    with seated("--rotation_time=1", "--verbose") as seat:
        seat.read(False)
        for number in range(3000):
            seat.core.hub.broadcast(flow(flow_id=number), flow("completed", flow_id=number), drink(number))
            seat.core.loop.run_once(0.0)
        # What was sent is taken: the hub drops clients that do not read.
        seat.core.hub.broadcast(flow(ml=29.5735, flow_id=9999))
        for _ in range(20):
            seat.core.loop.run_once(0.05)
        assert seat.core.hub.clients == 1
        seat.read(True)
        seat.until_shown("kegboard.flow0", "user: alice", "1.00 oz", "")
        seat.read(False)
        assert seat.end() == 0


def test_where_standard_output_is_no_terminal_each_picture_is_a_line() -> None:
    with running_core() as core:
        command = [sys.executable, str(SCRIPT), "--lcd_device_type=terminal", "--nolog_to_stdout"]
        command.append(f"--kb_core_addr={shown_address(*core.hub.address)}")
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
            try:
                assert process.stdout is not None
                heard = b""

                def read(_ready: int) -> None:
                    nonlocal heard
                    heard += os.read(process.stdout.fileno(), 65536)  # type: ignore[union-attr]

                core.loop.watch(process.stdout, READ, read)
                core.turn_until(lambda: core.hub.clients == 1)
                core.hub.broadcast(flow())
                core.turn_until(lambda: b"| kegboard.flow0 | user: alice | 15.37 oz |  |\n" in heard)
                core.loop.unwatch(process.stdout)
                process.send_signal(signal.SIGTERM)
                assert process.wait(5) == 0
            finally:
                process.kill()
        assert b"\x1b" not in heard


@contextlib.contextmanager
def printing(core: Core, output: int | IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """The daemon with its pictures as lines in `output`, and nothing else."""
    command = [
        sys.executable,
        str(SCRIPT),
        "--lcd_device_type=terminal",
        "--nolog_to_stdout",
        "--log_to_file",
    ]
    command += [f"--kb_core_addr={shown_address(*core.hub.address)}", f"--logfile={os.devnull}"]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.PIPE
    ) as process:
        try:
            core.turn_until(lambda: core.hub.clients == 1)
            yield process
        finally:
            process.kill()


def test_a_pipe_whose_reader_has_gone_ends_it_though_there_is_nothing_new_to_show() -> None:
    with running_core() as core, printing(core, subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.wait(30) == 1
        assert process.stderr.read() == b"", "as with every program that prints: `| head` is no mistake"


def test_a_full_disk_costs_the_pictures_that_did_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "pictures"
    with running_core() as core, open(path, "wb") as output, printing(core, output) as process:

        def shown(ml: float, line: str) -> bool:
            core.hub.broadcast(flow(ml=ml))
            return line in path.read_text().splitlines()

        core.turn_until(lambda: shown(295.735, "| kegboard.flow0 | user: alice | 10.00 oz |  |"))
        room = path.stat().st_size + 10
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
        core.turn_until(lambda: shown(29.5735, "| kegboard"), "for as much as fits")
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        core.turn_until(lambda: shown(59.147, "| kegboard.flow0 | user: alice | 2.00 oz |  |"))
        assert "| kegboard.flow0 | user: alice | 1.00 oz |  |" in path.read_text().splitlines(), (
            "half is no line"
        )
        assert process.poll() is None


@pytest.mark.parametrize(
    ("number", "status"),
    [
        (
            errno.ENOSPC,
            "standard output is full (No space left on device): trying again with the next picture",
        ),
        (errno.EIO, "standard output fails (Input/output error): trying again with the next picture"),
    ],
)
def test_the_status_tells_why_there_are_no_pictures_until_there_are(
    number: int, status: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    written: list[bytes] = []
    trouble = True

    def write(_fd: int, data: bytes) -> int:
        if trouble:
            raise OSError(number, os.strerror(number))
        written.append(data)
        return len(data)

    with open(tmp_path / "out", "wb") as file:
        monkeypatch.setattr(terminal, "STDOUT", file.fileno())
        monkeypatch.setattr(os, "write", write)
        loop = Loop()
        statuses: list[str] = []
        display = terminal.TerminalDisplay(
            loop, columns=20, rows=1, on_status=lambda: statuses.append(display.status)
        )
        display.show(["1 oz"])
        loop.run_once(0.0)
        assert statuses == [status]
        trouble = False
        display.show(["2 oz"])
        loop.run_once(0.0)
        assert statuses == [status, "writing lines to standard output"]
        assert written == [b"| 2 oz |\n"], "the newest, not what was missed"
        display.close()
        loop.close()


def test_in_the_background_there_is_no_terminal(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--lcd_device_type=terminal", "--daemon"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "has no terminal in the background, nor in a section of master.py" in done.stderr
    assert done.stderr.count("\n") == 1
