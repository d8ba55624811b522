"""Which of the server's taps are believed, and what has happened to them since the last time.

Knows the server's taps and ours. Must not know the store, sockets, or how a drink is sent.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from kegapps.core.effects import Say
from kegapps.core.ledger_rules import TAP_NAME
from kegapps.server.form_api import ServerTap

ABSURD: Final = 10.0
"""A calibration this many times larger or smaller than the usual one is a slip of the decimal point."""


def believed(
    taps: Iterable[ServerTap], *, usual_ml_per_tick: float
) -> tuple[tuple[ServerTap, ...], tuple[Say, ...]]:
    """The taps to go by, in the order of their meters, and a line about each that is not believed.

    A tap without a meter is normal, and left out without a word.
    """
    good: dict[str, ServerTap] = {}
    says: list[Say] = []
    for tap in taps:
        if not tap.has_meter and not tap.fault:
            continue
        reason = ""
        if tap.fault:
            reason = f"{tap.fault}; mend it on the server"
        elif not TAP_NAME.fullmatch(tap.meter_name):
            reason = "that is no name of a meter"
        elif not usual_ml_per_tick / ABSURD <= tap.ml_per_tick <= usual_ml_per_tick * ABSURD:
            reason = (
                f"{tap.ml_per_tick:.4g} mL per tick is more than {ABSURD:g} times off the usual "
                f"{usual_ml_per_tick:.4g} (--default_ml_per_tick); mend it on the server"
            )
        elif tap.meter_name in good:
            reason = "another tap of the server has that meter already"
        if reason:
            text = f"Tap {tap.name[:64]!r} of the Kegbot Server, meter {tap.meter_name[:64]!r}, is not used: {reason}"
            says.append(Say(level=logging.WARNING, text=text))
        else:
            good[tap.meter_name] = _shown(tap)
    return tuple(good[name] for name in sorted(good)), tuple(says)


def _shown(tap: ServerTap) -> ServerTap:
    """Without a sensor that no board can have, and without what was left in a keg that is gone."""
    on = tap.on if TAP_NAME.fullmatch(tap.on.sensor_name) else replace(tap.on, sensor_name="")
    if tap.keg_id is None:
        on = replace(on, beverage="", keg_volume_ml=None, keg_left_ml=None)
    return replace(tap, on=on)


def ready_meters(taps: Iterable[ServerTap], before: Sequence[ServerTap]) -> frozenset[str]:
    """The meters whose drinks the server may take now, and did not take by the taps of `before`: a keg was put on."""
    known = {(tap.meter_name, tap.keg_id) for tap in before}
    return frozenset(
        tap.meter_name
        for tap in taps
        if tap.has_meter and tap.keg_id and (tap.meter_name, tap.keg_id) not in known
    )
