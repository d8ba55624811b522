"""How much room letters take on a terminal.

Knows Unicode. Must not know terminals' commands or displays with a character set of their own.
"""

from __future__ import annotations

import unicodedata
from typing import Final

_UNSEEN: Final = frozenset(("Mn", "Me", "Cf"))


def cells(letter: str) -> int:
    """How many columns of a terminal `letter` takes: 0, 1 or 2."""
    if unicodedata.category(letter) in _UNSEEN:
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def fill(text: str, columns: int) -> str:
    """`text` cut or padded to exactly so many columns; what is not printable is `?`."""
    kept: list[str] = []
    left = columns
    for letter in unicodedata.normalize("NFC", text):
        shown = letter if letter.isprintable() or unicodedata.category(letter) == "Cf" else "?"
        if unicodedata.category(letter) == "Cf":
            continue  # it would change the direction of what follows, or do nothing that can be seen
        width = cells(shown)
        if width > left:
            break
        if width == 0 and not kept:
            continue
        kept.append(shown)
        left -= width
    return "".join(kept) + " " * left
