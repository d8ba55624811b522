"""Any Unicode text in the few characters that a display has.

Knows Unicode, and how letters that a display lacks are usually written without. Must not know any display's codes.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from typing import Final

ASCII: Final[Mapping[str, int]] = {chr(code): code for code in range(0x20, 0x7F)}

# What Unicode does not decompose, or decomposes into something that is not how people write it.
_SUBSTITUTES: Final[Mapping[str, str]] = {
    "ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "đ": "d", "Đ": "D",
    "ð": "d", "Ð": "D", "þ": "th", "Þ": "Th", "ł": "l", "Ł": "L", "ı": "i", "ħ": "h", "Ħ": "H", "ŋ": "n", "Ŋ": "N",
    "‘": "'", "’": "'", "‚": "'", "‛": "'", "′": "'", "`": "'", "´": "'", "“": '"', "”": '"', "„": '"', "″": '"',
    "«": '"', "»": '"', "‹": "'", "›": "'", "‐": "-", "‑": "-", "‒": "-", "–": "-", "—": "-", "―": "-", "−": "-",
    "~": "-", "•": "*", "·": ".", "×": "x", "÷": "/", "⁄": "/", "\\": "/", "¦": "|", "°": "o", "€": "EUR",
    "£": "GBP", "¢": "c", "¡": "!", "¿": "?", "©": "(c)", "®": "(R)", "↑": "^", "↓": "v", "→": ">", "←": "<",
    "µ": "u", "Ω": "Ohm", "…": "...",
}  # fmt: skip
# Marks and marks of direction or joining: they stand on, or between, other characters.
_NO_WIDTH: Final = frozenset(("Mn", "Me", "Cf"))


def fitted(text: str, columns: int, codes: Mapping[str, int]) -> bytes:
    """`text` in a display's `codes`, exactly `columns` of them: cut, or filled up with spaces.

    What is in `codes` is shown as it is; else without its accents, or as it is usually written in ASCII; else as `?`,
    one for a character however wide. Marks that stand on others take no column; a control character is a space.
    `codes` has a space and a `?`. Raises nothing.
    """
    row = bytearray()
    for character in unicodedata.normalize("NFC", text[: 16 * columns]):
        row += bytes(codes[sign] for sign in _signs(character, codes))
        if len(row) >= columns:
            break
    return bytes(row[:columns]).ljust(columns, bytes((codes[" "],)))


def _signs(character: str, codes: Mapping[str, int]) -> Iterator[str]:
    """What is shown for one character, all of it in `codes`."""
    if character in codes:
        yield character
        return
    kind = unicodedata.category(character)
    if kind in _NO_WIDTH:
        return
    if kind in ("Cc", "Zs", "Zl", "Zp"):
        yield " "
        return
    plain = _SUBSTITUTES.get(character) or "".join(
        _SUBSTITUTES.get(part, part)
        for part in unicodedata.normalize("NFKD", character)
        if unicodedata.category(part) not in _NO_WIDTH
    )
    if plain and all(part in codes for part in plain):
        yield from plain
    else:
        yield "?"
