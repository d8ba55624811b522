"""What becomes a token: lower-case hexadecimal digits, most significant byte first, as Kegbot's.

Knows text. Must not know readers.
"""

from __future__ import annotations

import re
from typing import Final

MAX_DIGITS: Final = 64  # the longest of a reader are 24; a core takes names of 128 characters
_HEX: Final = re.compile(rf"[0-9A-Fa-f]{{1,{MAX_DIGITS}}}")


def as_token(text: str) -> str | None:
    """The token that a reader means by `text`; None if that is no hexadecimal number of 1 to 64 digits.

    Leading zeros belong to it. How a reader spells letters does not matter, nor blanks and colons between the bytes.
    """
    digits = re.sub(r"[ :]", "", text[: 3 * MAX_DIGITS + 1])
    return digits.lower() if _HEX.fullmatch(digits) else None
