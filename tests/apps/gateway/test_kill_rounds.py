"""A short sample of the kill -9 rounds; `python -m tests.apps.gateway.kill_rounds` runs more."""

from __future__ import annotations

from pathlib import Path

from tests.apps.gateway.kill_rounds import run


def test_kill_minus_9_of_gateway_and_core_loses_and_doubles_no_tick(tmp_path: Path) -> None:
    counts = run(5, 20261121, tmp_path)
    assert counts["pours"] >= 10
    assert counts["pours"] <= counts["drinks"] <= counts["pours"] + 10, "a pour that was cut in two"
