"""A real redis-server, the bridge as a process, and a peer that speaks as pycore's programs do, by the redis package."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import redis

from tests.apps.core.programs import DEADLINE_S, SCRIPTS
from tests.contract.test_every_program import free_port

REDIS_SERVER = shutil.which("redis-server")


class RedisServer:
    """On a port of its own, nothing kept; may be killed and begun again."""

    def __init__(self, folder: Path, *flags: str) -> None:
        self.port = free_port()
        self._folder = folder
        self._flags = flags
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://localhost:{self.port}/0"

    def begin(self) -> None:
        assert REDIS_SERVER is not None
        with open(self._folder / "redis.log", "ab") as log:
            self._process = subprocess.Popen(
                [
                    REDIS_SERVER, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
                    "--dir", str(self._folder), *self._flags,
                ],
                stdout=log, stderr=log,
            )  # fmt: skip
        password = (
            self._flags[self._flags.index("--requirepass") + 1] if "--requirepass" in self._flags else None
        )
        client = redis.Redis(port=self.port, password=password)
        end_s = time.monotonic() + DEADLINE_S
        while True:
            try:
                client.ping()
                client.close()
                return
            except redis.ConnectionError:
                assert time.monotonic() < end_s, (self._folder / "redis.log").read_text()
                time.sleep(0.01)

    def kill(self, number: int = signal.SIGKILL) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            if number == signal.SIGKILL:
                self._process.wait(DEADLINE_S)
                self._process = None

    def __enter__(self) -> RedisServer:
        self.begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.kill()


class Peer:
    """Subscribed to the channel, and publishing to it, as a program of pycore 1.1 and later."""

    def __init__(self, server: RedisServer, channel: str = "kegnet", password: str | None = None) -> None:
        self._redis = redis.Redis(port=server.port, password=password)
        self._channel = channel
        self._pubsub = self._redis.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
        self._pubsub.subscribe(channel)
        self._pubsub.get_message(timeout=DEADLINE_S)
        self.texts: list[str] = []

    def publish(self, event: str, **data: Any) -> int:
        """How many heard it."""
        return self.publish_text(json.dumps({"event": event, "data": data}, indent=2))

    def publish_text(self, text: str | bytes) -> int:
        heard: Any = self._redis.publish(self._channel, text)
        return int(heard)

    def pour(self, reading: int, meter: str = "kegboard.flow0") -> None:
        self.publish("MeterUpdate", meter_name=meter, reading=reading)

    def stop(self, meter: str = "kegboard.flow0") -> None:
        self.publish("FlowRequest", meter_name=meter, request="stop_flow")

    def heard(self, event: str) -> list[dict[str, Any]]:
        """The data of all such events, in order."""
        return [message["data"] for message in map(json.loads, self.texts) if message["event"] == event]

    def listen_until(self, condition: Callable[[], object]) -> None:
        end_s = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < end_s, self.texts[-5:]
            self.poll(0.1)

    def poll(self, timeout_s: float = 0.0) -> bool:
        """Take what has come; always true."""
        if (message := self._pubsub.get_message(timeout=timeout_s)) is not None:
            self.texts.append(message["data"].decode())
        return True

    def close(self) -> None:
        self._pubsub.close()
        self._redis.close()


class BridgeProgram:
    """`redis_bridge.py` in the foreground, with its output as it comes."""

    def __init__(self, folder: Path, *flags: str, environment: dict[str, str] | None = None) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("KEGBOT_")}
        self.process = subprocess.Popen(
            [sys.executable, str(SCRIPTS / "redis_bridge.py"), f"--redis_state={folder / 'bridge.json'}", *flags],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=folder,
            env=clean | (environment or {}),
        )  # fmt: skip
        self.output = ""

    def __enter__(self) -> BridgeProgram:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(DEADLINE_S)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def wait_for(self, text: str, times: int = 1) -> None:
        """Read its output until `text` is in it so often."""
        assert self.process.stdout is not None
        fd = self.process.stdout.fileno()
        end_s = time.monotonic() + DEADLINE_S
        while self.output.count(text) < times:
            assert select.select([fd], [], [], max(0.0, end_s - time.monotonic()))[0], self.output
            data = os.read(fd, 65536)
            assert data, f"it ended without {text!r}: {self.output}"
            self.output += data.decode()

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(DEADLINE_S)
