"""Every program of the shipped sample runs under the master as it stands, devices or not, and takes little."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.tap_room import LIMIT_MB, TapRoom


@pytest.mark.timeout(180)
def test_every_program_of_the_sample_runs_or_says_what_it_waits_for_in_little_memory(tmp_path: Path) -> None:
    room = TapRoom(tmp_path)
    try:
        room.master("start", expect=None)
        rows = room.settled()
        assert {row.name for row in rows} == set(room.names)
        assert [row for row in rows if row.rss_mb >= LIMIT_MB] == []
        room.master("stop")
    finally:
        room.close()
