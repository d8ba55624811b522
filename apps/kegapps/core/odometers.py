"""The last reading of every meter, and an account of all its ticks: counted, too few for a drink, dropped.

Knows readings, peers and time. Must not know flows, tokens, events or the store.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from kegapps.core.effects import Effect, Keep, Say
from kegapps.core.meters import MAX_READING, Step, believable_ml, step
from kegapps.core.model import Meter, Now, Tap
from kegapps.core.rules import Rules

BOOT_MARGIN_S: Final = 2.0
CLOCK_ERROR: Final = 0.02
"""A board booted after a reading only if that is later by more than this, and this part of its uptime."""


class Odometers:
    """All meters that were ever heard."""

    def __init__(self, rules: Rules, meters: Iterable[Meter]) -> None:
        self._rules = rules
        self._meters = {meter.name: meter for meter in meters}
        self._told_by: dict[str, str] = {}  # the last peer, in this run

    @property
    def meters(self) -> Mapping[str, Meter]:
        """All meters by name."""
        return self._meters

    def counted_ticks(self, name: str) -> int:
        """All ticks ever counted on this meter."""
        return self._meters[name].counted_ticks if name in self._meters else 0

    def read(
        self,
        tap: Tap,
        reading: int,
        *,
        gap_s: float = 0.0,
        board_uptime_s: float = 0.0,
        at: Now,
        now: Now,
        peer: str,
    ) -> Iterator[Effect]:
        """Take the reading that `peer` made at the time `at`; `counted_ticks` tells what it added.

        For `gap_s` seconds since its reading before, the peer says, it could not hear the meter; by then the board
        was running for `board_uptime_s` seconds or less, if that is not 0. A board that booted after the last
        reading has begun at 0 again.
        Raises nothing; a reading out of 0..MAX_READING is refused with a line for the log.
        """
        name = tap.name
        if not 0 <= reading <= MAX_READING:
            yield Say(
                level=logging.WARNING,
                text=f"{name}: refused a reading of {reading} ticks: no meter shows that",
            )
            return
        meter = self._meters.get(name)
        booted = meter is not None and _booted_since(meter, at, board_uptime_s)
        if meter is not None and meter.last_reading == reading and not booted:
            return  # also what a client repeats when it has come back: the step from it is still to be judged
        limit_ml = self._believable_ml(name, gap_s=gap_s, at=at, now=now, peer=peer)
        self._told_by[name] = peer
        if meter is None:
            yield from self._keep(
                Meter(name=name, last_reading=reading, read_unix_s=at.unix_s, read_mono_s=at.mono_s)
            )
        else:
            # A daemon that knows of a boot says 0 and since when; a 0 without that is a counter read just as it wraps.
            last = 0 if booted or (reading == 0 and board_uptime_s > 0) else meter.last_reading
            counted = step(last, reading, max_ticks=limit_ml / tap.ml_per_tick)
            if counted.doubt:
                yield Say(level=logging.WARNING, text=_disbelief(meter, reading, counted, limit_ml))
            yield from self._keep(
                replace(
                    meter,
                    last_reading=reading,
                    read_unix_s=at.unix_s,
                    read_mono_s=at.mono_s,
                    counted_ticks=min(meter.counted_ticks + counted.ticks, MAX_READING),
                    dropped_ticks=min(meter.dropped_ticks + counted.dropped_ticks, MAX_READING),
                    dropped_steps=meter.dropped_steps + bool(counted.doubt),
                    dropped_reason=str(counted.doubt or meter.dropped_reason),
                )
            )

    def too_few(self, name: str, ticks: int) -> Iterator[Effect]:
        """A flow with so many ticks was too small to be a drink."""
        meter = self._meters.get(name)
        if meter is not None:
            yield from self._keep(replace(meter, small_ticks=meter.small_ticks + ticks))

    def _keep(self, meter: Meter) -> Iterator[Effect]:
        self._meters[meter.name] = meter
        yield Keep(record=meter)

    def _believable_ml(self, name: str, *, gap_s: float, at: Now, now: Now, peer: str) -> float:
        unheard_s: float | None = None
        was_queued = at.mono_s < now.mono_s
        if name in self._meters and (was_queued or self._told_by.get(name) != peer):
            unheard_s = at.mono_s - self._meters[name].read_mono_s
        if gap_s > 0:
            unheard_s = max(gap_s, unheard_s or 0.0)
        return believable_ml(
            unheard_s,
            max_step_ml=self._rules.max_step_ml,
            max_flow_ml_per_s=self._rules.max_flow_ml_per_s,
            max_catch_up_ml=self._rules.max_catch_up_ml,
        )


def _booted_since(meter: Meter, at: Now, board_uptime_s: float) -> bool:
    """Both clocks have to say so: the one may have been set, the other means little after a reboot."""
    if board_uptime_s <= 0:
        return False
    ago_s = board_uptime_s * (1 + CLOCK_ERROR) + BOOT_MARGIN_S
    return at.mono_s - ago_s > meter.read_mono_s and at.unix_s - ago_s > meter.read_unix_s


def _disbelief(meter: Meter, reading: int, counted: Step, limit_ml: float) -> str:
    return (
        f"{meter.name}: {counted.dropped_ticks} ticks not counted ({counted.doubt}: from "
        f"{meter.last_reading} to {reading}, at most {limit_ml:g} mL are believed; see --max_step_ml)"
    )
