"""What the kernel's files say of a 1-wire thermometer, and what a Kegboard would call it.

Knows text. Must not know files, threads or clocks. Sources: Linux, Documentation/w1/slaves/w1_therm.rst (the files);
shared/kbsp-protocol.md, section 5 (the names).
"""

from __future__ import annotations

import re
from typing import Final

from kegapps.kbsp.thermo import COLDEST_C, HOTTEST_C, POWER_ON_C, parse_address

FAMILIES: Final = ("28", "10")  # DS18B20, DS18S20; of others the board's name is not known

_FOLDER: Final = re.compile(rf"({'|'.join(FAMILIES)})-([0-9a-f]{{12}})")
_LINE: Final = re.compile(
    r"((?:[0-9a-f]{2} ){9}): crc=[0-9a-f]{2} (YES|NO)\n(?:[0-9a-f]{2} ){9}t=(-?\d{1,6})\s*"
)
_MILLIDEGREES: Final = re.compile(r"-?\d{1,6}\s*")


class ReadingError(Exception):
    """A thermometer has no temperature to tell; `str()` is why."""


def sensor_name(folder: str) -> str | None:
    """`thermo-cd08001234561028` for the folder `28-080012345610`; None for what is no thermometer's folder."""
    found = _FOLDER.fullmatch(folder)
    if found is None:
        return None
    family, serial = found.groups()
    return parse_address(family + bytes.fromhex(serial)[::-1].hex()).name


def parse_w1_slave(text: str) -> float:
    """Degrees Celsius in a file `w1_slave`. Raises ReadingError."""
    found = _LINE.fullmatch(text)
    if found is None:
        raise ReadingError("the kernel's file is not as it should be")
    scratchpad, crc, millidegrees = found.groups()
    if crc != "YES":
        raise ReadingError("its checksum is wrong: a long or bad cable, or no pull-up")
    if not any(bytes.fromhex(scratchpad)):  # has a right checksum, too: the line is held low
        raise ReadingError("it says nothing but zeros: a short circuit")
    return _checked(int(millidegrees))


def parse_temperature(text: str) -> float:
    """Degrees Celsius in a file `temperature`, which newer kernels have. Raises ReadingError."""
    if not _MILLIDEGREES.fullmatch(text):
        raise ReadingError("it does not answer")
    return _checked(int(text))


def _checked(millidegrees: int) -> float:
    celsius = millidegrees / 1000
    if celsius == POWER_ON_C:
        raise ReadingError("it says 85, as after its power came on: no measurement, or too little power")
    if not COLDEST_C <= celsius <= HOTTEST_C:
        raise ReadingError(f"it says {celsius:g} degrees C, which no such sensor can")
    return celsius
