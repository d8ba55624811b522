"""What two bridges write to each other: read back as it was written, and refused whatever else it is."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kegapps.bridge.mqtt_letters import (
    MAX_LETTER_BYTES,
    Beat,
    Down,
    LetterError,
    Took,
    Up,
    read_beat,
    read_down,
    read_status,
    read_took,
    read_up,
    write_beat,
    write_down,
    write_status,
    write_took,
    write_up,
)
from kegapps.kegnet.events import (
    BoardStatus,
    FlowUpdate,
    MeterUpdate,
    SetRelayOutputEvent,
    ThermoEvent,
    TokenAuthEvent,
)

NOW = datetime(2026, 11, 21, 7, 12, 12, tzinfo=UTC)
READING = MeterUpdate(tap_name="kegboard.flow0", reading=7, age_s=1.5)
ENABLED = SetRelayOutputEvent(output_name="kegboard.relay0", output_mode="enabled")
FLOW = FlowUpdate(
    flow_id=1,
    tap_name="a",
    state="active",
    username=None,
    start_time=NOW,
    last_activity_time=NOW,
    ticks=7,
    volume_ml=3.0,
)


def up(**changes: Any) -> Up:
    return Up(
        **{"session": "s", "number": 7, "first": 3, "run": "r", "sent_s": 1.25, "event": READING, **changes}
    )


@pytest.mark.parametrize(
    "event",
    [
        READING,
        ThermoEvent(sensor_name="kegboard.thermo-1", sensor_value=4.25),
        TokenAuthEvent(
            tap_name="__all_taps__", auth_device_name="core.rfid", token_value="01", status="added"
        ),
    ],
)
def test_what_an_app_says_arrives_with_its_number_and_time(event: Any) -> None:
    assert read_up(write_up(up(event=event))) == up(event=event)


def test_a_letter_is_one_json_object_for_any_mqtt_tool_to_show() -> None:
    assert json.loads(write_up(up())) == {
        "event": "MeterUpdate",
        "data": {"tap_name": "kegboard.flow0", "reading": 7, "age_s": 1.5},
        "session": "s", "number": 7, "first": 3, "run": "r", "sent_s": 1.25,
    }  # fmt: skip


def test_the_other_letters_are_read_as_they_were_written() -> None:
    status = BoardStatus(board_name="kegboard", state="online", uptime_s=3.5)
    assert read_status(write_status(status)) == status
    for down in (Down(event=ENABLED, stamp="r 1.000"), Down(event=FLOW)):
        assert read_down(write_down(down)) == down
    for took in (Took(session="s", took=7), Took(session="s", took=7, again=9)):
        assert read_took(write_took(took)) == took
    for beat in (Beat(stamp="r 1.000"), Beat(stamp="r 1.000", again=True)):
        assert read_beat(write_beat(beat)) == beat


def altered(**changes: Any) -> bytes:
    return json.dumps({**json.loads(write_up(up())), **changes}).encode()


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 4000, "not JSON"),
        (b"[]", "not a JSON object"),
        (b"{}", '"event" must be the name'),
        (b" " * (MAX_LETTER_BYTES + 1), "too long"),
        (altered(number=-1), "number is -1"),
        (altered(number="7"), "number is '7'"),
        (altered(number=10**30), "number is a huge number"),
        (altered(number=2), "comes before the first"),
        (altered(first=None), "first is null"),
        (altered(session="a\nb"), "session is"),
        (altered(session="x" * 200), "session is"),
        (altered(run=None), "run is null"),
        (altered(sent_s=float("nan")), "NaN is no number"),
        (altered(sent_s=-1), "sent_s is -1"),
        (altered(data={"tap_name": "a", "reading": -1}), "reading is -1"),
        (altered(event="QuitEvent"), "the core's own"),
    ],
)
def test_what_is_no_letter_is_refused_with_a_reason(payload: bytes, reason: str) -> None:
    with pytest.raises(LetterError, match=reason):
        read_up(payload)


@pytest.mark.parametrize("event", [ENABLED, FLOW, BoardStatus(board_name="a", state="online")])
def test_a_machine_with_boards_must_not_say_what_only_a_core_may(event: Any) -> None:
    with pytest.raises(LetterError, match="is not an app's to send"):
        read_up(write_up(up(event=event)))


def test_a_core_must_not_say_what_only_apps_may() -> None:
    with pytest.raises(LetterError, match="is not a core's to say"):
        read_down(write_up(up()))
    with pytest.raises(LetterError, match="is no status of a board"):
        read_status(write_up(up()))


@pytest.mark.parametrize("stamp", ["x" * 65, "a\nb", 7, None])
def test_a_stamp_is_short_and_printable(stamp: object) -> None:
    with pytest.raises(LetterError, match="stamp"):
        read_beat(json.dumps({"stamp": stamp}).encode())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(
    ["event", "data", "session", "number", "first", "run", "sent_s", "stamp", "again", "took"]
)


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=200)
    | st.dictionaries(KEYS, JSON).map(lambda data: json.dumps(data).encode())
    | st.dictionaries(KEYS, JSON).map(lambda changes: altered(**changes))
)
def test_no_bytes_whatever_are_more_than_refused(payload: bytes) -> None:
    for read in (read_up, read_status, read_down, read_took, read_beat):
        with contextlib.suppress(LetterError):
            read(payload)
