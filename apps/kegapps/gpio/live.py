"""What the meters show at this instant, kept where it outlives the process, though not the power: in the page cache.

Knows a file that is never synced. Must not know pins or what is told. So kill -9 loses no tick that was counted, and no
tick costs a write to the disk.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from typing import Final

from kegapps.daemon.errors import StartError
from kegapps.daemon.own_file import open_own
from kegapps.gpio.record import COUNTER_SPAN, MAX_METERS

_HEAD: Final = "gpio_live 1"
_HEAD_BYTES: Final = 4096
_COUNT_BYTES: Final = 8


class LiveCounts:
    """The file at `path`. Raises StartError if it cannot be opened; all else here raises nothing."""

    def __init__(self, path: str, boot_id: str) -> None:
        self._boot_id = boot_id
        try:
            self._fd = open_own(path, _is_ours, mode=0o644)
        except OSError as error:
            raise StartError(f"--counts: beside it, {path}: {error.strerror}; name another file") from None

    def read(self) -> dict[str, int]:
        """What the meters of a process of this boot showed last; after a power cut the file may be of any age."""
        try:
            head = os.pread(self._fd, _HEAD_BYTES, 0).decode().split()
            if head[:3] != [*_HEAD.split(), self._boot_id]:
                return {}
            data = os.pread(self._fd, MAX_METERS * _COUNT_BYTES, _HEAD_BYTES)
        except (OSError, ValueError):
            return {}
        counts = {
            name: int.from_bytes(data[at * _COUNT_BYTES : (at + 1) * _COUNT_BYTES], "little")
            for at, name in enumerate(head[3 : 3 + len(data) // _COUNT_BYTES])
        }
        return {name: count for name, count in counts.items() if count < COUNTER_SPAN}

    def begin(self, counts: Mapping[str, int]) -> None:
        """From now on the meters are these, by their order; what the file held is on the disk elsewhere."""
        head = f"{_HEAD} {self._boot_id} {' '.join(counts)}".encode().ljust(_HEAD_BYTES)
        with contextlib.suppress(OSError):
            os.ftruncate(self._fd, 0)
            for at, count in enumerate(counts.values()):
                self.put(at, count, 0)
            if len(head) == _HEAD_BYTES and len(counts) <= MAX_METERS:
                os.pwrite(self._fd, head, 0)

    def put(self, at: int, start: int, pulses: int) -> None:
        """Meter number `at` has gone `pulses` on from `start`; from any thread."""
        count = (start + pulses) % COUNTER_SPAN
        with contextlib.suppress(OSError):
            os.pwrite(self._fd, count.to_bytes(_COUNT_BYTES, "little"), _HEAD_BYTES + at * _COUNT_BYTES)

    def close(self) -> None:
        """Let go of it."""
        os.close(self._fd)


def _is_ours(data: bytes) -> bool:
    """Also of a process that was killed before it wrote the head."""
    return data.startswith(_HEAD.encode()) or not data[:_HEAD_BYTES].strip(b"\0")
