"""The dialect of kegnet that is spoken on Redis, both ways."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from kegapps.bridge.redis_address import RedisAddress, parse_redis_url
from kegapps.bridge.redis_dialect import Refused, is_published, payload, read
from kegapps.kegnet.events import (
    ALL_TAPS,
    AppEvent,
    DrinkCreatedEvent,
    FlowRequest,
    FlowUpdate,
    MeterUpdate,
    SetRelayOutputEvent,
    ThermoEvent,
    TokenAuthEvent,
)

NOON = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
FLOW = FlowUpdate(
    flow_id=7, tap_name="kegboard.flow0", state="active", username=None, start_time=NOON, last_activity_time=NOON,
    ticks=250, volume_ml=113.5,
)  # fmt: skip
DRINK = DrinkCreatedEvent(
    flow_id=7, drink_id=1, tap_name="kegboard.flow0", start_time=NOON, end_time=NOON, username="guest"
)
RECORDED = b"""{
  "event": "MeterUpdate",
  "data": {
    "meter_name": "kegboard.flow0",
    "reading": 250
  }
}"""


def test_a_flow_is_published_in_lines_with_the_meters_name() -> None:
    assert payload(FLOW).decode() == (
        '{\n  "event": "FlowUpdate",\n  "data": {\n    "flow_id": 7,\n    "meter_name": "kegboard.flow0",\n'
        '    "state": "active",\n    "username": null,\n    "start_time": "2026-11-21T12:00:00Z",\n'
        '    "last_activity_time": "2026-11-21T12:00:00Z",\n    "ticks": 250,\n    "volume_ml": 113.5\n  }\n}'
    )


def test_drinks_and_valves_are_published_too() -> None:
    assert b'"meter_name": "kegboard.flow0"' in payload(DRINK)
    assert b"tap_name" not in payload(DRINK)
    assert b'"output_name": "kegboard.relay0"' in payload(
        SetRelayOutputEvent(output_name="kegboard.relay0", output_mode="enabled")
    )


@pytest.mark.parametrize(
    ("state", "published"), [("initial", False), ("active", True), ("idle", True), ("completed", True)]
)
def test_a_flow_without_a_tick_is_not_said_there(state: str, published: bool) -> None:
    flow = FlowUpdate(**{name: getattr(FLOW, name) for name in FlowUpdate.__slots__} | {"state": state})
    assert is_published(flow) is published


@pytest.mark.parametrize(
    ("text", "event"),
    [
        (RECORDED, MeterUpdate(tap_name="kegboard.flow0", reading=250)),
        (
            b'{"event": "FlowRequest", "data": {"meter_name": "kegboard.flow0", "request": "stop_flow"}}',
            FlowRequest(tap_name="kegboard.flow0", request="stop_flow"),
        ),
        (
            b'{"event": "TokenAuthEvent", "data": {"meter_name": "", "auth_device_name": "core.rfid", '
            b'"token_value": "deadbeef00", "status": "added"}}',
            TokenAuthEvent(
                tap_name=ALL_TAPS, auth_device_name="core.rfid", token_value="deadbeef00", status="added"
            ),
        ),
        (
            b'{"event": "ThermoEvent", "data": {"sensor_name": "kegboard.thermo-1", "sensor_value": 4.25}}',
            ThermoEvent(sensor_name="kegboard.thermo-1", sensor_value=4.25),
        ),
        # What is ours is not believed of a stranger.
        (
            b'{"event": "MeterUpdate", "data": {"meter_name": "a.flow0", "reading": 9, "gap_s": 9e5, "age_s": 5, '
            b'"board_uptime_s": 3}}',
            MeterUpdate(tap_name="a.flow0", reading=9),
        ),
    ],
)
def test_what_an_app_publishes_is_passed_on(text: bytes, event: AppEvent) -> None:
    assert read(text) == event


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (payload(FLOW), "FlowUpdate is the core's own"),
        (payload(DRINK), "DrinkCreatedEvent is the core's own"),
        (
            b'{"event": "SetRelayOutputEvent", "data": {"output_name": "a.relay0", "output_mode": "enabled"}}',
            "SetRelayOutputEvent is the core's own",
        ),
        (b'{"event": "QuitEvent", "data": {}}', "QuitEvent is the core's own"),
        (b'{"event": "MeterUpdate", "data": {"meter_name": "a.flow0", "reading": -1}}', "MeterUpdate: reading is -1"),
        (b'{"event": "MeterUpdate", "data": {"meter_name": "a.flow0", "reading": "12"}}', "MeterUpdate: reading is"),
        (b'{"event": "MeterUpdate", "data": {"meter_name": "a\\nb", "reading": 1}}', "MeterUpdate: meter_name is"),
        (b"[1, 2]", "not an object"),
        (b"hello", "not JSON"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[" * 60_000, "nested too deeply"),
        (b"", "empty message"),
    ],
)  # fmt: skip
def test_what_nobody_there_has_a_right_to_say_is_refused_with_a_reason(text: bytes, reason: str) -> None:
    refused = read(text)
    assert isinstance(refused, Refused)
    assert refused.reason.startswith(reason)


@pytest.mark.parametrize(
    "text",
    [
        b'{"event": "ControllerConnectedEvent", "data": {"controller_name": "kegboard"}}',
        b'{"event": "SyncEvent", "data": {"data": {}}}',
        b'{"event": "StartedEvent", "data": {}}',
        b'{"event": "Ping", "data": {}}',
        b'{"event": "Ping", "data": {"board_state": "online", "board_name": "kegboard"}}',
        b'{"event": "Ping", "data": {"drinks_after": -1}}',
    ],
)
def test_what_is_said_there_among_others_is_no_fault_and_goes_no_further(text: bytes) -> None:
    assert read(text) == Refused()


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://localhost:6379/0", RedisAddress(host="localhost", port=6379)),
        ("redis://localhost", RedisAddress(host="localhost", port=6379)),
        ("redis://192.0.2.7:7000/", RedisAddress(host="192.0.2.7", port=7000)),
        ("redis://[::1]:7000/3", RedisAddress(host="::1", port=7000)),
        ("redis://:p%40ss@bar:1/0", RedisAddress(host="bar", port=1, password="p@ss")),
        ("redis://bob:p@bar:1/0", RedisAddress(host="bar", port=1, username="bob", password="p")),
        ("redis://bräu.example", RedisAddress(host="bräu.example")),
        ("redis://[fe80::1%25eth0]:7000", RedisAddress(host="fe80::1%25eth0", port=7000)),
        ("unix:///run/redis.sock", RedisAddress(path="/run/redis.sock")),
        ("unix://:p@/run/redis.sock?db=0", RedisAddress(path="/run/redis.sock", password="p")),
    ],
)
def test_a_url_says_where_redis_is(url: str, address: RedisAddress) -> None:
    assert parse_redis_url(url) == address


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("localhost:6379", "expected redis://HOST:PORT/0"),
        ("redis://", "expected redis://HOST:PORT/0"),
        ("http://localhost", "expected redis://HOST:PORT/0"),
        ("rediss://:secret@localhost", "does not encrypt"),
        ("redis://:secret@localhost:99999/0", "1 to 65535"),
        ("redis://:secret@localhost:0/0", "a host and a port"),
        ("redis://:6379", "a host and a port"),
        ("redis://:secret@localhost/mydb", "number of a database"),
        ("unix://redis.sock", "the whole path"),
        ("unix:///run/%00redis.sock", "none that is zero"),
        (f"unix:///{'x' * 107}", "at most 107 bytes"),
        ("redis://:secret@[1.2.3.4]:5", "an IPv6 address in the brackets"),
        ("redis://:secret@[::1", "an IPv6 address in the brackets"),
        ("redis://999.0.0.1", "'999.0.0.1' is no IPv4 address"),
        ("redis://1.2.3", "'1.2.3' is no IPv4 address"),
        ("redis://a..b", "'a..b' is no name of a host"),
        (f"redis://{'x' * 64}.example", "is no name of a host"),
        ("redis://a b", "'a b' is no name of a host"),
    ],
)
def test_a_url_that_makes_no_sense_is_refused_without_its_password(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as raised:
        parse_redis_url(url)
    assert "secret" not in str(raised.value)


def test_a_password_is_in_no_word_about_an_address() -> None:
    address = parse_redis_url("redis://bob:secret@[::1]:7000/0")
    assert (str(address), "secret" in repr(address)) == ("[::1]:7000", False)


@pytest.mark.parametrize("url", ["redis://:\udcff@h", "redis://:%ff@h", "redis://%ff:x@h", "unix://:%ff@/s"])
def test_a_password_that_is_no_text_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="the user or the password is not UTF-8 text"):
        parse_redis_url(url)
