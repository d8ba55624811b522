"""The queue's file: how it is opened and set up, and what its errors mean to a person.

Knows SQLite and files. Must not know what is queued, or for whom.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import urllib.parse
from collections.abc import Iterator
from typing import Final

APPLICATION_ID: Final = 0x4B65_6770  # "Kegp": tells our files from other SQLite databases
VERSION: Final = 1

_SCHEMA: Final = """
create table message (
    id integer primary key autoincrement,
    destination text not null,
    label text not null,
    drink_key text not null,
    username text,
    text text not null,
    poured_unix_s real not null,
    state text not null default 'waiting' check (state in ('waiting', 'sending', 'sent', 'given_up', 'withdrawn')),
    attempts integer not null default 0,
    reason text not null default '',
    changed_unix_s real not null,
    unique (destination, drink_key)
) strict;
create index message_by_state on message (destination, state, id);
create table bucket (
    destination text primary key,
    tokens real not null,
    unix_s real not null
) strict, without rowid;
create table read_to (
    one integer primary key check (one = 1),
    drink_id integer not null,
    uuid text not null,
    end_unix_s real not null
) strict;
"""


class QueueError(Exception):
    """The queue cannot be used now; `str(error)` is one line: what is wrong and what to do."""


def connect(path: str, *, create: bool, busy_timeout_s: float) -> sqlite3.Connection:
    """Open the queue at `path`, made if it is not there and `create`. Raises QueueError; then it is left as it is."""
    with explained(path):
        _prepare(path, create=create)
        uri = f"file:{urllib.parse.quote(path)}?mode=rw"
        db = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=busy_timeout_s)
        try:
            _set_up(db, path, create=create)
        except BaseException:
            db.close()
            raise
        return db


@contextlib.contextmanager
def transaction(db: sqlite3.Connection, path: str) -> Iterator[None]:
    """All or nothing. Raises QueueError."""
    with explained(path):
        db.execute("begin immediate")
        try:
            yield
            db.execute("commit")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                if db.in_transaction:
                    db.execute("rollback")
            raise


@contextlib.contextmanager
def explained(path: str) -> Iterator[None]:
    """Turn SQLite's and the system's errors into QueueError."""
    try:
        yield
    except sqlite3.Error as error:
        raise QueueError(f"queue {path}: {_meaning(error, path)}") from error
    except OSError as error:
        where = error.filename or path
        raise QueueError(f"queue {where}: {error.strerror or error}; check --queue") from error


def _meaning(error: sqlite3.Error, path: str) -> str:
    folder = os.path.dirname(path) or "."
    match (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF:
        case sqlite3.SQLITE_FULL:
            return f"no room left; make room on the disk of {folder}"
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return "another program holds it locked; end sqlite3 shells and backups that have it open"
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return (
                "damaged, or no queue at all; it is left as it is: move it away, or name another with --queue"
            )
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_CANTOPEN:
            return f"cannot be written; check owner and rights of it and of {folder}"
        case sqlite3.SQLITE_IOERR:
            return f"the disk fails ({error}); look at what the kernel says (dmesg)"
    return str(error)


def _prepare(path: str, *, create: bool) -> None:
    """Make a file that only its owner can read: it holds who drank what."""
    if os.path.lexists(path):
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise QueueError(f"queue {path}: not a file; name a file with --queue")
        return
    if not create:
        raise QueueError(f"no queue at {path}: start the publisher once, or name another file with --queue")
    folder = os.path.dirname(path) or "."
    os.makedirs(folder, mode=0o755, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _set_up(db: sqlite3.Connection, path: str, *, create: bool) -> None:
    application_id, version = _pragma(db, "application_id"), _pragma(db, "user_version")
    tables = db.execute("select 1 from sqlite_master limit 1").fetchone()
    if application_id != APPLICATION_ID and (application_id or tables):
        raise QueueError(f"queue {path}: a database of another program; name another file with --queue")
    if version > VERSION:
        raise QueueError(f"queue {path}: written by a newer kegmaster; update, or name another with --queue")
    if not create and version < VERSION:
        raise QueueError(f"queue {path}: not set up yet; start the publisher once")
    db.execute("pragma journal_mode = wal").fetchone()
    db.execute("pragma synchronous = full")
    _bound_wal(db, path)
    if version < VERSION:
        with transaction(db, path):
            for statement in _SCHEMA.split(";"):
                db.execute(statement)
            db.execute(f"pragma user_version = {VERSION}")
            db.execute(f"pragma application_id = {APPLICATION_ID}")


def _bound_wal(db: sqlite3.Connection, path: str) -> None:
    """Keep the -wal small where there is little room: what it takes is missing for what is to be kept."""
    room = os.statvfs(path)
    page_size = _pragma(db, "page_size")
    pages = max(16, min(room.f_bavail * room.f_frsize // 4 // page_size, 1000))
    db.execute(f"pragma wal_autocheckpoint = {pages}")
    db.execute(f"pragma journal_size_limit = {pages * page_size}")


def _pragma(db: sqlite3.Connection, name: str) -> int:
    return int(db.execute(f"pragma {name}").fetchone()[0])
