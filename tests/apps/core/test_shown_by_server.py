"""What a display is told of a tap that a Kegbot Server has: the server's words, also while the server is away."""

from __future__ import annotations

from pathlib import Path

import pytest

from kegapps.kegnet.events import CoreStatus, Drinks, DrinksRequest, StatusRequest
from kegapps.kegnet.taproom import TapFacts, taproom
from tests.apps.core.bar import FLOW0
from tests.apps.core.customer import core_for, pour
from tests.apps.core.programs import App, furnish
from tests.apps.server.emulators import Emulator, Site, Tap

SENSOR = "cellar.thermo-cd08001234561028"


def told(app: App) -> TapFacts:
    """What the core tells of FLOW0 now."""
    before = len(app.heard)
    app.send(StatusRequest())
    app.listen_until(lambda: any(isinstance(event, CoreStatus) for event in app.heard[before:]))
    (report,) = (event.report for event in app.heard[before:] if isinstance(event, CoreStatus))
    tap = taproom(report).tap(FLOW0)
    assert tap is not None
    return tap


def beverages(app: App) -> list[str]:
    """Of the drinks that are stored."""
    app.send(DrinksRequest(after=0))
    app.listen_until(lambda: isinstance(app.heard[-1], Drinks))
    answer = app.heard[-1]
    assert isinstance(answer, Drinks)
    return [drink.beverage for drink in answer.drinks]


@pytest.mark.parametrize("generation", ["2012", "1.x", "today"])
def test_a_display_shows_the_servers_tap_and_goes_on_while_the_server_is_away(
    generation: str, tmp_path: Path
) -> None:
    store = tmp_path / "kegbot.sqlite"
    furnish(store)
    tap = Tap(
        id=1, name="Main Tap", meter_name=FLOW0, beverage="Füchschen Alt", keg_volume_ml=30_000.0, sensor_name=SENSOR
    )  # fmt: skip
    with Emulator(generation, site=Site(taps=[tap])) as server, core_for(store, server) as core:
        core.wait_for("taps: 1")
        app = App(core.port)
        assert (told(app).title, told(app).beverage) == ("Main Tap", "Füchschen Alt")
        assert (told(app).keg_volume_ml, told(app).keg_left_ml) == (30_000.0, 30_000.0)
        assert told(app).sensor_name == ("" if generation == "2012" else SENSOR)
        core.end()
    with core_for(store, server) as core:  # nobody listens there any more
        core.wait_for("drinks wait in the outbox")
        app = App(core.port)
        pour(app, 1100)
        assert told(app).beverage == "Füchschen Alt"
        assert told(app).keg_left_ml == pytest.approx(29_500.0)
        assert beverages(app) == ["Füchschen Alt"]
