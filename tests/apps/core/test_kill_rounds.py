"""A short sample of the kill -9 rounds; `python -m tests.apps.core.kill_rounds` runs more."""

from __future__ import annotations

from pathlib import Path

from tests.apps.core.kill_rounds import run


def test_kill_minus_9_at_any_instant_loses_and_doubles_no_tick(tmp_path: Path) -> None:
    counts = run(12, 20261121, tmp_path)
    assert counts["kills"] == 12
    assert counts["announced"] > 50
