"""What is sent to the form API, byte for byte, and what is believed of its answers."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from kegapps.server import form_api
from kegapps.server.answers import AnswerError
from kegapps.server.form_api import ServerTap
from tests.apps.server.emulators import Emulator, Site, Tap, Token
from tests.apps.server.support import ask, pour

# Section 3's recording of a 2012 core, and its answer by the server of today.
RECORDED = b"pour_time=1795216333&ticks=1000&now=1795216343&tap_name=kegboard.flow0"
RECORDED_USER = b"username=alice&pour_time=1795216354&ticks=1000&now=1795216354&tap_name=kegboard.flow0"
SEEN_DRINK = (
    b'{"object": {"id": 1, "url": "/drinks/1/", "ticks": 1000, "volume_ml": 454.5454545454545, "session_id": 1, '
    b'"time": "2026-11-20T23:26:38.691920+00:00", "duration": 7, "keg_id": 1, "user_id": "guest"}, '
    b'"meta": {"result": "ok"}}'
)


def body_of(**given: Any) -> bytes:
    now_unix_s = given.pop("now_unix_s")
    sent = {name: given.pop(name) for name in ("with_user", "server_ml_per_tick") if name in given}
    call = form_api.post_drink(pour(now_unix_s=now_unix_s, **given), now_unix_s=now_unix_s, **sent)
    with Emulator() as emulator:
        ask(emulator.url, emulator.key, call)
        assert emulator.requests[0].path == "/api/v1/taps/kegboard.flow0"
        assert emulator.requests[0].headers["content-type"] == "application/x-www-form-urlencoded"
        assert emulator.requests[0].headers["x-kegbot-api-key"] == emulator.key
        return emulator.requests[0].body


def test_a_drink_is_posted_as_it_was_recorded() -> None:
    assert body_of(now_unix_s=1795216343.9, ended_s_ago=10.0) == RECORDED
    assert body_of(now_unix_s=1795216354.2, username="alice") == RECORDED_USER
    assert body_of(now_unix_s=1795216343.9, username="alice", ended_s_ago=10.0, with_user=False) == RECORDED


@pytest.mark.parametrize(("lasted_s", "tail"), [(0.4, b""), (6.8, b"&duration=7"), (-5.0, b"")])
def test_a_duration_is_sent_only_if_there_is_one(lasted_s: float, tail: bytes) -> None:
    assert body_of(now_unix_s=1795216343.0, ended_s_ago=10.0, lasted_s=lasted_s) == RECORDED + tail


@pytest.mark.parametrize(
    ("server_ml_per_tick", "tail"),
    [
        (None, b""),
        (0.0, b""),
        (1 / 2.2, b""),
        (0.45454545, b""),  # as some server rounds it
        (0.5, b"&volume_ml=454.5454545454545"),
    ],
)
def test_the_volume_is_sent_only_if_the_server_would_compute_another(
    server_ml_per_tick: float | None, tail: bytes
) -> None:
    sent = body_of(now_unix_s=1795216343.0, ended_s_ago=10.0, server_ml_per_tick=server_ml_per_tick)
    assert sent == RECORDED + tail


def test_a_clock_set_back_since_the_pour_does_not_date_it_into_the_future() -> None:
    call = form_api.post_drink(pour(now_unix_s=2000.0), now_unix_s=1000.0)
    assert dict(call.form)["pour_time"] == dict(call.form)["now"] == "1000"


@pytest.mark.parametrize("generation", ["2012", "1.x", "today"])
@pytest.mark.parametrize("skew_s", [-86400.0, 0.0, 1e6])
def test_a_late_drink_keeps_its_time_whatever_the_two_clocks_say(generation: str, skew_s: float) -> None:
    with Emulator(generation, site=Site(skew_s=skew_s)) as emulator:
        call = form_api.post_drink(pour(ended_s_ago=7200.0), now_unix_s=time.time())
        (answer,) = ask(emulator.url, emulator.key, call)
        drink = form_api.read_drink(answer.body)
        assert drink.time_unix_s == pytest.approx(emulator.now() - 7200, abs=3)


def test_the_drink_of_today_is_read() -> None:
    drink = form_api.read_drink(SEEN_DRINK)
    assert (drink.id, drink.ticks, drink.keg_id, drink.username) == ("1", 1000, "1", None)
    assert drink.time_unix_s == 1795217198.69192


@pytest.mark.parametrize(
    ("text", "unix_s"),
    [
        ("2012-03-04T05:06:07Z", 1330837567.0),
        ("2026-11-20T23:26:38.691920+00:00", 1795217198.69192),
        ("2026-11-20T18:26:38-0500", 1795217198.0),
        ("2009-10-03T17:13:16", None),  # of some time zone
    ],
)
def test_both_ways_to_write_a_time_are_read(text: str, unix_s: float | None) -> None:
    drink = json.dumps({"object": {"id": "9", "time": text}}).encode()
    assert form_api.read_drink(drink).time_unix_s == unix_s


@pytest.mark.parametrize("text", ["soon", "2026-13-01T00:00:00Z", "2026-02-31T00:00:00Z", 5, {}, True])
def test_what_is_no_time_is_none_and_the_drink_is_there_all_the_same(text: object) -> None:
    drink = form_api.read_drink(json.dumps({"object": {"id": "9", "time": text}}).encode())
    assert (drink.id, drink.time_unix_s) == ("9", None)


def test_a_tap_without_a_meter_is_read_and_never_divided_by() -> None:
    taps = [Tap(id=1, name="Main Tap", meter_name=None, keg_id=None)]
    with Emulator("today", site=Site(taps=taps)) as emulator:
        (answer,) = ask(emulator.url, emulator.key, form_api.get_taps())
    (tap,) = form_api.read_taps(answer.body)
    assert tap == ServerTap(
        id="1", name="Main Tap", meter_name="unknown.1", ml_per_tick=0.0, relay_name="", keg_id=None
    )
    assert not tap.has_meter


@pytest.mark.parametrize("generation", ["1.x", "today"])
def test_taps_and_status_tell_the_same_taps(generation: str) -> None:
    with Emulator(generation) as emulator:
        taps, status = ask(emulator.url, emulator.key, form_api.get_taps(), form_api.get_status())
    assert form_api.read_taps(taps.body) == form_api.read_taps(status.body)
    assert form_api.read_taps(taps.body)[0].relay_name == "kegboard.relay0"
    assert form_api.read_version(status.body) == "1.3.0"


TAP = {"id": 1, "name": "Main", "meter_name": "kegboard.flow0", "ml_per_tick": 0.5, "current_keg_id": 3}


@pytest.mark.parametrize(
    "broken", [{"meter_name": {}}, {"meter_name": "a\nb"}, {"ml_per_tick": "0,5"}, {"ml_per_tick": True},
               {"ml_per_tick": 1e300}, {"relay_name": []}], ids=str,
)  # fmt: skip
def test_a_tap_whose_meter_makes_no_sense_is_not_used_and_says_why(broken: dict[str, Any]) -> None:
    bad, good = form_api.read_taps(json.dumps({"objects": [TAP | broken, TAP]}).encode())
    assert not bad.has_meter
    assert next(iter(broken)) in bad.fault
    assert bad.fault.isprintable()
    assert good.has_meter
    assert bad.keg_id == (None if "meter_name" in broken else "3")


@pytest.mark.parametrize(
    ("odd", "name"),
    [
        ({"name": "Hell\u00a0Lager"}, "Hell Lager"),
        (
            {"name": "Pride \U0001f3f3\ufe0f\u200d\U0001f308 IPA"},
            "Pride \U0001f3f3\ufe0f\u200d\U0001f308 IPA",
        ),
        ({"name": "Pale\u202eelA"}, "Pale?elA"),
        ({"name": "a\nb"}, "a b"),
        ({"name": "x" * 300}, "x" * 157 + "..."),
        ({"name": 5}, ""),
        ({"id": []}, "Main"),
        ({"id": 2**80}, "Main"),
        ({"ml_per_tick": "0.5"}, "Main"),
    ],
)
def test_what_is_only_shown_is_made_fit_for_it_and_what_is_not_needed_spoils_nothing(
    odd: dict[str, Any], name: str
) -> None:
    (tap,) = form_api.read_taps(json.dumps({"objects": [TAP | odd]}).encode())
    assert (tap.has_meter, tap.ml_per_tick, tap.name, tap.keg_id) == (True, 0.5, name, "3")


def test_a_field_that_is_no_json_is_the_trouble_of_that_field_alone() -> None:
    body = b'{"objects": [{"id": 1, "meter_name": "kegboard.flow0", "ml_per_tick": 0.5, "name": "Caf\xe9\n", "x": NaN, "y": 9'
    (tap,) = form_api.read_taps(body + b"9" * 5000 + b"}]}")
    assert (tap.has_meter, tap.name) == (True, "Caf\ufffd")
    assert form_api.read_taps(body.replace(b"flow0", b"fl\xe9w") + b"}]}")[0].fault


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"ml_per_tick": None}, 0.0),
        ({"ml_per_tick": -1}, 0.0),
        ({"ml_per_tick": 2}, 2.0),
        ({"strange": [1, {"deep": None}]}, 0.5),
    ],
)
def test_what_a_tap_may_lack_or_have_beside(given: dict[str, Any], read: float) -> None:
    tap = {"id": "tap-7", "meter_name": "kegboard.flow0", "ml_per_tick": 0.5} | given
    (found,) = form_api.read_taps(json.dumps({"objects": [tap]}).encode())
    assert (found.id, found.ml_per_tick) == ("tap-7", read)


TOKENS = [
    Token(device="core.rfid", value="deadbeef", username="alice"),
    Token(device="core.rfid", value="0ff", username="bob", enabled=False),
    Token(device="core.rfid", value="0123", username="bob", expire_unix_s=1000.0),
    Token(device="core.onewire", value="2200", expire_unix_s=9e9),
]


@pytest.mark.parametrize("generation", ["2012", "1.x", "today"])
@pytest.mark.parametrize(
    ("device", "value", "username", "valid"),
    [
        ("core.rfid", "DEADBEEF", "alice", True),
        ("core.rfid", "0ff", "bob", False),
        ("core.rfid", "0123", "bob", False),
        ("core.onewire", "2200", None, True),
    ],
)
def test_a_token_is_asked_in_lower_case_and_valid_only_if_enabled_and_not_expired(
    generation: str, device: str, value: str, username: str | None, valid: bool
) -> None:
    with Emulator(generation, site=Site(tokens=TOKENS)) as emulator:
        (answer,) = ask(emulator.url, emulator.key, form_api.get_token(device, value))
    token = form_api.read_token(answer.body)
    assert (token.device, token.value, token.username) == (device, value.lower(), username)
    assert token.valid(time.time()) is valid


@pytest.mark.parametrize(
    "broken",
    [{"enabled": "yes"}, {"expire_time": "2026-01-01T00:00:00"}, {"auth_device": None}, {"token_value": ""}],
    ids=str,
)
def test_a_token_in_doubt_is_none(broken: dict[str, Any]) -> None:
    token = {"auth_device": "core.rfid", "token_value": "1", "username": "alice", "enabled": True}
    assert form_api.read_token(json.dumps({"object": token}).encode()).valid(0.0)
    with pytest.raises(AnswerError):
        form_api.read_token(json.dumps({"object": token | broken}).encode())


def test_names_cannot_leave_their_place_in_the_path() -> None:
    assert form_api.get_token("a/b", "../c?d#e").path == "auth-tokens/a%2Fb/..%2Fc%3Fd%23e"
    assert form_api.post_temperature("x y\n", 1.0).path == "thermo-sensors/x%20y%0A"
    assert form_api.post_drink(pour(meter_name="../users"), now_unix_s=1.0).path == "taps/..%2Fusers"
