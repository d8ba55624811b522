"""Kegnet as a person watches it: what happens, line by line; on a terminal each pour as one line that runs.

Knows the core's events and how a terminal's cursor moves. Must not know sockets or flags.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Final

from kegapps.kegnet.codec import encode
from kegapps.kegnet.events import DrinkCreatedEvent, Event, FlowUpdate, SetRelayOutputEvent
from kegapps.tools.admin_tables import GUEST, volume

MAX_FLOWS: Final = 64
"""Flows whose end never comes (another core took over) are forgotten beyond that many."""


class Lines:
    """Each event as a line, repetitions left out."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._flows: dict[int, FlowUpdate] = {}
        self._relays: dict[str, str] = {}

    def show(self, event: Event, at: datetime) -> None:
        """Show what `event` says if it is news."""
        match event:
            case FlowUpdate():
                self._show_flow(event, at)
            case SetRelayOutputEvent():
                if self._relays.get(event.output_name) != event.output_mode:
                    self._relays[event.output_name] = event.output_mode
                    self._say(at, f"{event.output_name} {event.output_mode}")
            case DrinkCreatedEvent():
                flow = self._flows.pop(event.flow_id, None)
                amount = f"{volume(flow.volume_ml)} " if flow else ""
                self._say(at, f"drink {event.drink_id}: {amount}from {event.tap_name} for {event.username}")

    def _show_flow(self, flow: FlowUpdate, at: datetime) -> None:
        news = self._flows.get(flow.flow_id) != flow
        self._flows[flow.flow_id] = flow
        if len(self._flows) > MAX_FLOWS:
            del self._flows[next(iter(self._flows))]
        if news:
            self._say_flow(flow, at)

    def _say_flow(self, flow: FlowUpdate, at: datetime) -> None:
        self._say(at, pour(flow))

    def _say(self, at: datetime, text: str) -> None:
        self._write(f"{at:%H:%M:%S} {text}\n")


class LiveLines(Lines):
    """The same on a terminal of `columns()` columns: the pours under way stay at the bottom and change in place."""

    def __init__(self, write: Callable[[str], None], columns: Callable[[], int]) -> None:
        super().__init__(write)
        self._columns = columns
        self._live: dict[int, str] = {}

    def _say_flow(self, flow: FlowUpdate, at: datetime) -> None:
        line = f"{at:%H:%M:%S} {pour(flow)}"
        if flow.state != "completed":
            before = len(self._live)
            self._live[flow.flow_id] = line
            if len(self._live) > MAX_FLOWS:
                del self._live[next(iter(self._live))]
            self._redraw(before)
            return
        before = len(self._live)
        self._live.pop(flow.flow_id, None)
        self._redraw(before, f"{line}\n")

    def _say(self, at: datetime, text: str) -> None:
        self._redraw(len(self._live), f"{at:%H:%M:%S} {text}\n")

    def _redraw(self, drawn: int, above: str = "") -> None:
        erase = f"\x1b[{drawn}F\x1b[J" if drawn else ""
        # A line that wraps would be two, and erasing would miss one.
        width = max(20, self._columns() - 1)
        self._write(erase + above + "".join(f"{line[:width]}\n" for line in self._live.values()))


class JsonLines(Lines):
    """Every event as one JSON object a line, nothing left out."""

    def show(self, event: Event, at: datetime) -> None:
        """Show `event` as it was on the wire, with the time it was heard."""
        self._write(
            json.dumps({"heard_time": at.isoformat(timespec="milliseconds"), **json.loads(encode(event))})
            + "\n"
        )


def pour(flow: FlowUpdate) -> str:
    """One line about a flow."""
    words = {"initial": "begins", "active": "pouring", "idle": "idle", "completed": "ended"}
    what = words.get(flow.state, flow.state)
    return (
        f"{flow.tap_name} {what}: {volume(flow.volume_ml)} ({flow.ticks} ticks) by {flow.username or GUEST}"
    )
