"""What the core tells an app that asks how it is: taps, sensors, boards, store, server and outbox as one JSON object.

Knows the core's nouns and the shape of the report (docs/doctor.rst). Must not know sockets, clocks, files or the
store; it is told of them. Later versions may add keys and never change the meaning of one.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any, Final

from kegapps.core.model import Flow, Meter, Now, OnTap, SensorReading, Tap
from kegapps.core.rules import Rules
from kegapps.core.tap_facts import tap_facts
from kegapps.kegnet.drink_facts import drink_object
from kegapps.kegnet.events import BoardStatus, DrinkFacts
from kegapps.kegnet.fields import MAX_REPORT_BYTES

REPORT_BYTES: Final = MAX_REPORT_BYTES - 30_000
"""For taps, boards and sensors; the rest is for what is there once."""
BOARDS_BYTES: Final = 100_000
"""Of these: three hundred boards, or ten of which every text is as long as it may be."""
SENSORS_BYTES: Final = 20_000
"""A hundred sensors. What is told of taps for show gets what is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeardBoard:
    """What a board daemon said last of one board, and when."""

    status: BoardStatus
    heard_mono_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreState:
    """The store's file, and in one line why nothing can be stored, empty if all is well."""

    path: str
    trouble: str = ""
    schema_version: int = 0
    waiting_drinks: int = 0
    """Drinks that are in memory only, because of the trouble."""


def core_report(
    *,
    version: str,
    pid: int,
    rules: Rules,
    taps: Collection[Tap],
    meters: Mapping[str, Meter],
    open_flows: Iterable[Flow],
    boards: Iterable[HeardBoard],
    store: StoreState,
    clients: int,
    now: Now,
    on_taps: Mapping[str, OnTap],
    sensors: Sequence[SensorReading],
    last_drink: DrinkFacts | None,
    server: Mapping[str, Any] | None = None,
    outbox: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The report. `server` and `outbox` are None without a Kegbot Server; `clients` are the connections."""
    flows = {flow.tap_name: flow for flow in open_flows}
    rows: list[Mapping[str, Any]] = [
        _tap(tap, meters.get(tap.name), flows.get(tap.name), rules) for tap in taps
    ]
    room = REPORT_BYTES - len(json.dumps(rows))
    board_rows = _fitting((_board(board, now) for board in boards), min(BOARDS_BYTES, room))
    room -= len(json.dumps(board_rows))
    sensor_rows = _fitting((_sensor(sensor) for sensor in sensors), min(SENSORS_BYTES, room))
    room -= len(json.dumps(sensor_rows))
    facts: list[Mapping[str, Any]] = _fitting(
        (tap_facts(tap, on_taps.get(tap.name, OnTap()), flows.get(tap.name), sensors, now) for tap in taps),
        room,
    )
    nothing: Mapping[str, Any] = {}
    return {
        "version": version,
        "pid": pid,
        "taps": [{**row, **told} for row, told in zip(rows, chain(facts, repeat(nothing)), strict=False)],
        "sensors": sensor_rows,
        "last_drink": None if last_drink is None else drink_object(last_drink),
        "boards": board_rows,
        "store": {
            "path": store.path,
            "trouble": store.trouble,
            "schema_version": store.schema_version,
            "waiting_drinks": store.waiting_drinks,
        },
        "server": None if server is None else dict(server),
        "outbox": None if outbox is None else dict(outbox),
        "clients": clients,
        "guest_username": rules.guest_username,
    }


def _tap(tap: Tap, meter: Meter | None, flow: Flow | None, rules: Rules) -> dict[str, Any]:
    return {
        "name": tap.name,
        "ml_per_tick": tap.ml_per_tick,
        "source": _source(tap, rules),
        "relay_name": tap.relay_name,
        "last_reading": meter.last_reading if meter else None,
        "read_unix_s": meter.read_unix_s if meter else None,
        "counted_ticks": meter.counted_ticks if meter else 0,
        "dropped_ticks": meter.dropped_ticks if meter else 0,
        "open_flow_ticks": flow.ticks if flow else None,
    }


def _source(tap: Tap, rules: Rules) -> str:
    """Where the calibration comes from: `server`, `set` by a person, or `default`: nobody sets it to just that."""
    if tap.source == "server":
        return "server"
    return "default" if tap.ml_per_tick == rules.default_ml_per_tick else "set"


def _fitting(rows: Iterable[Mapping[str, Any]], most_bytes: int) -> list[Mapping[str, Any]]:
    """The first of `rows`, as far as there is room: no long words may keep anybody from an answer."""
    fitting = []
    left = most_bytes
    for row in rows:
        left -= len(json.dumps(row)) + 2
        if left < 0:
            break
        fitting.append(row)
    return fitting


def _sensor(sensor: SensorReading) -> dict[str, Any]:
    return {"sensor_name": sensor.sensor_name, "temperature_c": sensor.celsius, "unix_s": sensor.unix_s}


def _board(board: HeardBoard, now: Now) -> dict[str, Any]:
    status = board.status
    age_s = max(0.0, now.mono_s - board.heard_mono_s)
    return {
        "board_name": status.board_name,
        "state": status.state,
        "detail": status.detail,
        "firmware_version": status.firmware_version,
        "serial_number": status.serial_number,
        "device": status.device,
        # It was that old when the daemon told of it.
        "uptime_s": None if status.uptime_s is None else round(status.uptime_s + age_s, 3),
        "heard_age_s": round(age_s, 3),
    }
