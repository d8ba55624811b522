"""A few rounds of `kill_rounds`, which can run for hours."""

from __future__ import annotations

from pathlib import Path

from tests.apps.publish import kill_rounds


def test_a_publisher_that_is_killed_at_random_announces_every_drink_once_and_in_order(tmp_path: Path) -> None:
    assert kill_rounds.run(4, 1, tmp_path)["announced"] >= 4
