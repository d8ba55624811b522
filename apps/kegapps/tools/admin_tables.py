"""How rows of the store are shown: an aligned table for people, JSON for programs.

Knows columns, times and units. Must not know the store, flags or terminals.
"""

from __future__ import annotations

import dataclasses
import json
import re
import unicodedata
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from kegapps.daemon.labels import JOINERS, as_label
from kegapps.tools.export_formats import utc

GUEST: Final = "(guest)"
Column = tuple[str, Callable[[Any], str]]
"""Heading, and what it shows of a row; a heading that ends in a space is of a column of numbers."""


def clock(unix_s: float | None) -> str:
    """Local time as people read it."""
    return "-" if unix_s is None else datetime.fromtimestamp(unix_s).strftime("%Y-%m-%d %H:%M:%S")


def volume(ml: float) -> str:
    """Up to a litre in mL, above in L."""
    return f"{ml:.1f} mL" if ml < 1000 else f"{ml / 1000:.2f} L"


COLUMNS: Final[dict[str, Sequence[Column]]] = {
    "taps": (
        ("TAP", lambda r: r.name),
        ("ML/TICK ", lambda r: f"{r.ml_per_tick:.4g}"),
        ("RELAY", lambda r: r.relay_name or "-"),
        ("SOURCE", lambda r: r.source),
        ("SENSOR", lambda r: r.sensor_name or "-"),
        ("KEG", lambda r: r.beverage or "-"),
        ("LEFT ", lambda r: f"{r.keg_left_ml / r.keg_volume_ml:.0%}" if r.keg_volume_ml else "-"),
        ("LAST TICK", lambda r: clock(r.read_unix_s)),
        ("READING ", lambda r: "-" if r.last_reading is None else str(r.last_reading)),
        ("COUNTED ", lambda r: str(r.counted_ticks)),
        ("DROPPED ", lambda r: str(r.dropped_ticks)),
        ("WHY", lambda r: f"{r.dropped_reason} ({r.dropped_steps} times)" if r.dropped_steps else "-"),
        ("DESCRIPTION", lambda r: r.description or "-"),
    ),
    "drinks": (
        ("DRINK ", lambda r: str(r.id)),
        ("TIME", lambda r: clock(r.end_unix_s)),
        ("TAP", lambda r: r.tap_name),
        ("USER", lambda r: r.username or GUEST),
        ("TICKS ", lambda r: str(r.ticks)),
        ("VOLUME ", lambda r: volume(r.volume_ml)),
        ("TOOK ", lambda r: f"{r.end_unix_s - r.start_unix_s:.0f} s"),
        ("KEG", lambda r: r.beverage or "-"),
    ),
    "outbox": (
        ("DRINK ", lambda r: str(r.drink_id)),
        ("TIME", lambda r: clock(r.end_unix_s)),
        ("TAP", lambda r: r.tap_name),
        ("USER", lambda r: r.username or GUEST),
        ("VOLUME ", lambda r: volume(r.volume_ml)),
        ("STATE", lambda r: r.state + (f" as {r.server_drink_id}" if r.server_drink_id else "")),
        ("TRIES ", lambda r: str(r.attempts)),
        (
            "NEXT",
            lambda r: "-" if r.next_unix_s is None else "now" if not r.next_unix_s else clock(r.next_unix_s),
        ),
        ("REASON", lambda r: r.reason or "-"),
    ),
    "users": (
        ("USER", lambda r: r.username),
        ("MAY POUR", lambda r: "yes" if r.enabled else "no"),
        ("TOKENS ", lambda r: str(r.tokens)),
        ("LAST DRINK", lambda r: clock(r.last_drink_unix_s)),
        ("ADDED", lambda r: clock(r.added_unix_s)),
    ),
    "tokens": (
        ("DEVICE", lambda r: r.device),
        ("TOKEN", lambda r: r.token),
        ("USER", lambda r: r.username),
        ("ACCEPTED", lambda r: "yes" if r.enabled else "no"),
        ("ADDED", lambda r: clock(r.added_unix_s)),
    ),
    "kegs": (
        ("KEG ", lambda r: str(r.id)),
        ("TAP", lambda r: r.tap_name),
        ("BEVERAGE", lambda r: r.beverage),
        ("SIZE ", lambda r: volume(r.volume_ml)),
        ("SERVED ", lambda r: volume(r.served_ml)),
        ("LEFT ", lambda r: f"{max(0.0, 1 - r.served_ml / r.volume_ml):.0%}"),
        ("DRINKS ", lambda r: str(r.drinks)),
        ("TAPPED", lambda r: clock(r.tapped_unix_s)),
        ("ENDED", lambda r: clock(r.ended_unix_s)),
    ),
    "temperatures": (
        ("TIME", lambda r: clock(r.unix_s)),
        ("SENSOR", lambda r: r.sensor_name),
        ("TEMPERATURE ", lambda r: f"{r.celsius:.2f} °C"),
    ),
}


def table(noun: str, rows: Sequence[object], *, bold: bool) -> str:
    """The rows under their headings, columns aligned; `bold` headings are for a terminal."""
    columns = COLUMNS[noun]
    cells = [[_safe(show(row)) for _, show in columns] for row in rows]
    widths = [
        max(_width(text) for text in (heading.strip(), *(line[i] for line in cells)))
        for i, (heading, _) in enumerate(columns)
    ]
    lines = [[heading.strip() for heading, _ in columns], *cells]
    shown = [
        "  ".join(
            _padded(text, width, right=heading.endswith(" "))
            for text, width, (heading, _) in zip(line, widths, columns, strict=True)
        ).rstrip()
        for line in lines
    ]
    if bold:
        shown[0] = f"\x1b[1m{shown[0]}\x1b[0m"
    return "\n".join(shown)


def as_json(rows: Sequence[Any]) -> str:
    """A JSON array, one row a line; times in UTC as text."""
    lines = [json.dumps(plain(row), ensure_ascii=False) for row in rows]
    return "[\n" + ",\n".join(lines) + "\n]" if lines else "[]"


def parse_since(text: str, now_unix_s: float) -> float:
    """Unix seconds of `90m`, `12h`, `7d`, `2w` ago, or of `2026-11-20`, `2026-11-20T23:00` (local), `...Z`.

    Raises ValueError, its text for a person.
    """
    if ago := re.fullmatch(r"(\d{1,6})([smhdw])", text.strip()):
        unit = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}[ago[2]]
        return now_unix_s - timedelta(**{unit: int(ago[1])}).total_seconds()
    try:
        return datetime.fromisoformat(text.strip()).timestamp()
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text!r} is no time: expected 90m, 12h, 7d, 2w (ago), or 2026-11-20, or 2026-11-20T23:00"
        ) from None


def plain(row: Any) -> dict[str, Any]:
    """A row for programs: times in UTC as text."""
    fields = {}
    for name, value in dataclasses.asdict(row).items():
        if name.endswith("unix_s"):
            name = f"{name.removesuffix('unix_s')}time"
            value = None if value is None else utc(value)
        fields[name] = value
    return fields


def counted_noun(count: int, plural: str) -> str:
    """`count` and its noun, whose plural ends in s."""
    return f"{count} {plural.removesuffix('s') if count == 1 else plural}"


def _safe(text: str) -> str:
    """A cell must neither break its line nor drive the terminal, whatever somebody wrote into the file."""
    return as_label(text)


def _width(text: str) -> int:
    return sum(
        0 if unicodedata.combining(c) or c in JOINERS else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def _padded(text: str, width: int, *, right: bool) -> str:
    blank = " " * (width - _width(text))
    return blank + text if right else text + blank
