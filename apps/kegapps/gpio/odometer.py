"""What each meter has counted, what of it is on the disk, and what may be told: only what is on the disk.

Knows numbers, names and time. Must not know pins, files or sockets. A reading that was told and then forgotten would go
backwards with the next start, and a core would take that for a board that began anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from kegapps.gpio.record import COUNTER_SPAN, MAX_METERS
from kegapps.kegnet.events import MeterUpdate

LATE_S: Final = 1.0
"""If ticks waited longer for the disk, a core is told so: then it believes in a larger step."""


@dataclass(slots=True)
class _Meter:
    start: int  # what it showed when the program started
    is_new: bool
    count: int
    told: int


class Odometers:
    """The meters `names` of the board `board`; `saved` is what the disk holds, of these and others."""

    def __init__(self, board: str, names: Iterable[str], saved: Mapping[str, int], *, now_s: float) -> None:
        self._board = board
        self._started_s = now_s
        self._meters: dict[str, _Meter] = {}
        for name in names:
            start = saved.get(f"{board}.{name}")
            self._meters[name] = _Meter(start or 0, start is None, count=start or 0, told=start or 0)
        # Those of meters that are not there now are kept for their return, as far as there is room.
        others = [key for key in saved if key not in self._full_names()]
        self._saved = {key: saved[key] for key in others[: max(0, MAX_METERS - len(self._meters))]}
        self._saved |= {key: saved[key] for key in self._full_names() & saved.keys()}
        self._waiting_since_s: float | None = None

    @property
    def starts(self) -> Mapping[str, int]:
        """Where each meter stood when the program started, by its full name."""
        return {f"{self._board}.{name}": meter.start for name, meter in self._meters.items()}

    def begin(self, now_s: float) -> Iterator[MeterUpdate]:
        """What to tell first: where the meters stand, and of new ones that they begin at 0."""
        for name, meter in self._meters.items():
            uptime_s = max(0.001, round(now_s - self._started_s, 3)) if meter.is_new else 0.0
            yield MeterUpdate(tap_name=f"{self._board}.{name}", reading=meter.start, board_uptime_s=uptime_s)

    def count(self, name: str, pulses: int) -> None:
        """The meter `name` has ticked `pulses` times since the program started."""
        meter = self._meters[name]
        meter.count = (meter.start + pulses) % COUNTER_SPAN

    def to_save(self, now_s: float) -> Mapping[str, int] | None:
        """What is to be written to the disk now; None if it is there."""
        counts = self._saved | {f"{self._board}.{name}": meter.count for name, meter in self._meters.items()}
        if counts == self._saved:
            return None
        if self._waiting_since_s is None:
            self._waiting_since_s = now_s
        return counts

    def saved(self, counts: Mapping[str, int], now_s: float) -> Iterator[MeterUpdate]:
        """These are on the disk: what may be told now."""
        self._saved = dict(counts)
        waited_s = now_s - (now_s if self._waiting_since_s is None else self._waiting_since_s)
        self._waiting_since_s = None
        for name, meter in self._meters.items():
            reading = self._saved[f"{self._board}.{name}"]
            if reading != meter.told:
                meter.told = reading
                gap_s = round(waited_s, 3) if waited_s > LATE_S else 0.0
                yield MeterUpdate(tap_name=f"{self._board}.{name}", reading=reading, gap_s=gap_s)

    def _full_names(self) -> set[str]:
        return {f"{self._board}.{name}" for name in self._meters}
