"""Numbers and lists as people read them.

Knows words. Must not know links, facts or clocks.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_UNITS: Final = ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))


def duration(seconds: float) -> str:
    """`12 s`, `3 min 5 s`, `4 h 2 min`, `9 d 1 h`."""
    whole = max(0, int(seconds))
    for size, unit, small, small_unit in _UNITS:
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // small} {small_unit}"
    return f"{whole} s"


def size(count: int) -> str:
    """Bytes as `512 B`, `4 KiB`, `1.5 GiB`."""
    if count < 1024:
        return f"{count} B"
    units = ["KiB", "MiB", "GiB", "TiB"]
    value = count / 1024
    while value >= 1024 and len(units) > 1:
        value /= 1024
        del units[0]
    return f"{value:.1f} {units[0]}" if value < 10 else f"{value:.0f} {units[0]}"


def listed(words: Iterable[str], most: int = 8) -> str:
    """`a`, `a and b`, `a, b and c`; of more than `most` the rest as a number."""
    all_words = list(words)
    shown = all_words[:most]
    if len(all_words) > most:
        shown = [*shown[: most - 1], f"{len(all_words) - most + 1} more"]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}" if shown else "none"


def plain(text: object, most: int = 200) -> str:
    """What somebody else wrote, on one line, unable to drive a terminal, not endless."""
    printable = "".join(char if char.isprintable() else "?" for char in str(text))
    return printable if len(printable) <= most else f"{printable[: most - 3]}..."


def process(name: str, pid: int) -> str:
    """`kegbot_core (process 12)`; the number alone if the name is not known."""
    return f"{plain(name, 40)} (process {pid})" if name else f"process {pid}"
