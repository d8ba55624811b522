"""A short storm over four boards, their daemon and their core; the long one is `python -m tests.apps.kegboard.storm`."""

from __future__ import annotations

from pathlib import Path

from tests.apps.kegboard.storm import run


def test_every_tick_that_was_told_in_a_storm_is_in_exactly_one_drink(tmp_path: Path) -> None:
    counts = run(4.0, 11, tmp_path)
    assert counts["ticks"] > 100
