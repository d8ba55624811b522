"""Each URL that people configure, against each generation: what the probe says and which URL it finds."""

from __future__ import annotations

import time

import pytest

from kegapps.server import form_api
from kegapps.server.calls import Answer
from kegapps.server.probe import Finding, Probe, State
from kegapps.server.url import parse_api_url
from tests.apps.server.emulators import Emulator, Fault, Faults, Site
from tests.apps.server.emulators.site import STAFFLESS_KEY
from tests.apps.server.support import ask, closed_port, pour


def found(url: str, key: str | None) -> Finding:
    probe = Probe(parse_api_url(url), has_key=key is not None)
    asked = 0
    while probe.call is not None:
        asked += 1
        assert asked < 12
        (answer,) = ask(url, key, probe.call, timeout_s=5.0)
        probe.take(answer)
    assert probe.finding is not None
    assert probe.finding.reason.isprintable()
    return probe.finding


@pytest.mark.parametrize(
    ("generation", "path", "version", "kegboard_event"),
    [
        ("2012", "/api/", "", False),
        ("2012", "/api", "", False),
        ("1.x", "/api/", "1.3.0", False),
        ("1.x", "/api/v1/", "1.3.0", False),
        ("today", "/api/v1/", "1.3.0", True),
        ("today", "//api//v1", "1.3.0", True),
    ],
)
def test_a_right_url_and_key_are_well(generation: str, path: str, version: str, kegboard_event: bool) -> None:
    with Emulator(generation) as emulator:
        finding = found(emulator.origin + path, emulator.key)
    assert finding.state is State.WELL, finding.reason
    assert (finding.server_version, finding.kegboard_event) == (version, kegboard_event)
    assert [tap.meter_name for tap in finding.taps] == ["kegboard.flow0", "kegboard.flow1"]
    assert emulator.memory.devices == {}  # the probe itself is no device that wants to be paired


@pytest.mark.parametrize(
    ("generation", "path", "right", "says"),
    [
        ("today", "/api/", "/api/v1/", "newer API"),
        ("today", "/", "/api/v1/", "not the API"),
        ("today", "/api/v1/taps", "/api/v1/", "not the API"),
        ("today", "/api/v2/", "/api/v1/", "not the API"),
        ("1.x", "/", "/api/v1/", "not the API"),
        ("2012", "/api/v1/", "/api/", "not the API"),
        ("2012", "/", "/api/", "not the API"),
        ("2012", "/kegbot/", "/api/", "not the API"),
    ],
)
def test_a_wrong_url_is_answered_with_the_right_one(
    generation: str, path: str, right: str, says: str
) -> None:
    with Emulator(generation) as emulator:
        finding = found(emulator.origin + path, emulator.key)
        assert finding.state is State.WRONG_URL
        assert says in finding.reason
        assert finding.reason.endswith(f"set --api_url={emulator.origin}{right}")
        assert str(finding.right_url) == emulator.origin + right


@pytest.mark.parametrize("generation", ["2012", "1.x", "today"])
@pytest.mark.parametrize("private", [False, True], ids=["public", "private"])
@pytest.mark.parametrize(
    ("key", "says"),
    [(None, "none is configured"), ("wrong", "refuses the API key"), (STAFFLESS_KEY, "may not do")],
)
def test_a_missing_or_wrong_key_is_told_from_a_wrong_url(
    generation: str, private: bool, key: str | None, says: str
) -> None:
    with Emulator(generation, site=Site(private=private)) as emulator:
        finding = found(emulator.url, key)
    assert finding.state is State.WRONG_KEY
    assert says in finding.reason
    assert bool(finding.taps) is not private  # what a public site tells is of use all the same


def test_a_private_server_asked_at_its_newer_api_is_still_told_the_right_url() -> None:
    with Emulator("today", site=Site(private=True)) as emulator:
        assert str(found(f"{emulator.origin}/api/", emulator.key).right_url) == emulator.url


@pytest.mark.parametrize("generation", ["2012", "1.x", "today"])
def test_the_newest_drink_is_the_one_recorded_last_and_not_the_one_poured_last(generation: str) -> None:
    with Emulator(generation) as emulator:
        assert found(emulator.url, emulator.key).newest_drink_id is None
        now_unix_s = time.time()
        late = [
            form_api.post_drink(pour(ended_s_ago=3600.0 * hours), now_unix_s=now_unix_s)
            for hours in range(12)
        ]
        ask(emulator.url, emulator.key, *late)
        assert found(emulator.url, emulator.key).newest_drink_id == "12"


@pytest.mark.parametrize("private", [False, True])
@pytest.mark.parametrize("generation", ["2012", "1.x"])
def test_a_server_before_today_has_no_event_endpoint(generation: str, private: bool) -> None:
    with Emulator(generation, site=Site(private=private)) as emulator:
        assert not found(emulator.url, emulator.key).kegboard_event


@pytest.mark.parametrize("path", ["/api/", "/api/v1/"])
def test_a_site_that_is_not_set_up_is_said_to_be_so(path: str) -> None:
    with Emulator("today", site=Site(set_up=False)) as emulator:
        finding = found(emulator.origin + path, emulator.key)
    assert finding.state is State.NOT_SET_UP
    assert "in a browser" in finding.reason


@pytest.mark.parametrize("fault", [Fault.PROXY_502, Fault.PROXY_503, Fault.FAIL_500, Fault.LOST, Fault.CUT])
@pytest.mark.parametrize("healthy", [0, 1, 2])
def test_a_server_that_fails_on_the_way_is_away_and_nothing_is_called_wrong(
    fault: Fault, healthy: int
) -> None:
    with Emulator("2012", faults=Faults([*[None] * healthy, fault])) as emulator:
        finding = found(emulator.url, emulator.key)
    assert finding.state in (State.AWAY, State.WELL), finding.reason


def test_a_server_of_2012_that_fails_over_an_unknown_token_has_taken_the_key_all_the_same() -> None:
    with Emulator("2012", faults=Faults([None, None, Fault.FAIL_500])) as emulator:
        assert found(emulator.url, emulator.key).state is State.WELL


def test_a_server_that_is_not_there_is_away() -> None:
    with closed_port() as port:
        finding = found(f"http://localhost:{port}/api/v1/", "key")
    assert finding.state is State.AWAY
    assert f"nothing listens at localhost:{port}" in finding.reason


@pytest.mark.parametrize(
    ("location", "says"),
    [
        ("https://bar.example/api/v1/taps", "set --api_url=https://bar.example/api/v1/"),
        ("https://bar.example/api/v1/taps/", "set --api_url=https://bar.example/api/v1/"),
        ("/accounts/login/?next=/api/v1/taps", "check --api_url"),
        ("https://bar.example/login", "check --api_url"),
    ],
)
def test_a_redirect_is_not_followed_but_told(location: str, says: str) -> None:
    probe = Probe(parse_api_url("http://bar.example/api/v1/"), has_key=True)
    elsewhere = Answer(status=301, location=location, sent=True)
    while probe.call is not None:
        probe.take(elsewhere)
    assert probe.finding is not None
    assert probe.finding.state is State.WRONG_URL
    assert probe.finding.reason.endswith(says)
