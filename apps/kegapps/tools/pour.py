"""A pour made of events: what to say and when, and whether the core's answers show that it was understood.

Knows kegnet's events. Must not know sockets, flags or clocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

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

TOKEN_ANSWER_S: Final = 0.5
"""Seconds within which a core tells of the flow of a token that it accepts."""

SETTLE_S: Final = 0.05
"""Seconds in which the updates that belong together arrive."""


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
    """Say `event`, `wait_s` seconds after the line before.

    needs_flow  not before the core has told of an open flow: only then is known what was in it
    if_silent   only if the core has told of none until then
    """

    wait_s: float
    event: Event
    needs_flow: bool = False
    if_silent: bool = False


def plan(pour: Pour) -> list[Line]:
    """What to say: token on, off and on again, a reading of 0, a request for the flow, and then the steps.

    The answer to a request tells how many ticks a flow that was under way has already. An accepted token is answered
    as well; then nothing is asked for, because a core of 2012 would take the flow from the token's owner.
    """
    lines: list[Line] = []

    def say(event: Event, wait_s: float = 0.0, *, needs_flow: bool = False, if_silent: bool = False) -> None:
        lines.append(Line(wait_s=wait_s, event=event, needs_flow=needs_flow, if_silent=if_silent))

    if pour.token:
        statuses: Sequence[TokenStatus] = ("added", "removed", "added")
        for status in statuses:
            say(_token(pour, pour.token, status))
    # The reading first: of a meter that is near the end of its counter it counts some ticks, which are not ours.
    say(MeterUpdate(tap_name=pour.tap_name, reading=0))
    only_asked_if_silent = bool(pour.token) and not pour.explicit_start_stop
    say(
        _request(pour, "start_flow"),
        TOKEN_ANSWER_S if only_asked_if_silent else 0.0,
        if_silent=only_asked_if_silent,
    )
    for step in range(1, pour.steps + 1):
        reading = MeterUpdate(tap_name=pour.tap_name, reading=pour.ticks * step // pour.steps)
        say(reading, max(pour.step_wait_s, SETTLE_S) if step == 1 else pour.step_wait_s, needs_flow=True)
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
        self._pouring = False
        # Ticks that a flow has which are not ours. Every flow is told of first without ticks (`initial`), so only
        # one that was open before us has any.
        self._before: dict[int, int] = {}
        self._flows: dict[int, FlowUpdate] = {}
        self.drink: DrinkCreatedEvent | None = None

    def said(self, event: Event) -> None:
        """`event` was sent."""
        if isinstance(event, MeterUpdate) and event.reading > 0:
            self._pouring = True

    def heard(self, event: Event) -> bool:
        """True if `event` is about this pour."""
        if isinstance(event, FlowUpdate) and event.tap_name == self._pour.tap_name:
            if not self._pouring:
                self._before[event.flow_id] = event.ticks
            self._before.setdefault(event.flow_id, event.ticks)
            self._flows[event.flow_id] = event
            return True
        if isinstance(event, DrinkCreatedEvent) and event.flow_id in self._poured_flows():
            self.drink = event
            return True
        return False

    @property
    def flow_open(self) -> bool:
        """True if the core has told of a flow that is not over."""
        return any(flow.state != "completed" for flow in self._flows.values())

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
        """True once the core has counted every tick, and no other."""
        return self.ticks == self._pour.ticks

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
        if self._pour.explicit_start_stop and not self.completed:
            return "the flow was seen but has not ended, although it was asked to"
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
        if (more := self.ticks - self._pour.ticks) > 0:
            return (
                f"the core counted {more} ticks more than were poured here; "
                f"who else pours through {self._pour.tap_name}?"
            )
        step = -(-self._pour.ticks // self._pour.steps)
        return (
            f"the core counted {self.ticks} of {self._pour.ticks} ticks; "
            f"steps of {step} may be more than it believes at once (500 mL): try more --steps"
        )

    def _poured_flows(self) -> dict[int, FlowUpdate]:
        return {key: flow for key, flow in self._flows.items() if flow.ticks > self._before[key]}
