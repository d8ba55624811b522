from __future__ import annotations

import itertools

import pytest

from kegapps.gateway.telling import MAX_GAP_S, MAX_ML, STEP_ML, began_before_end_s, parts


@pytest.mark.parametrize("ticks", [1, 2, 7, 1000, 3070, 100_000, 1_000_000])
@pytest.mark.parametrize("duration_s", [0.0, 0.4, 9.0, 70.0, 4000.0])
@pytest.mark.parametrize("ml_per_tick", [0.185, 1000 / 2200, 5.4])
def test_a_pour_is_told_in_steps_that_the_core_believes_and_that_end_with_all_of_it(
    ticks: int, duration_s: float, ml_per_tick: float
) -> None:
    told = parts(ticks, duration_s, ml_per_tick=ml_per_tick)
    assert (told[-1].ticks, told[-1].before_end_s) == (ticks, 0.0)
    steps = [b.ticks - a for a, b in zip([0, *(part.ticks for part in told)], told, strict=False)]
    assert min(steps) > 0
    if ticks * ml_per_tick <= MAX_ML:
        assert max(steps) * ml_per_tick <= max(STEP_ML + ml_per_tick, ml_per_tick)
    gaps = [a.before_end_s - b.before_end_s for a, b in itertools.pairwise(told)]
    assert all(0 <= gap <= MAX_GAP_S + 1e-6 for gap in gaps)
    assert told[0].before_end_s <= began_before_end_s(told, duration_s) <= duration_s + 1e-6


def test_a_glass_is_spread_over_the_time_that_it_took() -> None:
    told = parts(3070, 8.0, ml_per_tick=0.185)
    assert [part.ticks for part in told] == [767, 1535, 2302, 3070]
    assert [part.before_end_s for part in told] == [6.0, 4.0, 2.0, 0.0]
    assert began_before_end_s(told, 8.0) == 8.0
