"""What checking and typing every event costs: our hub beside a hub in C that checks nothing, Redis and Mosquitto.

    python -m tests.benchmarks.kegnet_hub [--subscribers=1,5,20] [--seconds=2] [--rounds=5] [--buses=ours,c,...]

Hub, publisher and subscribers are processes; subscribers decode each event's JSON. Ours sends every event to the
publisher, too, as kegnet wants it; the others do not. Printed are medians over the rounds, in which the buses take
turns: latency from send to decoded at a subscriber at 1000 events/s, the hub's CPU time for that, and the highest
rate, one event a send, with at most WINDOW events between publisher and slowest subscriber; then ours divided by
each other's, as medians of the rounds' ratios. A bus that is not installed is left out with a line.
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.benchmarks.buses import CLIENTS, client, command, connect, received

WINDOW = 2000
RATE = 1000
COUNT_AT = 16  # shared words: 0 = latencies are noted; COUNT_AT + i = events that subscriber i has had
MESSAGE = b'{"event": "MeterUpdate", "data": {"tap_name": "kegboard-mega.flow0", "reading": %d}}'


def now_us() -> int:
    """Microseconds, all processes' the same, within what a reading may be."""
    return time.monotonic_ns() // 1000 & 0xFFFFFFFF


def shared(path: str) -> memoryview:
    with open(path, "r+b") as file:
        return memoryview(mmap.mmap(file.fileno(), 4096)).cast("q")


# Roles


def subscriber(bus: str, port: int, words_path: str, index: int, latencies_path: str) -> None:
    words, latencies, had = shared(words_path), array("q"), 0
    link = client(bus, port)
    link.subscribe()
    print("ready", flush=True)
    for messages in link.heard():
        for message in messages:
            sent_us = json.loads(message)["data"]["reading"]
            if words[0]:
                latencies.append(now_us() - sent_us)
        had += len(messages)
        words[COUNT_AT + index] = had
    with open(f"{latencies_path}.new", "wb") as file:
        latencies.tofile(file)
    os.replace(f"{latencies_path}.new", latencies_path)


def publisher(bus: str, port: int, words_path: str, subscribers: int, seconds: float, hub_pid: int) -> None:
    """Prints the flood's rate, events/s, and the hub's CPU microseconds an event before it."""
    words = shared(words_path)
    link = client(bus, port)
    # What comes back is read by a process of its own: it must not slow this one.
    if bus not in ("c", *CLIENTS) and not os.fork():
        while received(link.sock):
            pass
        os._exit(0)
    sent = 0

    def slowest() -> int:
        return min(words[COUNT_AT : COUNT_AT + subscribers])

    def settle() -> None:
        end_s = time.monotonic() + 5
        while slowest() < sent and time.monotonic() < end_s:
            time.sleep(0.001)

    def cpu_us() -> float:
        return int(Path(f"/proc/{hub_pid}/schedstat").read_text().split()[0]) / 1000

    while sent < 200:  # warm
        link.publish(MESSAGE % now_us())
        sent += 1
    settle()
    words[0] = 1
    due_s, number, used_us = time.monotonic(), int(RATE * seconds), cpu_us()
    for _ in range(number):
        due_s += 1 / RATE
        time.sleep(max(0.0, due_s - time.monotonic()))
        link.publish(MESSAGE % now_us())
        sent += 1
    settle()
    cpu = (cpu_us() - used_us) / number
    words[0] = 0
    first, begin_s = sent, time.monotonic()
    while time.monotonic() < begin_s + seconds:
        while sent - slowest() >= WINDOW and time.monotonic() < begin_s + seconds:
            time.sleep(0.00005)
        link.publish(MESSAGE % now_us())
        sent += 1
    settle()
    lost = sent - slowest()
    print(
        json.dumps({"rate": (sent - lost - first) / (time.monotonic() - begin_s), "lost": lost, "cpu": cpu})
    )
    link.sock.shutdown(socket.SHUT_RDWR)


# The harness


@contextmanager
def process(argv: list[str]) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
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


def measure(bus: str, subscribers: int, seconds: float, folder: Path) -> dict[str, float]:
    """One round: p50 and p99 in microseconds, rate in events/s, lost."""
    me = [sys.executable, "-m", "tests.benchmarks.kegnet_hub", "--role"]
    words_path = str(folder / "words")
    Path(words_path).write_bytes(bytes(4096))
    port = free_port()
    files = [folder / f"latencies{index}" for index in range(subscribers)]
    for file in files:
        file.unlink(missing_ok=True)
    with ExitStack() as subscriptions:
        with process(command(bus, port, folder)) as hub:
            wait_for(port)
            for index, file in enumerate(files):
                argv = [*me, "subscriber", bus, str(port), words_path, str(index), str(file)]
                child = subscriptions.enter_context(process(argv))
                assert child.stdout
                child.stdout.readline()
            argv = [
                *me,
                "publisher",
                bus,
                str(port),
                words_path,
                str(subscribers),
                str(seconds),
                str(hub.pid),
            ]
            with process(argv) as child:
                out, _ = child.communicate(timeout=seconds * 10 + 60)
        end_s = time.monotonic() + 10  # the hub is gone: the subscribers write what they noted, and end
        while not all(map(os.path.exists, files)) and time.monotonic() < end_s:
            time.sleep(0.01)
    latencies = array("q")
    for file in files:
        latencies.frombytes(file.read_bytes())
    found: dict[str, float] = json.loads(out)
    cuts = statistics.quantiles(latencies, n=100)
    return found | {"p50": cuts[49], "p99": cuts[98]}


def available(buses: list[str], folder: Path) -> list[str]:
    there = []
    for bus in buses:
        try:
            command(bus, 0, folder)
        except LookupError as missing:
            print(f"left out: {bus}: {missing}")
        else:
            there.append(bus)
    return there


def compare(buses: list[str], subscribers: int, rounds: int, seconds: float, folder: Path) -> None:
    """Print a table for so many subscribers."""
    found: dict[str, list[dict[str, float]]] = {bus: [] for bus in buses}
    for _ in range(rounds):
        for bus in random.sample(buses, len(buses)):
            found[bus].append(measure(bus, subscribers, seconds, folder))
    for bus, results in found.items():
        middle = {key: statistics.median(one[key] for one in results) for key in results[0]}
        print(
            f"{subscribers:>11} {bus:>9} {middle['p50']:>7.0f} {middle['p99']:>7.0f} {middle['cpu']:>7.0f} "
            f"{middle['rate']:>9.0f} {sum(one['lost'] for one in results):>5.0f}"
        )
    for bus in buses:
        if bus != "ours" and "ours" in found:
            pairs = list(zip(found["ours"], found[bus], strict=True))
            ratios = {
                key: statistics.median(a[key] / b[key] for a, b in pairs) for key in ("p50", "p99", "rate")
            }
            print(
                f"{'':>11} ours / {bus}: p50 {ratios['p50']:.2f}, p99 {ratios['p99']:.2f}, rate {ratios['rate']:.2f}",
                flush=True,
            )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--subscribers", default="1,5,20")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--buses", default="ours,c,redis,mosquitto")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # Mosquitto becomes another user and reads its file there
        buses = available(options.buses.split(","), folder)
        print(
            f"{'subscribers':>11} {'bus':>9} {'p50 us':>7} {'p99 us':>7} {'CPU us':>7} {'events/s':>9} {'lost':>5}"
        )
        for subscribers in map(int, options.subscribers.split(",")):
            compare(buses, subscribers, options.rounds, options.seconds, folder)
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--role"]:
        role, bus, port, words_path, *rest = sys.argv[2:]
        if role == "subscriber":
            subscriber(bus, int(port), words_path, int(rest[0]), rest[1])
        else:
            publisher(bus, int(port), words_path, int(rest[0]), float(rest[1]), int(rest[2]))
    else:
        sys.exit(main())
