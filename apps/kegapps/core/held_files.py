"""The store's files while they are open: whether they are still where they were, and back to where they were.

Knows the file system and how SQLite keeps a database. Must not know tables. Who removes or replaces an open file takes
only its name away: what was open stays whole, takes commits, and is gone with the process. So it has to be noticed.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from contextlib import closing
from typing import Final

from kegapps.core.database import StoreError, explained, store_files
from kegapps.daemon.sqlite_file import sync_folder

_STAMP: Final = "%Y%m%d-%H%M%S"

FileId = tuple[int, int]


class HeldFiles:
    """The files of the store at `path` as they are now, just opened."""

    def __init__(self, path: str) -> None:
        ids = {name: _file_id(name) for name in store_files(path)}
        self._ids = {name: file_id for name, file_id in ids.items() if file_id is not None}

    def changed(self) -> str:
        """The first that is not there any more, or has another in its place; "" if all is well.

        Takes microseconds: it is asked before every commit.
        """
        return next((name for name, file_id in self._ids.items() if _file_id(name) != file_id), "")


def bring_back(db: sqlite3.Connection, path: str) -> None:
    """Write what `db` holds to `path`, where there must be no file. Raises StoreError; then nothing has changed."""
    _finish(db)
    with explained(path):
        folder, name = os.path.split(path)
        temporary = os.path.join(folder, f".{name}.{os.getpid()}.new")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        try:
            os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            with closing(sqlite3.connect(temporary, isolation_level=None)) as copy:
                copy.execute("pragma synchronous = full")
                db.backup(copy)
                copy.execute("pragma journal_mode = delete")
            if not os.path.lexists(path):
                # They belong to what is open; SQLite would take them for the new file's, and destroy it.
                for suffix in ("-wal", "-shm"):
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(f"{path}{suffix}")
            os.link(temporary, path)  # unlike a renaming, this never replaces what came meanwhile
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
        sync_folder(folder)


def save_beside(db: sqlite3.Connection, path: str) -> str:
    """Write what `db` holds into a new file beside `path`, where another file is now; its name. Raises StoreError."""
    beside = f"{path}.saved-{time.strftime(_STAMP)}"
    bring_back(db, beside)
    return beside


def _finish(db: sqlite3.Connection) -> None:
    """Let nothing be in the -wal: the file was perhaps only moved, and another in its place would be given it."""
    with contextlib.suppress(sqlite3.Error):
        db.execute("pragma wal_checkpoint(truncate)").fetchone()


def _file_id(name: str) -> FileId | None:
    try:
        status = os.stat(name)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:  # it cannot be told: what is open works as long as it works
        raise StoreError(f"store {name}: {error.strerror}; check the rights of its folder") from error
    return status.st_dev, status.st_ino
