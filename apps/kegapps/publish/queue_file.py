"""The queue's file: how it is opened and set up, and what its errors mean to a person.

Knows SQLite and files. Must not know what is queued, or for whom.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from collections.abc import Iterator
from typing import Final

from kegapps.daemon import sqlite_file

APPLICATION_ID: Final = 0x4B65_6770  # "Kegp": tells our files from other SQLite databases
VERSION: Final = 3
DAMAGED: Final = (
    "damaged, or no queue at all; it is left as it is: move it away, or name another with --queue"
)

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
create table read_to (
    one integer primary key check (one = 1),
    drink_id integer not null,
    uuid text not null,
    end_unix_s real not null
) strict;
"""
_VERSION_2: Final = """
drop table if exists bucket;
create table attempt (
    id integer primary key autoincrement,
    destination text not null,
    message integer not null,
    boot_id text not null,
    mono_s real not null,
    unix_s real not null
) strict;
create index attempt_by_destination on attempt (destination, id);
"""
# A number without the name of its store is nobody's: drinks are announced from now on.
_VERSION_3: Final = """
drop table read_to;
create table read_to (
    one integer primary key check (one = 1),
    record text not null
) strict;
"""
_MIGRATIONS: Final = (_SCHEMA, _VERSION_2, _VERSION_3)


class QueueError(Exception):
    """The queue cannot be used now; `str(error)` is one line: what is wrong and what to do."""


def connect(path: str, *, create: bool, busy_timeout_s: float) -> sqlite3.Connection:
    """Open the queue at `path`, made if it is not there and `create`. Raises QueueError; then it is left as it is."""
    with explained(path):
        _prepare(path, create=create)
        db = sqlite_file.connect(path, busy_timeout_s=busy_timeout_s)
        try:
            _set_up(db, path, create=create)
        except BaseException:
            db.close()
            raise
        return db


@contextlib.contextmanager
def transaction(db: sqlite3.Connection, path: str) -> Iterator[None]:
    """All or nothing. Raises QueueError."""
    with explained(path), sqlite_file.transaction(db):
        yield


@contextlib.contextmanager
def explained(path: str) -> Iterator[None]:
    """Turn SQLite's and the system's errors into QueueError."""
    try:
        yield
    except sqlite3.Error as error:
        raise QueueError(f"queue {path}: {sqlite_file.meaning(error, path, damaged=DAMAGED)}") from error
    except OSError as error:
        where = error.filename or path
        raise QueueError(f"queue {where}: {error.strerror or error}; check --queue") from error


def _prepare(path: str, *, create: bool) -> None:
    """Make a file that only its owner can read: it holds who drank what."""
    if os.path.lexists(path):
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise QueueError(f"queue {path}: not a file; name a file with --queue")
        return
    if not create:
        raise QueueError(f"no queue at {path}: start the publisher once, or name another file with --queue")
    sqlite_file.make(path)


def _set_up(db: sqlite3.Connection, path: str, *, create: bool) -> None:
    if sqlite_file.is_foreign(db, APPLICATION_ID):
        raise QueueError(f"queue {path}: a database of another program; name another file with --queue")
    if (version := sqlite_file.number(db, "user_version")) > VERSION:
        raise QueueError(f"queue {path}: written by a newer kegmaster; update, or name another with --queue")
    if not create and version < VERSION:
        raise QueueError(f"queue {path}: not set up yet; start the publisher once")
    db.execute("pragma journal_mode = wal").fetchone()
    db.execute("pragma synchronous = full")
    sqlite_file.bound_wal(db, path)
    if version < VERSION:
        with transaction(db, path):
            for statement in "".join(_MIGRATIONS[version:]).split(";"):
                db.execute(statement)
            db.execute(f"pragma user_version = {VERSION}")
            db.execute(f"pragma application_id = {APPLICATION_ID}")
