"""The I2C display: what RPLCD writes to the bus is read by a module as the data sheet has it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kegapps.daemon.loop import Loop
from kegapps.lcd.hd44780 import HANG_S, RETRY_FIRST_S, RETRY_MAX_S, WHOLE_S, Bus, Hd44780Display, Library
from tests.apps.kegnet.support import Clock, turn_until
from tests.apps.lcd.hd44780_module import Hd44780Module

POUR = ["        Left", "user: alice", "      15.37 oz", "Pale Ale"]


class Wired(Library):
    """RPLCD itself, on the module's bus."""

    def __init__(self, module: Hd44780Module) -> None:
        super().__init__()
        self.module = module

    def bus(self, number: int) -> Bus:
        assert number == 1
        return self.module.open()


class Bench:
    """A module, a display that writes to it, and the loop to turn."""

    def __init__(self, module: Hd44780Module, **options: Any) -> None:
        self.module = module
        self.clock = Clock()
        self.loop = Loop(self.clock)
        self.statuses: list[str] = []
        form: dict[str, Any] = {
            "columns": module.columns,
            "rows": module.rows,
            "charset": "A00",
            "address": 0x27,
        }
        self.display = Hd44780Display(
            self.loop, bus=1, **{**form, **options}, on_status=self._note, library=Wired(module)
        )  # fmt: skip

    def _note(self) -> None:
        self.statuses.append(self.display.status)

    def until(self, condition: Any) -> None:
        turn_until(self.loop, condition)

    def until_settled(self) -> None:
        self.until(lambda: self.display.ready and not self.display._busy)

    def until_shown(self, rows: list[str]) -> None:
        self.until(lambda: self.module.text == rows)


@pytest.fixture
def bench() -> Iterator[Bench]:
    with benched(Hd44780Module()) as bench:
        yield bench


@contextlib.contextmanager
def benched(module: Hd44780Module, **options: Any) -> Iterator[Bench]:
    bench = Bench(module, **options)
    try:
        yield bench
    finally:
        module.free.set()
        bench.display.close()
        bench.loop.close()


def test_what_is_to_be_shown_is_shown_and_the_light_is_on(bench: Bench) -> None:
    bench.display.show(POUR)
    bench.until_shown(POUR)
    bench.until(lambda: bench.display.ready)
    assert bench.statuses == ["hd44780 at 0x27 on /dev/i2c-1"]
    assert bench.module.lit
    bench.display.backlight(False)
    bench.until(lambda: not bench.module.lit)
    bench.until_shown(POUR)
    bench.display.backlight(True)
    bench.until(lambda: bench.module.lit)


@pytest.mark.parametrize(("columns", "rows"), [(16, 2), (16, 4), (20, 2), (40, 2), (16, 1)])
def test_displays_of_other_sizes_have_their_rows_in_the_right_place(columns: int, rows: int) -> None:
    with benched(Hd44780Module(columns=columns, rows=rows)) as bench:
        picture = [f"row {number} {'x' * 80}"[:columns] for number in range(rows)]
        bench.display.show(picture)
        bench.until_shown(picture)


@pytest.mark.parametrize(
    ("charset", "codes"),
    [("A00", b"4.2\xdfC Spa\xe2, Zoe ?"), ("A02", b"4.2\xb0C Spa\xdf, Zo\xeb ?")],
)
def test_letters_are_shown_as_far_as_the_rom_has_them(charset: str, codes: bytes) -> None:
    with benched(Hd44780Module(), charset=charset) as bench:
        bench.display.show(["4.2°C Spaß, Zoë 酒"])
        bench.until(lambda: bench.module.codes[0].rstrip() == codes)


def test_only_rows_that_changed_are_written(bench: Bench) -> None:
    bench.display.show(POUR)
    bench.until_settled()
    written = bench.module.written
    bench.display.show(POUR)
    bench.display.show([*POUR[:2], "      15.38 oz", POUR[3]])
    bench.until_shown([*POUR[:2], "      15.38 oz", POUR[3]])
    bench.until_settled()
    assert bench.module.written - written <= 21 * 8


def test_a_slow_bus_holds_nobody_up_and_gets_the_newest_picture(bench: Bench) -> None:
    bench.display.show(POUR)
    bench.until_shown(POUR)
    bench.module.free.clear()
    start_s = time.monotonic()
    for number in range(1000):
        bench.display.show([f"{number} oz"])
        bench.loop.run_once(0.0)
    assert time.monotonic() - start_s < 2.0
    written = bench.module.written
    bench.module.free.set()
    bench.until_shown(["999 oz", "", "", ""])
    assert bench.module.written - written < 3 * 4 * 21 * 8, "two or three pictures, not a thousand"


NO_ANSWER = "waiting for 0x27 on /dev/i2c-1: nothing answers at that address"
NO_BUS = "waiting for 0x27 on /dev/i2c-1: no such bus (is I2C switched on?)"


def test_a_display_that_does_not_answer_is_tried_again_and_ever_more_slowly(bench: Bench) -> None:
    bench.module.unplugged = True
    bench.display.show(POUR)
    bench.until(lambda: bench.statuses == [NO_ANSWER])
    delays_s = []
    for tries in range(2, 6):
        start_s = bench.clock()
        while bench.module.opened < tries:
            bench.clock.ahead_s += 0.1
            bench.loop.run_once(0.001)
        bench.until(lambda: not bench.display._busy)
        delays_s.append(bench.clock() - start_s)
    assert delays_s == pytest.approx([3.0, 6.0, 12.0, RETRY_MAX_S], abs=0.5)
    bench.module.unplugged = False
    bench.clock.ahead_s += RETRY_MAX_S
    bench.until_shown(POUR)
    bench.until(lambda: bench.display.ready)
    assert len(bench.statuses) == 2


def test_a_missing_bus_is_waited_for_without_trying_until_devices_come(tmp_path: Path) -> None:
    module = Hd44780Module()
    module.no_bus = True
    with benched(module, devices=str(tmp_path)) as bench:
        bench.display.show(POUR)
        bench.until(lambda: bench.statuses == [NO_BUS] and bench.display._await_news)
        looks = module.looks
        bench.clock.ahead_s += 3600.0
        for _ in range(5):
            bench.loop.run_once(0.02)
            bench.display.show(["other"])
        assert module.looks == looks
        assert bench.loop._wait_s() is None, "nothing wakes up"
        (tmp_path / "something-else").touch()
        bench.until(lambda: module.looks > looks and bench.display._await_news)
        module.no_bus = False
        bench.display.show(POUR)
        (tmp_path / "i2c-1").touch()
        bench.until_shown(POUR)
        bench.until(lambda: bench.display.ready)
        assert len(bench.statuses) == 2
        assert bench.display._news is None


@pytest.mark.parametrize("defect", [ValueError("not\na byte"), RuntimeError(), KeyError("ß")])
def test_whatever_the_library_raises_is_told_and_tried_again(bench: Bench, defect: Exception) -> None:
    bench.display.show(POUR)
    bench.until_shown(POUR)
    bench.module.defect = defect
    bench.display.show(["other"])
    reason = " ".join(f"{type(defect).__name__}: {defect}".split())
    bench.until(lambda: bench.display.status == f"waiting for 0x27 on /dev/i2c-1: {reason}")
    bench.module.defect = None
    bench.clock.ahead_s += RETRY_FIRST_S
    bench.until_shown(["other", "", "", ""])
    bench.until(lambda: bench.display.ready)


def test_a_bus_that_hangs_is_told_of_until_it_goes_on(bench: Bench) -> None:
    bench.display.show(POUR)
    bench.until_settled()
    bench.module.free.clear()
    bench.display.show(["other"])
    bench.loop.run_once(0.01)
    assert bench.display.ready
    bench.clock.ahead_s += HANG_S
    bench.until(lambda: not bench.display.ready)
    assert bench.display.status == "waiting for 0x27 on /dev/i2c-1: the bus hangs; look at its wires"
    bench.module.free.set()
    bench.until(lambda: bench.display.ready)
    bench.until_shown(["other", "", "", ""])


def test_an_unplugged_display_is_drawn_again_when_it_is_back(bench: Bench) -> None:
    bench.display.show(POUR)
    bench.until_shown(POUR)
    bench.module.unplugged = True
    bench.display.show(["gone"])
    bench.until(lambda: bench.display.status.startswith("waiting for"))
    assert bench.module.opened == bench.module.closed
    bench.display.show(["meanwhile"])
    bench.module.power_up()
    bench.module.unplugged = False
    bench.clock.ahead_s += RETRY_FIRST_S
    bench.until_shown(["meanwhile", "", "", ""])


def test_a_display_that_lost_its_mode_unseen_is_put_right_within_a_minute_of_change(bench: Bench) -> None:
    bench.display.show(POUR)
    bench.until_settled()
    bench.module.power_up()
    bench.clock.ahead_s += WHOLE_S
    bench.display.show(["other", *POUR[1:]])
    bench.until_shown(["other", *POUR[1:]])


def test_putting_it_right_is_not_seen(bench: Bench) -> None:
    bench.display.show(POUR)
    bench.until_settled()
    bench.clock.ahead_s += WHOLE_S
    bench.display.show(["other", *POUR[1:]])
    bench.until_shown(["other", *POUR[1:]])
    assert bench.module.cleared == 0


def test_a_bus_that_hangs_does_not_keep_the_program_from_ending() -> None:
    module = Hd44780Module()
    bench = Bench(module)
    module.free.clear()
    bench.display.show(POUR)
    bench.loop.run_once(0.0)
    start_s = time.monotonic()
    bench.display.close()
    assert time.monotonic() - start_s < 0.5
    module.free.set()
    bench.display._thread.join()
