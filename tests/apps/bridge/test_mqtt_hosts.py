"""A board on one host, the core on another, and a cable between them that is cut during a pour."""

from __future__ import annotations

from pathlib import Path

from tests.apps.bridge.hosts import hosts, needs_namespaces
from tests.apps.bridge.mosquitto import needs_mosquitto, until


@needs_namespaces
@needs_mosquitto
def test_a_cable_that_is_cut_during_a_pour_costs_no_tick(tmp_path: Path) -> None:
    with hosts(tmp_path) as both:
        poured = both.board.begin("pour", "flow0", "1000", "--ticks_per_second=800")
        until(lambda: both.counted() > 100)
        both.cut()
        poured()
        both.mend()
        until(lambda: both.reading() == 1010)
        assert (both.counted(), both.dropped()) == (1000, 0)
