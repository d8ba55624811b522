"""How readers that type write a tag's number down, and which token that is.

Knows text and numbers. Must not know devices. The names are those of the readers' manuals: of how many hexadecimal (H)
digits of the tag how many decimal (D) ones are made. An EM4100 tag holds ten hexadecimal digits, `0415ab96c3`, of which
most decimal formats leave the first ones out: nobody can put them back, so the token is shorter.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from kegapps.rfid.tokens import as_token


def _decimal(digits: int, hex_digits: int) -> Callable[[str], str | None]:
    """Of exactly `digits` decimal digits the number in `hex_digits` hexadecimal ones."""

    def read(line: str) -> str | None:
        if not re.fullmatch(rf"[0-9]{{{digits}}}", line):
            return None
        token = f"{int(line):0{hex_digits}x}"
        return token if len(token) == hex_digits else None

    return read


def _three_and_five(line: str) -> str | None:
    """A byte as three decimal digits, perhaps a comma, and two bytes as five: 171,38595 is ab96c3."""
    found = re.fullmatch(r"([0-9]{3}),?([0-9]{5})", line)
    if found is None:
        return None
    high, low = int(found[1]), int(found[2])
    return f"{high:02x}{low:04x}" if high <= 0xFF and low <= 0xFFFF else None


FORMATS: Final[dict[str, Callable[[str], str | None]]] = {
    "hex": as_token,
    "8h10d": _decimal(10, 8),
    "10h13d": _decimal(13, 10),
    "6h8d": _decimal(8, 6),
    "2.4h3.5d": _three_and_five,
}
"""By the value of --wedge_format: the token of a typed line; None if the line is not of that format."""
