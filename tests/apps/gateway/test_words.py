"""Which position a reading of the core means."""

from __future__ import annotations

import pytest

from kegapps.gateway.records import Meter
from kegapps.gateway.words import SPAN, placed, wire


def at(position: int, shift: int | None = 0) -> Meter:
    return Meter(
        meter="kb.flow0", device="kb", number=0, position=position, told=0, shift=shift, ml_per_tick=None,
        core_ml_per_tick=None,
    )  # fmt: skip


@pytest.mark.parametrize("shift", [0, 7, SPAN - 3])
@pytest.mark.parametrize("position", [0, 5, SPAN - 1, SPAN, SPAN + 5, 50_000_000_000])
@pytest.mark.parametrize("behind", [0, 1, 1000])
def test_a_reading_is_the_last_position_that_looks_like_it(position: int, shift: int, behind: int) -> None:
    meter = at(position, shift)
    if position >= behind:
        assert placed(meter, wire(meter, position - behind)) == position - behind


@pytest.mark.parametrize("position", [0, 5, SPAN + 5, 50_000_000_000])
@pytest.mark.parametrize("ahead", [1, 1000])
def test_a_reading_ahead_of_all_positions_is_none_of_them(position: int, ahead: int) -> None:
    meter = at(position)
    assert placed(meter, wire(meter, position + ahead)) is None


def test_before_the_two_met_no_reading_is_a_position() -> None:
    assert placed(at(5, None), 5) is None
