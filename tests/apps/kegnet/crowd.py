"""Processes for the hub's hard times: `python -m tests.apps.kegnet.crowd core` and `... crowd attack PORT`.

The core answers readings of the tap "polite" with a FlowUpdate of as many ticks to everybody, and ignores the
others as a core ignores taps it does not know. Each role prints one line when it is under way and ends when its
standard input does.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
from datetime import UTC, datetime

from kegapps.daemon.loop import READ, Loop
from kegapps.kegnet.codec import encode
from kegapps.kegnet.events import Event, FlowUpdate, MeterUpdate
from kegapps.kegnet.hub import Hub

SLEEPERS = 200


def core() -> None:
    """A hub on any free port, which it prints."""
    loop = Loop()

    def on_event(event: Event, _peer: str) -> None:
        if isinstance(event, MeterUpdate) and event.tap_name == "polite":
            hub.broadcast(flow(event.reading))

    hub = Hub(loop, ("localhost", 0), on_event=on_event)
    print(hub.address[1], flush=True)
    loop.watch(sys.stdin, READ, lambda _ready: loop.stop())
    loop.run()


def flow(ticks: int) -> FlowUpdate:
    """A flow of `ticks`."""
    now = datetime.now(UTC)
    return FlowUpdate(
        flow_id=1, tap_name="polite", state="active", username=None, start_time=now, last_activity_time=now,
        ticks=ticks, volume_ml=ticks / 2.2,
    )  # fmt: skip


def attack(port: int) -> None:
    """200 clients that never read, and endless text, garbage, tiny messages and readings, all at once."""
    address = ("127.0.0.1", port)
    sleepers = [socket.create_connection(address) for _ in range(SLEEPERS)]
    floods = (
        b"x" * 65536,  # without end: 10 MB come together within a second
        b"\xff\x00{[\n\n" * 8000,
        b"1\n\n" * 20000,
        b"\n" * 65536,
        encode(MeterUpdate(tap_name="unknown", reading=1)) * 700,
    )
    for data in floods:
        sock = socket.create_connection(address)
        threading.Thread(target=_pour_out, args=(sock, data), daemon=True).start()
    print(len(sleepers), flush=True)
    sys.stdin.read()


def _pour_out(sock: socket.socket, data: bytes) -> None:
    with contextlib.suppress(OSError):
        while True:
            sock.sendall(data)


if __name__ == "__main__":
    if sys.argv[1] == "core":
        core()
    else:
        attack(int(sys.argv[2]))
