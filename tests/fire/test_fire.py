"""A short fire; `python -m tests.fire --minutes=2` makes a long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fire.fire import Course, run


@pytest.mark.timeout(240)
def test_whatever_is_killed_unplugged_or_full_every_tick_is_in_exactly_one_place(tmp_path: Path) -> None:
    books, fire = run(tmp_path, Course(seconds=7, seed=20261121, every_s=0.5, full_disk_s=2, server="form"))
    assert books.differences == []
    assert len(fire.done) >= 6
    assert books.drinks > 10
    assert books.deliveries is not None
    assert books.deliveries.recorded == books.drinks
