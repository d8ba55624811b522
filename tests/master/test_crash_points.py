"""A sample of `python -m tests.master.crash_points`: the watchdog is killed at some of its system calls."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import crash_points, tracer


@pytest.mark.timeout(240)
@pytest.mark.skipif(not tracer.permitted(), reason="this kernel lets nobody trace a process")
@pytest.mark.parametrize("verb", crash_points.SCENARIOS)
def test_whatever_call_the_watchdog_is_killed_at_the_verb_ends_well(tmp_path: Path, verb: str) -> None:
    tallies = crash_points.sample(tmp_path, verb, 12)
    assert [failure for tally in tallies for failure in tally.failures] == []
    assert sum(tally.points for tally in tallies) > 0
