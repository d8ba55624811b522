"""What is written on a display: each screen as rows of text, for displays of any size.

Knows rows, columns, units and what there is to tell. Must not know when a screen is shown, clocks, character sets or
devices. Names may be longer than a row and hold any letters, some of which a display may write as two; so a name is
the last thing in its row, where the display cuts what does not fit, and never stands before a number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final

from kegapps.kegnet.events import GUEST, DrinkFacts
from kegapps.kegnet.taproom import TapFacts

Rows = tuple[str, ...]

NAME: Final = "kegmaster"
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A unit of volume, as it is written behind a number with so many decimals."""

    name: str
    ml: float
    decimals: int


UNITS: Final[Mapping[str, Unit]] = MappingProxyType(
    {
        "oz": Unit(name="oz", ml=29.5735295625, decimals=2),
        "imperial_oz": Unit(name="oz", ml=28.4130625, decimals=2),
        "ml": Unit(name="ml", ml=1.0, decimals=0),
        "l": Unit(name="L", ml=1000.0, decimals=2),
        "pint": Unit(name="pt", ml=473.176473, decimals=2),
        "imperial_pint": Unit(name="pt", ml=568.26125, decimals=2),
    }
)
"""By the name that --units has for it; the ounces and pints of the US unless they are called imperial."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """The display's size, and how people here measure."""

    columns: int
    rows: int
    unit: Unit = UNITS["oz"]
    fahrenheit: bool = False
    guest: str = GUEST
    """Whoever pours without a token is called so."""

    def volume(self, volume_ml: float) -> str:
        """`454.545` as `15.37 oz`."""
        return f"{volume_ml / self.unit.ml:.{self.unit.decimals}f} {self.unit.name}"

    def temperature(self, celsius: float) -> str:
        """`4.25` as `4.2°C`."""
        return f"{celsius * 1.8 + 32:.1f}°F" if self.fahrenheit else f"{celsius:.1f}°C"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pour:
    """Beer that flows; `title` is the tap, `username` None if nobody said whose it is."""

    flow_id: int
    title: str
    username: str | None
    volume_ml: float
    beverage: str = ""


def splash(style: Style, taps: int) -> Rows:
    """What a display shows first, and between the rounds."""
    known = f"{taps} tap{'' if taps == 1 else 's'}" if taps else "no tap yet"
    if style.rows < 4:
        return (NAME.center(style.columns), known.center(style.columns))[: style.rows]
    rule = "=" * max(0, style.columns - 2)
    return (
        rule.center(style.columns),
        NAME.center(style.columns),
        known.center(style.columns),
        rule.center(style.columns),
    )


def no_core(style: Style, address: str, problem: str) -> Rows:
    """The core is not there: nothing that could be shown is known to be true."""
    return ("no core".center(style.columns), address, problem)[: style.rows]


def tap(style: Style, facts: TapFacts) -> tuple[Rows, ...]:
    """A tap: its name, beer, how full the keg is, how warm; on displays of few rows as several screens."""
    full = "" if facts.left_fraction is None else f"{100 * facts.left_fraction:.1f}% full"
    warm = "" if facts.temperature_c is None else style.temperature(facts.temperature_c)
    figures = [text for text in (full, warm) if text]
    if style.rows >= 4:
        return (_headed(style, facts.title, [facts.beverage, *figures]),)
    lines = [text for text in (facts.beverage, *_joined(figures, style.columns)) if text]
    return _paged(style, facts.title, lines)


def last_pour(style: Style, drink: DrinkFacts, ended: datetime) -> tuple[Rows, ...]:
    """The last drink: whose, when (`ended`, as the clock on the wall here had it), how much."""
    user, size = drink.username or style.guest, style.volume(drink.volume_ml)
    day = f"{_MONTHS[ended.month - 1]} {ended.day}"
    when = f"{day} {ended.hour % 12 or 12}:{ended.minute:02}{'pm' if ended.hour >= 12 else 'am'}"
    if style.rows >= 4:
        return (_headed(style, "Last pour", [f"user: {user}", f"when: {when}", f"size: {size}"]),)
    texts = (f"{size} {when}", f"{size} {day}", size)
    line = next((text for text in texts if len(text) <= style.columns), size)
    return _paged(style, f"Last: {user}", [line], centred=False)


def pouring(style: Style, pours: Sequence[Pour]) -> Rows:
    """What flows now: one pour on the whole display, several a row each, those that began last if there are more."""
    if len(pours) == 1:
        return _one_pour(style, pours[0])
    shown, more = list(pours), ""
    if len(shown) > style.rows:
        kept = style.rows - 1 if style.rows > 2 else style.rows
        more = f"and {len(shown) - kept} more" if kept < style.rows else ""
        shown = shown[-kept:]
    volumes = [style.volume(pour.volume_ml) for pour in shown]
    width = max(map(len, volumes), default=0)
    lines = [f"{volume:>{width}} {_who(pour)}" for volume, pour in zip(volumes, shown, strict=True)]
    return tuple([*lines, more] if more else lines)


def _one_pour(style: Style, pour: Pour) -> Rows:
    volume = style.volume(pour.volume_ml)
    if style.rows >= 3:
        lines = [f"user: {pour.username or style.guest}", volume.center(style.columns), pour.beverage]
        return _headed(style, pour.title, lines)[: style.rows]
    if style.rows == 2:
        return (pour.username, f"{volume} {pour.title}") if pour.username else (pour.title, volume)
    return (f"{volume} {_who(pour)}",)


def _who(pour: Pour) -> str:
    return f"{pour.username}, {pour.title}" if pour.username else pour.title


def _headed(style: Style, title: str, lines: Sequence[str]) -> Rows:
    return (title.center(style.columns), *lines)


def _joined(figures: Sequence[str], columns: int) -> list[str]:
    """The figures in one line if they fit."""
    line = " ".join(figures)
    return [line] if len(line) <= columns else list(figures)


def _paged(style: Style, title: str, lines: Sequence[str], *, centred: bool = True) -> tuple[Rows, ...]:
    """The title on each screen, with as many lines as fit; on a single row everything after the other."""
    head = title.center(style.columns) if centred else title
    if style.rows == 1:
        return ((head,), *((line,) for line in lines))
    room = style.rows - 1
    return tuple((head, *lines[start : start + room]) for start in range(0, max(1, len(lines)), room))
