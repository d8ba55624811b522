"""The store's file: where it is, how it is opened, and what its errors mean to a person.

Knows SQLite and files. Must not know flows, events or who asks.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import sqlite3
import stat
from collections.abc import Iterator
from typing import Final

from kegapps.core.schema import MIGRATIONS, SCHEMA_VERSION
from kegapps.daemon import sqlite_file
from kegapps.daemon.errors import StartError
from kegapps.daemon.state_path import state_path

APPLICATION_ID: Final = 0x4B65_6773  # "Kegs": tells our files from other SQLite databases
CHECK_UP_TO_BYTES: Final = 16 << 20
"""A store up to this size is checked page by page at start; a larger one would delay the first pour."""

DAMAGED: Final = (
    "damaged, or no store at all; it is left as it is: restore a backup, or name another file with --store"
)


CACHE_KIB: Final = 512
"""Of pages in memory, for SQLite's own 2 MB: the system has them, too, and whoever pages through all drinks needs none
of them twice."""
BESIDE: Final = ("-wal", "-shm", ".lock")
"""What the names of the files beside the store have more: SQLite's two, and the lock of the core that uses it."""


class StoreError(Exception):
    """The store cannot be used; `str(error)` is one line: what is wrong and what to do."""

    def __init__(self, text: str, *, locked: bool = False) -> None:
        super().__init__(text)
        self.locked = locked
        """Somebody else uses it just now: worth trying again at once."""


def default_path() -> str:
    """Where the store is unless `--store` says otherwise. Raises StoreError if there is no home directory."""
    try:
        return state_path("kegbot.sqlite", flag="store")
    except StartError as error:
        raise StoreError(str(error)) from None


def store_files(path: str) -> list[str]:
    """The files that belong to the store at `path`, whether they are there or not."""
    return [path, *(f"{path}{suffix}" for suffix in BESIDE)]


def connect(path: str, *, create: bool, busy_timeout_s: float) -> sqlite3.Connection:
    """Open the store at `path`, creating it and bringing it to SCHEMA_VERSION if `create`.

    Raises StoreError, also for a file that is damaged, of another program or of a newer kegmaster; such a file is
    never changed. No transaction is open afterwards.
    """
    with explained(path):
        _prepare_file(path, create=create)
        db = sqlite_file.connect(path, busy_timeout_s=busy_timeout_s)
        try:
            _check_identity(db, path)
            if stat.S_IMODE(os.stat(path).st_mode) & 0o077:
                sqlite_file.make_private(path)
            _set_up(db, path, create=create)
        except BaseException:
            db.close()
            raise
        return db


@contextlib.contextmanager
def explained(path: str) -> Iterator[None]:
    """Turn SQLite's and the system's errors into StoreError."""
    try:
        yield
    except sqlite3.Error as error:
        raise explain(error, path) from error
    except OSError as error:
        where = error.filename or path
        raise StoreError(f"store {where}: {error.strerror or error}; check --store") from error


def explain(error: sqlite3.Error, path: str) -> StoreError:
    """What this error means for the store at `path`, and what to do."""
    text = sqlite_file.meaning(error, path, damaged=DAMAGED)
    return StoreError(f"store {path}: {text}", locked=sqlite_file.is_locked(error))


def _prepare_file(path: str, *, create: bool) -> None:
    if not create and not os.path.lexists(path):
        raise StoreError(f"no store at {path}: start kegbot_core once, or name another file with --store")
    # By path only: closing a descriptor of the file would drop the locks that SQLite holds on it.
    if os.path.exists(path):
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise StoreError(f"store {path}: not a file; name a file with --store")
        if status.st_nlink > 1:
            # Whoever opens it by the other name has another -wal and another lock: each would overwrite the other's.
            raise StoreError(
                f"store {path}: has another name (a hard link), by which a second core could use it and destroy it; "
                f"find that with: find / -xdev -samefile {shlex.quote(path)}, and remove it, or make it a copy"
            )
    else:
        sqlite_file.make(path)


def _check_identity(db: sqlite3.Connection, path: str) -> None:
    if sqlite_file.is_foreign(db, APPLICATION_ID):
        raise StoreError(f"store {path}: a database of another program; name another file with --store")
    if (version := sqlite_file.number(db, "user_version")) > SCHEMA_VERSION:
        raise StoreError(
            f"store {path}: written by a newer kegmaster (schema {version}, this one knows {SCHEMA_VERSION}); "
            "update kegmaster, or name another file with --store"
        )


def _set_up(db: sqlite3.Connection, path: str, *, create: bool) -> None:
    if not create and sqlite_file.number(db, "user_version") < SCHEMA_VERSION:
        raise StoreError(f"store {path}: not set up yet by this kegmaster; start kegbot_core once")
    if db.execute("pragma journal_mode = wal").fetchone()[0] != "wal":
        raise StoreError(
            f"store {path}: this file system cannot keep it safely (no WAL); name another --store"
        )
    db.execute("pragma synchronous = full")
    db.execute("pragma foreign_keys = on")
    db.execute("pragma cell_size_check = on")
    sqlite_file.bound_wal(db, path)
    db.execute(f"pragma cache_size = -{CACHE_KIB}")
    if create and os.path.getsize(path) <= CHECK_UP_TO_BYTES:
        (verdict,) = db.execute("pragma quick_check(1)").fetchone()
        if verdict != "ok":
            raise StoreError(f"store {path}: {DAMAGED}")
    if create:
        # Even if there is nothing to do: it tells whether the store can be written.
        with sqlite_file.transaction(db):
            _migrate(db)
        db.execute("pragma wal_checkpoint(truncate)").fetchone()


def _migrate(db: sqlite3.Connection) -> None:
    # Read again: another core may have been quicker.
    found = sqlite_file.number(db, "user_version")
    if found == SCHEMA_VERSION:
        return
    for version in range(found, SCHEMA_VERSION):
        for statement in MIGRATIONS[version].split(";"):
            if statement.strip():
                db.execute(statement)
        db.execute(f"pragma user_version = {version + 1}")
    db.execute(f"pragma application_id = {APPLICATION_ID}")
