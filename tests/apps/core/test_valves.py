"""Valves: whatever happens, those are open that people who may pour have open, and no others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kegapps.core.model import Now, Tap, board_of
from kegapps.kegnet.events import ALL_TAPS, BoardStatus, SetRelayOutputEvent
from tests.apps.core.bar import (
    ALICE,
    ALICE_RFID,
    BOB,
    BOB_RFID,
    CAROL,
    FLOW0,
    FLOW1,
    TAPS,
    USERS,
    Bar,
    added,
    reading,
    removed,
    request,
)

WATCHDOG_S = 10.0
"""Without a command for so long a board closes a valve by itself."""


def taps(relay0: str = "kegboard.relay0") -> dict[str, Tap]:
    return {tap.name: tap for tap in (replace(TAPS[0], relay_name=relay0), TAPS[1])}


def test_a_flow_whose_tap_gets_another_relay_closes_the_old_one_and_goes_on_with_the_new() -> None:
    bar = Bar()
    bar.send(added(ALICE))
    assert bar.use(replace(bar.setup, taps=taps("kegboard.relay2"))) == ["relay0 disabled"]
    assert bar.wait(2.5) == ["relay2 enabled", "relay2 enabled"]
    assert bar.use(replace(bar.setup, taps=taps(""))) == ["relay2 disabled"]
    assert bar.wait(2.5) == []
    assert bar.use(bar.setup) == []
    assert bar.wait(1.25) == ["relay0 enabled"]
    assert bar.send(removed(ALICE)) == ["relay0 disabled", "FU completed alice 0"]


def test_the_valve_of_a_tap_that_is_removed_is_closed_at_once() -> None:
    bar = Bar()
    bar.send(added(ALICE), reading(0))
    assert bar.use(replace(bar.setup, taps={})) == ["relay0 disabled"]
    assert bar.use(replace(bar.setup, taps={})) == []
    assert bar.wait(2.5) == []
    assert bar.send(reading(50)) == ["relay0 disabled", "FU active alice 50"]  # it comes back without one
    assert bar.wait(2.5) == []


def test_other_edits_leave_valves_as_they_are() -> None:
    bar = Bar()
    bar.send(added(ALICE))
    calibrated = {name: replace(tap, ml_per_tick=1.0) for name, tap in bar.setup.taps.items()}
    assert bar.use(replace(bar.setup, taps=calibrated)) == []
    assert bar.wait(1.25) == ["relay0 enabled"]


# What may happen, as (what, arguments). Taps, tokens, boards and connections are few, so that they meet.
TAP = st.sampled_from([FLOW0, FLOW1])
TOKEN = st.sampled_from([ALICE, BOB, ALICE_RFID, BOB_RFID, CAROL, ("core.rfid", "0000")])
PEER = st.sampled_from(["daemon", "stranger", "pour"])
STATE = st.sampled_from(["online", "silent", "absent", "too_old", "refused"])
RELAY = st.sampled_from(["kegboard.relay0", "kegboard.relay2", "other.relay0", ""])
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("added"), TOKEN, st.one_of(TAP, st.just(ALL_TAPS)), st.sampled_from([0.0, 5.0, 60.0])
        ),
        st.tuples(st.just("removed"), TOKEN, st.one_of(TAP, st.just(ALL_TAPS))),
        st.tuples(st.just("request"), st.sampled_from(["start_flow", "stop_flow"]), TAP),
        st.tuples(st.just("pour"), TAP, PEER, st.sampled_from([0.0, 3.0, 30.0])),
        st.tuples(st.just("board"), st.sampled_from(["kegboard", "other"]), STATE, PEER),
        st.tuples(st.just("leave"), PEER),
        st.tuples(st.just("wait"), st.sampled_from([0.25, 1.5, 11.0, 25.0])),
        st.tuples(st.just("relay"), RELAY),
        st.tuples(st.just("remove taps")),
        st.tuples(st.just("disable"), st.sets(TOKEN)),
    ),
    max_size=30,
)


class Valves:
    """The relays as boards have them that obey every order, and close by themselves after `WATCHDOG_S`."""

    def __init__(self, bar: Bar) -> None:
        self._bar = bar
        self._seen = 0
        self._enabled_mono_s: dict[str, float] = {}

    def look(self) -> None:
        events = self._bar.events()
        for event in events[self._seen :]:
            if isinstance(event, SetRelayOutputEvent):
                self._enabled_mono_s.pop(event.output_name, None)
                if event.output_mode == "enabled":
                    self._enabled_mono_s[event.output_name] = self._bar.now.mono_s
        self._seen = len(events)

    @property
    def open(self) -> set[str]:
        now_s = self._bar.now.mono_s
        return {name for name, told_s in self._enabled_mono_s.items() if now_s - told_s < WATCHDOG_S}


@settings(max_examples=150, deadline=None)
@given(steps=STEPS)
def test_a_valve_is_open_only_for_the_owner_of_a_flow_on_a_board_that_is_not_lost(
    steps: list[tuple[Any, ...]],
) -> None:
    bar = Bar()
    valves, setup, ticks = Valves(bar), bar.setup, 0
    for step in steps:
        match step:
            case "added", who, tap, age_s:
                bar.send(added(who, tap=tap, age_s=age_s))
            case "removed", who, tap:
                bar.send(removed(who, tap=tap))
            case "request", kind, tap:
                bar.send(request(kind, tap=tap))
            case "pour", tap, peer, age_s:
                ticks += 40
                bar.send(reading(ticks, tap=tap, age_s=age_s), peer=peer)
            case "board", name, state, peer:
                bar.send(BoardStatus(board_name=name, state=state), peer=peer)
            case "leave", peer:
                bar.leave(peer)
            case "wait", seconds:
                for _ in range(int(seconds / 0.25)):
                    bar.wait(0.25)
                    valves.look()
            case "relay", relay_name:
                setup = replace(setup, taps=taps(relay_name))
                bar.use(setup)
            case ("remove taps",):
                setup = replace(setup, taps={})
                bar.use(setup)
            case "disable", tokens:
                users = {key: user for key, user in USERS.items() if key not in tokens}
                setup = replace(setup, users=users)
                bar.use(setup)
        valves.look()
        assert valves.open <= may_be_open(bar)
    # And of those, the valves of flows that have not idled for too long are open after the next repeat at the latest.
    for _ in range(5):
        bar.wait(0.25)
        valves.look()
    assert may_be_open(bar, fed_by=bar.now) <= valves.open <= may_be_open(bar)


def may_be_open(bar: Bar, *, fed_by: Now | None = None) -> set[str]:
    """The relays of owned flows on boards that are not lost; of flows that have to be fed at `fed_by`, if given."""
    relays = {tap.name: tap.relay_name for tap in bar.engine.taps}
    lost = bar.engine._boards.lost
    return {
        relay_name
        for flow in bar.engine.open_flows
        if flow.username
        and (relay_name := relays.get(flow.tap_name, ""))
        and board_of(relay_name) not in lost
        if fed_by is None or fed_by.mono_s - flow.last_mono_s <= flow.idle_limit_s
    }
