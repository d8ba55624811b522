"""Line 9 of the issue: no client can end the core, make it record something false, or slow another one down."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from kegapps.core.ledger import Ledger
from kegapps.core.model import Drink
from kegapps.core.pending import Changes
from kegapps.core.store import Store
from tests.apps.core.bar import FLOW0, reading, request
from tests.apps.core.hostile import OFFENCES, delays_ms, flooded, message, nuisances, offend
from tests.apps.core.programs import App, CoreProgram

LIMIT_MS = 100.0
ASKING = (message("Ping", drinks_after=0, limit=100) + message("Ping", want="status")) * 100
ATTEMPTS = 6


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "kegbot.sqlite"


def test_no_offence_ends_the_core_or_is_recorded_or_passed_on(store: Path) -> None:
    with CoreProgram(store) as core:
        app = App(core.port)
        app.send(reading(0), reading(300))
        app.listen_until(lambda: "FU active None 300" in app.lines())
        offend(core.port)
        app.send(reading(500), request("stop_flow"))
        app.listen_until(lambda: "drink guest" in app.lines())
        assert app.lines() == [
            "FU initial None 0", "FU active None 300", "FU active None 500", "FU completed None 500", "drink guest",
        ]  # fmt: skip
        core.wait_for("skipped a message")
        assert "Traceback" not in core.output
        assert core.end() == 0
    ledger = Ledger(str(store))
    assert [tap.name for tap in ledger.taps()] == [FLOW0]
    assert [(drink.ticks, drink.username) for drink in ledger.drinks(limit=9)] == [(500, None)]
    assert ledger.temperatures(limit=9) == []
    ledger.close()


def test_the_table_of_offences_is_complete() -> None:
    assert len(OFFENCES) >= 25


@pytest.mark.parametrize(
    "around",
    [nuisances, lambda port: flooded(port, *[ASKING] * 3)],
    ids=["200 that never read and three floods", "three that ask for everything without end"],
)
def test_a_well_behaved_client_next_to_others_that_are_not_waits_less_than_100_ms(
    around: Callable[[int], AbstractContextManager[None]], store: Path
) -> None:
    furnish_with_drinks(store)
    with CoreProgram(store) as core:
        app = App(core.port)
        app.send(reading(0))
        worst_ms = []
        with around(core.port):
            # On a machine that is busy with other tests a single delay may be its fault: one undisturbed try will do.
            for attempt in range(ATTEMPTS):
                worst_ms.append(max(delays_ms(app, 1 + 40 * attempt, 40)))
                if worst_ms[-1] < LIMIT_MS:
                    break
        assert min(worst_ms) < LIMIT_MS, worst_ms
        app.send(request("stop_flow"))
        app.listen_until(lambda: "drink guest" in app.lines())
        assert core.end() == 0
    ledger = Ledger(str(store))
    assert [drink.ticks for drink in ledger.drinks(limit=1)] == [40 * len(worst_ms)]
    ledger.close()


def furnish_with_drinks(path: Path) -> None:
    """More than two answers can hold."""
    drinks = [
        Drink(
            uuid=f"d-{number}", flow_id=number, tap_name=FLOW0, username="alice", ticks=1000, ml_per_tick=0.5,
            volume_ml=500.0, start_unix_s=1.0, end_unix_s=2.0,
        )
        for number in range(250)
    ]  # fmt: skip
    store = Store(str(path), boot_id="")
    store.commit(Changes(ended={drink.uuid: drink for drink in drinks}))
    store.close()
