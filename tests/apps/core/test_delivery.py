"""What becomes of a drink by each answer, as tables; and what is asked of the server next."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from kegapps.core import delivery
from kegapps.core.delivery import LOOK_AFTER_S, LOOK_AFTER_SENDING_S
from kegapps.core.dispatch import HURRY_S, MAX_TEMPERATURES, TAPS_EVERY_S, Dispatch
from kegapps.core.jobs import Job, Outcome, Purpose
from kegapps.core.model import Now
from kegapps.core.outbox import LONGEST_WAIT_S, Delivered, Entry, State
from kegapps.server.calls import Answer, Pour
from kegapps.server.form_api import ServerTap
from kegapps.server.look import look_calls
from kegapps.server.route import Way
from kegapps.server.url import parse_api_url

NOW = Now(mono_s=5000.0, unix_s=1_795_216_330.0)
POUR = Pour(
    uuid="u-1", meter_name="kegboard.flow0", ticks=1000, volume_ml=250.0, ml_per_tick=0.25, username="alice",
    start_unix_s=NOW.unix_s - 70.0, end_unix_s=NOW.unix_s - 60.0,
)  # fmt: skip
ENTRY = Entry(drink_id=7, pour=POUR, next_unix_s=NOW.unix_s - 60.0)
SENT = delivery.about_to_send(ENTRY, Way.FORM, now_unix_s=NOW.unix_s, known_id="40")
TAP = ServerTap(id="1", name="Left", meter_name="kegboard.flow0", ml_per_tick=0.25, relay_name="", keg_id="3")
LAST_LOOK = len(look_calls()) - 1
NO_ROUTE = Answer(error="connection refused")
TIMEOUT = Answer(error="no answer within 20 s", sent=True)


def told(status: int, code: str = "", message: object = "", **body: object) -> Answer:
    """An answer in the form API's words."""
    data = {"error": {"code": code, "message": message}} if code else body
    return Answer(status=status, body=json.dumps(data).encode(), sent=True)


DRINK = {
    "id": 41,
    "ticks": 1000,
    "volume_ml": 250.0,
    "time": "2026-11-20T23:12:10+00:00",
    "keg_id": 3,
    "user_id": "alice",
}
DONE = told(200, object=DRINK, meta={"result": "ok"})
NO_KEG = told(400, "BadRequestError", "No active keg at this tap")
BAD_VALUE = told(400, "BadRequestError", {"ticks": ["Enter a whole number."]})
UNKNOWN_METER = told(404, "NotFoundError", "Meter is inactive")
BAD_KEY = told(401, "BadApiKeyError", "Invalid API key.")
FAILED = told(500, "ServerError", "oops")
WEB_PAGE = Answer(status=502, body=b"<html>", sent=True)


@pytest.mark.parametrize(
    ("answer", "state", "must_look", "wait_s", "is_everybodys"),
    [
        (NO_KEG, State.HELD, False, (400, 600), False),
        (UNKNOWN_METER, State.HELD, False, (400, 600), False),
        (BAD_VALUE, State.DEAD, False, (0, 0), False),
        (BAD_KEY, State.WAITING, False, None, True),
        (Answer(status=403, body=b"<html>", sent=True), State.WAITING, False, (3, 5), True),  # this one's, perhaps
        (NO_ROUTE, State.WAITING, False, None, True),
        (FAILED, State.LOOKING, True, (0, 0), False),
        (TIMEOUT, State.LOOKING, True, (LOOK_AFTER_SENDING_S, LOOK_AFTER_SENDING_S), True),
        (WEB_PAGE, State.LOOKING, True, (LOOK_AFTER_S, LOOK_AFTER_S), True),
        (told(503), State.WAITING, False, (3, 10), True),
        (told(200, object=None), State.LOOKING, True, (0, 0), False),
    ],
)  # fmt: skip
def test_each_answer_says_what_becomes_of_the_drink_and_of_the_others(
    answer: Answer, state: State, must_look: bool, wait_s: tuple[float, float] | None, is_everybodys: bool
) -> None:
    result, verdict = delivery.posted(SENT, answer, now_unix_s=NOW.unix_s, jitter=0.5)
    entry = result.record
    assert isinstance(entry, Entry)
    assert (entry.state, delivery.must_look(entry)) == (state, must_look)
    if wait_s is None:  # no fault of this drink: it is the first one again when the server is back
        assert (entry.next_unix_s, entry.attempts) == (ENTRY.next_unix_s, 0)
    else:
        assert wait_s[0] <= entry.next_unix_s - NOW.unix_s <= wait_s[1]
        assert entry.attempts == 1
    assert delivery.is_servers_fault(answer, verdict) == is_everybodys


def test_a_drink_that_is_taken_is_remembered_by_the_servers_number() -> None:
    result, _ = delivery.posted(SENT, DONE, now_unix_s=NOW.unix_s, jitter=0.5)
    assert result.record == Delivered(drink_id=7, server_drink_id="41")
    assert result.newest_drink_id == "41"


def test_a_user_that_the_server_fails_at_is_left_out_once_and_then_tried_again() -> None:
    entry, users = SENT, []
    for _ in range(8):
        call = delivery.post(entry, now_unix_s=NOW.unix_s, taps=())
        users.append(dict(call.form).get("username"))
        result, _ = delivery.posted(entry, FAILED, now_unix_s=NOW.unix_s, jitter=0.5)
        assert isinstance(result.record, Entry)
        entry = result.record
    assert users == ["alice"] * 3 + [None] + ["alice"] * 3 + [None]
    done, _ = delivery.posted(replace(entry, without_user=True), DONE, now_unix_s=NOW.unix_s, jitter=0.5)
    assert isinstance(done.record, Delivered)
    assert "without its user alice" in done.record.remark


def test_waits_grow_and_are_bounded_for_ever() -> None:
    entry, waits = SENT, []
    for _ in range(200):
        failed, _ = delivery.posted(replace(entry, errors=0), FAILED, now_unix_s=NOW.unix_s, jitter=0.0)
        assert isinstance(failed.record, Entry)
        absent = look(drinks_page({**OURS, "ticks": 7}, {**OURS, "id": 40}), entry=failed.record)
        assert isinstance(absent, Entry)
        assert not delivery.must_look(absent)
        entry = delivery.about_to_send(absent, Way.FORM, now_unix_s=NOW.unix_s, known_id="40")
        waits.append(absent.next_unix_s - NOW.unix_s)
    assert waits[0] > 0
    assert waits == sorted(waits)
    assert waits[-1] <= LONGEST_WAIT_S


def test_each_trouble_of_a_drink_is_said_once() -> None:
    first, _ = delivery.posted(SENT, NO_KEG, now_unix_s=NOW.unix_s, jitter=0.5)
    assert [say.text.partition(":")[0] for say in first.says] == ["Drink 7 is held"]
    assert isinstance(first.record, Entry)
    again, _ = delivery.posted(first.record, NO_KEG, now_unix_s=NOW.unix_s, jitter=0.5)
    assert again.says == ()


@pytest.mark.parametrize(("server_ml_per_tick", "volume"), [(0.25, None), (0.2, "250.0"), (0.0, None)])
def test_the_volume_is_sent_only_if_the_server_would_compute_another(
    server_ml_per_tick: float, volume: str | None
) -> None:
    taps = [replace(TAP, ml_per_tick=server_ml_per_tick)]
    call = delivery.post(SENT, now_unix_s=NOW.unix_s, taps=taps)
    form = dict(call.form)
    assert form.get("volume_ml") == volume
    assert int(form["now"]) - int(form["pour_time"]) == 60
    assert form["duration"] == "10"


def drinks_page(*drinks: dict[str, object]) -> Answer:
    events = [
        {"id": n, "kind": "drink_poured", "drink": drink} for n, drink in enumerate(reversed(drinks), 1)
    ]
    answer = told(200, objects=list(reversed(events)), meta={"result": "ok"})
    return replace(answer, date_unix_s=NOW.unix_s + 2.0)


def look(
    answer: Answer,
    *,
    number: int = 0,
    taken: frozenset[str] = frozenset(),
    acknowledged: bool = False,
    later: bool = False,
    entry: Entry = SENT,
) -> object:
    result = delivery.looked(
        entry, answer, number=number, taken=taken, taps=[TAP], now_unix_s=NOW.unix_s + 2.0, jitter=0.5,
        acknowledged=acknowledged, later=later,
    )  # fmt: skip
    return result.record if result else None


OURS: dict[str, object] = {**DRINK, "time": "2026-11-20T23:11:10+00:00"}


def test_a_look_finds_the_drink_or_frees_it_to_be_sent_again() -> None:
    ours = replace(drinks_page(OURS), body=drinks_page(OURS).body)
    found = look(ours)
    absent = look(drinks_page({**OURS, "ticks": 7}, {**OURS, "id": 40}))
    taken = look(ours, taken=frozenset({"41"}))
    assert isinstance(absent, Entry)
    assert (absent.sent_unix_s, absent.next_unix_s) == (None, NOW.unix_s + 2.0)
    if isinstance(found, Delivered):
        assert found.server_drink_id == "41"
        assert isinstance(taken, Entry)
    else:
        raise AssertionError(f"not found: {found}")


def test_if_no_look_can_tell_the_drink_is_sent_once_more_and_then_left_to_a_person() -> None:
    many = drinks_page(*({**OURS, "id": 60 - n, "ticks": 5} for n in range(10)))
    assert look(many) is None  # the next look may reach further back
    gone = told(410, "GoneError", "gone")
    again = look(gone, number=LAST_LOOK)
    assert isinstance(again, Entry)
    assert again.sent_unix_s is None
    sent_again = delivery.about_to_send(again, Way.FORM, now_unix_s=NOW.unix_s, known_id="40")
    for answer in (gone, BAD_KEY):
        dead = look(answer, number=LAST_LOOK, entry=sent_again)
        assert isinstance(dead, Entry)
        assert (dead.state, delivery.must_look(dead)) == (State.DEAD, True)
        assert "the server may have it, even twice" in dead.reason


@pytest.mark.parametrize("acknowledged", [True, False])
def test_what_kegboard_event_took_is_never_delivered_nor_sent_otherwise_unless_a_look_tells(
    acknowledged: bool,
) -> None:
    told_of = replace(SENT, sent_by=Way.EVENT)
    for answer in (told(404), told(410, "GoneError", "gone"), BAD_KEY):
        held = look(answer, number=LAST_LOOK, entry=told_of, acknowledged=acknowledged)
        assert isinstance(held, Entry)
        assert (held.state, held.sent_by, held.sent_unix_s) == (State.HELD, Way.EVENT, NOW.unix_s)
        assert "by kegboard-event, but cannot be asked whether it kept it" in held.reason
        assert 400 < held.next_unix_s - NOW.unix_s <= LONGEST_WAIT_S


def test_a_look_that_failed_may_tell_another_time_whatever_the_others_say() -> None:
    assert [delivery.may_tell_later(answer) for answer in (FAILED, TIMEOUT, told(200), WEB_PAGE)] == [
        True
    ] * 4
    assert not delivery.may_tell_later(drinks_page(OURS))
    later = look(told(404), number=LAST_LOOK, acknowledged=True, later=True)
    assert isinstance(later, Entry)
    assert later.state is State.LOOKING


def test_a_look_that_the_server_does_not_answer_is_repeated() -> None:
    later = look(told(500, "ServerError", "oops"), number=LAST_LOOK)
    assert isinstance(later, Entry)
    assert (later.state, later.sent_unix_s) == (State.LOOKING, NOW.unix_s)
    assert later.next_unix_s > NOW.unix_s


# The order of calls

TAPS = told(
    200,
    objects=[{"id": 1, "name": "Left", "meter_name": "kegboard.flow0", "ml_per_tick": 0.25, "relay_name": "", "current_keg_id": 3}],
    meta={"result": "ok"},
)  # fmt: skip
STATUS = told(
    200, object={"site_info": {"server_version": "1.3.0"}, "taps": [], "drinks": []}, meta={"result": "ok"}
)


class Desk:
    """A dispatch, and a clock moved by hand."""

    def __init__(self) -> None:
        self.dispatch = Dispatch(parse_api_url("http://bar/api/v1/"), has_key=True)
        self.now = NOW
        self.said: list[str] = []

    def wait(self, seconds: float) -> None:
        self.now = Now(mono_s=self.now.mono_s + seconds, unix_s=self.now.unix_s + seconds)

    def job(self, entry: Entry | None = None) -> Job | None:
        return self.dispatch.next_job(self.now, entry)

    def do(self, answer: Answer, entry: Entry | None = None) -> Outcome:
        job = self.job(entry)
        assert job is not None
        outcome = self.dispatch.finish(job, answer, self.now, jitter=0.5)
        self.said += [say.text for say in outcome.says]
        return outcome

    def begin(self) -> None:
        """The probe finds that all is well."""
        while (job := self.job()) is not None and job.purpose is Purpose.PROBE:
            answers = {"taps": TAPS, "status": STATUS, "events": told(200, objects=[], meta={"result": "ok"})}
            self.do(answers.get(job.call.path, told(404, "NotFoundError", "no such thing")))
        assert self.dispatch.is_usable, self.said

    def purpose(self, entry: Entry | None = None) -> Purpose | None:
        job = self.job(entry)
        return job.purpose if job else None


def test_nothing_is_sent_before_the_probe_says_that_all_is_well() -> None:
    desk = Desk()
    assert not desk.dispatch.wants_entry(desk.now)
    assert desk.purpose(ENTRY) is Purpose.PROBE
    desk.begin()
    assert desk.said[-1].startswith("http://bar/api/v1/ is a Kegbot Server")
    assert desk.dispatch.wants_entry(desk.now)
    job = desk.job(ENTRY)
    assert job is not None
    assert (job.purpose, job.sends_drink) == (Purpose.DRINK, True)
    assert job.entry is not None
    assert job.entry.sent_unix_s == desk.now.unix_s
    assert desk.job() is None
    assert desk.dispatch.next_mono_s() == desk.now.mono_s + TAPS_EVERY_S


def test_a_drink_of_unknown_outcome_is_looked_for_before_it_is_sent() -> None:
    desk = Desk()
    desk.begin()
    assert desk.purpose(SENT) is Purpose.LOOK


def test_people_with_a_token_come_first_then_taps_then_temperatures_then_drinks() -> None:
    desk = Desk()
    desk.begin()
    desk.wait(TAPS_EVERY_S)
    desk.dispatch.tell_temperature("a.thermo-1", 4.25, desk.now.unix_s, desk.now)
    assert desk.dispatch.ask_token("core.rfid", "00aa")
    order = []
    for answer in (told(404, "NotFoundError", "no token"), TAPS, told(200, object={}), DONE):
        order.append(desk.purpose(ENTRY))
        desk.do(answer, ENTRY)
    assert order == [Purpose.TOKEN, Purpose.TAPS, Purpose.TEMPERATURE, Purpose.DRINK]


def test_a_temperature_older_than_its_minute_is_not_sent_and_there_are_not_many() -> None:
    desk = Desk()
    desk.begin()
    for number in range(2 * MAX_TEMPERATURES):
        desk.dispatch.tell_temperature(f"a.thermo-{number}", 4.25, desk.now.unix_s, desk.now)
    desk.dispatch.tell_temperature("a.thermo-0", 9.0, desk.now.unix_s - 60.0, desk.now)  # told late
    job = desk.job()
    assert job is not None
    assert dict(job.call.form) == {"temp_c": "4.25"}
    desk.wait(59.0)
    assert desk.purpose() is Purpose.TEMPERATURE
    desk.wait(1.0)
    assert desk.purpose() is Purpose.TAPS
    desk.do(TAPS)
    assert desk.purpose() is None


def test_trouble_with_the_server_is_said_once_pauses_all_and_its_end_is_said() -> None:
    desk = Desk()
    desk.begin()
    desk.said = []
    desk.do(NO_ROUTE, ENTRY)
    for _ in range(30):
        assert desk.job(ENTRY) is None
        assert not desk.dispatch.ask_token("core.rfid", "00aa")
        due_s = desk.dispatch.next_mono_s()
        assert due_s is not None
        assert 0 < due_s - desk.now.mono_s <= 300.0
        desk.wait(due_s - desk.now.mono_s)
        assert desk.purpose(ENTRY) is Purpose.PROBE
        desk.do(NO_ROUTE)
    assert desk.said == ["Kegbot Server, drinks wait in the outbox: connection refused"]
    due_s = desk.dispatch.next_mono_s()
    assert due_s is not None
    desk.wait(due_s - desk.now.mono_s)
    desk.begin()
    assert desk.said[1].startswith("The Kegbot Server is back, after ")
    assert desk.purpose(ENTRY) is Purpose.DRINK


def test_a_new_drink_is_worth_another_try_but_not_more_often_than_now_and_then() -> None:
    desk = Desk()
    desk.begin()
    desk.do(BAD_KEY, ENTRY)
    desk.wait(HURRY_S - 1)
    assert desk.job() is None
    desk.dispatch.hurry(desk.now)
    assert desk.job() is None
    desk.wait(1.0)
    assert desk.purpose() is Purpose.PROBE


def test_an_endpoint_that_the_server_lacks_is_no_trouble_of_the_server() -> None:
    desk = Desk()
    desk.begin()
    desk.do(told(410, "GoneError", "gone"), SENT)
    assert desk.dispatch.is_usable
    assert desk.purpose() is Purpose.LOOK  # the other one


def test_a_key_that_may_not_ask_all_does_not_keep_a_drink_waiting_for_ever() -> None:
    desk = Desk()
    desk.begin()
    desk.do(drinks_page(*({**OURS, "id": 60 - n, "ticks": 5} for n in range(10))), SENT)
    while desk.purpose() is Purpose.LOOK:
        outcome = desk.do(BAD_KEY)
    assert outcome.result is not None
    assert isinstance(outcome.result.record, Entry)
    assert not delivery.must_look(outcome.result.record)
    assert "is sent again, though the server may have it" in desk.said[-1]


def test_a_server_that_was_restored_from_a_backup_is_believed_and_doubles_nothing() -> None:
    desk = Desk()
    desk.begin()
    desk.do(told(200, object={**DRINK, "id": 1000}), ENTRY)
    lost = delivery.about_to_send(
        replace(ENTRY, drink_id=8), Way.FORM, now_unix_s=NOW.unix_s, known_id=desk.dispatch.newest_drink_id
    )
    # The server has it as 991, a number that it had given before.
    others = [{**OURS, "id": 990 - n, "ticks": 5} for n in range(9)]
    outcome = desk.do(drinks_page({**OURS, "id": 991}, *others), lost)
    assert outcome.result is not None
    assert outcome.result.record == Delivered(
        drink_id=8, server_drink_id="991", remark="it was there already: the answer had been lost"
    )
    assert desk.said[-1].startswith("Kegbot Server: its newest drink is 991, and 1000 was known")
    job = desk.job(replace(ENTRY, drink_id=9))
    assert job is not None
    assert job.entry is not None
    assert job.entry.known_id == "991"


def test_a_lost_token_answer_says_nothing_of_the_token() -> None:
    desk = Desk()
    desk.begin()
    assert desk.dispatch.ask_token("core.rfid", "00aa")
    assert desk.do(FAILED).token is None
    assert desk.dispatch.ask_token("core.rfid", "00aa")
    answer = desk.do(told(404, "NotFoundError", "no token")).token
    assert answer is not None
    assert answer.username is None
