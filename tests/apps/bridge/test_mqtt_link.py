"""A link to brokers that do not keep to the protocol, and to one that says nothing any more."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.apps.bridge.mosquitto import Listener, Mosquitto, needs_mosquitto
from tests.apps.core.swapped_stores import SwappedStores
from tests.apps.kegboard.programs import Bar, Program, bar_in, free_port

CONNACK = b"\x20\x03\x00\x00\x00"
HUGE = b"\x30\xff\xff\xff\x7f" + b"\x00\x01a\x00"  # a PUBLISH of 256 MB begins


@pytest.fixture
def bar(tmp_path: Path) -> Iterator[Bar]:
    yield from bar_in(tmp_path)


def bridge(bar: Bar, port: int, role: str = "boards") -> Program:
    return bar.run(
        "mqtt_bridge.py", f"--mqtt_role={role}", "--mqtt_name=a", f"--mqtt_state={role}.sqlite",
        f"--mqtt_address=127.0.0.1:{port}", f"--kb_core_addr=localhost:{free_port()}",
        f"--kb_core_bind_addr=localhost:{free_port()}",
    )  # fmt: skip


class Flood:
    """A broker that answers the hello, and then sends a packet without an end."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        peer, _ = self._listening.accept()
        with peer:
            peer.recv(4096)
            peer.sendall(CONNACK + HUGE)
            try:
                for _ in range(600):
                    peer.sendall(bytes(100_000))
            except OSError:
                return

    def close(self) -> None:
        self._listening.close()
        self._thread.join(30)


def test_a_broker_that_sends_what_is_too_long_is_left_before_it_is_in_memory(bar: Bar) -> None:
    flood = Flood()
    program = bridge(bar, flood.port)
    program.line("it sent 268435455 bytes at once, which nobody asked for; trying on")
    flood.close()
    status = Path(f"/proc/{program.process.pid}/status").read_text()
    assert int(status.partition("VmHWM:")[2].split()[0]) < 25 * 1024  # KiB
    assert program.end() == 0


@needs_mosquitto
def test_the_status_begins_with_what_is_waited_for(bar: Bar, tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker:
        bridge(bar, broker.port, "boards").line(
            f"status: waiting for a core behind the broker at 127.0.0.1:{broker.port}; machine a: apps at localhost:"
        )
        bridge(bar, broker.port, "core").line("status: waiting for the core at localhost:")
    nobody = free_port()
    for role in ("boards", "core"):
        program = bar.run(
            "mqtt_bridge.py", f"--mqtt_role={role}", "--mqtt_name=b", f"--mqtt_state=nobody-{role}.sqlite",
            f"--mqtt_address=127.0.0.1:{nobody}", f"--kb_core_addr=localhost:{free_port()}",
            f"--kb_core_bind_addr=localhost:{free_port()}",
        )  # fmt: skip
        program.line(f"status: waiting for the broker at 127.0.0.1:{nobody}: Connection refused; ")


@needs_mosquitto
@pytest.mark.parametrize("role", ["core", "boards"])
def test_it_ends_within_a_second_though_the_broker_has_stopped_answering(
    bar: Bar, tmp_path: Path, role: str
) -> None:
    with Mosquitto(tmp_path) as broker:
        program = bridge(bar, broker.port, role)
        with Listener(broker.port, "kegbot/#") as listener:
            listener.until(lambda: any(topic.endswith("/availability") for topic in listener.retained))
        with broker.stopped():
            began_s = time.monotonic()
            program.process.send_signal(signal.SIGTERM)
            assert program.process.wait(30) == 0
            assert time.monotonic() - began_s < 1.0


@needs_mosquitto
def test_whatever_becomes_of_the_core_s_store_each_drink_is_published_once(bar: Bar, tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker, SwappedStores(tmp_path) as stores:
        program = bar.run(
            "mqtt_bridge.py", "--mqtt_role=core", "--mqtt_state=core.sqlite",
            f"--mqtt_address=127.0.0.1:{broker.port}", f"--kb_core_addr=localhost:{stores.port}",
        )  # fmt: skip
        program.line("status: core at localhost:")
        with Listener(broker.port, "kegbot/drinks", "kegbot/core/#") as listener:
            listener.until(lambda: listener.retained.get("kegbot/core/availability") == b"online")

            def told() -> int:
                listener.turn()
                return len(listener.on("kegbot/drinks"))

            stores.run_through(told=told, wait_for=lambda text, _times: program.line(text))
            drinks = listener.on("kegbot/drinks")
    assert [drink["drink_id"] for drink in drinks] == [1, 2, 3, 4, 5, 6, 4, 5, 6, 7, 8, 21]
    assert len({drink["uuid"] for drink in drinks}) == 12
