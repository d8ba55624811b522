"""The pins of the machine: what counts their edges and switches them.

Knows gpiozero, whose threads call back here. Must not know meters' counts, files or sockets. Ticks are counted in the
library's thread; the loop is woken by the first one only, and looks at the counters by itself then.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from kegapps.daemon.extras import extra
from kegapps.gpio.wiring import Wiring

FIXED_PULL_UP: Final = (2, 3)  # the pins of I2C have a resistor each
_WANTED_BY: Final = "gpio_meter.py"


class PinsError(Exception):
    """The pins cannot be used now; `str()` is why, for a person."""


class Bell:
    """Rings once for many ticks: after `arm`, at the first of them, from whatever thread that comes in."""

    def __init__(self, ring: Callable[[], object]) -> None:
        self._ring = ring
        self._armed = False

    def arm(self) -> None:
        """Look at the counters behind this: a tick just before it did not ring."""
        self._armed = True

    def tick(self) -> None:
        """There was one."""
        if self._armed:
            self._armed = False
            self._ring()


class Counter:
    """Ticks of one pin: each time that it goes low. One thread adds, the loop reads."""

    __slots__ = ("__weakref__", "_bell", "_keep", "pulses")  # gpiozero keeps a weak reference only

    def __init__(self, bell: Bell, keep: Callable[[int], object]) -> None:
        """`keep` is told all ticks so far, with each."""
        self._bell = bell
        self._keep = keep
        self.pulses = 0

    def edge(self, _at: object, is_high: int) -> None:
        """In the library's thread."""
        if not is_high:
            self.pulses += 1
            self._keep(self.pulses)
            self._bell.tick()


class Header:
    """Raises StartError if gpiozero or lgpio is not installed. Make it after the process became a daemon.

    `folder` is one that can be written, for the moment that lgpio needs one.
    """

    def __init__(
        self, wiring: Wiring, *, pull: str, debounce_s: float, active_low: bool, folder: str
    ) -> None:
        self._wiring = wiring
        self._pull = pull
        self._debounce_s = debounce_s
        self._active_low = active_low
        self._gpiozero = extra("gpiozero", extra="gpio", wanted_by=_WANTED_BY)
        # Left to itself gpiozero tries one library after the other, down to registers of chips that are not there.
        self._lgpio: Any = None
        if os.environ.get("GPIOZERO_PIN_FACTORY", "lgpio") == "lgpio":
            with _working_directory_of_lgpio(folder):
                self._lgpio = extra("gpiozero.pins.lgpio", extra="gpio", wanted_by=_WANTED_BY)
        self._relays: dict[str, Any] = {}

    def open(self, counters: Mapping[str, Counter]) -> None:
        """Relays off, and count ticks: `counters` by meter, to be kept by the caller. Raises PinsError."""
        try:
            factory = self._factory()
            for port in self._wiring.relays:
                pin = self._relays[port.name] = factory.pin(f"GPIO{port.pin}")
                pin.output_with_state(int(self._active_low))
            for port in self._wiring.meters:
                pin = factory.pin(f"GPIO{port.pin}")
                pin.when_changed = None
                pin.input_with_pull("up" if port.pin in FIXED_PULL_UP else self._pull)
                pin.bounce = self._debounce_s or None
                pin.edges = "both"  # lgpio knows a short level for noise by the edge that ends it
                pin.when_changed = counters[port.name].edge
        except Exception as error:  # gpiozero, lgpio and the kernel each have their own kinds
            raise PinsError(_in_words(error)) from error

    def switch(self, relay: str, *, on: bool) -> None:
        """Switch the relay. Raises PinsError."""
        try:
            self._relays[relay].state = on != self._active_low
        except Exception as error:  # as above
            raise PinsError(_in_words(error)) from error

    def _factory(self) -> Any:
        device = self._gpiozero.Device
        if device.pin_factory is None and self._lgpio is not None:
            device.pin_factory = self._lgpio.LGPIOFactory()
        device.ensure_pin_factory()
        return device.pin_factory


@contextmanager
def _working_directory_of_lgpio(folder: str) -> Iterator[None]:
    """Imported, lgpio makes a named pipe to itself in the current directory, or in $LG_WD, where it stays.

    A daemon's directory is /, which only root may write; and two programs in one directory take each other's pipes.
    So it gets one below `folder` that is gone as soon as both ends are open.
    """
    before = os.getcwd()
    # Where descriptors are few, some are left to remove it.
    with (
        open(os.devnull, "rb") as spare,
        open(os.devnull, "rb") as another,
        tempfile.TemporaryDirectory(prefix=".lgpio-", dir=folder) as own,
    ):
        os.environ["LG_WD"] = own
        try:
            yield
        finally:
            os.chdir(before)
            spare.close()
            another.close()


def _in_words(error: Exception) -> str:
    text = " ".join(str(error).replace("'", "").split()) or type(error).__name__
    if "can not open gpiochip" in text or "unknown Pi" in text or "/proc/device-tree" in text:
        return f"{text}; is this a Raspberry Pi, and its user in the group gpio?"
    return text
