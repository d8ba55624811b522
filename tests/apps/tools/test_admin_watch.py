"""What a person who watches sees: a line per event, and on a terminal a line per pour that runs."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime

from kegapps.kegnet.events import DrinkCreatedEvent, FlowUpdate, SetRelayOutputEvent
from kegapps.tools.admin_watch import MAX_FLOWS, JsonLines, Lines, LiveLines

AT = datetime(2026, 11, 21, 7, 12, 12, tzinfo=UTC)
FLOW = FlowUpdate(
    flow_id=1, tap_name="kegboard.flow0", state="initial", username=None, start_time=AT, last_activity_time=AT,
    ticks=0, volume_ml=0.0,
)  # fmt: skip
POUR = replace(FLOW, state="active", ticks=1000, volume_ml=454.5454)
OTHER = replace(POUR, flow_id=2, tap_name="kegboard.flow1", username="alice", ticks=500, volume_ml=227.27)
OVER = replace(POUR, state="completed")
DRINK = DrinkCreatedEvent(
    flow_id=1, drink_id=7, tap_name="kegboard.flow0", start_time=AT, end_time=AT, username="guest"
)
OPEN = SetRelayOutputEvent(output_name="kegboard.relay0", output_mode="enabled")
SHUT = SetRelayOutputEvent(output_name="kegboard.relay0", output_mode="disabled")


class Screen:
    """As much of a terminal as is needed to see what a person would see."""

    def __init__(self) -> None:
        self.lines: list[str] = [""]

    def write(self, text: str) -> None:
        for part in re.split(r"(\x1b\[\d*[FJ]|\n)", text):
            if part == "\n":
                self.lines.append("")
            elif up := re.fullmatch(r"\x1b\[(\d+)F", part):
                self.cut = len(self.lines) - 1 - int(up[1])
            elif part == "\x1b[J":
                assert self.cut >= 0, "the cursor went above the top"
                self.lines = [*self.lines[: self.cut], ""]
            else:
                self.lines[-1] += part


def test_each_event_is_a_line_and_repetitions_are_left_out() -> None:
    out: list[str] = []
    lines = Lines(out.append)
    for event in (FLOW, OPEN, OPEN, POUR, POUR, OPEN, SHUT, OVER, DRINK):
        lines.show(event, AT)
    assert out == [
        "07:12:12 kegboard.flow0 begins: 0.0 mL (0 ticks) by (guest)\n",
        "07:12:12 kegboard.relay0 enabled\n",
        "07:12:12 kegboard.flow0 pouring: 454.5 mL (1000 ticks) by (guest)\n",
        "07:12:12 kegboard.relay0 disabled\n",
        "07:12:12 kegboard.flow0 ended: 454.5 mL (1000 ticks) by (guest)\n",
        "07:12:12 drink 7: 454.5 mL from kegboard.flow0 for guest\n",
    ]


def test_a_drink_whose_flow_was_not_seen_is_shown_without_its_volume() -> None:
    out: list[str] = []
    Lines(out.append).show(DRINK, AT)
    assert out == ["07:12:12 drink 7: from kegboard.flow0 for guest\n"]


def test_on_a_terminal_each_pour_is_one_line_that_runs_below_what_has_happened() -> None:
    screen = Screen()
    lines = LiveLines(screen.write, lambda: 100)
    for event in (FLOW, replace(OTHER, state="initial"), replace(POUR, ticks=10), OTHER, OPEN, POUR):
        lines.show(event, AT)
    assert screen.lines == [
        "07:12:12 kegboard.relay0 enabled",
        "07:12:12 kegboard.flow0 pouring: 454.5 mL (1000 ticks) by (guest)",
        "07:12:12 kegboard.flow1 pouring: 227.3 mL (500 ticks) by alice",
        "",
    ]
    lines.show(replace(POUR, state="idle"), AT)
    lines.show(OVER, AT)
    lines.show(DRINK, AT)
    assert screen.lines == [
        "07:12:12 kegboard.relay0 enabled",
        "07:12:12 kegboard.flow0 ended: 454.5 mL (1000 ticks) by (guest)",
        "07:12:12 drink 7: 454.5 mL from kegboard.flow0 for guest",
        "07:12:12 kegboard.flow1 pouring: 227.3 mL (500 ticks) by alice",
        "",
    ]


def test_a_line_never_wraps_on_a_narrow_terminal() -> None:
    screen = Screen()
    lines = LiveLines(screen.write, lambda: 30)
    for ticks in range(5):
        lines.show(replace(POUR, ticks=ticks), AT)
    assert [len(line) for line in screen.lines] == [29, 0]


def test_json_shows_every_event_as_it_was_on_the_wire_with_the_time() -> None:
    out: list[str] = []
    lines = JsonLines(out.append)
    for event in (OPEN, OPEN, DRINK):
        lines.show(event, AT)
    seen = [json.loads(line) for line in out]
    assert [each["event"] for each in seen] == ["SetRelayOutputEvent"] * 2 + ["DrinkCreatedEvent"]
    assert seen[2]["data"]["drink_id"] == 7
    assert seen[2]["heard_time"].startswith("2026-11-21T07:12:12")


def test_flows_that_never_end_do_not_pile_up() -> None:
    screen = Screen()
    lines = LiveLines(screen.write, lambda: 100)
    for flow_id in range(3 * MAX_FLOWS):
        lines.show(replace(POUR, flow_id=flow_id), AT)
    assert len(screen.lines) <= MAX_FLOWS + 1
