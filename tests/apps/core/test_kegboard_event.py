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
from tests.apps.server.emulators.replies import Reply, Request, reply, web_page


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


class Blind(Emulator):
    """It cannot be asked what it has, in one of the ways there are, and from now on no keg is on."""

    def __init__(self, events: Reply, drinks_of_today: Reply) -> None:
        super().__init__(allow_at_once=True)
        self.is_blind = False
        self._answers = {"/api/v1/events": events, "/api/drinks": drinks_of_today}

    def answer(self, request: Request) -> Reply:
        if self.is_blind and request.path in self._answers:
            return self._answers[request.path]
        return super().answer(request)


TAPPED = reply(
    {"objects": [{"id": str(n), "kind": "keg_tapped"} for n in range(10)], "meta": {"result": "ok"}}
)


@pytest.mark.parametrize(
    ("events", "drinks_of_today", "state"),
    [
        (reply({}, 500), reply({"detail": "Not found."}, 404), "looking"),
        (TAPPED, reply({"detail": "Invalid API key."}, 401), "held"),
    ],
)
def test_a_drink_that_is_dropped_stays_in_the_outbox_if_the_server_cannot_be_asked_for_it(
    events: Reply, drinks_of_today: Reply, state: str, store: Path
) -> None:
    with Blind(events, drinks_of_today) as server, core_for(store, server, events="auto") as core:
        core.wait_for("kegboard is allowed there")
        app, keg_id = App(core.port), server.site.taps[0].keg_id
        server.is_blind, server.site.taps[0].keg_id = True, None
        pour(app)
        until(lambda: outbox(store)[0]["state"] == state, core)
        assert "the server" in outbox(store)[0]["reason"]
        server.is_blind, server.site.taps[0].keg_id = False, keg_id
        admin(store, "outbox", "retry", "--all", f"--kb_core_addr=localhost:{core.port}")
        core.wait_for("Drink 1 is on the Kegbot Server as 1")
    assert [drink.ticks for drink in drinks(server)] == [1000]


def test_while_the_server_cannot_be_asked_no_other_drink_goes_by_event(store: Path) -> None:
    with Blind(TAPPED, reply({}, 401)) as server, core_for(store, server, events="auto") as core:
        core.wait_for("kegboard is allowed there")
        server.is_blind = True
        app = App(core.port)
        pour(app)
        core.wait_for("Drink 1 is held: the server took it by kegboard-event")
        pour(app, 500)
        core.wait_for("Drink 2 is on the Kegbot Server as 2")
        assert [drink.pour_id is None for drink in drinks(server)] == [False, True]


class Unpairing(Emulator):
    """Its kegboard-event fails at everything."""

    def __init__(self, trouble: int | None) -> None:
        super().__init__()
        self.trouble = trouble

    def answer(self, request: Request) -> Reply:
        if request.path != "/api/kegboard-event" or b"events" not in request.body:
            return super().answer(request)
        if self.trouble is None:
            raise ConnectionError  # closed without an answer
        return web_page(self.trouble)


@pytest.mark.parametrize("trouble", [502, 503, 429, None])
def test_an_endpoint_that_fails_at_pairing_delays_no_drink_by_the_form_api(
    trouble: int | None, store: Path
) -> None:
    with Unpairing(trouble) as server, core_for(store, server, events="auto") as core:
        core.wait_for("kegboard-event fails, the older API is used meanwhile: ")
        app = App(core.port)
        for number in (1, 2, 3):
            pour(app)
            core.wait_for(f"Drink {number} is on the Kegbot Server as {number}")
        assert "drinks wait" not in core.output


def test_temperatures_of_a_time_when_the_server_was_away_are_told_with_their_time(
    store: Path, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    server = Emulator(allow_at_once=True, state=state).start()
    with core_for(store, server, events="auto") as core:
        core.wait_for("kegboard is allowed there")
        server.stop()
        app = App(core.port)
        pour(app)
        core.wait_for("drinks wait in the outbox")
        for minutes in (3, 2, 1):
            app.send(replace(temperature(float(minutes)), age_s=60.0 * minutes))
        with Emulator(port=server.port, state=state) as server:
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
