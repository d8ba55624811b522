"""Where today's server has kegboard-event, what it can take goes that way: it knows a drink by its uuid."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.apps.core.bar import added, request, temperature
from tests.apps.core.customer import admin, core_for, disturb, drinks, outbox, pour, until
from tests.apps.core.programs import App, furnish
from tests.apps.server.emulators import Emulator, Fault


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "kegbot.sqlite"
    furnish(path)
    return path


@pytest.fixture
def server() -> Iterator[Emulator]:
    with Emulator(allow_at_once=True) as emulator:
        yield emulator


def test_a_guests_drink_goes_by_event_and_a_users_by_the_form_api(store: Path, server: Emulator) -> None:
    with core_for(store, server, events="auto") as core:
        core.wait_for("kegboard: this device waits to be allowed on the server")
        core.wait_for("kegboard is allowed there")
        app = App(core.port)
        pour(app)
        core.wait_for("Drink 1 is on the Kegbot Server as 1 (by kegboard-event)")
        app.send(added(("core.onewire", "0000000000000001")))
        pour(app, 500)
        core.wait_for("Drink 2 is on the Kegbot Server as 2")
        assert core.end() == 0
    guests, alices = drinks(server)
    assert (guests.pour_id, guests.ticks, guests.username) == (admin(store, "drinks")[1]["uuid"], 1000, None)
    assert (alices.pour_id, alices.ticks, alices.username) == (None, 500, "alice")
    with core_for(store, server, events="auto") as core:  # the board's token was kept
        core.wait_for("the API key is right")
        app = App(core.port)
        app.send(request("stop_flow"))
        app.__dict__["counter"] = [1500]
        pour(app, 300)
        core.wait_for("Drink 3 is on the Kegbot Server as 3 (by kegboard-event)")


@pytest.mark.parametrize("fault", [Fault.LOST, Fault.LOST_504, Fault.PROXY_502])
def test_an_event_whose_answer_is_lost_is_repeated_and_is_one_drink(
    fault: Fault, store: Path, server: Emulator
) -> None:
    with core_for(store, server, events="auto") as core:
        core.wait_for("kegboard is allowed there")
        app = App(core.port)
        disturb(server, core, fault)
        pour(app)
        core.wait_for("Drink 1 waits: ")
        admin(store, "outbox", "retry", "--all", f"--kb_core_addr=localhost:{core.port}")
        core.wait_for("Drink 1 is on the Kegbot Server as 1 (by kegboard-event)")
    assert [drink.ticks for drink in drinks(server)] == [1000]


def test_a_drink_that_the_endpoint_drops_without_a_word_is_not_lost(store: Path, server: Emulator) -> None:
    with core_for(store, server, events="auto") as core:
        core.wait_for("kegboard is allowed there")
        server.site.taps[0].keg_id = None  # since the taps were read
        pour(App(core.port))
        core.wait_for("Drink 1 was taken by kegboard-event and dropped")
        core.wait_for("Drink 1 is held: ")
    (row,) = outbox(store)
    assert (row["state"], drinks(server)) == ("held", [])


def test_temperatures_of_a_time_when_the_server_was_away_are_told_with_their_time(
    store: Path, server: Emulator
) -> None:
    with core_for(store, server, events="auto") as core:
        core.wait_for("kegboard is allowed there")
        disturb(server, core, Fault.PROXY_503)
        app = App(core.port)
        pour(app)
        core.wait_for("drinks wait in the outbox")
        for minutes in (3, 2, 1):
            app.send(replace(temperature(float(minutes)), age_s=60.0 * minutes))
        until(lambda: len(server.memory.temperatures) == 3, core)
    told = sorted((minute, celsius) for (_, minute), celsius in server.memory.temperatures.items())
    assert [celsius for _, celsius in told] == [3.0, 2.0, 1.0]
    assert told[-1][0] - told[0][0] == 2


def test_until_the_board_is_allowed_the_form_api_is_used(store: Path) -> None:
    with Emulator() as server, core_for(store, server, events="auto") as core:
        core.wait_for("in the dashboard under Kegboards; until then the older API is used")
        pour(App(core.port))
        core.wait_for("Drink 1 is on the Kegbot Server as 1")
        assert drinks(server)[0].pour_id is None


def test_a_board_that_is_denied_uses_the_form_api(store: Path) -> None:
    with Emulator() as server:
        server.events.deny("kegboard")
        with core_for(store, server, events="auto") as core:
            core.wait_for("was denied on the server")
            pour(App(core.port))
            core.wait_for("Drink 1 is on the Kegbot Server as 1")
