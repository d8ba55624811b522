"""The gateway's file: made, locked, checked and brought to its schema; its transactions, and its errors for a person.

Knows SQLite and the schema. Must not know what the tables' rows mean.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import stat
from collections.abc import Iterator
from typing import Final

from kegapps.daemon import lockers, sqlite_file
from kegapps.daemon.own_file import open_lock

APPLICATION_ID: Final = 0x4B65_6777  # "Kegw"
SCHEMA_VERSION: Final = 1
BUSY_S: Final = 1.0
DAMAGED: Final = (
    "no SQLite file, or a damaged one; name another with --gateway_store, and allow the boards again"
)

_SCHEMA: Final = """
create table devices (
  device text primary key, board_name text not null unique, state text not null,
  token_hash text not null default '', fresh integer not null default 0,
  first_unix_s real not null, heard_unix_s real not null, asks_unix_s real, host text not null default '',
  fw_version text not null default '', uptime_s real, events_dropped integer not null default 0,
  events_malformed integer not null default 0);
create table boots (
  device text not null, boot_id text not null, last_id integer not null, at_unix_s real not null,
  primary key (device, boot_id)) without rowid;
create table meters (
  meter text primary key, device text not null, number integer not null, position integer not null default 0,
  told integer not null default 0, shift integer, ml_per_tick real, core_ml_per_tick real) without rowid;
create table pours (
  pour_id text primary key, meter text not null, ticks integer not null, done integer not null) without rowid;
create table legs (
  id integer primary key autoincrement, meter text not null, pour_id text not null,
  begin_ticks integer not null, end_ticks integer not null, first integer not null, last integer not null,
  unix_s real not null, mono_s real not null, boot text not null, duration_s real not null,
  auth_device text not null default '', token text not null default '');
create index legs_by_meter on legs (meter, end_ticks);
create table grants (
  grant_id text primary key, device text not null, meter text not null, auth_device text not null,
  token text not null, at_unix_s real not null, open integer not null) without rowid;
"""


class StoreError(Exception):
    """The store cannot be used; `str(error)` is one line: what is wrong and what to do."""


class StoreFile:
    """The file at `path`, which is made if it is missing and `create` says so. Raises StoreError, as every method.

    Changes are one transaction until `commit` or `undo`.
    """

    def __init__(self, path: str, *, create: bool = True) -> None:
        self.path = os.path.realpath(path)  # so that it has one lock, by whatever links somebody names it
        self._lock: int | None = None
        with self._explained():
            self._prepare(create=create)
            self._db = sqlite_file.connect(self.path, busy_timeout_s=BUSY_S)
            try:
                self._set_up()
            except BaseException:
                self._db.close()
                raise

    def own(self) -> None:
        """Keep other gateways from this store: two would tell the core everything twice."""
        with self._explained():
            lock = open_lock(f"{self.path}.lock")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = lockers.named(os.fstat(lock))
                os.close(lock)
                raise StoreError(
                    f"store {self.path}: another gateway{holder} uses it; stop that one, or name another file with "
                    "--gateway_store"
                ) from None
            self._lock = lock

    def begin(self) -> None:
        """Before the first change of a transaction, so that what is read in it stays true; harmless if it has begun."""
        if not self._db.in_transaction:
            self._execute("begin immediate")

    def commit(self) -> None:
        """All changes are on the disk."""
        if self._db.in_transaction:
            self._execute("commit")

    def undo(self) -> None:
        """Forget the changes since the last commit."""
        if self._db.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("rollback")

    def close(self) -> None:
        """Close the file; what was not committed is forgotten."""
        self.undo()
        self._db.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _execute(self, sql: str, *values: object) -> sqlite3.Cursor:
        with self._explained():
            return self._db.execute(sql, values)

    def _prepare(self, *, create: bool) -> None:
        if os.path.exists(self.path):
            if not stat.S_ISREG(os.stat(self.path).st_mode):
                raise StoreError(f"store {self.path}: not a file; name a file with --gateway_store")
        elif create:
            sqlite_file.make(self.path)
        else:
            raise StoreError(f"store {self.path}: no such file; start the gateway once, or name its store")

    def _set_up(self) -> None:
        if sqlite_file.is_foreign(self._db, APPLICATION_ID):
            raise StoreError(f"store {self.path}: of another program; name another file with --gateway_store")
        # Whatever its mode was: nobody else has business with the tokens on readers.
        sqlite_file.make_private(self.path)
        version = sqlite_file.number(self._db, "user_version")
        if version > SCHEMA_VERSION:
            raise StoreError(
                f"store {self.path}: made by a newer gateway (version {version}); update this one"
            )
        self._db.execute("pragma journal_mode = wal")
        self._db.execute("pragma synchronous = full")
        sqlite_file.bound_wal(self._db, self.path)
        if version < SCHEMA_VERSION:
            self._db.executescript(
                f"begin immediate; {_SCHEMA} pragma application_id = {APPLICATION_ID};"
                f" pragma user_version = {SCHEMA_VERSION}; commit;"
            )

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            text = sqlite_file.meaning(error, self.path, damaged=DAMAGED)
            raise StoreError(f"store {self.path}: {text}") from error
        except OSError as error:
            raise StoreError(
                f"store {error.filename or self.path}: {error.strerror}; check --gateway_store"
            ) from error
