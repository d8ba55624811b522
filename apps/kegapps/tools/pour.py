"""A pour made of events: what to say and when, and whether the core's answers show that it was understood.

Knows kegnet's events. Must not know sockets, flags or clocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kegapps.kegnet.events import (
    DrinkCreatedEvent,
    Event,
    FlowRequest,
    FlowRequestKind,
    FlowUpdate,
    MeterUpdate,
    TokenAuthEvent,
    TokenStatus,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pour:
    """`ticks` through the meter `tap_name` in `steps` about equal steps, `step_wait_s` seconds apart.

    `token` is (auth device, token value): its owner pours. With `explicit_start_stop` the flow is asked for
    and ended by requests.
    """

    tap_name: str
    ticks: int
    steps: int
    step_wait_s: float
    token: tuple[str, str] | None = None
    explicit_start_stop: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Say `event`, `wait_s` seconds after the line before."""

    wait_s: float
    event: Event


def plan(pour: Pour) -> list[Line]:
    """What to say, as the 2012 test flow did: a reading of 0 first, the token put on, taken off and put on again."""
    lines: list[Line] = []

    def say(event: Event, wait_s: float = 0.0) -> None:
        lines.append(Line(wait_s=wait_s, event=event))

    if pour.token:
        statuses: Sequence[TokenStatus] = ("added", "removed", "added")
        for status in statuses:
            say(_token(pour, pour.token, status))
    if pour.explicit_start_stop:
        say(_request(pour, "start_flow"))
    say(MeterUpdate(tap_name=pour.tap_name, reading=0))
    for step in range(1, pour.steps + 1):
        reading = MeterUpdate(tap_name=pour.tap_name, reading=pour.ticks * step // pour.steps)
        say(reading, pour.step_wait_s)
    if pour.explicit_start_stop:
        say(_request(pour, "stop_flow"), pour.step_wait_s)
    if pour.token:
        say(_token(pour, pour.token, "removed"), 0.0 if pour.explicit_start_stop else pour.step_wait_s)
    return lines


def _token(pour: Pour, token: tuple[str, str], status: TokenStatus) -> TokenAuthEvent:
    device, value = token
    return TokenAuthEvent(tap_name=pour.tap_name, auth_device_name=device, token_value=value, status=status)


def _request(pour: Pour, request: FlowRequestKind) -> FlowRequest:
    return FlowRequest(tap_name=pour.tap_name, request=request)


class Witness:
    """Compares what was said with what the core tells about the tap."""

    def __init__(self, pour: Pour) -> None:
        self._pour = pour
        self._sent = 0  # ticks
        self._before: dict[int, int] = {}  # ticks that a flow had before ours; it may have been under way
        self._flows: dict[int, FlowUpdate] = {}
        self.drink: DrinkCreatedEvent | None = None

    def said(self, event: Event) -> None:
        """`event` was sent."""
        if isinstance(event, MeterUpdate):
            self._sent = event.reading

    def heard(self, event: Event) -> bool:
        """True if `event` is about this pour."""
        if isinstance(event, FlowUpdate) and event.tap_name == self._pour.tap_name:
            if event.flow_id not in self._before:
                # Heard at once, so it holds what was sent until now, and what was there before.
                self._before[event.flow_id] = max(0, event.ticks - (self._sent - self.ticks))
            self._flows[event.flow_id] = event
            return True
        if isinstance(event, DrinkCreatedEvent) and event.flow_id in self._poured_flows():
            self.drink = event
            return True
        return False

    @property
    def ticks(self) -> int:
        """How many of the ticks the core has counted in flows."""
        return sum(flow.ticks - self._before[flow_id] for flow_id, flow in self._flows.items())

    @property
    def volume_ml(self) -> float:
        """The volume of those ticks, mL."""
        return sum(
            flow.volume_ml * (flow.ticks - self._before[flow_id]) / flow.ticks
            for flow_id, flow in self._poured_flows().items()
        )

    @property
    def seen(self) -> bool:
        """True once the core has counted every tick."""
        return self.ticks >= self._pour.ticks

    @property
    def completed(self) -> bool:
        """True once every flow that took ticks is over."""
        return self.seen and all(flow.state == "completed" for flow in self._poured_flows().values())

    @property
    def username(self) -> str | None:
        """Whose flow it was, None if nobody's."""
        return next((flow.username for flow in self._poured_flows().values() if flow.username), None)

    def missing(self, *, drink: bool) -> str:
        """Why this pour is not (yet) a success, for a person; empty if it is. `drink`: one was wanted, too."""
        if not self.seen:
            return self._missing_ticks()
        if not drink or self.drink:
            return ""
        if not self.completed:
            return "the flow was seen but has not ended, so there is no drink yet"
        return (
            f"the flow ended with {self.volume_ml:.1f} mL but no drink came of it; "
            "10 mL and less are not recorded"
        )

    def _missing_ticks(self) -> str:
        if not self._flows:
            return f"the core told nothing about a flow at {self._pour.tap_name}; does it know this meter?"
        step = -(-self._pour.ticks // self._pour.steps)
        return (
            f"the core counted {self.ticks} of {self._pour.ticks} ticks; "
            f"steps of {step} may be more than it believes (500 mL): try more --steps"
        )

    def _poured_flows(self) -> dict[int, FlowUpdate]:
        return {key: flow for key, flow in self._flows.items() if flow.ticks > self._before[key]}
