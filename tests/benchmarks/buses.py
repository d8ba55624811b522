"""The buses that kegnet_hub.py compares, and how an event is published and heard on each.

Redis and Mosquitto are spoken to in a few lines of our own, quicker than their usual clients: that flatters them.
"""

from __future__ import annotations

import math
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from kegapps.daemon.loop import Loop
from kegapps.kegnet.events import Event
from kegapps.kegnet.hub import Hub, HubLimits

CHANNEL = b"kegnet"


def connect(port: int) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def received(sock: socket.socket) -> bytes:
    """What `sock` has, nothing once its other side is gone in whatever way."""
    try:
        return sock.recv(65536)
    except OSError:
        return b""


class Bus:
    """A kegnet hub of any make: messages end with an empty line."""

    def __init__(self, port: int) -> None:
        self.sock = connect(port)
        self._rest = b""

    def publish(self, message: bytes) -> None:
        self.sock.sendall(message + b"\n\n")

    def subscribe(self) -> None:
        """Returns when nothing that is published from now on will be missed."""

    def heard(self) -> Iterator[list[bytes]]:
        while data := received(self.sock):
            *messages, self._rest = (self._rest + data).split(b"\n\n")
            yield messages


class Redis(Bus):
    """PUBLISH waits for its answer, as it does in redis-py."""

    def publish(self, message: bytes) -> None:
        self.sock.sendall(_resp(b"PUBLISH", CHANNEL, message))
        received(self.sock)

    def subscribe(self) -> None:
        self.sock.sendall(_resp(b"SUBSCRIBE", CHANNEL))
        received(self.sock)

    def heard(self) -> Iterator[list[bytes]]:
        head = b"*3\r\n$7\r\nmessage\r\n$6\r\nkegnet\r\n$"
        while data := received(self.sock):
            *parts, last = (self._rest + data).split(head)
            length, _, body = last.partition(b"\r\n")
            if body.endswith(b"\r\n") and len(body) == int(length) + 2:
                parts, self._rest = [*parts, last], b""
            else:
                self._rest = head + last if parts else last
            yield [part.partition(b"\r\n")[2][:-2] for part in parts if part]


class Mqtt(Bus):
    """QoS 0: nothing is acknowledged."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        name = b"bench-%d" % os.getpid()
        self.sock.sendall(_mqtt(0x10, _text(b"MQTT") + b"\x04\x02\x00\x00" + _text(name)))
        received(self.sock)

    def publish(self, message: bytes) -> None:
        self.sock.sendall(_mqtt(0x30, _text(CHANNEL) + message))

    def subscribe(self) -> None:
        self.sock.sendall(_mqtt(0x82, b"\x00\x01" + _text(CHANNEL) + b"\x00"))
        received(self.sock)

    def heard(self) -> Iterator[list[bytes]]:
        skip = 2 + len(CHANNEL)
        while data := received(self.sock):
            data, at, messages = self._rest + data, 0, []
            while len(data) - at >= 3:
                length, body = data[at + 1], at + 2
                if length & 0x80:  # the events have fewer than 16384 bytes
                    length, body = (length & 0x7F) + 128 * data[at + 2], at + 3
                if len(data) < body + length:
                    break
                messages.append(data[body + skip : body + length])
                at = body + length
            self._rest = data[at:]
            yield messages


def _resp(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def _text(text: bytes) -> bytes:
    return len(text).to_bytes(2, "big") + text


def _mqtt(kind: int, body: bytes) -> bytes:
    length = len(body)
    return bytes((kind, length) if length < 128 else (kind, length & 0x7F | 0x80, length >> 7)) + body


CLIENTS: dict[str, type[Bus]] = {"redis": Redis, "mosquitto": Mqtt}


def client(bus: str, port: int) -> Bus:
    return CLIENTS.get(bus, Bus)(port)


def command(bus: str, port: int, folder: Path) -> list[str]:
    """How to start it. Raises LookupError, saying what is missing here."""
    if bus == "ours":
        return [sys.executable, "-m", "tests.benchmarks.buses", str(port)]
    if bus == "c":
        return [str(_compiled(folder)), str(port)]
    if bus == "redis":
        nothing_kept = ["--save", "", "--appendonly", "no", "--client-output-buffer-limit", "pubsub 0 0 0"]
        return [
            _found("redis-server"),
            "--port",
            str(port),
            "--bind",
            "127.0.0.1",
            "--dir",
            str(folder),
            *nothing_kept,
        ]
    if bus == "mosquitto":
        config = folder / "mosquitto.conf"
        config.write_text(
            f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nlog_dest none\n"
            "set_tcp_nodelay true\nmax_queued_messages 0\n"
        )
        return [_found("mosquitto"), "-c", str(config)]
    raise LookupError(f"no bus is called {bus!r}")


def _found(program: str) -> str:
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")
    if path is None:
        raise LookupError(f"{program} is not installed")
    return path


def _compiled(folder: Path) -> Path:
    compiler = shutil.which("cc") or _found("gcc")
    program = folder / "plain_hub"
    source = Path(__file__).with_name("plain_hub.c")
    subprocess.run([compiler, "-O2", "-o", str(program), str(source)], check=True)
    return program


def ours(port: int) -> None:
    """Every event to all apps, the sender included, as on kegnet; the flood is what is to be measured."""
    loop = Loop()

    def on_event(event: Event, _peer: str) -> None:
        hub.broadcast(event)

    hub = Hub(loop, ("127.0.0.1", port), on_event=on_event, limits=HubLimits(messages_per_s=math.inf))
    loop.run()


if __name__ == "__main__":
    ours(int(sys.argv[1]))
