"""The address of a display on an I2C bus, as people write it.

Knows numbers. Must not know flags or the bus. Source: the I2C specification, which keeps 0x00 to 0x02 and
0x78 to 0x7f for itself.
"""

from __future__ import annotations

import re
from typing import Final

_ADDRESSES: Final = range(0x03, 0x78)
_HEXADECIMAL: Final = re.compile("0[xX]([0-9a-fA-F]{1,2})")
_BARE: Final = re.compile("([0-9a-fA-F]{1,2})[hH]?")


def parse_i2c_address(text: str) -> int:
    """The address in `text`, hexadecimal as in 0x27. Raises ValueError with a reason that begins with `text`."""
    if (found := _HEXADECIMAL.fullmatch(text)) and (address := int(found[1], 16)) in _ADDRESSES:
        return address
    if (found := _BARE.fullmatch(text)) and int(found[1], 16) in _ADDRESSES:
        # What i2cdetect prints. As a decimal number it would be another address, and nobody would see why.
        raise ValueError(f"{text}: hexadecimal? Then it is 0x{found[1].lower()}")
    raise ValueError(f"{text}: expected 0x03 to 0x77, such as 0x27 or 0x3f; i2cdetect -y 1 shows who answers")
