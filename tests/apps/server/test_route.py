"""Which pours may go as events; every doubt goes by the form API, which says when it does not take a drink."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kegapps.server.form_api import ServerTap
from kegapps.server.route import Way, route
from tests.apps.server.support import pour

TAP = ServerTap(id="1", name="", meter_name="kegboard.flow0", ml_per_tick=0.5, relay_name="", keg_id="1")
RIGHT: dict[str, Any] = {"kegboard_event": True, "paired": True, "taps": (TAP,), "taps_age_s": 1.0}


def test_a_guests_pour_on_a_bound_meter_with_a_keg_goes_as_an_event() -> None:
    assert route(pour(), **RIGHT).way is Way.EVENT
    assert route(pour(username="alice"), **RIGHT, grant_id="g1").way is Way.EVENT


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"kegboard_event": False}, "no kegboard-event"),
        ({"paired": False}, "not paired"),
        ({"taps": ()}, "no tap of the server has this meter"),
        ({"taps": (replace(TAP, meter_name="kegboard.flow1"),)}, "no tap of the server has this meter"),
        ({"taps": (replace(TAP, ml_per_tick=0.0),)}, "no tap of the server has this meter"),
        ({"taps": (replace(TAP, keg_id=None),)}, "no keg"),
        ({"taps_age_s": 11.0}, "not read just now"),
        ({"taps_age_s": -1.0}, "not read just now"),
        ({"posted_by_form": True}, "may have it already"),
    ],
)
def test_what_would_be_dropped_in_silence_goes_by_the_form_api(given: dict[str, Any], says: str) -> None:
    found = route(pour(), **(RIGHT | given))
    assert found.way is Way.FORM
    assert says in found.reason


@pytest.mark.parametrize("before", ["posted_by_form", "sent_as_event"])
def test_a_pour_changes_its_way_to_the_form_api_only_after_a_look(before: str) -> None:
    assert route(pour(), **(RIGHT | {before: True, "paired": False})).look_first
    assert not route(pour(), **(RIGHT | {"paired": False})).look_first
    assert route(pour(), **RIGHT, sent_as_event=True).way is Way.EVENT  # the server knows its pour_id


def test_a_users_pour_without_the_servers_grant_goes_by_the_form_api() -> None:
    assert "guest" in route(pour(username="alice"), **RIGHT).reason


def test_a_meter_the_protocol_cannot_name_goes_by_the_form_api() -> None:
    tap = replace(TAP, meter_name="pi.gpio4")
    assert "no meter number" in route(pour(meter_name="pi.gpio4"), **(RIGHT | {"taps": (tap,)})).reason
