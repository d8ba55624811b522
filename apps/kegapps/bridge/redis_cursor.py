"""How far the drinks were published, in a small file.

Knows the file. Must not know drinks, Redis or the core.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from typing import Final

from kegapps.daemon.errors import StartError
from kegapps.daemon.own_file import open_own
from kegapps.daemon.secret_file import FileError, read_plain
from kegapps.kegnet.drinks_record import BEGINNING, MAX_TEXT_BYTES, Record, read_record, record_text

log = logging.getLogger("redis")

_KEY_OF_BEFORE: Final = "last_drink_id"


class CursorFile:
    """At `path`. Raises StartError where no file can be, or one that is not ours is."""

    def __init__(self, path: str, *, flag: str) -> None:
        self.path = os.path.realpath(path)  # a link stays one, and what it leads to is replaced
        self._new = f"{self.path}.new"
        self._flag = flag
        self._saved: Record = ()

    def load(self) -> Record:
        """What was saved last; empty if nothing was. Its folder is made. Raises StartError."""
        try:
            os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
            if os.path.lexists(self.path):
                data, _ = read_plain(self.path, MAX_TEXT_BYTES)
                self._saved = self._read(data)
            # Find out at the start that nothing can be kept, not at the first drink.
            os.close(self._open_new())
            os.unlink(self._new)
        except FileError as error:
            raise StartError(f"--{self._flag}: {error}") from None
        except OSError as error:
            raise StartError(f"--{self._flag}={error.filename or self.path}: {error.strerror}") from None
        except (ValueError, RecursionError):
            raise StartError(
                f"--{self._flag}={self.path}: not a file of this program; name another, or remove it"
            ) from None
        return self._saved

    def save(self, record: Record) -> None:
        """Keep it: after a power cut the file says this or what it said before. Raises OSError."""
        if record == self._saved:
            return
        fd = self._open_new()
        try:
            with open(fd, "w", encoding="ascii") as file:
                file.truncate()
                file.write(record_text(record) + "\n")
                file.flush()
                os.fsync(file.fileno())
            os.replace(self._new, self.path)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(self._new)  # on a full disk every byte counts
            raise
        self._saved = record

    def _read(self, data: bytes) -> Record:
        """Raises ValueError and RecursionError."""
        if not _is_of_before(data):
            return read_record(data)
        log.warning(
            "%s: written before it told which store it is about; drinks are published from now on", self.path
        )
        return ()

    def _open_new(self) -> int:
        """What is to take the file's place. Raises OSError if somebody else's file has that name."""
        return open_own(self._new, _is_ours)


def _is_of_before(data: bytes) -> bool:
    """True for a number alone, as it was before the stores had names: nobody knows whose it is."""
    content = json.loads(data)
    number = content.get(_KEY_OF_BEFORE) if type(content) is dict and len(content) == 1 else None
    return type(number) is int and 0 <= number < 2**63


def _is_ours(data: bytes) -> bool:
    """Perhaps half of it: a power cut came between."""
    beginnings = (BEGINNING.encode(), f'{{"{_KEY_OF_BEFORE}": '.encode())
    begins = any(data.startswith(beginning[: len(data)]) for beginning in beginnings)
    return begins or not data.strip(b"\0")
