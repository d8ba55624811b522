"""Every row of kegbot-server-api.md section 4, as each generation's server really causes it, and what must not be."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from kegapps.server import form_api
from kegapps.server.calls import Answer, Call
from kegapps.server.verdicts import Asked, Kind, Verdict, delay_s, judge
from tests.apps.server.emulators import Emulator, Fault, Faults, Site, Tap
from tests.apps.server.emulators.site import STAFFLESS_KEY
from tests.apps.server.support import ask, closed_port, pour

GENERATIONS = ("2012", "1.x", "today")
NO_KEG = [Tap(id=1, name="Main Tap", meter_name="kegboard.flow0", keg_id=None)]
RIGHT = "the server's own key"


def post(ticks: int = 1000, **given: Any) -> Call:
    return form_api.post_drink(pour(ticks, **given), now_unix_s=time.time())


def verdict_of(
    emulator: Emulator, call: Call, *, key: str | None = RIGHT, timeout_s: float = 5.0, **judged: Any
) -> Verdict:
    key = emulator.key if key == RIGHT else key
    (answer,) = ask(emulator.url, key, call, timeout_s=timeout_s)
    verdict = judge(answer, Asked.DRINK, **judged)
    assert len(verdict.reason) <= 300
    assert verdict.reason.isprintable()
    assert bool(verdict.reason) is (verdict.kind is not Kind.DONE)
    return verdict


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize(
    ("key", "says"),
    [
        (None, "saw no API key"),
        ("wrong", "refuses the API key"),
        (STAFFLESS_KEY, "may not do this"),
    ],
    ids=["NoAuthTokenError", "BadApiKeyError", "PermissionDeniedError"],
)
def test_a_key_that_will_not_do_stops_all_and_keeps_the_drink(
    generation: str, key: str | None, says: str
) -> None:
    with Emulator(generation) as emulator:
        verdict = verdict_of(emulator, post(), key=key)
        assert (verdict.kind, verdict.may_be_stored) == (Kind.STOP, False)
        assert says in verdict.reason
        assert emulator.memory.drinks == []
        assert verdict_of(emulator, post()).kind is Kind.DONE


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_tap_without_a_keg_takes_the_drink_in_2012_and_holds_it_since(generation: str) -> None:
    with Emulator(generation, site=Site(taps=NO_KEG)) as emulator:
        verdict = verdict_of(emulator, post())
        if generation == "2012":
            assert verdict.kind is Kind.DONE
            assert emulator.memory.drinks[0].keg_id is None
        else:
            assert (verdict.kind, verdict.may_be_stored) == (Kind.HOLD, False)
            assert "No active keg at this tap" in verdict.reason


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize(
    "meter",
    ["kegboard.flow7", "other.flow0", "with space.flow0", "a/b.flow0", "ünicode.flow0", "bar-left.flow0"],
)
def test_an_unknown_meter_holds_the_drink(generation: str, meter: str) -> None:
    with Emulator(generation) as emulator:
        verdict = verdict_of(emulator, post(meter_name=meter))
        assert (verdict.kind, verdict.may_be_stored) == (Kind.HOLD, False)
        no_path = generation == "2012" and not re.fullmatch(r"[\w.]+", meter, re.ASCII)
        assert ("[404]" if no_path else "[404 NotFoundError]") in verdict.reason


def test_a_meter_that_is_bound_to_no_tap_holds_the_drink_until_it_is() -> None:
    site = Site(meters={"kegboard.flow5"})
    with Emulator("today", site=site) as emulator:
        verdict = verdict_of(emulator, post(meter_name="kegboard.flow5"))
        assert verdict.kind is Kind.HOLD
        assert "Meter is inactive" in verdict.reason
        site.taps.append(Tap(id=3, name="New", meter_name="kegboard.flow5"))
        assert verdict_of(emulator, post(meter_name="kegboard.flow5")).kind is Kind.DONE


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_request_without_ticks_can_never_succeed(generation: str) -> None:
    with Emulator(generation) as emulator:
        verdict = verdict_of(
            emulator, Call(method="POST", path="taps/kegboard.flow0", form=(("pour_time", "1"),))
        )
    assert verdict.kind is Kind.DEAD
    assert "ticks: This field is required." in verdict.reason
    assert f"[{401 if generation == '2012' else 400} BadRequestError]" in verdict.reason


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_site_that_is_not_set_up_stops_all(generation: str) -> None:
    with Emulator(generation, site=Site(set_up=False)) as emulator:
        verdict = verdict_of(emulator, post())
    assert (verdict.kind, verdict.may_be_stored) == (Kind.STOP, False)
    assert "set up" in verdict.reason


def test_an_unknown_user_is_a_guest_in_2012() -> None:
    with Emulator("2012") as emulator:
        assert verdict_of(emulator, post(username="nobody"), username="nobody").kind is Kind.DONE
        assert emulator.memory.drinks[0].username is None


@pytest.mark.parametrize("generation", ["1.x", "today"])
def test_an_unknown_user_fails_until_the_drink_goes_without_it(generation: str) -> None:
    drink = pour(1000, username="nobody")
    with Emulator(generation) as emulator:
        for errors, kind in (
            (0, Kind.RETRY),
            (1, Kind.RETRY),
            (2, Kind.WITHOUT_USER),
            (3, Kind.WITHOUT_USER),
        ):
            call = form_api.post_drink(drink, now_unix_s=time.time())
            verdict = verdict_of(emulator, call, username="nobody", server_errors=errors)
            assert (verdict.kind, verdict.may_be_stored) == (kind, True)
        assert "user nobody" in verdict.reason
        call = form_api.post_drink(drink, now_unix_s=time.time(), with_user=False)
        assert verdict_of(emulator, call, server_errors=4).kind is Kind.DONE
        assert [drink.username for drink in emulator.memory.drinks] == [None]


def test_a_guests_drink_is_tried_for_ever_however_often_the_server_fails() -> None:
    failed = Answer(status=500, body=b'{"error": {"code": "ServerError", "message": "x"}}', sent=True)
    assert judge(failed, Asked.DRINK, server_errors=1000).kind is Kind.RETRY


def test_a_username_the_server_cannot_write_goes_without_it_at_once() -> None:
    with Emulator("today") as emulator:
        verdict = verdict_of(emulator, post(username="a b!"), username="a b!")
        assert (verdict.kind, verdict.may_be_stored) == (Kind.WITHOUT_USER, False)


def test_a_retired_endpoint_stops_with_a_word_about_the_url() -> None:
    with Emulator("today") as emulator:
        (answer,) = ask(emulator.url, emulator.key, form_api.get_drinks())
    verdict = judge(answer, Asked.DRINK)
    assert verdict.kind is Kind.STOP
    assert "--api_url" in verdict.reason
    assert "[410 GoneError]" in verdict.reason


@pytest.mark.parametrize("path", ["/api/", "/", "/elsewhere/api/v1/"])
def test_at_a_wrong_url_a_drink_is_kept_and_a_reading_stops_all(path: str) -> None:
    with Emulator("today") as emulator:
        drink, tap = ask(
            emulator.origin + path, emulator.key, post(), Call(method="GET", path="taps/kegboard.flow0")
        )
        verdict = judge(drink, Asked.DRINK)
        assert (verdict.kind, verdict.may_be_stored) == (Kind.HOLD, False)
        assert "--api_url" in verdict.reason
        assert judge(tap, Asked.READING).kind is Kind.STOP


@pytest.mark.parametrize("status", [400, 404])
@pytest.mark.parametrize("body", [b"<h1>Not Found</h1>", b"", b'{"detail": "Not found."}'])
def test_a_meter_whose_name_is_no_path_to_the_server_holds_up_no_other_drink(
    status: int, body: bytes
) -> None:
    # 2012 takes letters, digits, _ and . only: another name is a page that is not found, outside the API.
    answer = Answer(status=status, body=body, sent=True)
    assert judge(answer, Asked.DRINK).kind is Kind.HOLD
    assert judge(answer, Asked.READING).kind is Kind.STOP


def test_an_unknown_token_stops_nothing() -> None:
    with Emulator() as emulator:
        (answer,) = ask(emulator.url, emulator.key, form_api.get_token("core.rfid", "00"))
    assert judge(answer, Asked.READING).kind is Kind.HOLD


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize(
    ("fault", "kind", "may_be_stored"),
    [
        (Fault.FAIL_500, Kind.RETRY, True),
        (Fault.PROXY_502, Kind.RETRY, True),
        (Fault.PROXY_503, Kind.RETRY, False),
        (Fault.LOST_504, Kind.RETRY, True),
        (Fault.LOST_500, Kind.RETRY, True),
        (Fault.WEB_PAGE, Kind.LOOK, True),
        (Fault.EMPTY, Kind.LOOK, True),
        (Fault.NO_CONTENT, Kind.LOOK, True),
        (Fault.REDIRECT, Kind.STOP, False),
        (Fault.CUT, Kind.LOOK, True),
        (Fault.LOST, Kind.LOOK, True),
        (Fault.CLOSE_UNREAD, Kind.LOOK, True),
        (Fault.HANG, Kind.LOOK, True),
    ],
    ids=lambda value: value.name if isinstance(value, Fault) else "",
)
def test_what_comes_in_place_of_an_answer(
    generation: str, fault: Fault, kind: Kind, may_be_stored: bool
) -> None:
    with Emulator(generation, faults=Faults([fault])) as emulator:
        verdict = verdict_of(emulator, post(), timeout_s=0.3 if fault is Fault.HANG else 5.0)
        assert (verdict.kind, verdict.may_be_stored) == (kind, may_be_stored), verdict.reason
        # Whenever it was stored without our being told so, the verdict says that it may be.
        assert len(emulator.memory.drinks) <= verdict.may_be_stored
        if fault is Fault.REDIRECT:
            assert f"{emulator.origin}/login/" in verdict.reason
            assert len(emulator.requests) == 0  # not followed


def test_a_server_that_is_not_there_is_tried_again_without_looking() -> None:
    with closed_port() as port:
        (answer,) = ask(f"http://127.0.0.1:{port}/api/v1/", "key", post())
    verdict = judge(answer, Asked.DRINK)
    assert (verdict.kind, verdict.may_be_stored) == (Kind.RETRY, False)
    assert (
        verdict.reason == f"nothing listens at 127.0.0.1:{port} (connection refused): is the server running?"
    )


DRINK = b'{"object": {"id": 1, "ticks": 5}, "meta": {"result": "ok"}}'


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, DRINK, Kind.DONE),
        (201, DRINK, Kind.DONE),
        (200, b"\xef\xbb\xbf" + DRINK, Kind.DONE),
        (200, b'{"object": {"ticks": 5}}', Kind.LOOK),
        (200, b'{"object": {"id": null}}', Kind.LOOK),
        (200, b'{"object": {"id": true}}', Kind.LOOK),
        (200, b'{"object": [1]}', Kind.LOOK),
        (200, b'{"objects": []}', Kind.LOOK),
        (200, b"[]", Kind.LOOK),
        (200, b"null", Kind.LOOK),
        (200, b'{"object": {"id": 1, "ticks": NaN}}', Kind.DONE),
        (200, b'{"object": {"id": 1, "ticks": "5"}}', Kind.DONE),
        (
            200,
            b'{"object": {"id": 1, "user_id": 5, "time": "garbage", "keg_id": {}, "volume_ml": "\\u0007"}}',
            Kind.DONE,
        ),
        (200, DRINK[:-9], Kind.LOOK),
        (202, b"", Kind.LOOK),
        (304, b"", Kind.STOP),
        (400, b"", Kind.HOLD),
        (400, b"<html>The plain HTTP request was sent to HTTPS port", Kind.HOLD),
        (400, b'{"error": {"code": "SomethingNew", "message": "x"}}', Kind.HOLD),
        (402, b"", Kind.HOLD),
        (403, b"<html>", Kind.STOP),
        (404, b"<html>", Kind.HOLD),
        (404, b'{"detail": "Not found."}', Kind.HOLD),
        (405, b'{"detail": "Method not allowed."}', Kind.STOP),
        (408, b"", Kind.RETRY),
        (410, b"", Kind.STOP),
        (413, b"<html>", Kind.HOLD),
        (418, b"", Kind.HOLD),
        (429, b"", Kind.RETRY),
        (500, b"<html>", Kind.RETRY),
        (507, b"", Kind.RETRY),
        (599, b"", Kind.RETRY),
        (101, b"", Kind.LOOK),
        (103, b"", Kind.LOOK),
        (666, DRINK, Kind.LOOK),
    ],
)
def test_what_a_status_means_for_a_drink(status: int, body: bytes, kind: Kind) -> None:
    verdict = judge(Answer(status=status, body=body, sent=True), Asked.DRINK)
    assert verdict.kind is kind, verdict.reason


def test_no_answer_loses_a_drink() -> None:
    for status in [None, *range(100, 1000)]:
        for body in (b"", b"<html>", b"{}", b'{"error": {"code": "NotFoundError"}}'):
            verdict = judge(
                Answer(status=status, body=body, error="" if status else "x", sent=True), Asked.DRINK
            )
            assert verdict.kind is not Kind.DONE
            assert verdict.reason


@pytest.mark.parametrize("asked", [Asked.TEMPERATURE, Asked.READING])
@pytest.mark.parametrize("answer", [Answer(error="gone", sent=True), Answer(status=200), Answer(status=502)])
def test_what_may_be_repeated_is_not_looked_for(asked: Asked, answer: Answer) -> None:
    verdict = judge(answer, asked)
    assert (verdict.kind, verdict.may_be_stored) == (Kind.RETRY, False)


@pytest.mark.parametrize(("celsius", "kind"), [(4.25, Kind.DONE), (-20.0, Kind.DONE), (80.5, Kind.DEAD)])
@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_temperature_out_of_bounds_is_dead(generation: str, celsius: float, kind: Kind) -> None:
    with Emulator(generation) as emulator:
        (answer,) = ask(emulator.url, emulator.key, form_api.post_temperature("kegboard.thermo-1", celsius))
        assert judge(answer, Asked.TEMPERATURE).kind is kind
        assert list(emulator.memory.temperatures.values()) == ([celsius] if kind is Kind.DONE else [])


def test_delays_grow_to_their_limit_and_jitter_shortens_them_by_a_quarter_at_most() -> None:
    assert [delay_s(Kind.RETRY, n, 0.0) for n in range(1, 9)] == [5, 10, 20, 40, 80, 160, 300, 300]
    assert [delay_s(Kind.HOLD, n, 0.0) for n in (1, 6, 7, 100)] == [600, 600, 3600, 3600]
    assert delay_s(Kind.STOP, 1, 0.0) == 15
    assert delay_s(Kind.STOP, 10**9, 0.0) == 600
    assert delay_s(Kind.RETRY, 1, 1.0) == 3.75
    assert delay_s(Kind.LOOK, 0, -5.0) == 5
    assert delay_s(Kind.DEAD, 1, 0.0) is None
    assert delay_s(Kind.DONE, 1, 0.0) is None


@pytest.mark.parametrize(("asked_s", "waited_s"), [(None, 5), (1, 5), (120, 120), (10**8, 3600)])
def test_a_server_that_asks_for_a_pause_gets_it_within_reason(asked_s: float | None, waited_s: float) -> None:
    verdict = judge(Answer(status=503, retry_after_s=asked_s, sent=True), Asked.DRINK)
    assert delay_s(verdict.kind, 1, 0.0, verdict.retry_after_s) == waited_s


def test_the_servers_words_are_told_on_one_line_whatever_they_are() -> None:
    body = (
        b'{"error": {"code": "BadRequestError", "message": "a\\nb\\u0000\\u001b[2J \\ud800 '
        + b"x" * 500
        + b'"}}'
    )
    verdict = judge(Answer(status=400, body=body, sent=True), Asked.DRINK)
    assert "a b??[2J ?" in verdict.reason
    assert verdict.reason.isprintable()
    assert len(verdict.reason) <= 300
