"""Addresses and readings of 1-wire thermometers, as the firmware names and rounds them.

Source: protocol page, section 5 (sensor_name, sensor_reading). Must not know the board or its bus.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from kegapps.kbsp.checksums import crc8

DS18S20: Final = 0x10
DS18B20: Final = 0x28
STEP_C: Final = {DS18B20: 1 / 16, DS18S20: 1 / 2}
PREFIX: Final = "thermo-"
COLDEST_C: Final = -55.0
HOTTEST_C: Final = 125.0
POWER_ON_C: Final = 85.0
"""What such a sensor says before its first measurement, or when its power does not suffice for one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThermoAddress:
    """Eight bytes in wire order: family code first, checksum last."""

    wire: bytes

    @property
    def name(self) -> str:
        """`thermo-` and 16 hex digits, from the last byte of the address to the first."""
        return PREFIX + self.wire[::-1].hex()

    def measured_c(self, celsius: float) -> float:
        """`celsius` in the steps of this sensor: 1/16 degree (DS18B20) or 1/2 degree (DS18S20)."""
        step_c = STEP_C[self.wire[0]]
        return round(celsius / step_c) * step_c


def parse_address(text: str) -> ThermoAddress:
    """An address from `28105634120008cd` (wire order, checksum optional) or `thermo-cd08001234561028`.

    Raises ValueError, for a person to read, if it is neither, of another family, or its checksum is wrong.
    """
    named = text.startswith(PREFIX)
    try:
        wire = bytes.fromhex(text.removeprefix(PREFIX))
    except ValueError:
        wire = b""
    if named:
        wire = wire[::-1]
    elif len(wire) == 7:
        wire += bytes((crc8(wire),))
    if len(wire) != 8:
        raise ValueError(
            f"{text!r}: expected 16 hex digits such as 28105634120008cd, or a name such as thermo-..."
        )
    if wire[0] not in STEP_C:
        raise ValueError(f"{text!r}: family {wire[0]:02x}, expected 28 (DS18B20) or 10 (DS18S20)")
    if crc8(wire) != 0:
        raise ValueError(f"{text!r}: the checksum should be {crc8(wire[:7]):02x}, not {wire[7]:02x}")
    return ThermoAddress(wire=wire)


def parse_celsius(text: str) -> float:
    """Degrees Celsius that a sensor can measure. Raises ValueError, for a person to read."""
    try:
        celsius = float(text)
    except ValueError:
        celsius = math.nan
    if not COLDEST_C <= celsius <= HOTTEST_C:
        raise ValueError(f"{text!r}: expected degrees Celsius from -55 to 125, such as 4.25")
    return celsius
