"""A program's own SQLite file: made for its owner alone, bounded beside it too, and its errors in words for a person.

Knows SQLite and files. Must not know what is kept, or by which flag the file is named.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import urllib.parse
from collections.abc import Iterator
from typing import Final

_HEADER_BYTES: Final = 100  # https://www.sqlite.org/fileformat.html#the_database_header
MIN_WAL_PAGES: Final = 16
MAX_WAL_PAGES: Final = 1000
"""About so large may the -wal grow before its content is moved into the file: SQLite's own default, 4 MB."""


def make(path: str) -> None:
    """An empty file that nobody but its owner can read, in a folder that is made too; nothing if it is there.

    Raises OSError.
    """
    folder = os.path.dirname(path) or "."
    os.makedirs(folder, mode=0o755, exist_ok=True)
    if not os.path.exists(path):
        # Here nobody has it open yet. SQLite itself would create it readable for everybody.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        sync_folder(folder)


def make_private(path: str) -> None:
    """Let nobody but its owner read the file that is there, nor what SQLite keeps beside it. Raises OSError."""
    for name in (path, f"{path}-wal", f"{path}-shm"):
        # Who is not the owner cannot; whoever may open the file is then the owner's affair.
        with contextlib.suppress(FileNotFoundError, PermissionError):
            if os.path.isfile(name):  # a folder named by mistake keeps its mode
                os.chmod(name, 0o600)


def sync_folder(folder: str) -> None:
    """Have the names in `folder` on the disk. Raises OSError."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def connect(path: str, *, busy_timeout_s: float) -> sqlite3.Connection:
    """Open the file that is there, with no transaction begun but by `transaction`. Raises sqlite3.Error."""
    uri = f"file:{urllib.parse.quote(os.fsencode(path))}?mode=rw"
    return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=busy_timeout_s)


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


def number(db: sqlite3.Connection, pragma: str) -> int:
    """What SQLite says of a pragma that is a number, such as user_version."""
    (value,) = db.execute(f"pragma {pragma}").fetchone()
    return int(value)


def is_foreign(db: sqlite3.Connection, application_id: int) -> bool:
    """True if another program made it: it bears another id, or none though something is in it."""
    found = number(db, "application_id")
    return found != application_id and bool(
        found or db.execute("select 1 from sqlite_master limit 1").fetchone()
    )


def application_id(path: str) -> int:
    """Whose the file at `path` is, also while another program has it locked: 0 if that is not to be seen.

    Not for a file that this process has open: closing it here would let go of SQLite's locks. Raises OSError.
    """
    with open(path, "rb") as file:
        header = file.read(_HEADER_BYTES)
    return int.from_bytes(header[68:72], "big") if header.startswith(b"SQLite format 3\0") else 0


def bound_wal(db: sqlite3.Connection, path: str) -> None:
    """Keep the -wal small where there is little room: what it takes is missing when its content is to be moved over."""
    room, page_size = os.statvfs(path), number(db, "page_size")
    pages = max(MIN_WAL_PAGES, min(room.f_bavail * room.f_frsize // 4 // page_size, MAX_WAL_PAGES))
    db.execute(f"pragma wal_autocheckpoint = {pages}")
    db.execute(f"pragma journal_size_limit = {pages * page_size}")


def is_locked(error: sqlite3.Error) -> bool:
    """True if somebody else uses the file just now: it is worth trying again."""
    return _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def meaning(error: sqlite3.Error, path: str, *, damaged: str) -> str:
    """What `error` means for the file at `path`, and what to do; `damaged` is said of one that cannot be understood."""
    name = getattr(error, "sqlite_errorname", "") or type(error).__name__
    folder = os.path.dirname(path) or "."
    match _code(error):
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return (
                "another program holds it locked; end sqlite3 shells, editors and backups that have it open"
            )
        case sqlite3.SQLITE_FULL:
            return f"no room left; make room on the disk of {folder}"
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return damaged
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
            return f"cannot be written; check owner and rights of it and of {folder}"
        case sqlite3.SQLITE_CANTOPEN:
            return f"cannot be opened; check that it is a file, and owner and rights of it and of {folder}"
        case sqlite3.SQLITE_IOERR:
            return f"the disk fails ({name}); look at what the kernel says (dmesg)"
    return f"{error} ({name})"


def _code(error: sqlite3.Error) -> int:
    """SQLite's primary result code; 0 if Python itself refused."""
    return (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF
