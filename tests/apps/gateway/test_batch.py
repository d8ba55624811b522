from __future__ import annotations

import json
from typing import Any

import pytest

from kegapps.gateway.batch import (
    CommandResult,
    Dropped,
    Event,
    GrantEnd,
    Invalid,
    Pour,
    Status,
    Temperature,
    TokenShown,
    Unknown,
    read_batch,
)
from tests.apps.gateway.programs import batch, event, pour, status


def read(events: list[Any], **more: Any) -> tuple[Event, ...]:
    return read_batch(json.dumps(batch(events, **more)).encode()).events


def one(kind: str, data: Any) -> object:
    return read([event(1, kind, data)])[0].what


POUR = {"meter_number": 1, "pour_id": "p", "volume_ml": 355.2, "duration_ms": 7100}

UNDERSTOOD = [
    ("pour", POUR, Pour(meter_number=1, pour_id="p", volume_ml=355.2, duration_s=7.1, final=True)),
    ("pour", POUR | {"ticks": 1919, "ml_per_tick": 0.185, "grant_id": "g", "auth_token": "ff", "tick_series": "0:3"}, Pour(meter_number=1, pour_id="p", volume_ml=355.2, duration_s=7.1, final=True, ticks=1919, ml_per_tick=0.185, grant_id="g")),
    ("pour", POUR | {"ticks": "many", "ml_per_tick": -1, "grant_id": 7}, Pour(meter_number=1, pour_id="p", volume_ml=355.2, duration_s=7.1, final=True)),
    ("pour_update", POUR, Pour(meter_number=1, pour_id="p", volume_ml=355.2, duration_s=7.1, final=False)),
    ("temperature", {"sensor": "thermo-28", "temp_c": 4}, Temperature(sensor="thermo-28", temp_c=4.0)),
    ("token", {"auth_device": "core.rfid", "token": "0089f2c4", "action": "detached"}, TokenShown(auth_device="core.rfid", token="0089f2c4", attached=False)),
    ("command_result", {"command": "c", "result": "ok"}, CommandResult(command="c", result="ok")),
    ("grant_end", {"meter_numbers": [0, 1], "reason": "idle", "grant_id": "g"}, GrantEnd(meter_numbers=(0, 1), grant_id="g", reason="idle")),
    ("status", status(1)["data"], Status(boot=True, fw_version="2.0.0", uptime_s=12.345, events_dropped=0, ml_per_tick={0: 0.185}, meters=(0,))),
    ("status", {"state": "heartbeat", "meters": [{"meter_number": 99}, 7, {"meter_number": 2}], "uptime_ms": "x"}, Status(boot=False, fw_version="", uptime_s=None, events_dropped=0, ml_per_tick={}, meters=(2,))),
    ("pour", POUR | {"ticks": 10**4000, "ml_per_tick": 10**4000}, Pour(meter_number=1, pour_id="p", volume_ml=355.2, duration_s=7.1, final=True)),
    ("set_mood", {"mood": "merry"}, Unknown(type="set_mood")),
]  # fmt: skip

DROPPED = [
    ("pour", {k: v for k, v in POUR.items() if k != "pour_id"}, "malformed pour_id"),
    ("pour", POUR | {"meter_number": 16}, "malformed meter_number"),
    ("pour", POUR | {"meter_number": True}, "malformed meter_number"),
    ("pour", POUR | {"volume_ml": -0.1}, "malformed volume_ml"),
    ("pour", POUR | {"volume_ml": 1e9}, "malformed volume_ml"),
    ("pour", POUR | {"pour_id": "x" * 129}, "malformed pour_id"),
    ("pour", POUR | {"pour_id": "a\nb"}, "malformed pour_id"),
    ("pour_update", POUR | {"duration_ms": "7"}, "malformed duration_ms"),
    ("temperature", {"sensor": "a", "temp_c": "4"}, "malformed temp_c"),
    ("temperature", {"sensor": "a", "temp_c": 10**4000}, "malformed temp_c"),
    ("pour", POUR | {"volume_ml": 10**4000}, "malformed volume_ml"),
    ("pour", POUR | {"duration_ms": 10**4000}, "malformed duration_ms"),
    ("token", {"auth_device": "a", "token": "b", "action": "waved"}, "malformed action"),
    ("command_result", {"command": "c", "result": "perhaps"}, "malformed result"),
    ("grant_end", {"meter_numbers": [-1], "reason": "idle"}, "malformed meter_numbers"),
    ("status", {"state": "fine"}, "malformed state"),
    ("pour", None, "data is no object"),
    ("pour", [], "data is no object"),
]  # fmt: skip

INVALID = [
    (b"", "invalid", "not JSON"),
    (b"\xff\xfe\xfd", "invalid", "not JSON"),
    (b"[" * 16000, "invalid", "not JSON"),
    (b'{"v": 1, "device": NaN}', "invalid", "not JSON"),
    (b'{"v": ' + b"1" * 10000 + b"}", "invalid", "not JSON"),
    (b"[]", "invalid", "not an object"),
    (b"{}", "invalid", "v"),
    (batch([], v="1"), "invalid", "v"),
    (batch([], v=True), "invalid", "v"),
    (batch([], v=2), "unsupported_version", ""),
    (batch([pour(1, 1)], device=""), "invalid", "device"),
    (batch([pour(1, 1)], device="x" * 65), "invalid", "device"),
    (batch([pour(1, 1)], device="\ud800"), "invalid", "device"),
    (batch([pour(1, 1)], boot_id="x" * 33), "invalid", "boot_id"),
    (batch([pour(1, 1)]) | {"boot_id": None}, "invalid", "boot_id"),
    (batch([]), "invalid", "events"),
    (batch([pour(n, 1) for n in range(1, 18)]), "invalid", "events"),
    (batch([7]), "invalid", "events: not an object"),
    (batch([pour(0, 1)]), "invalid", "events: id"),
    (batch([pour(2, 1), pour(2, 1)]), "invalid", "events: id"),
    (batch([pour(2, 1), pour(1, 1)]), "invalid", "events: id"),
    (batch([pour(1, 1) | {"age_ms": -1}]), "invalid", "events: age_ms"),
    (batch([pour(1, 1) | {"age_ms": 1.5}]), "invalid", "events: age_ms"),
    (batch([pour(1, 1) | {"type": 7}]), "invalid", "events: type"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "data", "meant"), UNDERSTOOD)
def test_each_kind_of_event_is_understood(kind: str, data: Any, meant: object) -> None:
    assert one(kind, data) == meant


@pytest.mark.parametrize(("kind", "data", "reason"), DROPPED)
def test_an_event_with_malformed_data_is_dropped_alone_and_it_is_said_why(
    kind: str, data: Any, reason: str
) -> None:
    first, bad, last = read([pour(1, 1), event(2, kind, data), pour(3, 1)])
    assert bad.what == Dropped(type=kind, reason=reason)
    assert isinstance(first.what, Pour)
    assert isinstance(last.what, Pour)


@pytest.mark.parametrize(("body", "error", "detail"), INVALID)
def test_a_malformed_batch_is_refused_whole(body: Any, error: str, detail: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_batch(body if isinstance(body, bytes) else json.dumps(body).encode())
    assert (refused.value.error, refused.value.detail) == (error, detail)


def test_sixteen_events_are_a_batch_and_what_is_not_known_of_it_is_ignored() -> None:
    events = read([pour(n, 1) | {"time": "2026-11-21T10:00:00Z", "x": 1} for n in range(3, 19)], extra=[1])
    assert [event.id for event in events] == list(range(3, 19))


def test_an_age_that_no_clock_has_is_cut() -> None:
    for age_ms in (10**15, 10**4000):
        assert read([pour(1, 1) | {"age_ms": age_ms}])[0].age_s == 30 * 86400
