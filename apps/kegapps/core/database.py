"""The store's file: where it is, how it is opened, and what its errors mean to a person.

Knows SQLite and files. Must not know flows, events or who asks.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import sqlite3
import stat
import urllib.parse
from collections.abc import Iterator
from typing import Final

from kegapps.core.schema import MIGRATIONS, SCHEMA_VERSION

APPLICATION_ID: Final = 0x4B65_6773  # "Kegs": tells our files from other SQLite databases
CHECK_UP_TO_BYTES: Final = 16 << 20
"""A store up to this size is checked page by page at start; a larger one would delay the first pour."""

MIN_WAL_PAGES: Final = 16
MAX_WAL_PAGES: Final = 1000
"""About so large may the -wal grow before its content is moved into the store: SQLite's own default, 4 MB."""

DAMAGED: Final = (
    "damaged, or no store at all; it is left as it is: restore a backup, or name another file with --store"
)


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
    if os.geteuid() == 0:
        return "/var/lib/kegbot/kegbot.sqlite"
    state = os.environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(state):
        home = os.path.expanduser("~")
        if not os.path.isabs(home):
            raise StoreError("no home directory to keep the store in: name a file with --store")
        state = os.path.join(home, ".local", "state")
    return os.path.join(state, "kegbot", "kegbot.sqlite")


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
        uri = f"file:{urllib.parse.quote(path)}?mode=rw"
        db = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=busy_timeout_s)
        try:
            _check_identity(db, path)
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
    code = getattr(error, "sqlite_errorcode", 0) or 0
    name = getattr(error, "sqlite_errorname", "") or type(error).__name__
    folder = os.path.dirname(path) or "."
    primary = code & 0xFF
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        text = "another program holds it locked; end sqlite3 shells, editors and backups that have it open"
    elif primary == sqlite3.SQLITE_FULL:
        text = f"no room left; make room on the disk of {folder}"
    elif primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        text = DAMAGED
    elif primary in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        text = f"cannot be written; check owner and rights of it and of {folder}"
    elif primary == sqlite3.SQLITE_CANTOPEN:
        text = f"cannot be opened; check that it is a file, and owner and rights of it and of {folder}"
    elif primary == sqlite3.SQLITE_IOERR:
        text = f"the disk fails ({name}); look at what the kernel says (dmesg)"
    else:
        text = f"{error} ({name})"
    return StoreError(f"store {path}: {text}", locked=primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED))


@contextlib.contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All or nothing. The write lock is taken first: a transaction that only reads at first could not get it later."""
    db.execute("begin immediate")
    try:
        yield
        db.execute("commit")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            if db.in_transaction:
                db.execute("rollback")
        raise


def sync_folder(folder: str) -> None:
    """Have the names in `folder` on the disk. Raises OSError."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _prepare_file(path: str, *, create: bool) -> None:
    if create:
        os.makedirs(os.path.dirname(path) or ".", mode=0o755, exist_ok=True)
    elif not os.path.lexists(path):
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
        if stat.S_IMODE(status.st_mode) & 0o077:
            _make_private(path)
        return
    # Here nobody has it open yet. SQLite itself would create it readable for everybody.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    sync_folder(os.path.dirname(path) or ".")


def _make_private(path: str) -> None:
    for name in (path, f"{path}-wal", f"{path}-shm"):
        # Who is not the owner cannot; whoever may open the file is then the owner's affair.
        with contextlib.suppress(FileNotFoundError, PermissionError):
            os.chmod(name, 0o600)


def _check_identity(db: sqlite3.Connection, path: str) -> None:
    application_id, version = _pragma(db, "application_id"), _pragma(db, "user_version")
    if application_id not in (0, APPLICATION_ID) or (application_id == 0 and not _is_empty(db)):
        raise StoreError(f"store {path}: a database of another program; name another file with --store")
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"store {path}: written by a newer kegmaster (schema {version}, this one knows {SCHEMA_VERSION}); "
            "update kegmaster, or name another file with --store"
        )


def _set_up(db: sqlite3.Connection, path: str, *, create: bool) -> None:
    if not create and _pragma(db, "user_version") < SCHEMA_VERSION:
        raise StoreError(f"store {path}: not set up yet by this kegmaster; start kegbot_core once")
    if db.execute("pragma journal_mode = wal").fetchone()[0] != "wal":
        raise StoreError(
            f"store {path}: this file system cannot keep it safely (no WAL); name another --store"
        )
    db.execute("pragma synchronous = full")
    db.execute("pragma foreign_keys = on")
    db.execute("pragma cell_size_check = on")
    _bound_wal(db, path)
    if create and os.path.getsize(path) <= CHECK_UP_TO_BYTES:
        (verdict,) = db.execute("pragma quick_check(1)").fetchone()
        if verdict != "ok":
            raise StoreError(f"store {path}: {DAMAGED}")
    if create:
        with transaction(db):  # even if there is nothing to do: it tells whether the store can be written
            _migrate(db)
        db.execute("pragma wal_checkpoint(truncate)").fetchone()


def _bound_wal(db: sqlite3.Connection, path: str) -> None:
    """Keep the -wal small where there is little room: what it takes is missing when its content is to be moved over."""
    room = os.statvfs(path)
    pages = room.f_bavail * room.f_frsize // 4 // _pragma(db, "page_size")
    pages = max(MIN_WAL_PAGES, min(pages, MAX_WAL_PAGES))
    db.execute(f"pragma wal_autocheckpoint = {pages}")
    db.execute(f"pragma journal_size_limit = {pages * _pragma(db, 'page_size')}")


def _migrate(db: sqlite3.Connection) -> None:
    # Read again: another core may have been quicker.
    found = _pragma(db, "user_version")
    if found == SCHEMA_VERSION:
        return
    for version in range(found, SCHEMA_VERSION):
        for statement in MIGRATIONS[version].split(";"):
            if statement.strip():
                db.execute(statement)
        db.execute(f"pragma user_version = {version + 1}")
    db.execute(f"pragma application_id = {APPLICATION_ID}")


def _is_empty(db: sqlite3.Connection) -> bool:
    return not db.execute("select 1 from sqlite_master limit 1").fetchone()


def _pragma(db: sqlite3.Connection, name: str) -> int:
    (value,) = db.execute(f"pragma {name}").fetchone()
    return int(value)
