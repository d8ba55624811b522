"""Everything that a client must not be able to do to the core, and a well-behaved client next to it."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator

from kegapps.kegnet.events import FlowUpdate
from tests.apps.core.bar import FLOW0, reading
from tests.apps.core.programs import App

SLEEPERS = 200
TIME = "2026-11-21T07:12:12Z"
FLOW = {
    "flow_id": 1, "tap_name": FLOW0, "state": "completed", "username": "alice", "start_time": TIME,
    "last_activity_time": TIME, "ticks": 1000, "volume_ml": 454.5,
}  # fmt: skip
DRINK = {
    "flow_id": 1, "drink_id": 1, "tap_name": FLOW0, "start_time": TIME, "end_time": TIME, "username": "alice",
}  # fmt: skip


def message(event: str, **data: object) -> bytes:
    return json.dumps({"event": event, "data": data}).encode() + b"\n\n"


# kegnet-protocol.md section 6, row by row, and some more.
OFFENCES: dict[str, bytes] = {
    "empty": b"\n\n" * 10,
    "no JSON": b"hello\n\n",
    "unknown event": message("BeerEvent", tap_name=FLOW0),
    "no data": b'{"event": "MeterUpdate"}\n\n',
    "array": b"[1, 2]\n\n",
    "string": b'"MeterUpdate"\n\n',
    "unknown tap": message("FlowRequest", tap_name="no.tap", request="start_flow"),
    "unknown request": message("FlowRequest", tap_name=FLOW0, request="drink_it"),
    "Ping": message("Ping"),
    "extra fields": message("FlowRequest", tap_name="no.tap", request="stop_flow", colour="red"),
    "null reading": message("MeterUpdate", tap_name=FLOW0, reading=None),
    "negative reading": message("MeterUpdate", tap_name=FLOW0, reading=-5),
    "text reading": message("MeterUpdate", tap_name=FLOW0, reading="abc"),
    "number as text": message("MeterUpdate", tap_name=FLOW0, reading="12"),
    "true as reading": message("MeterUpdate", tap_name=FLOW0, reading=True),
    "huge reading": message("MeterUpdate", tap_name=FLOW0, reading=10**30),
    "infinite reading": b'{"event": "MeterUpdate", "data": {"tap_name": "kegboard.flow0", "reading": Infinity}}\n\n',
    "QuitEvent": message("QuitEvent"),
    "heartbeats": message("HeartbeatSecondEvent") + message("HeartbeatMinuteEvent"),
    "relay order": message("SetRelayOutputEvent", output_name="kegboard.relay0", output_mode="enabled"),
    "fake drink": message("DrinkCreatedEvent", **DRINK),
    "fake completed flow": message("FlowUpdate", **FLOW),
    "strange tap names": b"".join(
        message("MeterUpdate", tap_name=name, reading=ticks)
        for name in ("../../etc/passwd", "'; drop table drinks; --", "\x1b[2J", "\ud800", "x" * 100, "")
        for ticks in (0, 500)
    ),
    "strange sensors": b"".join(
        message("ThermoEvent", sensor_name=name, sensor_value=4.0) for name in ("a b", "\x00", "x" * 100)
    ),
    "temperature of another world": message("ThermoEvent", sensor_name="a.thermo-1", sensor_value=1e300),
    "deeply nested": b"[" * 50_000 + b"\n\n",
    "not UTF-8": b"\xff\xfe" * 100 + b"\n\n",
    "ages": message("TokenAuthEvent", tap_name=FLOW0, auth_device_name="x", token_value="y", status="added", age_s=-1)
    + b'{"event": "FlowRequest", "data": {"tap_name": "kegboard.flow0", "request": "stop_flow", "age_s": NaN}}\n\n',
}  # fmt: skip


def offend(port: int) -> None:
    """Commit every offence, each on a connection of its own; returns when the core has taken them all."""
    for bad in OFFENCES.values():
        with contextlib.suppress(ConnectionError), socket.create_connection(("127.0.0.1", port), 30) as sock:
            sock.sendall(bad)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(65536):
                pass


@contextlib.contextmanager
def nuisances(port: int) -> Iterator[None]:
    """200 clients that never read, and others that send 10 MB without an end, garbage and tiny messages."""
    sleepers = [socket.create_connection(("127.0.0.1", port)) for _ in range(SLEEPERS)]
    floods = (b"x" * 65536, b"{\n\n" * 20_000, message("MeterUpdate", tap_name="a b", reading=1) * 500)
    try:
        with flooded(port, *floods):
            yield
    finally:
        for sock in sleepers:
            sock.close()


@contextlib.contextmanager
def flooded(port: int, *floods: bytes) -> Iterator[None]:
    """A client for each of `floods` that sends it without end and never reads."""
    stop = threading.Event()
    threads = [threading.Thread(target=_flood, args=(port, data, stop)) for data in floods]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _flood(port: int, data: bytes, stop: threading.Event) -> None:
    """10 MB over one connection, then over the next."""
    while not stop.is_set():
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as sock:
            for _ in range(10_000_000 // len(data)):
                if stop.is_set():
                    return
                sock.sendall(data)


def delays_ms(app: App, first: int, count: int) -> list[float]:
    """How long each of `count` readings, from `first` ticks on, takes to come back as a stored flow's update."""
    delays = []
    for ticks in range(first, first + count):
        began_s = time.perf_counter()
        app.send(reading(ticks))
        while _last_ticks(app) != ticks:
            assert app.listen_once()
        delays.append(1000 * (time.perf_counter() - began_s))
    return delays


def _last_ticks(app: App) -> int | None:
    return next((event.ticks for event in reversed(app.heard) if isinstance(event, FlowUpdate)), None)
