from __future__ import annotations

import pytest

from kegapps.bridge.mqtt_transit import Transit


@pytest.mark.parametrize("skew_s", [0.0, -1e9, 1e9, 3.7])
def test_what_a_letter_took_longer_than_the_quickest_is_its_age_whatever_the_clocks_say(
    skew_s: float,
) -> None:
    transit = Transit()
    assert transit.took_s("run", 100.0 + skew_s, 100.0) == 0.0
    assert transit.took_s("run", 101.0 + skew_s, 131.0) == pytest.approx(30.0)
    assert transit.took_s("run", 132.0 + skew_s, 132.0) == pytest.approx(0.0, abs=1e-6)


def test_a_clock_that_began_anew_says_nothing_of_the_one_before() -> None:
    transit = Transit()
    transit.took_s("run", 5000.0, 100.0)
    assert transit.took_s("next", 1.0, 101.0) == 0.0


def test_drifting_clocks_do_not_make_letters_older_and_older() -> None:
    transit = Transit()
    took_s = [transit.took_s("run", second * 0.9999, second) for second in range(0, 86_400, 10)]
    assert max(took_s) < 0.1
