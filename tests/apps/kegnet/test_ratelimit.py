from __future__ import annotations

import math

from kegapps.kegnet.ratelimit import Allowance


def test_an_allowance_is_used_up_and_grows_again_up_to_its_most() -> None:
    allowance = Allowance(per_s=10, burst=100)
    assert allowance.take(100, now_s=5.0) == 0
    assert allowance.take(5, now_s=5.0) == 0.5
    assert allowance.take(5, now_s=6.0) == 0
    assert allowance.take(100, now_s=1e9) == 0
    assert allowance.take(1, now_s=1e9) == 0.1


def test_an_infinite_allowance_is_never_used_up() -> None:
    allowance = Allowance(per_s=math.inf, burst=1)
    assert allowance.take(1e9, now_s=0.0) == allowance.take(1e9, now_s=0.0) == 0
