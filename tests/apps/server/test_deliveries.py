"""Drinks delivered through servers that lose answers in every way: each is there once."""

from __future__ import annotations

import pytest

from tests.apps.server.deliveries import deliver
from tests.apps.server.emulators import Emulator, Fault, Faults, Site
from tests.apps.server.emulators.faults import USUAL

TICKS = [500, 500, 500, 501, 500, 500, 502, 500]
AT_ONCE = tuple(fault for fault in Fault if fault not in (Fault.HANG, Fault.LATE))


@pytest.mark.parametrize("generation", ["2012", "1.x", "today"])
@pytest.mark.parametrize("skew_s", [0.0, -400 * 86400.0])
def test_answers_lost_in_every_way_make_neither_double_nor_loss(generation: str, skew_s: float) -> None:
    script = (
        Fault.LOST, None, None, Fault.CUT, None, Fault.LOST_500, None, Fault.LOST_504, None, Fault.FAIL_500, None, None,
        Fault.CLOSE_UNREAD, None, None, Fault.PROXY_502, None, Fault.LOST, None,
    )  # fmt: skip
    with Emulator(generation, faults=Faults(script), site=Site(skew_s=skew_s)) as emulator:
        newest: str | None = None
        for ticks in TICKS:
            newest = deliver(emulator, ticks, newest)
        assert [drink.ticks for drink in emulator.memory.drinks] == TICKS
        assert newest == "8"


@pytest.mark.parametrize("generation", ["2012", "1.x", "today"])
@pytest.mark.parametrize("seed", range(5))
def test_faults_at_random_make_neither_double_nor_loss(generation: str, seed: int) -> None:
    faults = Faults(seed=seed, rate=0.7, kinds=AT_ONCE)
    with Emulator(generation, faults=faults) as emulator:
        newest: str | None = None
        for ticks in TICKS * 4:
            newest = deliver(emulator, ticks, newest)
        assert [drink.ticks for drink in emulator.memory.drinks] == TICKS * 4
        assert sum(emulator.memory.faults.values()) > 20


def test_a_server_that_hangs_now_and_then_as_well() -> None:
    with Emulator("today", faults=Faults(seed=5, rate=0.4, kinds=USUAL)) as emulator:
        newest: str | None = None
        for ticks in TICKS * 2:
            newest = deliver(emulator, ticks, newest, timeout_s=1.0)
        assert [drink.ticks for drink in emulator.memory.drinks] == TICKS * 2
        assert emulator.memory.faults["hang"] > 0
