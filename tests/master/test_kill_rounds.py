"""A few of the rounds of `python -m tests.master.kill_rounds`."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import kill_rounds


@pytest.mark.timeout(240)
@pytest.mark.parametrize("victim", kill_rounds.VICTIMS)
def test_no_app_notices_the_end_of_its_masters(tmp_path: Path, victim: str) -> None:
    told = kill_rounds.run(tmp_path, rounds=10, seed=1, only=victim, pause_s=0.2)
    assert told.violations == []
    assert told.rounds[victim] == 10
