"""What people may write into the store: names, calibrations, words.

Knows which values make sense. Must not know the tables, or who asks.
"""

from __future__ import annotations

import math
import re
from typing import Final

from kegapps.daemon.labels import is_label

TAP_NAME: Final = re.compile(r"(?!__)[A-Za-z0-9_.:-]{1,64}")
USERNAME: Final = re.compile(r"[A-Za-z0-9_.@+-]{1,30}")
"""What Kegbot Server takes as a username."""
MAX_TEXT_CHARS: Final = 200


class LedgerError(Exception):
    """An edit that makes no sense; `str(error)` is one line: what is wrong and what would be right."""


def checked_username(username: str) -> str:
    """`username`, if it is one. Raises LedgerError."""
    if not USERNAME.fullmatch(username):
        raise LedgerError(f"{username!r} is no username: 1 to 30 letters, digits and _ . @ + -")
    return username


def checked_rate(ml_per_tick: float) -> float:
    """`ml_per_tick`, if a meter may have it. Raises LedgerError."""
    if not math.isfinite(ml_per_tick) or not 1e-6 <= ml_per_tick < 1000:
        raise LedgerError(f"{ml_per_tick:g} mL per tick is no calibration: expected something like 0.4545")
    return ml_per_tick


def checked_label(what: str, text: str) -> str:
    """`text`, if it is short and fit to be shown as what people call a thing. Raises LedgerError."""
    if len(text) > MAX_TEXT_CHARS or not is_label(text):
        raise LedgerError(f"{what}: expected up to {MAX_TEXT_CHARS} printable characters")
    return text


def checked_text(what: str, text: str) -> str:
    """`text`, if it is short and printable. Raises LedgerError."""
    if len(text) > MAX_TEXT_CHARS or not text.isprintable():
        raise LedgerError(f"{what}: expected up to {MAX_TEXT_CHARS} printable characters")
    return text
