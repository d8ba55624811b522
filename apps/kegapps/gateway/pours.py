"""What a pour that a board tells of becomes: ticks on its meter's odometer, and a leg that the core is to be told.

Knows pours, the store and the boards' calibrations. Must not know requests, sockets, or how the core is told.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from kegapps.gateway.batch import MAX_POUR_TICKS, Pour
from kegapps.gateway.records import Device, Leg, Meter, PourRow
from kegapps.gateway.store import Store
from kegapps.gateway.taps import BY_OTHERS
from kegapps.gateway.telling import DEFAULT_ML_PER_TICK, MAX_ML

CALIBRATION_TOLERANCE: Final = 0.01
"""By this share the board's and the core's mL per tick may differ before a person is told."""


class Unbelievable(Exception):  # noqa: N818 - it is a verdict, not an accident
    """The pour is not taken; `str(error)` says why, and what to do."""


class Pours:
    """Of all boards. Every method raises StoreError."""

    def __init__(
        self,
        store: Store,
        *,
        default_ml_per_tick: float,
        boot: str,
        say: Callable[[int, str], None],
        on_meter: Callable[[Meter], None],
        on_over: Callable[[Meter, str], None],
    ) -> None:
        """`boot` names the time for which the monotonic clock means something.

        `on_meter` is called with a meter that is new, `on_over` with a meter and a pour of which nothing is missing.
        """
        self._store = store
        self._default_ml_per_tick = default_ml_per_tick
        self._boot = boot
        self._say = say
        self._on_meter = on_meter
        self._on_over = on_over
        self._differing: dict[str, tuple[float, float]] = {}

    def meter(self, device: Device, number: int) -> Meter:
        """The meter of this number of the board, known from now on."""
        name = f"{device.board_name}.flow{number}"
        meter = self._store.meters().get(name)
        if meter is None or meter.device != device.device:
            before = meter or Meter(
                meter=name, device=device.device, number=number, position=0, told=0, shift=None,
                ml_per_tick=None, core_ml_per_tick=None,
            )  # fmt: skip
            meter = replace(before, device=device.device)
            self._store.keep_meter(meter)
            self._on_meter(meter)
        return meter

    def calibrate(self, device: Device, number: int, ml_per_tick: float | None) -> None:
        """The board said what a tick of this meter is; None: it did not."""
        meter = self.meter(device, number)
        if ml_per_tick is not None and meter.ml_per_tick != ml_per_tick:
            self._store.keep_meter(replace(meter, ml_per_tick=ml_per_tick))

    def take(self, device: Device, pour: Pour, *, mono_s: float, unix_s: float) -> Callable[[], None] | None:
        """Store what is new of a pour; `mono_s` and `unix_s` are the time of which it tells, by both clocks.

        Returns what is to be done when that is on the disk, None if a leg is to be told. Raises Unbelievable.
        """
        meter = self.meter(device, pour.meter_number)
        known = self._known(meter, pour.pour_id)
        if known.done:
            return _nothing
        ticks = self._ticks(pour, meter)
        if ticks is None or (not pour.final and ticks <= known.ticks):
            return _nothing
        if ticks < known.ticks:
            self._say(
                logging.WARNING,
                f"{meter.meter}: a pour ended with {ticks} ticks of which {known.ticks} were told; they stay counted",
            )
            ticks = known.ticks
        self._store.keep_pour(replace(known, ticks=ticks, done=pour.final))
        new = ticks - known.ticks
        if not new:
            return lambda: self._on_over(meter, known.pour_id)
        grant = self._store.grant(device.device, pour.grant_id) if pour.grant_id else None
        is_someones = grant is not None and (grant.auth_device, grant.token) != BY_OTHERS
        self._store.add_leg(
            Leg(
                id=0, meter=meter.meter, pour_id=known.pour_id, begin_ticks=meter.position,
                end_ticks=meter.position + new, first=not known.ticks, last=pour.final, unix_s=unix_s, mono_s=mono_s,
                boot=self._boot, duration_s=pour.duration_s * new / ticks,
                auth_device=grant.auth_device if grant and is_someones else "",
                token=grant.token if grant and is_someones else "",
            )
        )  # fmt: skip
        self._store.keep_meter(replace(meter, position=meter.position + new))
        return None

    def compare_calibrations(self) -> None:
        """Tell a person where the boards' calibrations and the core's differ, once for each difference."""
        for meter in self._store.meters().values():
            ours, cores = meter.ml_per_tick, meter.core_ml_per_tick
            if ours is None or cores is None or self._differing.get(meter.meter) == (ours, cores):
                continue
            if abs(ours - cores) > CALIBRATION_TOLERANCE * cores:
                self._differing[meter.meter] = ours, cores
                self._say(
                    logging.WARNING,
                    f"{meter.meter}: the board counts {ours:.4g} mL per tick, the core {cores:.4g}, which decides: "
                    f"kegbot_admin.py taps set {meter.meter} --ml_per_tick={ours:.6g}",
                )

    def _known(self, meter: Meter, pour_id: str) -> PourRow:
        """What was taken of this pour so far."""
        known = self._store.pour(pour_id)
        if known is not None and known.meter != meter.meter:
            # Ids are to be unique in the world. Where they are not, beer was poured all the same.
            own_id = f"{meter.meter}\n{pour_id}"  # which no board can send
            others, known = known.meter, self._store.pour(own_id)
            if known is None:
                text = (
                    f"{meter.meter}: a pour with the id of one of {others}, {pour_id}; counted as another one"
                )
                self._say(logging.WARNING, text)
            pour_id = own_id
        return known or PourRow(pour_id=pour_id, meter=meter.meter, ticks=0, done=False)

    def _ticks(self, pour: Pour, meter: Meter) -> int | None:
        """All ticks of the pour so far; None: that cannot be told before it is over. Raises Unbelievable."""
        ml_per_tick = pour.ml_per_tick or meter.ml_per_tick
        if pour.final and pour.ticks:
            ticks = pour.ticks
        elif not pour.final and ml_per_tick is None:
            return None
        else:
            ticks = round(pour.volume_ml / (ml_per_tick or self._default_ml_per_tick))
        if ticks > MAX_POUR_TICKS:
            raise Unbelievable(
                f"{pour.volume_ml:.0f} mL are {ticks} ticks by the board's {ml_per_tick or 0:.3g} mL per tick"
            )
        cores = meter.core_ml_per_tick or DEFAULT_ML_PER_TICK
        if ticks * cores > MAX_ML:
            raise Unbelievable(
                f"{ticks} ticks are {ticks * cores / 1000:.0f} L by the core's calibration: kegbot_admin.py taps set"
                f" {meter.meter} --ml_per_tick=..."
            )
        return ticks


def _nothing() -> None:
    return
