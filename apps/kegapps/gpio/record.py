"""How the counts of all meters are written down, twice, so that a power cut in mid-write leaves one good record.

Knows bytes. Must not know files, pins or clocks. A record is one line of text in SLOT_BYTES bytes:
`gpio_meter 1 CHECKSUM SEQUENCE {"gpio.flow0": 4711}`. The one with the higher sequence is the newer; records are
written to the two slots in turn, so that the one before is untouched until the next is whole.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

SLOT_BYTES: Final = 4096  # a page of flash or more: nothing smaller is torn
SLOTS: Final = 2
MAX_METERS: Final = 32
COUNTER_SPAN: Final = 2**32

_HEAD: Final = "gpio_meter 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What every meter had counted, modulo 2^32, at the `sequence`-th writing."""

    sequence: int
    counts: Mapping[str, int]

    @property
    def slot(self) -> int:
        """Where it is written."""
        return self.sequence % SLOTS


def encode(record: Record) -> bytes:
    """SLOT_BYTES bytes. Raises ValueError if it does not fit."""
    body = f"{record.sequence} {json.dumps(dict(record.counts), sort_keys=True)}"
    data = f"{_HEAD} {zlib.crc32(body.encode()):08x} {body}".encode()
    if len(data) >= SLOT_BYTES:
        raise ValueError(f"the counts of {len(record.counts)} meters do not fit into {SLOT_BYTES} bytes")
    return data.ljust(SLOT_BYTES - 1) + b"\n"


def decode(data: bytes) -> Record | None:
    """The record in one slot; None if it is not whole. Raises nothing."""
    try:
        head, version, checksum, body = data.decode().rstrip().split(" ", 3)
        sequence, text = body.split(" ", 1)
        if f"{head} {version}" != _HEAD or int(checksum, 16) != zlib.crc32(body.encode()):
            return None
        counts = json.loads(text)
        if type(counts) is not dict or not all(_is_count(value) for value in counts.values()):
            return None
        return Record(sequence=int(sequence), counts=counts)
    except (ValueError, RecursionError):
        return None


def is_ours(data: bytes) -> bool:
    """Whether a file that begins with `data` is one of counts, whole or not; room that was never written is, too."""
    slots = [data[at * SLOT_BYTES : (at + 1) * SLOT_BYTES] for at in range(SLOTS)]
    return not data.strip(b"\0") or any(slot.startswith(_HEAD.encode()) for slot in slots)


def newest(data: bytes) -> Record | None:
    """The record that counts, of a whole file; None if there is none."""
    records = [decode(data[at * SLOT_BYTES : (at + 1) * SLOT_BYTES]) for at in range(SLOTS)]
    return max((record for record in records if record), key=lambda record: record.sequence, default=None)


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < COUNTER_SPAN
