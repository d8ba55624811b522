"""A drink whose answer was lost is found where it is, and nothing else is taken for it."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from kegapps.server import form_api
from kegapps.server.calls import Answer
from kegapps.server.form_api import ServerTap
from kegapps.server.look import Attempt, Found, Look, find_drink
from kegapps.server.verdicts import Asked, judge
from tests.apps.server.deliveries import looked
from tests.apps.server.emulators import Emulator, Fault, Faults, Site
from tests.apps.server.emulators.replies import moment, reply
from tests.apps.server.support import ask, pour

NOW = 1_795_216_400.0  # the core's clock at the look
SENT = NOW - 20.0
ATTEMPT = Attempt(
    pour=pour(1000, username="alice", now_unix_s=SENT, ended_s_ago=60.0),
    sent_unix_s=SENT,
    after_drink_id="41",
)
TAPS = tuple(
    ServerTap(id=str(n), name="", meter_name=f"kegboard.flow{n}", ml_per_tick=0.5, relay_name="", keg_id=str(n + 1))
    for n in range(2)
)  # fmt: skip
Entry = dict[str, object]


def drink(number: int = 42, *, at_unix_s: float = SENT - 60.0, **changed: object) -> Entry:
    data: Entry = {
        "id": number,
        "ticks": 1000,
        "volume_ml": 454.5,
        "time": moment("today", at_unix_s),
        "keg_id": 1,
        "user_id": "alice",
    }
    return {name: value for name, value in (data | changed).items() if value is not None}


def events(*drinks: Entry) -> Answer:
    entries = [{"id": 100 - n, "kind": "drink_poured", "drink": one} for n, one in enumerate(drinks)]
    return Answer(status=200, body=reply({"objects": entries}).body, sent=True, date_unix_s=NOW)


def look(answer: Answer, attempt: Attempt = ATTEMPT, **given: object) -> Look:
    return find_drink(answer, attempt, now_unix_s=NOW, taps=TAPS, **given)  # type: ignore[arg-type]


def test_the_drink_itself_is_found() -> None:
    assert look(events(drink())) == Look(found=Found.FOUND, drink_id="42", newest_drink_id="42")


@pytest.mark.parametrize(
    "other",
    [
        drink(41),  # known before the attempt
        drink(7),
        drink(ticks=999),
        drink(ticks=1001),
        drink(ticks=None, volume_ml=400.0),
        drink(user_id="bob"),
        drink(keg_id=2),  # the keg of the other tap
        drink(at_unix_s=SENT - 60.0 - 6.0),
        drink(at_unix_s=NOW - 60.0 + 6.0),
        drink(at_unix_s=NOW),
    ],
    ids=["the one before", "an old one", "fewer ticks", "more ticks", "no ticks, less volume", "another user", "another tap's keg",
         "poured before", "poured after", "poured just now"],
)  # fmt: skip
def test_a_drink_that_is_nearly_the_same_is_another(other: Entry) -> None:
    assert look(events(drink(60, ticks=5), other)).found is Found.ABSENT


@pytest.mark.parametrize(
    "same",
    [
        drink(user_id=None),  # 2012 does not know the user
        drink(user_id="guest"),
        drink(user_id="Alice"),
        drink(keg_id=None),  # 2012, no keg on
        drink(keg_id=77),  # put on since the taps were read
        drink(at_unix_s=SENT - 60.0 + 19.0),  # handled when the server had time
        drink(at_unix_s=SENT - 60.0 - 2.0),
        drink(time="2026-11-20T23:26:38"),  # of some time zone: the id is newer
        drink(time=None),
        drink(time="garbage"),
        drink(ticks=None),
        drink(ticks=1000.0),
        drink(ticks="1000", volume_ml={}),
        drink(ticks=[], volume_ml="454.5"),
        drink(user_id=5),
        drink(user_id="al\aice"),
        drink(keg_id={}),
        drink("2fab", id="2fab"),  # type: ignore[arg-type]
    ],
    ids=[
        "guest of 2012",
        "guest of today",
        "as the server writes it",
        "no keg",
        "a new keg",
        "late",
        "rounded",
        "no zone",
        "no time",
        "a time that is none",
        "no ticks",
        "ticks as a fraction",
        "ticks as text",
        "volume as text",
        "a user that is none",
        "a user nobody can write",
        "a keg that is none",
        "text id",
    ],
)
def test_the_same_drink_as_different_servers_keep_it(same: Entry) -> None:
    assert look(events(same)).found is Found.FOUND


def test_a_guests_drink_is_not_found_in_a_users() -> None:
    guest = replace(ATTEMPT, pour=replace(ATTEMPT.pour, username=None))
    assert look(events(drink(user_id="guest")), guest).found is Found.FOUND
    assert look(events(drink(user_id="alice")), guest).found is Found.ABSENT


def test_of_two_that_fit_the_older_is_ours_and_taken_ones_are_not() -> None:
    both = events(drink(43), drink(42))
    assert look(both).drink_id == "42"
    assert look(both, taken={"42"}).drink_id == "43"
    assert look(both, taken={"42", "43"}).found is Found.ABSENT


@pytest.mark.parametrize("skew_s", [-1e6, 1e6])
def test_the_servers_clock_may_be_anything_if_it_tells_it(skew_s: float) -> None:
    there = drink(at_unix_s=SENT - 60.0 + skew_s)
    assert look(replace(events(there), date_unix_s=NOW + skew_s)).found is Found.FOUND
    assert look(events(there)).found is Found.ABSENT


@pytest.mark.parametrize("step_s", [-5000.0, 3e7])
def test_our_own_clock_may_be_set_between_the_attempt_and_the_look(step_s: float) -> None:
    # A Pi without a battery-backed clock posts first and learns the time of day afterwards.
    before = replace(
        ATTEMPT,
        pour=pour(1000, username="alice", now_unix_s=SENT - step_s, ended_s_ago=60.0),
        sent_unix_s=SENT - step_s,
    )
    assert look(events(drink()), before).found is Found.FOUND
    assert look(events(drink(41)), before).found is Found.ABSENT
    assert look(events(drink(ticks=999)), before).found is Found.ABSENT


def test_without_a_clock_in_the_answer_some_minutes_are_allowed() -> None:
    silent = replace(events(drink(at_unix_s=SENT + 300.0)), date_unix_s=None)
    assert look(silent).found is Found.FOUND
    assert look(replace(events(drink(at_unix_s=SENT - 5000.0)), date_unix_s=None)).found is Found.ABSENT


def test_a_list_that_is_cut_before_the_last_known_drink_proves_nothing() -> None:
    newer = [drink(60 - n, ticks=5) for n in range(10)]
    found = look(events(*newer))
    assert found.found is Found.UNKNOWN
    assert found.newest_drink_id == "60"
    assert "latest drinks" in found.reason
    assert look(events(*newer[:-1], drink(41))).found is Found.ABSENT
    assert look(events(*newer[:-1], drink(40))).found is Found.ABSENT  # 41 was cancelled since
    assert look(events(*newer[:-1], drink(42))).found is Found.FOUND


def test_without_a_known_drink_before_it_only_a_whole_list_proves_absence() -> None:
    blank = replace(ATTEMPT, after_drink_id=None)
    assert look(events(), blank).found is Found.ABSENT
    assert look(events(*[drink(9 - n, ticks=5) for n in range(9)]), blank).found is Found.ABSENT
    assert look(events(*[drink(10 - n, ticks=5) for n in range(10)]), blank).found is Found.UNKNOWN


@pytest.mark.parametrize(
    ("odd", "found"),
    [
        ({"id": {}}, Found.UNKNOWN),
        ({"ticks": {}, "volume_ml": {}}, Found.UNKNOWN),
        ({"id": {}, "ticks": 5}, Found.ABSENT),
        ({"ticks": -5, "volume_ml": 7.0}, Found.ABSENT),
        ({"ticks": {}, "volume_ml": {}, "user_id": "bob"}, Found.ABSENT),
        ({"ticks": {}, "volume_ml": {}, "time": moment("today", SENT - 6000.0)}, Found.ABSENT),
    ],
)
def test_an_odd_drink_is_ours_only_as_long_as_nothing_that_is_told_of_it_says_otherwise(
    odd: Entry, found: Found
) -> None:
    assert look(events(drink(**odd), drink(41))).found is found  # type: ignore[arg-type]
    assert look(events(drink(43), drink(**odd), drink(41))).drink_id == "43"  # type: ignore[arg-type]


def test_an_event_that_says_nothing_of_its_drink_leaves_it_open_unless_that_is_an_old_one() -> None:
    def told(**event: object) -> Found:
        entries = [{"id": 9, "kind": "drink_poured"} | event, {"kind": "drink_poured", "drink": drink(41)}]
        return look(
            Answer(status=200, body=reply({"objects": entries}).body, sent=True, date_unix_s=NOW)
        ).found

    assert told(drink=5) is Found.UNKNOWN
    assert told(drink=5, drink_id=40) is Found.ABSENT
    assert told(drink=5, kind="keg_ended") is Found.ABSENT
    assert told(drink=drink(), kind=5) is Found.FOUND


def test_a_server_whose_numbers_fell_back_is_compared_by_all_but_them_and_says_so() -> None:
    # A backup of drink 31 was restored; 41 was known, and ours got the number of one we had delivered before.
    restored = [drink(n, ticks=5) for n in range(31, 22, -1)]
    found = look(events(drink(32), *restored), taken={"32"})
    assert (found.found, found.drink_id, found.numbering_fell_back) == (Found.FOUND, "32", True)
    missing = look(events(*restored[:8]))
    assert (missing.found, missing.newest_drink_id, missing.numbering_fell_back) == (Found.ABSENT, "31", True)
    cut = look(events(drink(33, ticks=5), drink(32, ticks=5), *restored))
    assert (cut.found, cut.numbering_fell_back) == (Found.UNKNOWN, True)
    assert cut.reason == (
        "the server's newest drink is 33, older than 41, which was known: was a backup restored?"
    )
    assert look(events(drink(32, time=None), *restored)).found is Found.UNKNOWN
    assert not look(events(drink(42))).numbering_fell_back


@pytest.mark.parametrize(
    "answer",
    [
        Answer(error="nothing listens"),
        Answer(status=410),
        Answer(status=200, body=b"<html>", sent=True),
        Answer(status=200, body=b'{"objects": [{"kind": "drink_poured", "id": 1}]}', sent=True),
        Answer(status=200, body=b'{"objects": []}', sent=True, error="cut off"),
        Answer(status=200, body=b'{"objects": [5]}', sent=True),
    ],
)
def test_an_answer_that_tells_nothing_proves_nothing(answer: Answer) -> None:
    found = look(answer)
    assert found.found is Found.UNKNOWN
    assert found.reason


@pytest.mark.parametrize("generation", ["2012", "1.x", "today"])
def test_a_drink_that_the_server_recorded_long_after_we_gave_up_is_found_by_a_later_look(
    generation: str,
) -> None:
    # Why one waits before one looks: asked at once, this server would have told the truth and made a double.
    with Emulator(generation, faults=Faults([Fault.LATE])) as emulator:
        now_unix_s = time.time()
        ours = pour(1000, ended_s_ago=300.0)
        call = form_api.post_drink(ours, now_unix_s=now_unix_s)
        (answer,) = ask(emulator.url, emulator.key, call, timeout_s=0.2)
        assert judge(answer, Asked.DRINK).may_be_stored
        end_s = time.monotonic() + 10
        while not emulator.memory.drinks:
            assert time.monotonic() < end_s
            time.sleep(0.01)
        assert looked(emulator, Attempt(pour=ours, sent_unix_s=now_unix_s)).drink_id == "1"


@pytest.mark.parametrize("generation", ["2012", "1.x", "today"])
def test_a_drink_delivered_hours_late_is_found_among_those_poured_since(generation: str) -> None:
    script = [*[None] * 20, Fault.LOST]
    with Emulator(generation, faults=Faults(script)) as emulator:
        now_unix_s = time.time()
        ours = pour(1000, ended_s_ago=86400.0)
        fresh = [form_api.post_drink(pour(5), now_unix_s=now_unix_s)] * 20
        answers = ask(emulator.url, emulator.key, *fresh, form_api.post_drink(ours, now_unix_s=now_unix_s))
        known = form_api.read_drink(answers[19].body).id
        assert (
            looked(emulator, Attempt(pour=ours, sent_unix_s=now_unix_s, after_drink_id=known)).drink_id
            == "21"
        )


@pytest.mark.parametrize("generation", ["2012", "1.x", "today"])
@pytest.mark.parametrize("others", [3, 40])
def test_a_drink_is_found_below_many_that_came_after_it(generation: str, others: int) -> None:
    script = [*[None] * 1, Fault.LOST]
    with Emulator(generation, faults=Faults(script), site=Site(private=True)) as emulator:
        now_unix_s = time.time()
        ours, later = pour(1000), [form_api.post_drink(pour(5), now_unix_s=now_unix_s)] * others
        lost = form_api.post_drink(ours, now_unix_s=now_unix_s)
        first, _, *_ = ask(emulator.url, emulator.key, later[0], lost, *later)
        known = form_api.read_drink(first.body).id
        attempt = Attempt(pour=ours, sent_unix_s=now_unix_s, after_drink_id=known)
        assert looked(emulator, attempt).drink_id == "2"
        other = replace(attempt, pour=replace(ours, ticks=1001))
        assert looked(emulator, other).found is Found.ABSENT
