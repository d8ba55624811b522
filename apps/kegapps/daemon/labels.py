"""What people call things: which text may stand in a line that terminals, displays and web pages show.

Knows Unicode. Must not know who wrote it or who shows it. Without its joiners a Persian word falls apart into other
letters, and a family into three people; what turns the direction of writing, or is a control, is never let through.
"""

from __future__ import annotations

from typing import Final

JOINERS: Final = "\u200c\u200d"
"""ZERO WIDTH NON-JOINER and ZERO WIDTH JOINER: seen only by what they do to the characters beside them."""


def is_label(text: str) -> bool:
    """True if each character can be seen, or joins two that can: no hidden text, no blank names."""
    return text.isprintable() or all(_is_shown(text, at) for at in range(len(text)))


def as_label(text: str) -> str:
    """`text` with a `?` for each character that makes it no label."""
    if text.isprintable():
        return text
    return "".join(letter if _is_shown(text, at) else "?" for at, letter in enumerate(text))


def _is_shown(text: str, at: int) -> bool:
    if text[at] not in JOINERS:
        return text[at].isprintable()
    return 0 < at < len(text) - 1 and text[at - 1].isprintable() and text[at + 1].isprintable()
