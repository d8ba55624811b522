"""Kegnet as it is spoken on Redis since Kegbot's pycore 1.1: what we publish, and what of the rest we pass on.

Knows names and bounds of both dialects. Must not know sockets or clocks. Messages from Redis are anybody's: what only
the core may say is refused, and what only our own programs say is left out.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from kegapps.kegnet.codec import Rejected, decode, encode
from kegapps.kegnet.events import (
    APP_EVENTS,
    CORE_EVENTS,
    AppEvent,
    CoreEvent,
    FlowRequest,
    FlowUpdate,
    MeterUpdate,
    ThermoEvent,
    TokenAuthEvent,
)

DEFAULT_CHANNEL: Final = "kegnet"
# Said between pycore's own programs; nothing for a core.
_NOT_OURS: Final = ("ControllerConnectedEvent", "SyncEvent", "StartedEvent")


@dataclass(frozen=True, slots=True)
class Refused:
    """A message that is not passed on. `reason` is for a person; empty if there is nothing wrong with it.

    `is_the_cores`: only the core may say that.
    """

    reason: str = ""
    excerpt: str = ""
    is_the_cores: bool = False


def is_published(event: CoreEvent) -> bool:
    """True for what Redis gets to see: its dialect has no flow without a tick."""
    return not (isinstance(event, FlowUpdate) and event.state in ("initial", "close_wait"))


def payload(event: CoreEvent) -> bytes:
    """`event` as published: JSON in lines, with `meter_name` for `tap_name`."""
    message = json.loads(encode(event))
    data = {"meter_name" if name == "tap_name" else name: value for name, value in message["data"].items()}
    return json.dumps({"event": message["event"], "data": data}, indent=2).encode("ascii")


def read(text: bytes) -> AppEvent | Refused:
    """What one published message asks the core. Raises nothing, whatever the bytes.

    Our own additions (`age_s`, `gap_s`, `board_uptime_s`) are not believed: they make the core take a large step for
    beer, and nobody on Redis sends them.
    """
    event = decode(text)
    if isinstance(event, MeterUpdate):
        return MeterUpdate(tap_name=event.tap_name, reading=event.reading)
    if isinstance(event, FlowRequest):
        return FlowRequest(tap_name=event.tap_name, request=event.request)
    if isinstance(event, ThermoEvent):
        return ThermoEvent(sensor_name=event.sensor_name, sensor_value=event.sensor_value)
    if isinstance(event, TokenAuthEvent):
        return TokenAuthEvent(
            tap_name=event.tap_name, auth_device_name=event.auth_device_name, token_value=event.token_value,
            status=event.status,
        )  # fmt: skip
    assert not isinstance(event, APP_EVENTS)
    if isinstance(event, Rejected):
        if any(f"unknown event '{name}'" == event.reason for name in _NOT_OURS):
            return Refused()
        return Refused(event.reason, event.excerpt)
    if isinstance(event, CORE_EVENTS):
        return Refused(f"{type(event).__name__} is the core's own", is_the_cores=True)
    return Refused()
