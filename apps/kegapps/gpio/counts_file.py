"""The file that keeps the counts: one writer, whole records only, on the disk when `write` returns.

Knows files. Must not know meters or pins. Its 8 kB are overwritten in place, one half at a time: some ten small writes
a second while beer flows, none otherwise.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Mapping

from kegapps.daemon import lockers
from kegapps.daemon.errors import StartError
from kegapps.daemon.own_file import open_own
from kegapps.gpio.record import SLOT_BYTES, SLOTS, Record, encode, is_ours, newest


class CountsFile:
    """The file at `path`, held for this process alone; it is made, with its folder, if it is not there.

    counts   what it held
    damaged  its counts are not to be understood; they will be overwritten

    Raises StartError, for a person, if it cannot be used, or another process has it.
    """

    def __init__(self, path: str) -> None:
        # What is beside it has one place, too, however it is named.
        self.path = os.path.realpath(path)
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            self._fd = open_own(path, is_ours, mode=0o644)
        except OSError as error:
            raise StartError(f"--counts={path}: {error.strerror}; name a file that can be written") from None
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            data = os.pread(self._fd, SLOT_BYTES * SLOTS, 0)
            record = newest(data)
            if len(data) < SLOT_BYTES * SLOTS:
                os.posix_fallocate(self._fd, 0, SLOT_BYTES * SLOTS)  # a disk that is full later is no matter
            self._sync_folder()
        except BlockingIOError:
            holder = lockers.named(os.fstat(self._fd))
            self.close()
            raise StartError(
                f"--counts={path}: another gpio_meter.py{holder} uses it; give each its own"
            ) from None
        except OSError as error:
            self.close()
            raise StartError(f"--counts={path}: {error.strerror}; name a file that can be written") from None
        self.damaged = record is None and bool(data.strip(b"\0"))
        self._sequence = record.sequence if record else 0
        self.counts: Mapping[str, int] = record.counts if record else {}

    def write(self, counts: Mapping[str, int]) -> None:
        """Put them on the disk. Raises OSError."""
        record = Record(sequence=self._sequence + 1, counts=counts)
        data, at = encode(record), record.slot * SLOT_BYTES
        while data:
            written = os.pwrite(self._fd, data, at)
            data, at = data[written:], at + written
        os.fdatasync(self._fd)
        self._sequence = record.sequence

    def take_over(self, newer: Mapping[str, int]) -> None:
        """What a process that was killed had counted since it last wrote. Raises StartError if it cannot be kept."""
        counts = {**self.counts, **newer}
        if counts != self.counts:
            try:
                self.write(counts)
            except (OSError, ValueError) as error:
                raise StartError(
                    f"--counts={self.path}: {getattr(error, 'strerror', None) or error}"
                ) from None
            self.counts = counts

    def close(self) -> None:
        """Let others have it."""
        os.close(self._fd)

    def _sync_folder(self) -> None:
        with contextlib.suppress(OSError):  # some file systems cannot; those forget nothing either
            folder = os.open(os.path.dirname(self.path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
