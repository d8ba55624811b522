"""A status report as people read it. Pure text from data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .lean import Any


def table(report: Mapping[str, Any], *, usage: Mapping[int, str] | None = None) -> str:
    """The report as a table, preceded by a line on the master; `usage` adds a column, pid to text."""
    master = report["master"]
    head = f"master: {master['state']}"
    if master["pid"]:
        head += f", process {master['pid']}"
    head += f", configuration {master['config']}"
    if master.get("config_changed"):
        head += ", changed since it was read: master.py reload"
    titles = [
        "APP",
        "STATE",
        "PID",
        "UPTIME",
        "RESTARTS",
        *(["USAGE"] if usage is not None else []),
        "REASON",
    ]
    rows = [titles]
    for app in report["apps"]:
        row = [
            app["name"],
            app["state"],
            str(app["pid"] or "-"),
            duration(app["uptime_s"]),
            str(app["restarts"]),
        ]
        if usage is not None:
            row.append(usage.get(app["pid"], "-"))
        rows.append([*row, _reason(app)])
    return "\n".join([head, *_align(rows)] if report["apps"] else [head])


def duration(seconds: float | None) -> str:
    """Seconds as `12 s`, `3 min 5 s`, `4 h 2 min`, `9 d 1 h`; `-` for None."""
    if seconds is None:
        return "-"
    whole = int(seconds)
    for size, unit, small, small_unit in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // small} {small_unit}"
    return f"{whole} s"


def _reason(app: Mapping[str, Any]) -> str:
    if app["next_try_s"] is None:
        return str(app["reason"])
    return f"{app['reason']}; next try in {app['next_try_s']:.1f} s"


def _align(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
