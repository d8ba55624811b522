from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kegapps.kegnet.codec import MAX_ANSWER_BYTES, Decoder, Rejected, decode, encode
from kegapps.kegnet.events import (
    ALL_TAPS,
    BoardStatus,
    CoreStatus,
    Credentials,
    DrinkCreatedEvent,
    DrinkFacts,
    Drinks,
    DrinksRequest,
    Event,
    FlowRequest,
    FlowUpdate,
    MeterUpdate,
    Ping,
    Refusal,
    Session,
    SetRelayOutputEvent,
    StatusRequest,
    Taken,
    ThermoEvent,
    TokenAuthEvent,
)
from tests.apps.kegnet import fuzz
from tests.apps.kegnet.strategies import events

VECTORS = Path(__file__).parents[2] / "vectors" / "kegnet.txt"
RECORDED = [line[2:] for line in VECTORS.read_text().splitlines() if line[:2] in ("> ", "< ")]


def data_of(event: str, **data: object) -> bytes:
    return json.dumps({"event": event, "data": data}).encode()


def meter_update(**data: object) -> Event | Rejected:
    return decode(data_of("MeterUpdate", **{"tap_name": "kegboard.flow0", "reading": 1, **data}))


def reason(message: Event | Rejected) -> str:
    assert isinstance(message, Rejected), message
    return message.reason


# What the recorded peers send


@pytest.mark.parametrize("text", RECORDED)
def test_a_recorded_message_decodes_and_encodes_to_the_same_json(text: str) -> None:
    event = decode(text.encode())
    assert not isinstance(event, Rejected)
    assert json.loads(encode(event)) == json.loads(text)


def test_the_recorded_bytes_of_a_reading_are_understood() -> None:
    recorded = bytes.fromhex(
        "7b2264617461223a207b2272656164696e67223a203235302c20227461705f6e616d65223a20226b6567626f6172642e"
        "666c6f7730227d2c20226576656e74223a20224d65746572557064617465227d0a0a"
    )
    assert list(Decoder().feed(recorded)) == [MeterUpdate(tap_name="kegboard.flow0", reading=250)]


def test_the_recorded_messages_become_these_events() -> None:
    noon = datetime(2026, 11, 21, 7, 12, 12, tzinfo=UTC)
    evening = datetime(2026, 11, 20, 23, 12, 23, tzinfo=UTC)
    assert [decode(text.encode()) for text in RECORDED] == [
        MeterUpdate(tap_name="kegboard.flow0", reading=250),
        TokenAuthEvent(
            tap_name="kegboard.flow0",
            auth_device_name="core.rfid",
            token_value="deadbeef00",
            status="added",
        ),
        TokenAuthEvent(
            tap_name=ALL_TAPS,
            auth_device_name="core.onewire",
            token_value="0000000000000001",
            status="removed",
        ),
        FlowRequest(tap_name="kegboard.flow0", request="stop_flow"),
        ThermoEvent(sensor_name="kegboard.thermo-f800080012345610", sensor_value=4.25),
        FlowUpdate(
            flow_id=1795216330,
            tap_name="kegboard.flow0",
            state="active",
            username=None,
            start_time=noon,
            last_activity_time=noon,
            ticks=250,
            volume_ml=113.63636363636363,
        ),
        SetRelayOutputEvent(output_name="kegboard.relay0", output_mode="enabled"),
        DrinkCreatedEvent(
            flow_id=1795216330,
            drink_id=1,
            tap_name="kegboard.flow0",
            start_time=evening,
            end_time=evening,
            username="guest",
        ),
    ]


def test_the_2013_spelling_pretty_printed_is_understood() -> None:
    data = {"meter_name": "kegboard.flow0", "reading": 250}
    text = json.dumps({"event": "MeterUpdate", "data": data}, indent=2)
    assert decode(text.encode()) == MeterUpdate(tap_name="kegboard.flow0", reading=250)


# What 2012 peers insist on when they read


def test_what_is_sent_is_ascii_with_one_terminator_at_its_end() -> None:
    sent = encode(MeterUpdate(tap_name="Fäss\U0001f37a", reading=1))
    assert sent == (
        b'{"event": "MeterUpdate", "data": {"tap_name": "F\\u00e4ss\\ud83c\\udf7a", "reading": 1}}\n\n'
    )


def test_every_declared_field_is_sent_and_no_other() -> None:
    now = datetime.now(UTC)
    flow = FlowUpdate(
        flow_id=1,
        tap_name="t",
        state="idle",
        username=None,
        start_time=now,
        last_activity_time=now,
        ticks=0,
        volume_ml=0,
    )
    assert list(json.loads(encode(flow))["data"]) == [
        "flow_id", "tap_name", "state", "username", "start_time", "last_activity_time", "ticks", "volume_ml",
    ]  # fmt: skip
    assert json.loads(encode(flow))["data"]["username"] is None
    assert json.loads(encode(MeterUpdate(tap_name="t", reading=1)))["data"] == {"tap_name": "t", "reading": 1}


def test_an_age_is_sent_only_when_there_is_one_and_under_a_name_old_peers_take_for_no_time() -> None:
    sent = json.loads(encode(MeterUpdate(tap_name="t", reading=1, age_s=2.5)))["data"]
    assert sent == {"tap_name": "t", "reading": 1, "age_s": 2.5}
    sent = json.loads(encode(MeterUpdate(tap_name="t", reading=1, gap_s=2.5)))["data"]
    assert sent == {"tap_name": "t", "reading": 1, "gap_s": 2.5}
    for field in sent:
        assert not field.endswith(("date", "time"))
        assert not field.startswith(("date", "last_login"))


@pytest.mark.parametrize(
    ("time", "sent"),
    [
        (datetime(2026, 11, 21, 7, 12, 12, 999999, tzinfo=UTC), "2026-11-21T07:12:12Z"),
        (datetime(2026, 11, 21, 1, 0, 0, tzinfo=timezone(timedelta(hours=2))), "2026-11-20T23:00:00Z"),
        (datetime(33, 4, 3, tzinfo=UTC), "0033-04-03T00:00:00Z"),
    ],
)
def test_times_are_sent_as_utc_in_whole_seconds(time: datetime, sent: str) -> None:
    drink = DrinkCreatedEvent(
        flow_id=1, drink_id=2, tap_name="t", start_time=time, end_time=time, username="guest"
    )
    assert json.loads(encode(drink))["data"]["end_time"] == sent


def test_an_anonymous_flow_has_null_for_a_user_even_if_it_was_given_as_empty() -> None:
    now = datetime.now(UTC)
    flow = FlowUpdate(
        flow_id=1, tap_name="t", state="idle", username="", start_time=now, last_activity_time=now, ticks=0,
        volume_ml=0,
    )  # fmt: skip
    assert json.loads(encode(flow))["data"]["username"] is None
    assert decode(encode(flow)) != flow
    assert getattr(decode(encode(flow)), "username", "") is None


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300])
def test_a_measure_that_no_peer_could_read_is_not_sent(value: float) -> None:
    with pytest.raises(ValueError, match="no number to send"):
        encode(ThermoEvent(sensor_name="s", sensor_value=value))


def test_a_time_without_a_zone_is_not_sent() -> None:
    naive = datetime(2026, 1, 1)
    with pytest.raises(ValueError, match="no time zone"):
        encode(
            DrinkCreatedEvent(
                flow_id=1, drink_id=1, tap_name="t", start_time=naive, end_time=naive, username="guest"
            )
        )


# What is accepted


@pytest.mark.parametrize(
    ("sent", "reading"),
    [
        (0, 0),
        (4294967295, 4294967295),
        (250.0, 250),
        (250.9, 250),
        (0.9, 0),
        (-0.0, 0),
        (4294967295.5, 4294967295),
    ],
)
def test_a_reading_is_a_32_bit_count_and_a_fraction_of_a_tick_is_cut_off(sent: float, reading: int) -> None:
    assert meter_update(reading=sent) == MeterUpdate(tap_name="kegboard.flow0", reading=reading)


@pytest.mark.parametrize(
    "text",
    [
        '{"event":"Ping","data":{}}',
        '{"data":{},"event":"Ping"}',
        '  {"event": "Ping", "data": {}}\n',
        '{"event": "Ping", "data": {"unknown": [1, {"a": null}]}, "more": 1e999}',
        '\r\n{"event": "Ping",\r\n"data": {}}',
    ],
)
def test_layout_order_and_unknown_fields_do_not_matter(text: str) -> None:
    assert decode(text.encode()) == Ping()


@pytest.mark.parametrize(
    "names", [{}, {"tap_name": ""}, {"tap_name": None}, {"meter_name": ""}, {"tap_name": ALL_TAPS}]
)
def test_a_token_without_a_tap_is_for_all_taps(names: dict[str, object]) -> None:
    event = decode(
        data_of("TokenAuthEvent", auth_device_name="core.rfid", token_value="aa", status="added", **names)
    )
    assert isinstance(event, TokenAuthEvent)
    assert event.tap_name == ALL_TAPS


def test_a_message_with_both_names_of_the_tap_means_the_older() -> None:
    assert meter_update(meter_name="other") == MeterUpdate(tap_name="kegboard.flow0", reading=1)


@pytest.mark.parametrize(("sent", "age_s"), [(0, 0.0), (3, 3.0), (0.25, 0.25)])
def test_an_age_is_read_where_it_was_sent(sent: float, age_s: float) -> None:
    assert meter_update(age_s=sent) == MeterUpdate(tap_name="kegboard.flow0", reading=1, age_s=age_s)


# What only our own programs say to each other

TOKEN = "correct-horse-battery"
DRINK: dict[str, Any] = {
    "drink_id": 3, "uuid": "0b1c", "flow_id": 9, "tap_name": "kegboard.flow0", "username": None, "ticks": 1000,
    "volume_ml": 454.5, "start_unix_s": 1795216330.0, "end_unix_s": 1795216340.5, "beverage": "Märzen",
}  # fmt: skip
OWN: list[tuple[dict[str, object], Event]] = [
    ({"token": TOKEN}, Credentials(token=TOKEN)),
    ({"want": "status"}, StatusRequest()),
    ({"session": "a1", "next": 7}, Session(session="a1", next=7)),
    ({"took": 8}, Taken(took=8)),
    ({"refused": "too many"}, Refusal(reason="too many")),
    ({"status": {"taps": []}}, CoreStatus(report={"taps": []})),
    ({"drinks_after": 7}, DrinksRequest(after=7)),
    ({"drinks_after": -1, "limit": 1}, DrinksRequest(after=-1, limit=1)),
    ({"drinks": [DRINK], "last_id": 3}, Drinks(drinks=(DrinkFacts(**DRINK),), last_id=3)),
    ({"drinks": [], "last_id": 0}, Drinks(drinks=(), last_id=0)),
    ({"drinks": [], "last_id": 0, "store_id": "a1"}, Drinks(drinks=(), last_id=0, store_id="a1")),
    ({"board_name": "b", "board_state": "online"}, BoardStatus(board_name="b", state="online")),
    (
        {"board_name": "b", "board_state": "too_old", "detail": "Fäss", "firmware_version": 3, "serial_number": "a1",
         "device": "/dev/ttyACM0", "uptime_s": 2.5},
        BoardStatus(board_name="b", state="too_old", detail="Fäss", firmware_version=3, serial_number="a1",
                    device="/dev/ttyACM0", uptime_s=2.5),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("data", "event"), OWN)
def test_what_only_our_programs_understand_travels_as_a_ping_which_old_peers_ignore(
    data: dict[str, object], event: Event
) -> None:
    assert decode(data_of("Ping", **data)) == event
    assert json.loads(encode(event)) == {"event": "Ping", "data": data}


@pytest.mark.parametrize(
    "name",
    [
        "Credentials", "BoardStatus", "StatusRequest", "CoreStatus", "DrinksRequest", "Drinks", "Refusal", "Session",
        "Taken",
    ],
)  # fmt: skip
def test_a_kind_of_ping_is_no_event_by_its_own_name(name: str) -> None:
    assert "unknown event" in reason(decode(data_of(name, token=TOKEN)))


def test_a_ping_with_unknown_fields_is_a_ping_and_with_known_ones_may_have_others() -> None:
    assert decode(data_of("Ping", hello=1)) == Ping()
    assert decode(data_of("Ping", want="status", hello=1)) == StatusRequest()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"token": "short"}, "Credentials: token is not 16 to 256 printable"),
        ({"token": "x" * 257}, "Credentials: token is not"),
        ({"token": "with a space in it"}, "Credentials: token is not"),
        ({"token": None}, "Credentials: token is not"),
        ({"want": "beer"}, "StatusRequest: want is 'beer', expected one of status"),
        ({"status": "fine"}, "CoreStatus: status is 'fine', expected an object"),
        ({"status": {"a": [[[[[[[[1]]]]]]]]}}, "at most 8 deep"),
        ({"status": {"a": 10**30}}, "CoreStatus: status is an object"),
        ({"drinks_after": -2}, "DrinksRequest: drinks_after is -2, expected a whole number from -1 to"),
        ({"drinks_after": 0.0}, "drinks_after is 0.0"),
        ({"drinks_after": 0, "limit": 0}, "limit is 0, expected a whole number from 1 to 100"),
        ({"drinks_after": 0, "limit": 101}, "limit is 101"),
        ({"drinks_after": 0, "limit": None}, "limit is null"),
        ({"drinks": {}, "last_id": 0}, "Drinks: drinks is an object, expected a list of at most 100 drinks"),
        ({"drinks": [DRINK] * 101, "last_id": 3}, "drinks is a list, expected a list of at most 100"),
        ({"drinks": [DRINK, 3], "last_id": 3}, "a drink is 3, expected an object"),
        ({"drinks": [{**DRINK, "ticks": "1"}], "last_id": 3}, "ticks is '1'"),
        ({"drinks": [{**DRINK, "volume_ml": -1}], "last_id": 3}, "volume_ml is -1"),
        ({"drinks": [{**DRINK, "username": "a\nb"}], "last_id": 3}, "username is 'a\\nb'"),
        ({"drinks": [{**DRINK, "beverage": "x" * 201}], "last_id": 3}, "expected at most 200 printable"),
        ({"drinks": []}, "last_id is missing"),
        ({"board_state": "online"}, "BoardStatus: board_name is missing"),
        ({"board_name": "b", "board_state": "fine"}, "board_state is 'fine', expected one of online, silent"),
        ({"board_name": "b", "board_state": None}, "board_state is null"),
        ({"board_name": "b", "board_state": "absent", "detail": "a\nb"}, "detail is 'a\\nb'"),
        ({"board_name": "b", "board_state": "absent", "device": 1}, "device is 1"),
        ({"board_name": "b", "board_state": "absent", "firmware_version": "3"}, "firmware_version is '3'"),
        ({"board_name": "b", "board_state": "absent", "uptime_s": -1}, "uptime_s is -1"),
    ],
)
def test_a_kind_of_ping_with_a_field_of_the_wrong_kind_is_refused_by_name(
    data: dict[str, object], expected: str
) -> None:
    assert expected in reason(decode(data_of("Ping", **data)))


def test_what_a_token_is_is_in_no_complaint_and_in_no_representation() -> None:
    rejected = decode(data_of("Ping", token=TOKEN + " "))
    assert isinstance(rejected, Rejected)
    assert TOKEN not in repr(rejected)
    assert TOKEN not in repr(Credentials(token=TOKEN))


def test_the_detail_of_a_board_is_made_fit_for_one_line() -> None:
    sent = decode(encode(BoardStatus(board_name="b", state="absent", detail="a\nb" + "x" * 600))[:-2])
    assert isinstance(sent, BoardStatus)
    assert sent.detail == "a?b" + "x" * 509


@pytest.mark.parametrize("value", [float("inf"), 2**70, object(), {1: 2}])
def test_a_report_that_not_everybody_could_read_is_not_sent(value: object) -> None:
    with pytest.raises(ValueError, match="plain JSON"):
        encode(CoreStatus(report={"a": value}))
    with pytest.raises(ValueError, match="too long"):
        encode(CoreStatus(report={"a": "x" * 600_000}))


def test_a_drink_whose_beverage_is_not_known_need_not_tell_it() -> None:
    untold = {field: value for field, value in DRINK.items() if field != "beverage"}
    event = decode(data_of("Ping", drinks=[untold], last_id=3))
    assert isinstance(event, Drinks)
    assert event.drinks[0].beverage == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"volume_ml": float("nan")},
        {"drink_id": -1},
        {"ticks": 2**63},
        {"tap_name": ""},
        {"username": "x" * 129},
    ],
)
def test_a_drink_that_no_app_would_accept_is_not_sent(changes: dict[str, object]) -> None:
    drink = DrinkFacts(**{**DRINK, **changes})
    with pytest.raises(ValueError, match="expected"):
        encode(Drinks(drinks=(drink,), last_id=3))


def test_no_more_drinks_than_an_app_may_ask_for_are_sent_or_asked_for() -> None:
    with pytest.raises(ValueError, match="too many"):
        encode(Drinks(drinks=(DrinkFacts(**DRINK),) * 101, last_id=3))
    with pytest.raises(ValueError, match="from 1 to 100"):
        encode(DrinksRequest(after=0, limit=101))


def test_as_many_drinks_as_can_be_with_the_longest_names_are_no_longer_than_an_app_takes() -> None:
    wide = "\U0001f37a"
    drink = DrinkFacts(
        drink_id=2**63 - 1, uuid="u" * 36, flow_id=2**63 - 1, tap_name="t" * 64, username=wide * 128,
        ticks=2**63 - 1, volume_ml=1 / 3, start_unix_s=1e12 / 7, end_unix_s=1e12 / 7, beverage=wide * 200,
    )  # fmt: skip
    answer = Drinks(drinks=(drink,) * 100, last_id=2**63 - 1)
    sent = encode(answer)
    assert len(sent) < MAX_ANSWER_BYTES
    assert list(Decoder(MAX_ANSWER_BYTES).feed(sent)) == [answer]


# What is refused: each costs itself only


@pytest.mark.parametrize(
    "reading", [None, -1, -0.5, "abc", "12", True, [], {}, 4294967296, 1e300, 10**30, 10**4000]
)
def test_a_reading_that_is_no_count_is_refused(reading: object) -> None:
    assert reason(meter_update(reading=reading)).startswith("MeterUpdate: reading is ")


@pytest.mark.parametrize(
    "name", [None, "", 1, ["a"], "x" * 129, "a\nb", "\x1b[31m", "\x00", "\ud800", "a\u2028b", "a\u202eb"]
)
def test_a_name_is_short_and_printable(name: object) -> None:
    assert reason(meter_update(tap_name=name)).startswith("MeterUpdate: tap_name is ")


@pytest.mark.parametrize("age_s", [None, -1, "1", True, 1e300])
def test_an_age_that_cannot_be_is_refused(age_s: object) -> None:
    assert reason(meter_update(age_s=age_s)).startswith("MeterUpdate: age_s is ")


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (b"", "empty message"),
        (b" \n ", "empty message"),
        (b"hello", "not JSON"),
        (b'{"event": "Ping", "data": {}} x', "more follows"),
        (b'{"event": "Ping", "data": {}}{"event": "Ping", "data": {}}', "more follows"),
        (b'["Ping"]', "not an object"),
        (b'"Ping"', "not an object"),
        (b"null", "not an object"),
        (b'{"data": {}}', '"event" must be'),
        (b'{"event": null, "data": {}}', '"event" must be'),
        (b'{"event": ["Ping"], "data": {}}', '"event" must be'),
        (b'{"event": "Ping"}', '"data" must be an object'),
        (b'{"event": "Ping", "data": null}', '"data" must be an object'),
        (b'{"event": "Ping", "data": []}', '"data" must be an object'),
        (b'{"event": "Brew", "data": {}}', "unknown event 'Brew'"),
        (b'{"event": "ping", "data": {}}', "unknown event 'ping'"),
        (b'{"event": "QuitEvent", "data": {}}', "QuitEvent is the core's own"),
        (b'{"event": "HeartbeatSecondEvent", "data": {}}', "the core's own"),
        (b'{"event": "HeartbeatMinuteEvent", "data": {}}', "the core's own"),
        (b'{"event": "MeterUpdate", "data": {}}', "MeterUpdate: tap_name is missing"),
        (b'{"event": "MeterUpdate", "data": {"tap_name": "t"}}', "reading is missing"),
        (b'{"event": "MeterUpdate", "data": {"tap_name": "t", "reading": NaN}}', "NaN is no number"),
        (b'{"event": "MeterUpdate", "data": {"tap_name": "t", "reading": -Infinity}}', "-Infinity is no"),
        (b'{"event": "Ping", "data": {}, "event": "Ping"}', "a field occurs twice"),
        (b'{"event": "MeterUpdate", "data": {"tap_name": "t", "reading": 1, "reading": 2}}', "occurs twice"),
        (b'{"event": "MeterUpdate", "data": {"tap_name": "t", "reading": ' + b"9" * 5000 + b"}}", "digits"),
        (b"[" * 60000, "nested too deeply"),
        (b'{"a":' * 10000, "nested too deeply"),
        (b"\xff\xfe", "not UTF-8"),
        (b'{"event": "\xed\xa0\x80", "data": {}}', "not UTF-8"),
        (b'\xef\xbb\xbf{"event": "Ping", "data": {}}', "not JSON"),
        (b'{"event": "Ping\n", "data": {}}', "not JSON: Invalid control character"),
    ],
)
def test_a_message_that_is_no_event_is_refused_with_its_reason(message: bytes, expected: str) -> None:
    assert expected in reason(decode(message))


@pytest.mark.parametrize(
    ("event", "data", "expected"),
    [
        ("FlowRequest", {"tap_name": "t", "request": "explode"}, "expected one of start_flow, stop_flow"),
        ("FlowRequest", {"tap_name": "t", "request": ["stop_flow"]}, "request is a list"),
        (
            "TokenAuthEvent",
            {"tap_name": "t", "auth_device_name": "d", "token_value": "a", "status": None},
            "status is null, expected one of added, removed",
        ),
        ("ThermoEvent", {"sensor_name": "s", "sensor_value": "4"}, "sensor_value is '4'"),
        ("ThermoEvent", {"sensor_name": "s", "sensor_value": 10**400}, "sensor_value is a huge number"),
        ("ThermoEvent", {"sensor_name": "s", "sensor_value": True}, "sensor_value is true"),
        ("SetRelayOutputEvent", {"output_name": "", "output_mode": "enabled"}, "output_name is ''"),
        ("SetRelayOutputEvent", {"output_name": "r0", "output_mode": "on"}, "output_mode is 'on'"),
    ],
)
def test_a_field_of_the_wrong_kind_is_refused_by_name(
    event: str, data: dict[str, object], expected: str
) -> None:
    assert expected in reason(decode(data_of(event, **data)))


@pytest.mark.parametrize(
    "time",
    [None, 0, "", "2026-11-21", "2026-11-21T07:12:12", "2026-11-21T07:12:12.5Z", "2026-11-21T07:12:12+00:00",
     "2026-02-31T00:00:00Z", "2026-W47-6T07:12:12Z", "٢٠٢٦-11-21T07:12:12Z"],
)  # fmt: skip
def test_a_time_in_another_form_is_refused(time: object) -> None:
    drink = {
        "flow_id": 1, "drink_id": 1, "tap_name": "t", "username": "guest",
        "start_time": "2026-11-21T07:12:12Z", "end_time": time,
    }  # fmt: skip
    assert reason(decode(data_of("DrinkCreatedEvent", **drink))).startswith("DrinkCreatedEvent: end_time is ")


def test_a_reason_is_one_short_printable_line_whatever_was_sent() -> None:
    for message in (b'{"event": "\\n\\u001b[2J' + b"x" * 60000 + b'", "data": {}}', b"\x1b[2J\n\x00" * 5000):
        rejected = decode(message)
        assert isinstance(rejected, Rejected)
        for text in (rejected.reason, rejected.excerpt):
            assert len(text) < 400
            assert text.isascii()
            assert text.isprintable()


# Framing


@given(st.lists(events, max_size=8), st.data())
def test_any_chunking_gives_the_same_events(sent: list[Event], data: st.DataObject) -> None:
    stream = b"".join(map(encode, sent))
    if data.draw(st.booleans(), label="typed by hand"):
        stream = stream.replace(b"\n", b"\r\n")
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    decoder = Decoder()
    got: list[Event | Rejected] = []
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        got += decoder.feed(stream[begin:end])
    assert got == sent


@given(events)
def test_every_event_comes_back_as_it_was_sent(event: Event) -> None:
    assert list(Decoder().feed(encode(event))) == [event]


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\n\r\n", b"\r\n\n"])
def test_an_empty_line_of_either_kind_ends_a_message(end: bytes) -> None:
    stream = (b'{"event": "Ping",\r\n"data": {}}' + end) * 3
    for size in (1, 2, 3, len(stream)):
        decoder = Decoder()
        chunks = [stream[at : at + size] for at in range(0, len(stream), size)]
        assert [event for chunk in chunks for event in decoder.feed(chunk)] == [Ping()] * 3


def test_bad_messages_between_good_ones_cost_only_themselves() -> None:
    ping = encode(Ping())
    got = list(Decoder().feed(ping + b"nonsense\n\n" + ping + b"\n\n" + b"\xff\n\n" + ping))
    assert [type(item) for item in got] == [Ping, Rejected, Ping, Rejected, Rejected, Ping]


def test_a_message_as_long_as_the_limit_is_read_and_a_longer_one_is_skipped_with_one_complaint() -> None:
    ping = b'{"event": "Ping", "data": {}}'
    for size in (1, 7, 1000):
        decoder = Decoder(max_message_bytes=100)
        stream = ping.ljust(100) + b"\n\n" + ping.ljust(101) + b"\n\n" + b"x" * 950 + b"\n\n" + ping + b"\n\n"
        got = [item for at in range(0, len(stream), size) for item in decoder.feed(stream[at : at + size])]
        assert [type(item) for item in got] == [Ping, Rejected, Rejected, Ping]
        assert "longer than 100 bytes" in reason(got[1])


def test_ten_megabytes_without_a_terminator_are_one_complaint_and_no_memory() -> None:
    decoder = Decoder()
    chunk = b"x" * 50_000
    got = [item for _ in range(200) for item in decoder.feed(chunk)]
    assert [type(item) for item in got] == [Rejected]
    assert len(decoder._rest) <= 65537
    assert list(decoder.feed(b"\n\n" + encode(Ping()))) == [Ping()]


def test_what_arrived_is_taken_even_if_nobody_asks_for_the_messages() -> None:
    decoder = Decoder()
    decoder.feed(b'{"event": "Ping",')
    assert list(decoder.feed(b'"data": {}}\n\n')) == [Ping()]


@given(st.lists(st.binary(max_size=200) | st.sampled_from([b"\n", b"\r\n", b"\n\n", b"\r"]), max_size=30))
def test_any_bytes_in_any_chunks_raise_nothing_and_mean_the_same(chunks: list[bytes]) -> None:
    split, whole = Decoder(max_message_bytes=64), Decoder(max_message_bytes=64)
    assert [item for chunk in chunks for item in split.feed(chunk)] == list(whole.feed(b"".join(chunks)))


def test_a_sample_of_mutated_messages_only_meets_the_documented_outcomes() -> None:
    fuzz.run(inputs=5000, seed=1)
