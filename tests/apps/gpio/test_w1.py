"""The kernel's files of 1-wire thermometers, as it writes them."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from kegapps.daemon.loop import Loop
from kegapps.daemon.thread_calls import ThreadCalls
from kegapps.gpio.thermometers import EVERY_S, Thermometers
from kegapps.gpio.w1 import ReadingError, parse_temperature, parse_w1_slave, sensor_name
from kegapps.gpio.worker import Worker
from tests.apps.kegnet.support import Clock, turn_until


def w1_slave(scratchpad: str, millidegrees: int, crc: str = "YES") -> str:
    last = scratchpad.split()[-1]
    return f"{scratchpad} : crc={last} {crc}\n{scratchpad} t={millidegrees}\n"


WARM = w1_slave("72 01 4b 46 7f ff 0e 10 57", 23125)
COLD = w1_slave("c8 ff 4b 46 7f ff 0c 10 83", -3500)


@pytest.mark.parametrize(("text", "celsius"), [(WARM, 23.125), (COLD, -3.5)])
def test_a_temperature_is_read(text: str, celsius: float) -> None:
    assert parse_w1_slave(text) == celsius
    assert parse_temperature(f"{round(celsius * 1000)}\n") == celsius


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (w1_slave("50 05 4b 46 7f ff 0c 10 1c", 85000), "as after its power came on"),
        (w1_slave("72 01 4b 46 7f ff 0e 10 58", 23125, "NO"), "checksum is wrong"),
        (w1_slave("00 00 00 00 00 00 00 00 00", 0), "nothing but zeros"),
        (w1_slave("ff ff ff ff ff ff ff ff ff", 127937, "NO"), "checksum is wrong"),
        (w1_slave("72 01 4b 46 7f ff 0e 10 57", 127937), "no such sensor can"),
        ("", "not as it should be"),
        ("23125\n", "not as it should be"),
        (WARM * 2, "not as it should be"),
    ],
)
def test_what_is_no_temperature_is_not_told(text: str, said: str) -> None:
    with pytest.raises(ReadingError, match=said):
        parse_w1_slave(text)


@pytest.mark.parametrize("text", ["", "\n", "23.125\n", "85000\n", "-55001\n", "99999999\n"])
def test_a_temperature_file_that_says_none_is_not_told(text: str) -> None:
    with pytest.raises(ReadingError):
        parse_temperature(text)


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("28-080012345610", "thermo-cd08001234561028"),  # the protocol page's own example
        ("10-080012345610", "thermo-{}08001234561010"),
        ("w1_bus_master1", None),
        ("28-08001234561", None),
        ("28-08001234561g", None),
        ("3b-080012345610", None),
        ("../28-080012345610", None),
    ],
)
def test_a_sensor_bears_the_name_that_a_kegboard_would_give_it(folder: str, name: str | None) -> None:
    found = sensor_name(folder)
    assert found == (name and name.format((found or "")[7:9]))


class Bus:
    """A folder as the kernel's, and what is told of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Clock()
        self.loop = Loop(self.clock)
        self.calls = ThreadCalls(self.loop)
        self.told: list[tuple[str, float | str]] = []

    def sensor(self, folder: str, text: str, file: str = "w1_slave") -> None:
        (self.folder / folder).mkdir(parents=True, exist_ok=True)
        (self.folder / folder / file).write_text(text)

    def begin(self) -> None:
        self.thermometers = Thermometers(
            self.loop, Worker(self.calls, "test"), str(self.folder),
            on_reading=lambda sensor, celsius: self.told.append((sensor, celsius)),
            on_trouble=lambda sensor, why: self.told.append((sensor, why)),
        )  # fmt: skip

    def until_read(self) -> None:
        turn_until(self.loop, lambda: not self.thermometers._busy)

    def next_minute(self) -> None:
        self.clock.ahead_s += EVERY_S

    def has_told_of_minutes(self, number: int) -> bool:
        """By the sensor that is always well."""
        return [celsius for _, celsius in self.told].count(20.0) >= number

    def until_told(self, number: int) -> None:
        turn_until(self.loop, lambda: len(self.told) >= number)


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[Bus]:
    bus = Bus(tmp_path / "devices")
    yield bus
    bus.calls.close()
    bus.loop.close()


def test_all_sensors_are_read_once_a_minute_and_those_that_come_later(bus: Bus) -> None:
    bus.begin()  # no folder at all yet
    bus.until_read()
    bus.sensor("28-080012345610", WARM)
    bus.sensor("28-080012345611", "-3500\n", "temperature")
    bus.sensor("w1_bus_master1", "", "w1_master_slaves")
    bus.next_minute()
    bus.until_told(2)
    assert [celsius for _, celsius in sorted(bus.told, key=lambda told: told[0][9:])] == [23.125, -3.5]
    bus.sensor("28-080012345610", COLD)
    bus.next_minute()
    bus.until_told(4)
    assert ("thermo-cd08001234561028", -3.5) in bus.told[2:]


def test_trouble_is_told_once_until_it_is_another_or_over(bus: Bus) -> None:
    bad = w1_slave("72 01 4b 46 7f ff 0e 10 58", 23125, "NO")
    sensor = sensor_name("28-080012345610")
    bus.sensor("28-080012345611", "20000\n", "temperature")
    bus.sensor("28-080012345610", bad)
    bus.begin()
    for minute, text in enumerate((bad, bad, WARM, bad, ""), 1):
        turn_until(bus.loop, functools.partial(bus.has_told_of_minutes, minute))
        bus.sensor("28-080012345610", text)
        bus.next_minute()
    bus.until_told(5 + 4)
    wrong = "its checksum is wrong: a long or bad cable, or no pull-up"
    expected = [wrong, 23.125, wrong, "the kernel's file is not as it should be"]
    assert [what for name, what in bus.told if name == sensor] == expected


def test_a_sensor_that_hangs_holds_nothing_up(bus: Bus) -> None:
    (bus.folder / "28-080012345610").mkdir(parents=True)
    fifo = bus.folder / "28-080012345610" / "w1_slave"
    os.mkfifo(fifo)
    bus.begin()
    for _ in range(3):
        bus.next_minute()
        bus.loop.run_once(0.0)
    assert bus.told == []
    with open(fifo, "w") as file:  # opens as soon as the thread reads
        file.write(WARM)
    bus.until_told(1)
    assert bus.told == [("thermo-cd08001234561028", 23.125)]
