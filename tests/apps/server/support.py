"""Calls performed by the real courier, in a loop of the test's own."""

from __future__ import annotations

import dataclasses
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from kegapps.daemon.loop import Loop
from kegapps.server.calls import Answer, Call, Pour
from kegapps.server.courier import Courier
from kegapps.server.url import parse_api_url

DEADLINE_S = 20.0


def pour(
    ticks: int = 1000,
    *,
    meter_name: str = "kegboard.flow0",
    username: str | None = None,
    ended_s_ago: float = 0.0,
    lasted_s: float = 0.0,
    now_unix_s: float | None = None,
    ml_per_tick: float = 1 / 2.2,
) -> Pour:
    end_unix_s = (time.time() if now_unix_s is None else now_unix_s) - ended_s_ago
    return Pour(
        uuid="7f1c0c1e-0000-4000-8000-000000000001",
        meter_name=meter_name,
        ticks=ticks,
        volume_ml=ticks * ml_per_tick,
        ml_per_tick=ml_per_tick,
        username=username,
        start_unix_s=end_unix_s - lasted_s,
        end_unix_s=end_unix_s,
    )


def ask(url: str, key: str | None, *calls: Call, timeout_s: float | None = None) -> list[Answer]:
    """The answers to `calls`, in their order, through the courier's thread and the loop."""
    loop = Loop()
    courier = Courier(loop, parse_api_url(url), key)
    got: list[Answer] = []
    try:
        for call in calls:
            timed = call if timeout_s is None else dataclasses.replace(call, timeout_s=timeout_s)
            courier.perform(timed, got.append)
        end_s = time.monotonic() + DEADLINE_S
        while len(got) < len(calls):
            assert time.monotonic() < end_s, f"{len(got)} of {len(calls)} answers"
            loop.run_once(1.0)
    finally:
        courier.close()
        loop.close()
    return got


@contextmanager
def closed_port() -> Iterator[int]:
    """A port where nothing listens, and nothing else can as long as this lasts."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]
