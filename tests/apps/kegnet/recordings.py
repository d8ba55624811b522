"""The 2012 core's sessions, as recorded: what the app said, and what the core told everybody.

Taps at 1000/2200 mL a tick with a relay each, a core that has just started, users known to the server. Times
are seconds since the session's first message. Of an owned flow's relay, the `enabled` of every second is left
out; `told` gives any core's events in the notation used here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kegapps.kegnet.events import (
    DrinkCreatedEvent,
    Event,
    FlowRequest,
    FlowRequestKind,
    FlowUpdate,
    MeterUpdate,
    SetRelayOutputEvent,
    TokenAuthEvent,
    TokenStatus,
)

TAP = "kegboard.flow0"
RELAY = "kegboard.relay0"
ML_PER_TICK = 1000 / 2200


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The app said `app`, in one go, at `at_s`; thereupon the core told `core`. An empty `app`: time passed."""

    at_s: float
    app: tuple[Event, ...] = ()
    core: tuple[str, ...]


def reading(ticks: int) -> MeterUpdate:
    return MeterUpdate(tap_name=TAP, reading=ticks)


def token(device: str, status: TokenStatus) -> TokenAuthEvent:
    return TokenAuthEvent(
        tap_name=TAP, auth_device_name=device, token_value="0000000000000001", status=status
    )


def request(what: FlowRequestKind) -> FlowRequest:
    return FlowRequest(tap_name=TAP, request=what)


ONEWIRE = (
    Step(
        at_s=0.0,
        app=(
            token("core.onewire", "added"),
            token("core.onewire", "removed"),
            token("core.onewire", "added"),
            reading(0),
            reading(250),
            reading(500),
        ),
        core=(
            "flow 0 initial alice 0", "relay enabled",
            "relay disabled", "flow 0 completed alice 0",
            "flow 1 initial alice 0", "relay enabled",
            "flow 1 active alice 250", "flow 1 active alice 500",
        ),
    ),
    Step(at_s=0.068, app=(reading(750),), core=("flow 1 active alice 750",)),
    Step(at_s=0.287, app=(reading(1000),), core=("flow 1 active alice 1000",)),
    Step(
        at_s=0.454,
        app=(token("core.onewire", "removed"),),
        core=("relay disabled", "flow 1 completed alice 1000", "drink of flow 1 for alice"),
    ),
)  # fmt: skip

RFID = (
    Step(
        at_s=0.0,
        app=(
            token("core.rfid", "added"), token("core.rfid", "removed"), token("core.rfid", "added"),
            reading(0), reading(250), reading(500),
        ),
        core=(
            "flow 0 initial alice 0", "relay enabled", "flow 0 initial alice 0",
            "flow 0 active alice 250", "flow 0 active alice 500",
        ),
    ),
    Step(at_s=0.068, app=(reading(750),), core=("flow 0 active alice 750",)),
    Step(at_s=0.287, app=(reading(1000),), core=("flow 0 active alice 1000",)),
    Step(at_s=0.454, app=(token("core.rfid", "removed"),), core=()),
    Step(
        at_s=20.8,
        core=(
            "flow 0 idle alice 1000", "relay disabled", "flow 0 completed alice 1000",
            "drink of flow 0 for alice",
        ),
    ),
)  # fmt: skip

ANONYMOUS = (
    Step(
        at_s=0.0,
        app=(reading(0), reading(250), reading(500)),
        core=("flow 0 initial nobody 0", "flow 0 active nobody 250", "flow 0 active nobody 500"),
    ),
    Step(at_s=0.068, app=(reading(750),), core=("flow 0 active nobody 750",)),
    Step(at_s=0.287, app=(reading(1000),), core=("flow 0 active nobody 1000",)),
    Step(
        at_s=10.8,
        core=(
            "flow 0 idle nobody 1000", "relay disabled", "flow 0 completed nobody 1000",
            "drink of flow 0 for guest",
        ),
    ),
)  # fmt: skip

EXPLICIT = (
    Step(
        at_s=0.0,
        app=(request("start_flow"), reading(0), reading(250), reading(500)),
        core=("flow 0 initial nobody 0", "flow 0 active nobody 250", "flow 0 active nobody 500"),
    ),
    Step(at_s=0.068, app=(reading(750),), core=("flow 0 active nobody 750",)),
    Step(at_s=0.287, app=(reading(1000),), core=("flow 0 active nobody 1000",)),
    Step(
        at_s=0.454,
        app=(request("stop_flow"),),
        core=("relay disabled", "flow 0 completed nobody 1000", "drink of flow 0 for guest"),
    ),
)

SESSIONS = {"onewire": ONEWIRE, "rfid": RFID, "anonymous": ANONYMOUS, "explicit": EXPLICIT}


def told(events: Iterable[Event]) -> list[str]:
    """What a core told, in the notation above: flows numbered in their order, ids, times and volumes left out."""
    flows: dict[int, int] = {}
    lines = []
    for event in events:
        if isinstance(event, FlowUpdate):
            number = flows.setdefault(event.flow_id, len(flows))
            lines.append(f"flow {number} {event.state} {event.username or 'nobody'} {event.ticks}")
        elif isinstance(event, SetRelayOutputEvent):
            lines.append(f"relay {event.output_mode}")
        elif isinstance(event, DrinkCreatedEvent):
            number = flows.setdefault(event.flow_id, len(flows))
            lines.append(f"drink of flow {number} for {event.username}")
    return lines
