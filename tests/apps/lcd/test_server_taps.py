"""Beside a core of 2012 the display asks a Kegbot Server what is on tap; each generation, and each in trouble."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from kegapps.daemon.loop import Loop
from kegapps.kegnet.taproom import TapFacts
from kegapps.lcd.server_taps import ServerTaps
from kegapps.server.url import parse_api_url
from tests.apps.kegnet.support import Clock, turn_until
from tests.apps.lcd.test_daemon import TAPS, Bar, flow
from tests.apps.server.emulators import Emulator, Fault, Faults, Site
from tests.apps.server.emulators.serving import GENERATIONS
from tests.apps.server.emulators.site import Tap


def site() -> Site:
    left = Tap(id=1, name="Left", meter_name="kegboard.flow0", beverage="Stout", keg_volume_ml=50_000.0)
    return Site(taps=[left, Tap(id=2, name="Old", meter_name=None)])


@contextlib.contextmanager
def bar_with(emulator: Emulator, key: str | None = None) -> Iterator[Bar]:
    url = parse_api_url(emulator.url)
    bar = Bar(
        lambda loop, on_taps, on_status: ServerTaps(loop, url, key, every_s=60.0, on_taps=on_taps, on_status=on_status)
    )  # fmt: skip
    try:
        yield bar
    finally:
        bar.close()


@pytest.mark.parametrize("generation", GENERATIONS)
def test_beverage_and_what_is_left_come_from_the_server(generation: str) -> None:
    with Emulator(generation, site=site()) as emulator, bar_with(emulator) as bar:
        bar.until(lambda: "1 tap" in bar.display.shown[-1])
        assert f"reading the Kegbot Server at {emulator.url}" in bar.daemon.status
        bar.later(5.0)
        bar.until_shown("Left", "Stout", "100.0% full")
        bar.say(flow())
        bar.until_shown("Left", "user: alice", "15.37 oz", "Stout")


def test_what_the_core_reports_goes_before_what_the_server_says() -> None:
    with Emulator(site=site()) as emulator, bar_with(emulator) as bar:
        bar.report(TAPS)
        bar.until(lambda: "reading" in bar.daemon.status)
        bar.later(5.0)
        bar.until_shown("Left", "Pale Ale")


def test_it_is_asked_again_after_a_while_and_after_a_drink() -> None:
    taps: list[tuple[TapFacts, ...]] = []
    clock = Clock()
    loop = Loop(clock)
    with Emulator(site=site()) as emulator:
        asking = ServerTaps(
            loop, parse_api_url(emulator.url), None, every_s=60.0, on_taps=taps.append, on_status=lambda: None
        )  # fmt: skip
        turn_until(loop, lambda: len(taps) == 1)
        clock.ahead_s += 60.0
        turn_until(loop, lambda: len(taps) == 2)
        clock.ahead_s += 60.0
        turn_until(loop, lambda: len(taps) == 3)
        asking.ask()
        asking.ask()
        turn_until(loop, lambda: len(taps) == 4)
        asking.close()
        assert len(emulator.requests) == 4
    loop.close()


def test_a_server_that_is_away_or_refuses_is_said_to_be_and_changes_nothing() -> None:
    emulator = Emulator(site=site())
    with emulator, bar_with(emulator) as bar:
        bar.until(lambda: "1 tap" in bar.display.shown[-1])
        emulator.site.private = True
        bar.later(60.0)
        bar.until(lambda: "it wants a right key" in bar.daemon.status)
        emulator.stop()
        bar.later(60.0)
        bar.until(lambda: "efused" in bar.daemon.status)
        assert "1 tap" in bar.display.shown[-1] or "Left" in bar.display.shown[-1]


def test_a_server_that_hangs_holds_up_no_pour() -> None:
    faults = Faults(seed=1, rate=1.0, kinds=(Fault.HANG,))
    with Emulator(site=site(), faults=faults) as emulator, bar_with(emulator) as bar:
        bar.say(flow())
        bar.until_shown("kegboard.flow0", "user: alice", "15.37 oz", "")
