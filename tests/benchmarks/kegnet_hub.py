"""What checking and typing every event costs: our hub beside one that only passes bytes on.

    python tests/benchmarks/kegnet_hub.py [--subscribers=1,5,20] [--seconds=2] [--rounds=3] [--other=COMMAND]

Every event goes to all apps, the sender included, as on kegnet. Hub, publisher and subscribers are processes.
Printed are medians over the rounds: latency from send to decoded at a subscriber at 1000 events/s, and the
highest rate, one event a send, with at most WINDOW events between publisher and slowest subscriber; then ours
divided by each other hub's. COMMAND is a hub of yours: it is given the port as its last word.
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import selectors
import shlex
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from array import array
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from kegapps.daemon.loop import Loop
from kegapps.kegnet.events import Event
from kegapps.kegnet.hub import Hub

WINDOW = 2000
RATE = 1000
COUNT_AT = 16  # shared words: 0 = latencies are noted; COUNT_AT + i = events that subscriber i has had
MESSAGE = b'{"event": "MeterUpdate", "data": {"tap_name": "kegboard-mega.flow0", "reading": %d}}\n\n'


def now_us() -> int:
    """Microseconds, all processes' the same, within what a reading may be."""
    return time.monotonic_ns() // 1000 & 0xFFFFFFFF


def shared(path: str) -> memoryview:
    with open(path, "r+b") as file:
        return memoryview(mmap.mmap(file.fileno(), 4096)).cast("q")


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


# Roles


def ours(port: int) -> None:
    loop = Loop()

    def on_event(event: Event, _peer: str) -> None:
        hub.broadcast(event)

    hub = Hub(loop, ("127.0.0.1", port), on_event=on_event)
    loop.run()


def plain(port: int) -> None:
    """As little as a hub in Python can do: whole messages go on as they came."""
    selector = selectors.DefaultSelector()
    listener = socket.create_server(("127.0.0.1", port), backlog=128)
    selector.register(listener, selectors.EVENT_READ, None)
    clients: dict[socket.socket, bytes] = {}
    while True:
        for key, _ in selector.select():
            sock = key.fileobj
            assert isinstance(sock, socket.socket)
            if sock is listener:
                client, _ = listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                clients[client] = b""
                selector.register(client, selectors.EVENT_READ, None)
                continue
            data = received(sock)
            if not data:
                selector.unregister(sock)
                del clients[sock]
                continue
            whole, end, clients[sock] = (clients[sock] + data).rpartition(b"\n\n")
            if end:
                for client in clients:
                    with suppress(OSError):  # it has gone, and will be forgotten when its turn comes
                        client.sendall(whole + end)


def subscriber(port: int, words_path: str, index: int, latencies_path: str) -> None:
    words, latencies, had, rest = shared(words_path), array("q"), 0, b""
    sock = connect(port)
    words[COUNT_AT + index] = 0
    print("ready", flush=True)
    while data := received(sock):
        *messages, rest = (rest + data).split(b"\n\n")
        for message in messages:
            sent_us = json.loads(message)["data"]["reading"]
            if words[0]:
                latencies.append(now_us() - sent_us)
        had += len(messages)
        words[COUNT_AT + index] = had
    with open(f"{latencies_path}.new", "wb") as file:
        latencies.tofile(file)
    os.replace(f"{latencies_path}.new", latencies_path)


def publisher(port: int, words_path: str, subscribers: int, seconds: float) -> None:
    """Prints the flood's rate, events/s."""
    words = shared(words_path)
    sock = connect(port)

    def drain() -> None:
        while received(sock):
            pass

    threading.Thread(target=drain, daemon=True).start()
    sent = 0

    def slowest() -> int:
        return min(words[COUNT_AT : COUNT_AT + subscribers])

    def settle() -> None:
        end_s = time.monotonic() + 5
        while slowest() < sent and time.monotonic() < end_s:
            time.sleep(0.001)

    while sent < 200:  # warm
        sock.sendall(MESSAGE % now_us())
        sent += 1
    settle()
    words[0] = 1
    due_s = time.monotonic()
    for _ in range(int(RATE * seconds)):
        due_s += 1 / RATE
        time.sleep(max(0.0, due_s - time.monotonic()))
        sock.sendall(MESSAGE % now_us())
        sent += 1
    settle()
    words[0] = 0
    first, begin_s = sent, time.monotonic()
    while time.monotonic() < begin_s + seconds:
        while sent - slowest() >= WINDOW and time.monotonic() < begin_s + seconds:
            time.sleep(0.00005)
        sock.sendall(MESSAGE % now_us())
        sent += 1
    settle()
    lost = sent - slowest()
    print(json.dumps({"rate": (sent - lost - first) / (time.monotonic() - begin_s), "lost": lost}))


# The harness


@contextmanager
def process(*argv: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as child:
        try:
            yield child
        finally:
            child.terminate()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def wait_for(port: int) -> None:
    for _ in range(500):
        try:
            connect(port).close()
            return
        except OSError:
            time.sleep(0.01)
    raise SystemExit(f"nobody listens on port {port}")


def measure(command: list[str], subscribers: int, seconds: float) -> dict[str, float]:
    """One round: p50 and p99 in microseconds, rate in events/s, lost."""
    me = [sys.executable, os.path.abspath(__file__), "--role"]
    with tempfile.TemporaryDirectory() as folder:
        words_path = os.path.join(folder, "words")
        Path(words_path).write_bytes(bytes(4096))
        port = free_port()
        files = [os.path.join(folder, str(index)) for index in range(subscribers)]
        with ExitStack() as subscriptions:
            with process(*command, str(port)):
                wait_for(port)
                for index, file in enumerate(files):
                    child = subscriptions.enter_context(
                        process(*me, "subscriber", str(port), words_path, str(index), file)
                    )
                    assert child.stdout
                    child.stdout.readline()
                with process(
                    *me, "publisher", str(port), words_path, str(subscribers), str(seconds)
                ) as child:
                    out, _ = child.communicate(timeout=seconds * 10 + 60)
            end_s = time.monotonic() + 5  # the hub is gone: the subscribers write what they noted, and end
            while not all(map(os.path.exists, files)) and time.monotonic() < end_s:
                time.sleep(0.01)
        latencies = array("q")
        for file in files:
            latencies.frombytes(Path(file).read_bytes())
        found: dict[str, float] = json.loads(out)
        cuts = statistics.quantiles(latencies, n=100)
        return found | {"p50": cuts[49], "p99": cuts[98]}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--subscribers", default="1,5,20")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--other", help="a third hub to compare with")
    options = parser.parse_args()
    me = [sys.executable, os.path.abspath(__file__), "--role"]
    hubs = {"ours": [*me, "ours"], "plain": [*me, "plain"]}
    if options.other:
        hubs["other"] = shlex.split(options.other)
    print(f"{'subscribers':>11} {'hub':>6} {'p50 us':>8} {'p99 us':>8} {'events/s':>9} {'lost':>5}")
    for subscribers in map(int, options.subscribers.split(",")):
        medians: dict[str, dict[str, float]] = {}
        for name, command in hubs.items():
            rounds = [measure(command, subscribers, options.seconds) for _ in range(options.rounds)]
            found = {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}
            medians[name] = found
            print(
                f"{subscribers:>11} {name:>6} {found['p50']:>8.0f} {found['p99']:>8.0f} {found['rate']:>9.0f} "
                f"{sum(one['lost'] for one in rounds):>5.0f}",
                flush=True,
            )
        for name in list(hubs)[1:]:
            ratios = {key: medians["ours"][key] / medians[name][key] for key in ("p50", "p99", "rate")}
            print(
                f"{'':>11} ours / {name}: p50 {ratios['p50']:.2f}, p99 {ratios['p99']:.2f}, "
                f"rate {ratios['rate']:.2f}",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--role"]:
        role, port, *rest = sys.argv[2:]
        if role == "subscriber":
            subscriber(int(port), rest[0], int(rest[1]), rest[2])
        elif role == "publisher":
            publisher(int(port), rest[0], int(rest[1]), float(rest[2]))
        else:
            {"ours": ours, "plain": plain}[role](int(port))
    else:
        sys.exit(main())
