"""The number of the last drink that was published, in a small file.

Knows the file. Must not know drinks, Redis or the core.
"""

from __future__ import annotations

import json
import os
from typing import Any, Final

from kegapps.daemon.errors import StartError

_KEY: Final = "last_drink_id"
_MAX_BYTES: Final = 4096


class CursorFile:
    """At `path`. Raises StartError where no file can be, or one that is not ours is."""

    def __init__(self, path: str, *, flag: str) -> None:
        self._path = path
        self._what = f"--{flag}={path}"
        self._saved: int | None = None

    def load(self) -> int | None:
        """What was saved last; None if nothing was. Its folder is made. Raises StartError."""
        try:
            os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
            with open(self._path, "rb") as file:
                content: Any = json.loads(file.read(_MAX_BYTES))
            self._saved = content[_KEY]
            if type(self._saved) is not int or self._saved < 0:
                raise ValueError(_KEY)
        except FileNotFoundError:
            self._try_to_write()
        except OSError as error:
            raise StartError(f"{self._what}: {os.strerror(error.errno or 0)}") from None
        except (ValueError, KeyError, TypeError):
            raise StartError(
                f"{self._what}: not a file of this program; name another, or remove it"
            ) from None
        return self._saved

    def save(self, drink_id: int) -> None:
        """Keep it: after a power cut the file says this or what it said before. Raises OSError."""
        if drink_id == self._saved:
            return
        temporary = f"{self._path}.new"
        with open(temporary, "w", encoding="ascii") as file:
            file.write(json.dumps({_KEY: drink_id}) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, self._path)
        self._saved = drink_id

    def _try_to_write(self) -> None:
        """Find out at the start that nothing can be kept, not at the first drink."""
        temporary = f"{self._path}.new"
        try:
            with open(temporary, "w", encoding="ascii"):
                pass
            os.unlink(temporary)
        except OSError as error:
            raise StartError(f"{self._what}: {os.strerror(error.errno or 0)}") from None
