"""Reads the kernel's 1-wire thermometers once a minute.

Knows files, and a thread in which they are read: each measures for three quarters of a second first. Must not know
kegnet.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from kegapps.daemon.loop import Loop
from kegapps.gpio.w1 import ReadingError, parse_temperature, parse_w1_slave, sensor_name
from kegapps.gpio.worker import Worker

EVERY_S: Final = 60.0  # a core keeps one a minute
MAX_SENSORS: Final = 32
_FILE_BYTES: Final = 512


class Thermometers:
    """Those in `folder`, whenever they are there.

    `on_reading(sensor, celsius)` and, when it changes, `on_trouble(sensor, why)` are called in the loop.
    """

    def __init__(
        self,
        loop: Loop,
        worker: Worker,
        folder: str,
        *,
        on_reading: Callable[[str, float], None],
        on_trouble: Callable[[str, str], None],
    ) -> None:
        self._loop = loop
        self._worker = worker
        self._folder = folder
        self._on_reading = on_reading
        self._on_trouble = on_trouble
        self._troubles: dict[str, str] = {}
        self._found: dict[str, float | str] = {}  # written in the thread, read when it is done
        self._busy = False
        self._round()

    def _round(self) -> None:
        self._loop.call_later(EVERY_S, self._round)
        if not self._busy:  # a bus that hangs: the round before is under way still
            self._busy = True
            self._worker.do(self._read, self._tell)

    def _read(self) -> None:
        """In the thread."""
        self._found = {}
        try:
            folders = sorted(os.listdir(self._folder))
        except OSError:
            return
        named = ((name, folder) for folder in folders if (name := sensor_name(folder)) is not None)
        for name, folder in list(named)[:MAX_SENSORS]:
            try:
                self._found[name] = self._measure(os.path.join(self._folder, folder))
            except ReadingError as error:
                self._found[name] = str(error)
            except (OSError, ValueError) as error:
                self._found[name] = f"cannot be read: {getattr(error, 'strerror', None) or 'no text'}"

    @staticmethod
    def _measure(folder: str) -> float:
        try:
            with open(os.path.join(folder, "w1_slave"), encoding="ascii") as file:
                return parse_w1_slave(file.read(_FILE_BYTES))
        except FileNotFoundError:
            with open(os.path.join(folder, "temperature"), encoding="ascii") as file:
                return parse_temperature(file.read(_FILE_BYTES))

    def _tell(self) -> None:
        self._busy = False
        for name, found in self._found.items():
            if isinstance(found, float):
                self._troubles.pop(name, None)
                self._on_reading(name, found)
            elif self._troubles.get(name) != found:
                self._troubles[name] = found
                self._on_trouble(name, found)
        for name in self._troubles.keys() - self._found.keys():
            del self._troubles[name]
