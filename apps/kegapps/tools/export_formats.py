"""Rows as lines of CSV or JSON: times in UTC, units in the names of the columns.

Knows columns and formats. Must not know the store, flags or files.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

FORMULA_SIGNS: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
"""A cell of text that begins with one of these is a formula to a spreadsheet, and may run programs."""

Value = str | int | float | None
Columns = Sequence[tuple[str, Callable[[Any], Value]]]


def utc(unix_s: float) -> str:
    """ISO 8601 with milliseconds; Unix seconds that no calendar has are moved to its nearest end."""
    time = datetime.fromtimestamp(min(max(unix_s, 0.0), 253_402_300_799.0), UTC)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


COLUMNS: Final[dict[str, Columns]] = {
    "drinks": (
        ("drink_id", lambda r: r.id),
        ("uuid", lambda r: r.uuid),
        ("start_time_utc", lambda r: utc(r.start_unix_s)),
        ("end_time_utc", lambda r: utc(r.end_unix_s)),
        ("duration_s", lambda r: round(r.end_unix_s - r.start_unix_s, 3)),
        ("tap", lambda r: r.tap_name),
        ("username", lambda r: r.username),
        ("ticks", lambda r: r.ticks),
        ("ml_per_tick", lambda r: r.ml_per_tick),
        ("volume_ml", lambda r: r.volume_ml),
        ("keg_id", lambda r: r.keg_id),
        ("beverage", lambda r: r.beverage),
    ),
    "temperatures": (
        ("time_utc", lambda r: utc(r.unix_s)),
        ("sensor", lambda r: r.sensor_name),
        ("temperature_c", lambda r: r.celsius),
    ),
}


def csv_lines(noun: str, rows: Iterable[Any]) -> Iterator[str]:
    """A heading and a line for each row; nothing known is an empty cell. Safe to open with a spreadsheet.

    Text that a spreadsheet would take for a formula gets an apostrophe before it, as they themselves show text.
    """
    line = io.StringIO()
    writer = csv.writer(line, lineterminator="\n")

    def written(cells: Sequence[Value]) -> str:
        line.seek(0)
        line.truncate()
        writer.writerow(cells)
        return line.getvalue()

    yield written([name for name, _ in COLUMNS[noun]])
    for row in rows:
        yield written([_harmless(show(row)) for _, show in COLUMNS[noun]])


def json_lines(noun: str, rows: Iterable[Any]) -> Iterator[str]:
    """An object a line; nothing known is null, and text is as it is stored."""
    for row in rows:
        yield json.dumps({name: show(row) for name, show in COLUMNS[noun]}, ensure_ascii=False) + "\n"


FORMATS: Final = {"csv": csv_lines, "jsonl": json_lines}


def _harmless(value: Value) -> Value:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_SIGNS) else value
