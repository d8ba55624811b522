"""A short storm; `python -m tests.master.storm` makes a long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import storm


@pytest.mark.timeout(240)
@pytest.mark.parametrize("seed", [1, 2])
def test_after_any_fault_each_app_is_there_exactly_once(tmp_path: Path, seed: int) -> None:
    violations, _ = storm.run(tmp_path, faults=40, seed=seed, apps=8)
    assert violations == []
