"""A serial device that comes, goes, is held by others or is none, on real ptys."""

from __future__ import annotations

import fcntl
import os
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kegapps.daemon.loop import Loop
from kegapps.daemon.serial_device import SerialDevice

PATIENCE_S = 20.0


class Bench:
    """A device at `path`, plugged and unplugged by hand, and what its user was told."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.loop = Loop()
        self.told: list[str] = []
        self.heard = b""
        self._fds: list[int] = []
        self.device = SerialDevice(
            self.loop,
            str(path),
            baud=19_200,
            on_open=lambda: self.told.append("open"),
            on_bytes=self.hear,
            on_gone=lambda: self.told.append(self.device.status),
        )

    def hear(self, data: bytes) -> None:
        self.heard += data

    def plug(self) -> int:
        """The device's own end of the line."""
        master, slave = os.openpty()
        tty.setraw(slave)
        self._fds += [master, slave]
        self.path.symlink_to(os.ttyname(slave))
        return master

    def unplug(self) -> None:
        self.path.unlink()
        while self._fds:
            os.close(self._fds.pop())

    def until(self, condition: Callable[[], bool]) -> None:
        end_s = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < end_s, self.told
            self.loop.run_once(0.05)

    def rests(self, seconds: float) -> bool:
        """True if nobody is told anything for so long."""
        said, end_s = len(self.told), time.monotonic() + seconds
        while time.monotonic() < end_s:
            self.loop.run_once(0.05)
        return len(self.told) == said


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "ttyTEST")
    yield made
    made.device.close()
    if made.path.is_symlink():
        made.unplug()
    made.loop.close()


def test_one_that_comes_late_is_opened_at_its_speed_and_heard(bench: Bench) -> None:
    bench.device.open()
    assert bench.told == [f"waiting for {bench.path}: no such device"]
    master = bench.plug()
    bench.until(lambda: bench.device.is_open)
    assert bench.told[1:] == ["open"]
    assert bench.device.status == str(bench.path)
    assert termios.tcgetattr(master)[4:6] == [termios.B19200, termios.B19200]
    os.write(master, b"hello")
    bench.until(lambda: bench.heard == b"hello")
    bench.device.write(b"\0there")
    assert os.read(master, 100) == b"\0there"


def test_one_that_is_unplugged_is_opened_again_when_it_is_back(bench: Bench) -> None:
    bench.plug()
    bench.device.open()
    bench.unplug()
    bench.until(lambda: f"waiting for {bench.path}: no such device" in bench.told)
    assert bench.told[:2] == ["open", f"waiting for {bench.path}: unplugged"]
    bench.device.write(b"to nobody")
    bench.plug()
    bench.until(lambda: bench.told[-1] == "open")


def test_one_that_others_hold_is_had_when_they_let_go(bench: Bench) -> None:
    bench.plug()
    with open(bench.path, "rb", buffering=0) as other:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        bench.device.open()
        assert bench.told == [f"waiting for {bench.path}: in use by another program"]
    bench.until(lambda: bench.device.is_open)


def test_what_is_no_serial_device_is_said_to_be_none(bench: Bench) -> None:
    bench.path.write_text("")
    bench.device.open()
    assert bench.told == [f"waiting for {bench.path}: not a serial device"]
    bench.path.unlink()
    bench.plug()
    bench.until(lambda: bench.device.is_open)


def test_one_that_is_given_up_is_left_alone_until_it_is_time_or_it_is_another(bench: Bench) -> None:
    bench.plug()
    bench.device.open()
    bench.device.give_up("it says nothing", retry_s=60)
    assert bench.told == ["open", f"waiting for {bench.path}: it says nothing"]
    assert not bench.device.is_open
    (bench.path.parent / "another").touch()  # news, but none of this device
    assert bench.rests(0.3)
    bench.unplug()
    bench.until(lambda: bench.told[-1] == f"waiting for {bench.path}: no such device")
    bench.plug()
    bench.until(lambda: bench.device.is_open)
    bench.device.give_up("it says nothing", retry_s=0.05)
    bench.until(lambda: bench.device.is_open)


def test_once_closed_it_stays_closed(bench: Bench) -> None:
    bench.plug()
    bench.device.open()
    bench.device.close()
    bench.unplug()
    bench.plug()
    assert bench.rests(0.3)
    assert bench.told == ["open"]


@pytest.mark.parametrize(
    ("unsent_bytes", "thrown_away"), [(0, False), (384, False), (385, True), (4095, True)]
)
def test_closing_does_not_wait_for_what_the_line_takes_long_to_send(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, unsent_bytes: int, thrown_away: bool
) -> None:
    bench.plug()
    bench.device.open()
    # A pseudo terminal has sent everything at once; a line of 19200 baud has not.
    usual, flushed = fcntl.ioctl, list[int]()

    def ioctl(fd: int, request: int, *more: Any) -> Any:
        return (
            unsent_bytes.to_bytes(4, sys.byteorder)
            if request == termios.TIOCOUTQ
            else usual(fd, request, *more)
        )

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    monkeypatch.setattr(termios, "tcflush", lambda _fd, queue: flushed.append(queue))
    bench.device.close()
    assert flushed == [termios.TCOFLUSH] * thrown_away
