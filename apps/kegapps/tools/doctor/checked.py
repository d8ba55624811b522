"""What a core, whatever it is, or a store, whoever wrote into it, says of itself: taken only in the right types.

Knows the keys that the doctor looks at (core/report.py). Must not know what they mean. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

MAX_ROWS: Final = 1000

_TAP: Final[Mapping[str, tuple[type, ...]]] = {
    "ml_per_tick": (int, float),
    "source": (str,),
    "last_reading": (int,),
    "read_unix_s": (int, float),
    "counted_ticks": (int,),
}
_BOARD: Final[Mapping[str, tuple[type, ...]]] = {
    "state": (str,),
    "detail": (str,),
    "firmware_version": (int,),
    "serial_number": (str,),
    "device": (str,),
    "uptime_s": (int, float),
    "heard_age_s": (int, float),
}
_STORE: Final[Mapping[str, tuple[type, ...]]] = {"path": (str,), "trouble": (str,), "schema_version": (int,)}
_SERVER: Final[Mapping[str, tuple[type, ...]]] = {"state": (str,), "reason": (str,)}
_OUTBOX: Final[Mapping[str, tuple[type, ...]]] = {
    "waiting": (int,), "held": (int,), "dead": (int,), "oldest_unix_s": (int, float),
}  # fmt: skip


def report(said: Mapping[str, Any]) -> dict[str, Any] | None:
    """A core's report, without what is of a wrong type; None if it is no report at all."""
    taps, boards, store = said.get("taps"), said.get("boards"), said.get("store")
    if not isinstance(taps, list) or not isinstance(boards, list) or not isinstance(store, dict):
        return None
    found = _fields(said, {"version": (str,), "pid": (int,)})
    return {
        "version": found["version"] or "unknown",
        "pid": found["pid"] or 0,
        "taps": rows(taps),
        "boards": [
            {"board_name": board["board_name"], **_fields(board, _BOARD)}
            for board in boards[:MAX_ROWS]
            if isinstance(board, dict) and isinstance(board.get("board_name"), str)
        ],
        "store": _fields(store, _STORE),
        "server": _part(said.get("server"), _SERVER),
        "outbox": _part(said.get("outbox"), _OUTBOX),
    }


def rows(taps: Sequence[Any]) -> list[dict[str, Any]]:
    """Taps, as a report or a store has them."""
    return [
        {"name": tap["name"], **_fields(tap, _TAP)}
        for tap in taps[:MAX_ROWS]
        if isinstance(tap, dict) and isinstance(tap.get("name"), str)
    ]


def _part(said: object, wanted: Mapping[str, tuple[type, ...]]) -> dict[str, Any] | None:
    return _fields(said, wanted) if isinstance(said, dict) else None


def _fields(said: Mapping[str, Any], wanted: Mapping[str, tuple[type, ...]]) -> dict[str, Any]:
    """Each wanted field, None if it is missing or of another type (True is no number here)."""
    found = {name: said.get(name) for name in wanted}
    return {
        name: value if type(value) in wanted[name] and _finite(value) else None
        for name, value in found.items()
    }


def _finite(value: object) -> bool:
    return not isinstance(value, int | float) or (math.isfinite(value) and abs(value) < 2**63)
