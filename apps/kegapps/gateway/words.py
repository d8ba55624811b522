"""The gateway's words to the core, and what it reads of the core's account of its taps.

Knows kegnet's events. Must not know the store, sockets or clocks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kegapps.gateway.records import Meter
from kegapps.gateway.taps import Key
from kegapps.kegnet.events import FlowRequest, FlowRequestKind, TokenAuthEvent, TokenStatus

SPAN: Final = 2**32
"""A reading has 32 bits; a position has no end."""


def read_report(report: Mapping[str, Any]) -> tuple[dict[str, int | None], dict[str, str], dict[str, float]]:
    """Of each tap of the core: its last reading, its relay, its calibration; whatever the report holds."""
    readings: dict[str, int | None] = {}
    relays: dict[str, str] = {}
    calibrations: dict[str, float] = {}
    rows = report.get("taps")
    for row in rows if isinstance(rows, list) else ():
        name = row.get("name") if isinstance(row, dict) else None
        if not isinstance(name, str):
            continue
        reading, relay, ml_per_tick = row.get("last_reading"), row.get("relay_name"), row.get("ml_per_tick")
        readings[name] = reading if type(reading) is int else None
        relays[name] = relay if isinstance(relay, str) else ""
        if type(ml_per_tick) in (int, float) and 0 < ml_per_tick < 1e6:
            calibrations[name] = float(ml_per_tick)
    return readings, relays, calibrations


def wire(meter: Meter, position: int) -> int:
    """What the core is told of this position."""
    return (position + (meter.shift or 0)) % SPAN


def placed(meter: Meter, reading: int) -> int | None:
    """The position that the core means by this reading; None: it was never told of one such.

    Of all positions that look alike modulo 2^32 it is the last one that the meter has reached.
    """
    if meter.shift is None:
        return None
    behind = (meter.position + meter.shift - reading) % SPAN
    # One that is ahead of all that we know of looks as if it were very far behind.
    return meter.position - behind if behind <= min(meter.position, SPAN // 2) else None


def rounded(seconds: float) -> float:
    """Milliseconds are enough."""
    return round(seconds, 3)


def token(meter: str, key: Key, status: TokenStatus, age_s: float = 0.0) -> TokenAuthEvent:
    """A token was put on, or taken from, the reader of this meter, so long ago."""
    return TokenAuthEvent(
        tap_name=meter, auth_device_name=key[0], token_value=key[1], status=status, age_s=rounded(age_s)
    )


def request(meter: str, request: FlowRequestKind, age_s: float = 0.0) -> FlowRequest:
    """A flow of this meter is wanted, or over, since so long ago."""
    return FlowRequest(tap_name=meter, request=request, age_s=rounded(age_s))
