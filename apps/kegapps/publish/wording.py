"""A drink as the words that a message is made of: volumes, names that can do no harm, text of a bounded length.

Knows units and Unicode. Must not know templates, networks, files or clocks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

UNITS: Final[Mapping[str, tuple[float, int, str]]] = {
    "ml": (1.0, 0, "mL"),
    "l": (1000.0, 2, "L"),
    "oz": (29.5735295625, 1, "oz"),
    "pint": (473.176473, 2, "pints"),
    "imperial_oz": (28.4130625, 1, "oz"),
    "imperial_pint": (568.26125, 2, "pints"),
}
"""By name: mL of one, decimals shown, what is written behind the number."""

MAX_NAME_CHARS: Final = 64
NO_BEVERAGE: Final = "beer"  # of a tap that nobody has told what is on
NOBODY: Final = "somebody"
_BREAK: Final = "\u200b"  # not seen, but no network reads a mention, a tag or a link across it
# Also full-width, small, and the full stops of Chinese and Japanese, which names of hosts may have for a dot; a dot
# that ends a sentence or a number (4.5 %) is none of a link.
_CALL: Final = re.compile(r"[@＠﹫#＃﹟$＄﹩]|[:：](?=[/／])|(?<=\w)[.．。｡](?=[^\W\d_])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pour:
    """A drink to be announced.

    `key` is its own for ever, `username` None that of nobody in particular, `beverage` "" if that is not known, `tap`
    what people call the tap.
    """

    key: str
    drink_id: int
    username: str | None
    tap: str
    beverage: str
    volume_ml: float
    start_unix_s: float
    end_unix_s: float


NAMES: Final = ("user", "volume", "beverage", "tap", "time", "date", "duration", "drink")
"""What a template may name."""


def words(pour: Pour, units: str) -> dict[str, str]:
    """Each of NAMES as text for `pour`. Times are those of this machine's time zone."""
    end = datetime.fromtimestamp(pour.end_unix_s).astimezone()
    return {
        "user": harmless(pour.username or "") or NOBODY,
        "volume": volume(pour.volume_ml, units),
        "beverage": harmless(pour.beverage) or NO_BEVERAGE,
        "tap": harmless(pour.tap),
        "time": f"{end:%H:%M}",
        "date": f"{end:%Y-%m-%d}",
        "duration": f"{max(0.0, pour.end_unix_s - pour.start_unix_s):.0f} s",
        "drink": str(pour.drink_id),
    }


def volume(volume_ml: float, units: str) -> str:
    """`volume_ml` in `units`, one of UNITS: `454 mL`, `15.4 oz`; "some" if it is not known (0)."""
    if volume_ml <= 0:
        return "some"
    one_ml, decimals, written = UNITS[units]
    return f"{volume_ml / one_ml:.{decimals}f} {written}"


def harmless(name: str) -> str:
    """A name that somebody chose, on one line, calling nobody (@everyone), linking nowhere, MAX_NAME_CHARS at most.

    Characters that are not seen or that turn the direction of writing are taken out. What networks read as a mention,
    a tag, a stock or a link, in whatever width it is written, is parted by a character that is not seen.
    """
    kept = "".join(char if char.isprintable() else " " if char.isspace() else "" for char in name)
    short = cut(" ".join(kept.split()), MAX_NAME_CHARS)
    # <!channel> and <@1234> are calls, too, and so is what looks like markup.
    short = short.replace("<", "‹").replace(">", "›").replace("`", "'")
    return _CALL.sub(lambda found: found[0] + _BREAK, short)


def cut(text: str, most: int) -> str:
    """`text`, or as much of its beginning as weighs `most` with the "…" that then ends it.

    A character of a script that X counts twice (and an emoji) weighs 2 here, too: no network counts more.
    """
    if _weight(text) <= most:
        return text
    left = most - _weight("…")
    kept = []
    for char in text:
        left -= _weight(char)
        if left < 0:
            break
        kept.append(char)
    return "".join(kept).rstrip() + "…"


def _weight(text: str) -> int:
    return sum(1 if ord(char) < 0x1100 or char == _BREAK else 2 for char in text)
