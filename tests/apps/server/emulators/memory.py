"""What an emulated server keeps: drinks, temperatures and devices, each on disk before it is answered.

One JSON object a line, appended in one write: a process that is killed leaves whole lines, and a new one reads them.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """One drink."""

    id: int
    meter_name: str
    ticks: int
    volume_ml: float
    time_unix_s: float
    duration_s: int
    keg_id: int | None
    username: str | None
    pour_id: str | None = None
    arrived_unix_s: float = 0.0
    form: dict[str, str] = field(default_factory=dict)
    """What was posted, for whoever wonders later."""
    first_event_id: int = 0
    """`session_started` or `drink_poured`; the latter is `event_id`."""
    event_id: int = 0


@dataclass(kw_only=True)
class Device:
    """One that speaks `kegboard-event`."""

    state: str = "pending"
    token: str | None = None
    handed_out: bool = False
    done_ids: dict[str, int] = field(default_factory=dict)
    """Highest event id taken, by boot id."""


class Memory:
    """All of it; with a path also on disk."""

    def __init__(self, path: Path | None = None) -> None:
        self.drinks: list[Recorded] = []
        self.temperatures: dict[tuple[str, int], float] = {}
        self.devices: dict[str, Device] = {}
        self.statuses: list[dict[str, Any]] = []  # `status` events, not kept on disk
        self.faults: Counter[str] = Counter()
        """How often each fault was done to a request, and `<fault> drink` to one that recorded a drink."""
        self._pour_ids: set[str | None] = set()
        self._file: int | None = None
        if path is not None:
            if path.exists():
                for line in path.read_bytes().splitlines():
                    self._apply(json.loads(line))
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def add_drink(self, drink: Recorded, taken: tuple[str, str, int] | None = None) -> None:
        """`taken`: device, boot id and event id that brought it, kept in the same write."""
        self._keep({"drink": asdict(drink), "taken": taken})

    def take(self, device: str, boot_id: str, event_id: int) -> None:
        self._keep({"taken": [device, boot_id, event_id]})

    def add_temperature(self, sensor: str, minute: int, celsius: float) -> None:
        self._keep({"temperature": [sensor, minute, celsius]})

    def pair(self, name: str, state: str, token: str | None, *, handed_out: bool = False) -> None:
        self._keep({"device": [name, state, token, handed_out]})

    def count_fault(self, name: str) -> None:
        self._keep({"fault": name})

    def has_pour(self, pour_id: str) -> bool:
        return pour_id in self._pour_ids

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _keep(self, entry: dict[str, Any]) -> None:
        if self._file is not None:
            os.write(self._file, json.dumps(entry).encode() + b"\n")
        self._apply(entry)

    def _apply(self, entry: dict[str, Any]) -> None:
        if drink := entry.get("drink"):
            self.drinks.append(Recorded(**drink))
            self._pour_ids.add(drink["pour_id"])
        if taken := entry.get("taken"):
            name, boot_id, event_id = taken
            self.devices.setdefault(name, Device()).done_ids[boot_id] = event_id
        if temperature := entry.get("temperature"):
            self.temperatures[temperature[0], temperature[1]] = temperature[2]
        if device := entry.get("device"):
            found = self.devices.setdefault(device[0], Device())
            found.state, found.token, found.handed_out = device[1:]
        if fault := entry.get("fault"):
            self.faults[fault] += 1
