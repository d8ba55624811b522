"""The header by gpiozero's own LGPIOFactory, on an lgpio that writes down what it is asked: no pins, no kernel."""

from __future__ import annotations

import importlib
import os
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kegapps.gpio.header import Bell, Counter, Header, PinsError
from kegapps.gpio.wiring import parse_wiring

pytest.importorskip("gpiozero", reason="gpiozero (kegmaster[gpio]) is not installed")

INPUT, OUTPUT, PULL_UP, NO_PULL = 1 << 8, 1 << 1, 1 << 5, 1 << 7
BOTH_EDGES = 3
PI_4B = 0xC03111


class FakeLgpio(types.ModuleType):
    """One gpiochip: what each line is claimed as, its debounce, and who is to be called."""

    class error(Exception):  # noqa: N801, N818 - its name in lgpio
        pass

    RISING_EDGE, FALLING_EDGE, BOTH_EDGES = 1, 2, BOTH_EDGES
    SET_PULL_NONE = SET_BIAS_DISABLE = NO_PULL
    SET_PULL_UP = SET_BIAS_PULL_UP = PULL_UP
    SET_PULL_DOWN = SET_BIAS_PULL_DOWN = 1 << 6

    def __init__(self) -> None:
        super().__init__("lgpio")
        self.modes: dict[int, int] = {}
        self.alerts: dict[int, int] = {}
        self.debounces_us: dict[int, int] = {}
        self.levels: dict[int, int] = {}
        self.written: list[tuple[int, int]] = []
        self.callbacks: dict[int, Callable[..., None]] = {}
        self.busy: set[int] = set()

    def gpiochip_open(self, _chip: int) -> int:
        return 0

    def gpiochip_close(self, _handle: int) -> None:
        pass

    def _claim(self, gpio: int, mode: int) -> None:
        if gpio in self.busy:
            raise self.error("'GPIO busy'")
        self.modes[gpio] = mode

    def gpio_claim_input(self, _handle: int, gpio: int, flags: int = 0) -> None:
        self._claim(gpio, INPUT | flags)

    def gpio_claim_output(self, _handle: int, gpio: int, level: int = 0, flags: int = 0) -> None:
        self._claim(gpio, OUTPUT | flags)
        self.gpio_write(0, gpio, level)

    def gpio_claim_alert(self, _handle: int, gpio: int, edges: int, flags: int = 0) -> None:
        self._claim(gpio, INPUT | flags)
        self.alerts[gpio] = edges

    def gpio_free(self, _handle: int, gpio: int) -> None:
        self.modes.pop(gpio, None)

    def gpio_get_mode(self, _handle: int, gpio: int) -> int:
        return self.modes[gpio]

    def gpio_set_debounce_micros(self, _handle: int, gpio: int, micros: int) -> None:
        self.debounces_us[gpio] = micros

    def gpio_write(self, _handle: int, gpio: int, level: int) -> None:
        self.levels[gpio] = int(level)
        self.written.append((gpio, int(level)))

    def callback(self, _handle: int, gpio: int, _edges: int, function: Callable[..., None]) -> Any:
        self.callbacks[gpio] = function
        return types.SimpleNamespace(cancel=lambda: self.callbacks.pop(gpio, None))

    def edge(self, gpio: int, level: int) -> None:
        """As from the library's thread."""
        self.callbacks[gpio](0, gpio, level, 1_000_000)


@pytest.fixture
def lgpio(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeLgpio]:
    import gpiozero

    fake = FakeLgpio()
    monkeypatch.setitem(sys.modules, "lgpio", fake)
    monkeypatch.delitem(sys.modules, "gpiozero.pins.lgpio", raising=False)
    monkeypatch.setattr(gpiozero.Device, "pin_factory", None)
    monkeypatch.delenv("GPIOZERO_PIN_FACTORY", raising=False)
    monkeypatch.delenv("LG_WD", raising=False)
    module = importlib.import_module("gpiozero.pins.lgpio")
    monkeypatch.setattr(module.LGPIOFactory, "_get_revision", lambda _: PI_4B)
    yield fake
    factory = gpiozero.Device.pin_factory
    if factory is not None:
        factory.close()
    sys.modules.pop("gpiozero.pins.lgpio", None)
    os.environ.pop("LG_WD", None)


class Rig:
    """A header, its counters, and how often the bell rang."""

    def __init__(self, folder: Path, *, meters: str = "flow0=17", relays: str = "", **options: Any) -> None:
        self.rings = 0
        self.bell = Bell(self._ring)
        self.kept: list[int] = []
        wiring = parse_wiring(meters=meters.split(","), relays=relays.split(","))
        self.counters = {port.name: Counter(self.bell, self.kept.append) for port in wiring.meters}
        settings = {"pull": "up", "debounce_s": 0.0002, "active_low": False, **options}
        self.header = Header(wiring, folder=str(folder), **settings)

    def _ring(self) -> None:
        self.rings += 1

    def open(self) -> None:
        self.header.open(self.counters)


def test_a_meters_pin_is_pulled_up_debounced_and_watched_at_both_edges(
    lgpio: FakeLgpio, tmp_path: Path
) -> None:
    Rig(tmp_path).open()
    assert lgpio.modes == {17: INPUT | PULL_UP}
    assert (lgpio.alerts, lgpio.debounces_us) == ({17: BOTH_EDGES}, {17: 200})


def test_without_pull_and_debounce_the_pins_of_i2c_are_still_pulled_up(
    lgpio: FakeLgpio, tmp_path: Path
) -> None:
    Rig(tmp_path, meters="flow0=17,flow1=2", pull="floating", debounce_s=0.0).open()
    assert lgpio.modes == {17: INPUT | NO_PULL, 2: INPUT | PULL_UP}
    assert lgpio.debounces_us == {17: 0, 2: 0}


def test_a_tick_is_a_pin_that_goes_low_and_the_first_of_many_rings(lgpio: FakeLgpio, tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.open()
    rig.bell.arm()
    for _ in range(3):
        lgpio.edge(17, 0)
        lgpio.edge(17, 1)
    assert (rig.counters["flow0"].pulses, rig.kept, rig.rings) == (3, [1, 2, 3], 1)
    rig.bell.arm()
    lgpio.edge(17, 1)
    assert rig.rings == 1
    lgpio.edge(17, 0)
    assert rig.rings == 2


@pytest.mark.parametrize("active_low", [False, True])
def test_a_relay_is_off_when_it_is_opened_and_switched_after(
    lgpio: FakeLgpio, tmp_path: Path, active_low: bool
) -> None:
    rig = Rig(tmp_path, relays="relay0=5", active_low=active_low)
    rig.open()
    assert (lgpio.modes[5] & OUTPUT, lgpio.levels[5]) == (OUTPUT, int(active_low))
    rig.header.switch("relay0", on=True)
    assert lgpio.levels[5] == int(not active_low)
    rig.header.switch("relay0", on=False)
    assert lgpio.levels[5] == int(active_low)


def test_a_pin_that_another_program_has_is_said_and_taken_when_it_is_free(
    lgpio: FakeLgpio, tmp_path: Path
) -> None:
    rig = Rig(tmp_path, meters="flow0=17,flow1=27")
    lgpio.busy.add(27)
    for _ in range(2):
        with pytest.raises(PinsError, match="GPIO busy"):
            rig.open()
    lgpio.busy.clear()
    rig.open()
    lgpio.edge(17, 0)
    lgpio.edge(27, 0)
    assert [counter.pulses for counter in rig.counters.values()] == [1, 1]


def test_the_current_directory_and_the_folder_are_as_they_were(lgpio: FakeLgpio, tmp_path: Path) -> None:
    before = os.getcwd()
    Rig(tmp_path)
    assert os.getcwd() == before
    assert not list(tmp_path.iterdir())
