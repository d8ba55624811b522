"""An emulated Kegbot Server under fire: it fails at random, is killed -9 and comes back with what it had recorded.

Knows the emulator, its log and the core's tables of deliveries. Must not know boards or the launcher.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.apps.server.emulators.site import KEY
from tests.e2e.conftest import free_port

ROOT: Final = Path(__file__).resolve().parents[2]
GENERATIONS: Final = {"form": "1.x", "event": "today"}
"""The server by the interface that is proven with it."""
KILLED: Final = "killed"
Rows = Callable[[str], Sequence[sqlite3.Row]]


class Server:
    """The emulator as a process on a port of its own. `interface` is `form` or `event`."""

    def __init__(self, directory: Path, interface: str, meters: Sequence[str], seed: int) -> None:
        self.interface = interface
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/api/v1/"
        self.key_file = directory / "api_key"
        self.key_file.touch(0o600)
        self.key_file.write_text(KEY)
        self.state = directory / "server.jsonl"
        self._meters = meters
        self._seed = seed
        self._directory = directory
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()

    def start(self, *, faults: bool = True) -> None:
        """Start it, or start it again; the faults of each life are others."""
        self._seed += 1
        words = [f"--meter={meter}" for meter in self._meters]
        devices = sorted({meter.partition(".")[0] for meter in self._meters})
        words += [f"--allow={device}" for device in devices]
        if faults:
            words += [f"--faults={self._seed}", "--fault_rate=0.25"]
        with self._lock:
            self._process = subprocess.Popen(
                [
                    sys.executable, "-m", "tests.apps.server.emulators", f"--port={self.port}",
                    f"--generation={GENERATIONS[self.interface]}", f"--state={self.state}", *words,
                ],
                cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
            assert self._process.stdout is not None
            assert self._process.stdout.readline().startswith("http"), "the emulated server does not start"

    def kill(self) -> bool:
        """kill -9; False if it is not there just now. That it was done is written into its log."""
        with self._lock:
            process, self._process = self._process, None
        if process is None:
            return False
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
        with self.state.open("a") as log:
            log.write(json.dumps({"fault": KILLED}) + "\n")
        return True

    def kill_for(self, seconds: float) -> bool:
        """kill -9, and back after a while."""
        if not self.kill():
            return False
        time.sleep(seconds)
        self.start()
        return True

    def log(self) -> list[dict[str, Any]]:
        """Everything it recorded and did wrong, in order."""
        return (
            [json.loads(line) for line in self.state.read_text().splitlines()] if self.state.exists() else []
        )


@dataclass(slots=True, kw_only=True)
class Deliveries:
    """What became of the drinks at the server; without `differences` all is well."""

    interface: str
    recorded: int = 0
    by_event: int = 0
    doubles: list[str] = field(default_factory=list)
    """Drinks that are there twice, each with what the server's log and the core's say about it."""
    faults: dict[str, int] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)


def compare(server: Server, rows: Rows, core_log: str) -> Deliveries:
    """Each drink of the store beside what the server recorded. `core_log`: what the core has logged."""
    log = server.log()
    recorded = {str(entry["drink"]["id"]): entry["drink"] for entry in log if "drink" in entry}
    found = Deliveries(
        interface=server.interface,
        recorded=len(recorded),
        by_event=sum(drink["pour_id"] is not None for drink in recorded.values()),
        faults=dict(Counter(entry["fault"] for entry in log if "fault" in entry)),
    )
    pours = Counter(drink["pour_id"] for drink in recorded.values() if drink["pour_id"])
    found.differences += [f"pour {uuid} is {n} times at the server" for uuid, n in pours.items() if n > 1]
    delivered = {row["drink_id"]: row for row in rows("select * from deliveries")}
    waiting = {row["drink_id"]: row for row in rows("select * from outbox")}
    again = set(map(int, re.findall(r"Drink (\d+) is sent again, though the server may have it", core_log)))
    sent_again = [drink for drink in rows("select * from drinks") if drink["id"] in again]
    left = dict(recorded)
    for drink in rows("select * from drinks"):
        name = f"drink {drink['id']} ({drink['ticks']} ticks of {drink['tap_name']})"
        if drink["id"] in waiting:
            entry = waiting[drink["id"]]
            found.differences.append(f"{name} waits still: {entry['state']}, {entry['reason']}")
            continue
        if drink["id"] not in delivered:
            found.differences.append(f"{name} is neither delivered nor in the outbox")
            continue
        server_id = delivered[drink["id"]]["server_drink_id"]
        by_uuid = [number for number, there in left.items() if there["pour_id"] == drink["uuid"]]
        there = left.pop(by_uuid[0] if by_uuid else server_id, None)
        if there is None:
            found.differences.append(f"{name} is delivered as {server_id!r}, which the server has not")
        elif (there["meter_name"], there["ticks"]) != (drink["tap_name"], drink["ticks"]):
            found.differences.append(
                f"{name} is at the server with {there['ticks']} of {there['meter_name']}"
            )
    for number, drink in left.items():
        _explain(found, log, number, drink, sent_again)
    return found


def _explain(
    found: Deliveries,
    log: list[dict[str, Any]],
    number: str,
    drink: dict[str, Any],
    sent_again: Sequence[sqlite3.Row],
) -> None:
    """What the server has besides: only a drink whose answer was lost, and about which no look could tell.

    `sent_again`: the drinks that the core, by its own log, has sent again for that reason.
    """
    at = next(i for i, entry in enumerate(log) if "drink" in entry and str(entry["drink"]["id"]) == number)
    fate = log[at + 1].get("fault", "") if at + 1 < len(log) else ""
    what = f"{drink['ticks']} ticks of {drink['meter_name']} are there once more as {number}"
    if drink["pour_id"] is not None:
        found.differences.append(f"{what}, which kegboard-event must not do")
    elif not fate:
        found.differences.append(f"{what}, and its answer was not lost")
    elif not any(
        (row["tap_name"], row["ticks"]) == (drink["meter_name"], drink["ticks"]) for row in sent_again
    ):
        found.differences.append(f"{what}, though the server could have been asked ({fate})")
    else:
        found.doubles.append(f"{what}: {'server killed' if fate == KILLED else fate}")
