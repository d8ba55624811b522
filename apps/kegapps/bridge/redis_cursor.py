"""The number of the last drink that was published, in a small file.

Knows the file. Must not know drinks, Redis or the core.
"""

from __future__ import annotations

import json
import os
from typing import Any, Final

from kegapps.daemon.errors import StartError
from kegapps.daemon.own_file import open_own
from kegapps.daemon.secret_file import FileError, read_plain

_KEY: Final = "last_drink_id"
_MAX_BYTES: Final = 4096


class CursorFile:
    """At `path`. Raises StartError where no file can be, or one that is not ours is."""

    def __init__(self, path: str, *, flag: str) -> None:
        self._path = os.path.realpath(path)  # a link stays one, and what it leads to is replaced
        self._new = f"{self._path}.new"
        self._flag = flag
        self._saved: int | None = None

    def load(self) -> int | None:
        """What was saved last; None if nothing was. Its folder is made. Raises StartError."""
        try:
            os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
            if os.path.lexists(self._path):
                data, _ = read_plain(self._path, _MAX_BYTES)
                self._saved = _number(data)
            # Find out at the start that nothing can be kept, not at the first drink.
            os.close(self._open_new())
            os.unlink(self._new)
        except FileError as error:
            raise StartError(f"--{self._flag}: {error}") from None
        except OSError as error:
            raise StartError(f"--{self._flag}={error.filename or self._path}: {error.strerror}") from None
        except (ValueError, KeyError, TypeError):
            raise StartError(
                f"--{self._flag}={self._path}: not a file of this program; name another, or remove it"
            ) from None
        return self._saved

    def save(self, drink_id: int) -> None:
        """Keep it: after a power cut the file says this or what it said before. Raises OSError."""
        if drink_id == self._saved:
            return
        with open(self._open_new(), "w", encoding="ascii") as file:
            file.truncate()
            file.write(json.dumps({_KEY: drink_id}) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(self._new, self._path)
        self._saved = drink_id

    def _open_new(self) -> int:
        """What is to take the file's place. Raises OSError if somebody else's file has that name."""
        return open_own(self._new, _is_ours)


def _number(data: bytes) -> int:
    """Raises ValueError, KeyError and TypeError."""
    content: Any = json.loads(data)
    number = content[_KEY]
    if type(number) is not int or number < 0:
        raise ValueError(_KEY)
    return number


def _is_ours(data: bytes) -> bool:
    """Perhaps half of it: a power cut came between."""
    beginning = f'{{"{_KEY}": '.encode()
    return data.startswith(beginning[: len(data)]) or not data.strip(b"\0")
