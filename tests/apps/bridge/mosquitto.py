"""A real Mosquitto, and a client of its own that writes down what is published."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

MOSQUITTO: Final = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
DEADLINE_S: Final = 30.0

needs_mosquitto = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")


class Mosquitto:
    """A broker on a port of its own; it can be killed and started again on the same one."""

    def __init__(
        self,
        folder: Path,
        *lines: str,
        address: str = "127.0.0.1",
        launcher: Sequence[str] = (),
        port: int = 0,
    ) -> None:
        """`lines` are more of its configuration. `launcher` is a program that runs the command behind it."""
        self.folder = folder
        self.address = address
        self.port = port
        self.log = folder / "mosquitto.log"
        self._config = folder / "mosquitto.conf"
        user = ["user root"] if os.geteuid() == 0 else []
        access = [] if any(line.startswith("allow_anonymous") for line in lines) else ["allow_anonymous true"]
        self._lines = (*user, *access, "log_dest stderr", *lines)
        self._launcher = tuple(launcher)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        # A port that was free a moment ago may be somebody else's, for a moment.
        for _ in range(5):
            if self._start(self.port or _free_port()):
                return
        raise AssertionError(f"mosquitto does not run: {self.log.read_text()}")

    def _start(self, port: int) -> bool:
        """True once it listens there; False if it ended, for another took the port before it."""
        assert MOSQUITTO is not None
        self._config.write_text("\n".join([f"listener {port} {self.address}", *self._lines]) + "\n")
        with self.log.open("ab") as log:
            begin = log.tell()
            self._process = subprocess.Popen(
                [*self._launcher, MOSQUITTO, "-c", str(self._config)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        process = self._process
        until(
            lambda: b" running" in self.log.read_bytes()[begin:] or process.poll() is not None,
            f"mosquitto: {self.log.read_text()}",
        )
        if process.poll() is not None:
            return False
        self.port = port
        return True

    def kill(self) -> None:
        """Without a word, and with nothing saved."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(DEADLINE_S)
            self._process = None

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Connections stay, and nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def __enter__(self) -> Mosquitto:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.kill()


class Listener:
    """Connected while it is used; `retained` is what the broker holds for its topics, `heard` all that came."""

    def __init__(self, port: int, *topics: str, login: tuple[str, str] | None = None) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self.retained: dict[str, bytes] = {}
        self._subscribed = False
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2)
        if login is not None:
            self._client.username_pw_set(*login)
        self._client.on_message = self._on_message
        self._client.on_subscribe = self._on_subscribe
        self._client.connect("127.0.0.1", port, 60)
        self._client.subscribe([(topic, 1) for topic in topics])

    def _on_subscribe(self, *_: Any) -> None:
        self._subscribed = True

    def _on_message(self, _client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        payload = bytes(message.payload)
        self.heard.append((message.topic, payload))
        if payload:
            self.retained[message.topic] = payload
        else:
            self.retained.pop(message.topic, None)

    def __enter__(self) -> Listener:
        self.until(lambda: self._subscribed, "to be subscribed")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._client.disconnect()

    def turn(self) -> None:
        self._client.loop(0.02)

    def until(self, happened: Callable[[], object], what: str = "") -> None:
        """Listen until it happened."""
        end_s = time.monotonic() + DEADLINE_S
        while not happened():
            assert time.monotonic() < end_s, f"waited in vain {what}; heard {self.heard[-20:]}"
            self.turn()

    def json(self, topic: str) -> Any:
        """What was said last on that topic, null if nothing."""
        return json.loads(self.retained.get(topic, b"null"))

    def on(self, topic: str) -> list[Any]:
        """All that was said on that topic."""
        return [json.loads(payload) for told, payload in self.heard if told == topic]

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Say something, and know that the broker has it."""
        info = self._client.publish(topic, payload, qos=1, retain=retain)
        self.until(info.is_published, f"to publish to {topic}")


def until(happened: Callable[[], object], what: str = "", *, within_s: float = DEADLINE_S) -> None:
    """Look again and again; nothing tells of the insides of another process."""
    end_s = time.monotonic() + within_s
    while not happened():
        assert time.monotonic() < end_s, f"waited in vain {what}"
        time.sleep(0.01)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
