"""The life of flows: how one starts, is taken over, counts ticks, falls idle and becomes a drink.

Knows open flows, taps and time. Must not know meters' odometers, tokens, the store or the wire's bytes.
Source: shared/kegnet-protocol.md, "Flows", "Relays" and "Drinks".
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from kegapps.core.effects import Announce, Effect, EndFlow, Keep, Say
from kegapps.core.model import Drink, Flow, Now, Tap
from kegapps.core.rules import Rules
from kegapps.core.valves import Valves
from kegapps.kegnet.events import DrinkCreatedEvent, FlowState, FlowUpdate

CLOCK_JUMP_S: Final = 2.0
"""If the wall clock moved that much more or less than the monotonic one, somebody has set it."""

RETURN_S: Final = 7.0
"""So long apps may take to come back to a restarted core: they try at least every 6 s, and 1 s to be heard."""

MAX_AGE_S: Final = 30 * 86400.0
"""No event is older: who says so has a broken clock."""

QUEUE_PAUSE_S: Final = 1.0
"""A queue that an app sends is over when nothing of it came for so long."""


class Flows:
    """At most one open flow per tap. Every method returns effects in the order they have to happen."""

    def __init__(
        self,
        rules: Rules,
        *,
        flows: Iterable[Flow],
        taps: Mapping[str, Tap],
        first_flow_id: int,
        now: Now,
        new_uuid: Callable[[], str],
    ) -> None:
        self._rules = rules
        self._new_uuid = new_uuid
        self._next_flow_id = first_flow_id
        self._taps: dict[str, Tap] = {}
        self._open = {flow.tap_name: flow for flow in flows}
        self._valves = Valves(rules, relay_name=lambda tap_name: self._taps[tap_name].relay_name)
        for flow in self._open.values():
            if flow.username:
                self._valves.own(flow.tap_name, now)
        # Until when idleness is not judged by the clock, by tap: ticks of before may still be told.
        self._held_until_mono_s = dict.fromkeys(self._open, now.mono_s + RETURN_S)
        self._know(taps)

    def use(self, taps: Mapping[str, Tap], now: Now) -> Iterator[Effect]:
        """Go by these taps from now on; a tap that is gone is kept until its flow is over, but its valve is closed."""
        before = self._taps
        self._know(taps)
        for tap_name in (flow.tap_name for flow in self._open.values() if flow.username):
            if tap_name in taps:
                yield from self._valves.connect(tap_name, before[tap_name].relay_name, now)
            else:
                yield from self._valves.disconnect(tap_name)

    def _know(self, taps: Mapping[str, Tap]) -> None:
        default = self._rules.default_ml_per_tick
        kept = {
            name: self._taps.get(name) or Tap(name=name, ml_per_tick=default)
            for name in self._open
            if name not in taps
        }
        self._taps = {**taps, **kept}

    def on(self, tap_name: str) -> Flow | None:
        """The open flow of this tap."""
        return self._open.get(tap_name)

    def open_flows(self) -> tuple[Flow, ...]:
        """All open flows."""
        return tuple(self._open.values())

    def when(self, tap_name: str, age_s: float, now: Now) -> Now:
        """When it happened that is told of this tap; if that was before now, more of that time may follow."""
        at = earlier(now, age_s)
        if at.mono_s < now.mono_s:
            self.expect_more(tap_name, now)
        return at

    def expect_more(self, tap_name: str, now: Now) -> None:
        """An app is telling of this tap's past: until its queue is over, a flow there is not ended by the clock."""
        self._held_until_mono_s[tap_name] = max(
            self._held_until_mono_s.get(tap_name, 0.0), now.mono_s + QUEUE_PAUSE_S
        )

    def request(self, tap_name: str, at: Now, now: Now) -> Iterator[Effect]:
        """Somebody asks for a flow: an open one keeps its owner and is told again, a new one has none."""
        yield from self._end_if_idle_by(tap_name, at, now)
        flow = self._open.get(tap_name)
        if flow is None:
            yield from self._start(tap_name, None, self._rules.idle_timeout_s, at)
        else:
            yield self._update(flow)

    def pour(self, tap_name: str, ticks: int, at: Now, now: Now) -> Iterator[Effect]:
        """Count `ticks` (more than 0) that were poured by `at`, in a new anonymous flow if none is open then."""
        yield from self._end_if_idle_by(tap_name, at, now)
        flow = self._open.get(tap_name)
        if flow is None:
            yield from self._start(tap_name, None, self._rules.idle_timeout_s, at)
            flow = self._open[tap_name]
        yield from self._change(_with_ticks(flow, ticks, at))

    def arrive(
        self, tap_name: str, username: str, idle_limit_s: float, at: Now, now: Now
    ) -> Iterator[Effect]:
        """A user who may pour has come to this tap at `at`; `now` starts the clock of the valve."""
        yield from self._end_if_idle_by(tap_name, at, now)
        flow = self._open.get(tap_name)
        if flow is not None and flow.username not in (None, username):
            yield from self.end(tap_name)
            flow = None
        if flow is None:
            yield from self._start(tap_name, username, idle_limit_s, at)
            # A token that waited longer than its flow may idle only says whose the queued ticks were.
            if now.mono_s - at.mono_s <= idle_limit_s:
                yield from self._valves.open(tap_name)
            self._valves.own(tap_name, now)
        elif flow.username is None:
            yield Say(level=logging.INFO, text=f"Flow {flow.flow_id} on {tap_name} is now {username}'s")
            self._valves.own(tap_name, now)
            yield from self._change(replace(flow, username=username, idle_limit_s=idle_limit_s))
            yield self._update(self._open[tap_name])
        else:
            yield from self._change(replace(flow, idle_limit_s=idle_limit_s))

    def end(self, tap_name: str, *, idle: bool = False) -> Iterator[Effect]:
        """Complete the open flow of this tap, if there is one."""
        flow = self._open.get(tap_name)
        if flow is None:
            return
        if idle:
            yield self._update(flow, "idle")
        yield from self._valves.close(tap_name)
        drink = self._drink(flow)
        del self._open[tap_name]
        yield EndFlow(flow=flow, drink=drink)
        yield self._update(flow, "completed")
        if drink is not None:
            yield Announce(event=self._drink_created(drink), drink_uuid=drink.uuid)
        yield Say(level=logging.INFO, text=self._obituary(flow, drink, idle=idle))

    def wake(self, now: Now) -> Iterator[Effect]:
        """End what has idled for more than its limit; keep the valves of owned flows open, but only so long."""
        for flow in self.open_flows():
            if _is_idle_by(flow, now) and not self._is_held(flow.tap_name, now):
                yield from self.end(flow.tap_name, idle=True)
        yield from self._valves.wake(
            now, may_feed=lambda tap_name: not _is_idle_by(self._open[tap_name], now)
        )

    def next_wake_mono_s(self) -> float | None:
        """When `wake` has something to do at the earliest; None while no flow is open."""
        due = [
            max(flow.last_mono_s + flow.idle_limit_s, self._held_until_mono_s.get(flow.tap_name, 0.0))
            for flow in self._open.values()
        ]
        for tap_name, feed_mono_s in self._valves.next_feeds():
            flow = self._open[tap_name]
            if feed_mono_s <= flow.last_mono_s + flow.idle_limit_s:
                due.append(feed_mono_s)
        return min(due, default=None)

    def close_valves(self) -> Iterator[Effect]:
        """`disabled` for every owned flow; the flows stay open."""
        yield from self._valves.close_all()

    def lose_boards(self, names: frozenset[str], now: Now) -> Iterator[Effect]:
        """These boards are lost, and no others: their valves are closed; those of boards that are back open again."""
        yield from self._valves.lose(
            names, now, may_feed=lambda tap_name: not _is_idle_by(self._open[tap_name], now)
        )

    def hold_valves(self, tap_names: frozenset[str], now: Now) -> Iterator[Effect]:
        """The owners of these taps, and of no others, may have gone: their valves are closed, their flows live on."""
        yield from self._valves.hold(
            tap_names, now, may_feed=lambda tap_name: not _is_idle_by(self._open[tap_name], now)
        )

    def _is_held(self, tap_name: str, now: Now) -> bool:
        return now.mono_s < self._held_until_mono_s.get(tap_name, 0.0)

    def _end_if_idle_by(self, tap_name: str, at: Now, now: Now) -> Iterator[Effect]:
        """The flow is over if it had idled too long when this happened, which the clock was not asked about yet."""
        flow = self._open.get(tap_name)
        was_queued = at.mono_s < now.mono_s
        # What is told live is not judged: it may have waited for a core that was stopped for a while.
        if flow is not None and _is_idle_by(flow, at) and (was_queued or self._is_held(tap_name, now)):
            yield from self.end(tap_name, idle=True)

    def _start(self, tap_name: str, username: str | None, idle_limit_s: float, at: Now) -> Iterator[Effect]:
        flow = Flow(
            uuid=self._new_uuid(),
            flow_id=self._next_flow_id,
            tap_name=tap_name,
            username=username,
            idle_limit_s=idle_limit_s,
            start_unix_s=at.unix_s,
            last_unix_s=at.unix_s,
            last_mono_s=at.mono_s,
        )
        self._next_flow_id += 1
        yield Say(
            level=logging.INFO, text=f"Flow {flow.flow_id} starts on {tap_name}: {username or 'anonymous'}"
        )
        yield from self._change(flow)

    def _change(self, flow: Flow) -> Iterator[Effect]:
        self._open[flow.tap_name] = flow
        yield Keep(record=flow)
        yield self._update(flow)

    def _update(self, flow: Flow, state: FlowState | None = None) -> Announce:
        return Announce(
            event=FlowUpdate(
                flow_id=flow.flow_id,
                tap_name=flow.tap_name,
                state=state or ("active" if flow.ticks else "initial"),
                username=flow.username,
                start_time=utc(flow.start_unix_s),
                last_activity_time=utc(flow.last_unix_s),
                ticks=flow.ticks,
                volume_ml=flow.ticks * self._taps[flow.tap_name].ml_per_tick,
            )
        )

    def _drink(self, flow: Flow) -> Drink | None:
        tap = self._taps[flow.tap_name]
        volume_ml = flow.ticks * tap.ml_per_tick
        if volume_ml <= self._rules.min_drink_ml:
            return None
        return Drink(
            uuid=flow.uuid,
            flow_id=flow.flow_id,
            tap_name=flow.tap_name,
            username=flow.username,
            ticks=flow.ticks,
            ml_per_tick=tap.ml_per_tick,
            volume_ml=volume_ml,
            start_unix_s=flow.start_unix_s,
            end_unix_s=flow.last_unix_s,
            keg_id=tap.keg_id,
            beverage=tap.beverage,
        )

    def _drink_created(self, drink: Drink) -> DrinkCreatedEvent:
        # The old cores sent the time of the drink, which is that of its last ticks, in both fields.
        return DrinkCreatedEvent(
            flow_id=drink.flow_id,
            drink_id=0,
            tap_name=drink.tap_name,
            start_time=utc(drink.end_unix_s),
            end_time=utc(drink.end_unix_s),
            username=drink.username or self._rules.guest_username,
        )

    def _obituary(self, flow: Flow, drink: Drink | None, *, idle: bool) -> str:
        text = (
            f"Flow {flow.flow_id} on {flow.tap_name} {'fell idle' if idle else 'ended'}: {flow.ticks} ticks"
        )
        if drink is None:
            return f"{text}, no more than {self._rules.min_drink_ml:g} mL and so no drink"
        return (
            f"{text}, a drink of {drink.volume_ml:.1f} mL for {drink.username or self._rules.guest_username}"
        )


def _is_idle_by(flow: Flow, at: Now) -> bool:
    return at.mono_s - flow.last_mono_s > flow.idle_limit_s


def _with_ticks(flow: Flow, ticks: int, at: Now) -> Flow:
    """The flow with `ticks` more, the last at `at`. If the clock was set meanwhile, its start moves along."""
    elapsed_s = at.mono_s - flow.last_mono_s
    if elapsed_s <= 0:  # an old reading that was queued
        return replace(flow, ticks=flow.ticks + ticks)
    jump_s = at.unix_s - flow.last_unix_s - elapsed_s
    return replace(
        flow,
        ticks=flow.ticks + ticks,
        start_unix_s=flow.start_unix_s + (jump_s if abs(jump_s) > CLOCK_JUMP_S else 0.0),
        last_unix_s=at.unix_s,
        last_mono_s=at.mono_s,
    )


def resumed_mono_s(*, last_unix_s: float, last_mono_s: float, same_boot: bool, now: Now) -> float:
    """Monotonic time of the last ticks that an earlier core heard of.

    Within one boot the stored monotonic time still holds, whatever happened to the wall clock. After a reboot only
    the wall clock can tell; if it stands before those ticks, they are taken for just now.
    """
    if same_boot and last_mono_s <= now.mono_s:
        return last_mono_s
    return now.mono_s - max(0.0, now.unix_s - last_unix_s)


def utc(unix_s: float) -> datetime:
    """An aware datetime; Unix seconds that no calendar has are moved to its nearest end."""
    return datetime.fromtimestamp(min(max(unix_s, 0.0), 253_402_300_799.0), UTC)


def earlier(now: Now, age_s: float) -> Now:
    """The instant `age_s` seconds before `now`; an age that no queue has (negative, not a number) is 0."""
    age_s = min(age_s, MAX_AGE_S) if age_s > 0 else 0.0
    return Now(mono_s=now.mono_s - age_s, unix_s=now.unix_s - age_s)
