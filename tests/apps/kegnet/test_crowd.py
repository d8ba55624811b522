"""One polite client beside a crowd that does everything wrong; core, crowd and client are processes of their own."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from kegapps.kegnet.codec import Decoder, encode
from kegapps.kegnet.events import FlowUpdate, MeterUpdate

ROOT = Path(__file__).parents[3]
ROUNDS = 200
MAX_DELAY_S = 0.1


@contextmanager
def role(*words: str) -> Iterator[tuple[psutil.Process, int]]:
    """A process of crowd.py and the number it printed when it was ready."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.apps.kegnet.crowd", *words],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as process:  # fmt: skip
        assert process.stdin
        assert process.stdout
        try:
            yield psutil.Process(process.pid), int(process.stdout.readline())
        finally:
            process.stdin.close()
            try:
                process.wait(10)
            finally:
                process.kill()


def worst_delay_s(port: int) -> float:
    """The longest of ROUNDS round trips: a reading sent, its FlowUpdate received."""
    decoder, worst_s = Decoder(), 0.0
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(10)
        for number in range(1, ROUNDS + 1):
            begin_s = time.monotonic()
            sock.sendall(encode(MeterUpdate(tap_name="polite", reading=number)))
            answered = False
            while not answered:
                for event in decoder.feed(sock.recv(65536)):
                    assert isinstance(event, FlowUpdate)
                    answered = event.ticks == number
            worst_s = max(worst_s, time.monotonic() - begin_s)
    return worst_s


def test_a_polite_client_waits_no_tenth_of_a_second_beside_an_unruly_crowd() -> None:
    with role("core") as (core, port), role("attack", str(port)):
        before = core.memory_info().rss
        # What else this machine does is no fault of the hub: the best of a few attempts counts.
        delays_s = [worst_delay_s(port)]
        while min(delays_s) > MAX_DELAY_S and len(delays_s) < 5:
            delays_s.append(worst_delay_s(port))
        assert min(delays_s) <= MAX_DELAY_S, delays_s
        assert core.is_running()
        assert core.memory_info().rss - before < 30_000_000
