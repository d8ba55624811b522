"""A pour in words that the core takes for one drink: whose it is, when it began, its ticks, and its end.

Knows kegnet's events, the taps and legs. Must not know the store, the connection or clocks.
"""

from __future__ import annotations

from typing import Final

from kegapps.gateway.records import Leg, Meter
from kegapps.gateway.taps import BY_OTHERS, Key, Taps
from kegapps.gateway.telling import began_before_end_s, parts
from kegapps.gateway.words import request, rounded, token, wire
from kegapps.kegnet.events import Event, MeterUpdate

CLOCKS_DIFFER_S: Final = 2.0
"""By so much a pour's time may lie before that of the flow it is of: a board tells how long ago it was, roughly."""


class Narrator:
    """Of all meters. It remembers which pours it has begun and not ended."""

    def __init__(self, taps: Taps) -> None:
        self._taps = taps
        self._unfinished: dict[str, str] = {}  # by meter: the pour that the core's flow is of
        # Of these meters that is known; of others an earlier gateway may have begun one.
        self._is_sure: set[str] = set()

    def tell(self, meter: Meter, leg: Leg, *, told: int, age_s: float, ml_per_tick: float) -> list[Event]:
        """What is missing of a leg that ended `age_s` ago. The core was told up to `told`; `ml_per_tick` is its own."""
        pieces = parts(leg.end_ticks - leg.begin_ticks, leg.duration_s, ml_per_tick=ml_per_tick)
        events: list[Event] = []
        tap = self._taps.of(meter)
        key = (leg.auth_device, leg.token)
        is_live = (
            tap.holder is not None
            and leg.unix_s >= tap.flow_start_unix_s - CLOCKS_DIFFER_S
            and (not leg.token or key == tap.holder)
        )
        if told <= leg.begin_ticks and not is_live:
            events += self._begin(meter, leg, age_s + began_before_end_s(pieces, leg.duration_s))
        for piece in pieces:
            if leg.begin_ticks + piece.ticks > told:
                reading = wire(meter, leg.begin_ticks + piece.ticks)
                events.append(
                    MeterUpdate(
                        tap_name=meter.meter, reading=reading, age_s=rounded(age_s + piece.before_end_s)
                    )
                )
        if leg.last:
            events += self._end(meter, key if leg.token else None, age_s, is_live=is_live)
            self._unfinished.pop(meter.meter, None)
        else:
            self._unfinished[meter.meter] = leg.pour_id
        self._is_sure.add(meter.meter)
        return events

    def finish(self, meter: Meter, pour_id: str) -> list[Event]:
        """The end of a pour of which all ticks were told; nothing if the core's flow is not of that one."""
        if self._unfinished.get(meter.meter) != pour_id:
            return []
        del self._unfinished[meter.meter]
        return self._end(meter, None, 0.0, is_live=self._taps.of(meter).holder is not None)

    def _begin(self, meter: Meter, leg: Leg, age_s: float) -> list[Event]:
        """What goes before the ticks of a pour that is not of the flow that somebody has there just now."""
        events: list[Event] = []
        name, holder = meter.meter, self._taps.of(meter).holder
        if leg.first:
            if holder not in (None, BY_OTHERS):
                events.append(token(name, holder, "removed"))
            is_open = name not in self._is_sure or self._unfinished.get(name, leg.pour_id) != leg.pour_id
            if holder is not None or is_open:
                events.append(request(name, "stop_flow"))
        if leg.token:
            key = (leg.auth_device, leg.token)
            # It may be there for the core since an earlier time, and then would not begin anything.
            events += [token(name, key, "removed", age_s), token(name, key, "added", age_s)]
        elif leg.first:
            events.append(request(name, "start_flow", age_s))
        return events

    def _end(self, meter: Meter, key: Key | None, age_s: float, *, is_live: bool) -> list[Event]:
        """What goes behind the last ticks of a pour, so that the next one is another drink."""
        name, tap = meter.meter, self._taps.of(meter)
        holder = tap.holder
        if is_live and holder == BY_OTHERS:
            return []  # whose token is not ours to take away and put back: theirs is one drink until they are done
        gone = holder if is_live else key
        events: list[Event] = [token(name, gone, "removed", age_s)] if gone is not None else []
        events.append(request(name, "stop_flow", age_s))
        if holder not in (None, BY_OTHERS):
            tap.show(holder)
            events.append(token(name, holder, "added"))
        return events
