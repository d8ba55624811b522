"""The bridge's own file: what it may not forget when it, or the machine, falls.

Knows SQLite, files and both clocks. Must not know connections, or what events mean.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from kegapps.bridge.mqtt_outbox import Changes, Kept
from kegapps.daemon import sqlite_file
from kegapps.daemon.boot import boot_id
from kegapps.daemon.errors import StartError
from kegapps.daemon.state_path import state_path
from kegapps.kegnet.codec import Rejected, decode, encode
from kegapps.kegnet.events import APP_EVENTS

APPLICATION_ID: Final = 0x4B65_676D  # "Kegm": tells our files from other SQLite databases
_OTHERS: Final = {
    0x4B65_6773: "kegbot_core.py's store",
    0x4B65_6777: "the gateway's store",
    0x4B65_6770: "a publisher's queue",
}
_VERSION: Final = 1
_BUSY_S: Final = 0.5
_SCHEMA: Final = f"""
create table notes (name text primary key, value text not null) without rowid;
create table events (
    row integer primary key, number integer, message blob not null,
    boot_id text not null, mono_s real not null, unix_s real not null
);
create table sessions (session text primary key, had integer not null) without rowid;
create table retained (topic text primary key) without rowid;
pragma user_version = {_VERSION};
"""


class SpoolError(Exception):
    """The file cannot be written; why, in one line."""


def default_path() -> str:
    """Where the file is unless `--mqtt_state` says otherwise. Raises StartError without a home directory."""
    return state_path("mqtt_bridge.sqlite", flag="mqtt_state")


class Spool:
    """Opens or makes the file at `path`, for itself alone. Raises StartError if that cannot be done."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._boot_id = boot_id() or os.urandom(8).hex()  # unknown: no two boots are the same
        try:
            sqlite_file.make(path)
            self._check_owner()
            self._db = sqlite_file.connect(path, busy_timeout_s=_BUSY_S)
            self._db.execute("pragma locking_mode = exclusive")
            self._set_up()
        except OSError as error:
            raise StartError(f"--mqtt_state: {path}: {error.strerror or error}") from None
        except sqlite3.Error as error:
            raise StartError(f"--mqtt_state: {path}: {_explained(error, path)}") from None
        except SpoolError as error:
            raise StartError(f"--mqtt_state: {error}") from None

    @property
    def session(self) -> str:
        """The name under which the core knows our numbers: as old as the file."""
        return self.note("session") or ""

    def note(self, name: str) -> str | None:
        """What was noted last under that name."""
        row = self._db.execute("select value from notes where name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def set_note(self, name: str, value: str) -> None:
        """Note it. Raises SpoolError."""
        with self._writing():
            self._set_note(name, value)

    # What waits for the core

    def kept(self) -> Iterator[Kept]:
        """All events, oldest first. Their times are by this boot's monotonic clock, as far as that can be told."""
        now_s, now_unix_s = time.monotonic(), time.time()
        rows = self._db.execute(
            "select row, number, message, boot_id, mono_s, unix_s from events order by number is null, number, row"
        )
        for row, number, message, boot, mono_s, unix_s in rows.fetchall():
            event = decode(bytes(message))
            if isinstance(event, Rejected) or not isinstance(event, APP_EVENTS):
                continue  # of a newer version, perhaps
            # Over a reboot there is only the wall clock, which may have been set: nothing comes from the future.
            since_s = mono_s if boot == self._boot_id else now_s - max(0.0, now_unix_s - unix_s)
            yield Kept(row=row, number=number, event=event, since_s=min(since_s, now_s))

    def sessions(self) -> dict[str, int]:
        """How far the messages of each app came."""
        return dict(self._db.execute("select session, had from sessions"))

    def commit(self, changes: Changes, sessions: Mapping[str, int | None], *, next_number: int) -> None:
        """Store all of it, or nothing. Raises SpoolError."""
        now_s, now_unix_s = time.monotonic(), time.time()
        with self._writing():
            self._db.executemany(
                "insert into events (row, message, boot_id, mono_s, unix_s) values (?, ?, ?, ?, ?)",
                [
                    (row, encode(event).rstrip(b"\n"), self._boot_id, since_s, now_unix_s - (now_s - since_s))
                    for row, event, since_s in changes.added
                ],
            )
            self._db.executemany(
                "update events set number = ? where row = ?",
                [(number, row) for row, number in changes.numbered],
            )
            self._db.executemany("delete from events where row = ?", [(row,) for row in changes.gone])
            for session, had in sessions.items():
                if had is None:
                    self._db.execute("delete from sessions where session = ?", (session,))
                else:
                    self._db.execute("insert or replace into sessions values (?, ?)", (session, had))
            if changes.numbered:
                self._set_note("next_number", str(next_number))

    # What the broker holds

    def retained(self) -> set[str]:
        """The topics on which a broker may hold something that we said."""
        return {str(row[0]) for row in self._db.execute("select topic from retained")}

    def set_retained(self, topics: Iterable[str]) -> None:
        """These now, and no others. Raises SpoolError."""
        with self._writing():
            self._db.execute("delete from retained")
            self._db.executemany("insert into retained values (?)", [(topic,) for topic in topics])

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def _set_note(self, name: str, value: str) -> None:
        self._db.execute("insert or replace into notes values (?, ?)", (name, value))

    def _check_owner(self) -> None:
        # Before SQLite is asked: another program that runs has its file locked, and that says nothing of whose it is.
        if not os.path.isfile(self.path):
            return
        found = sqlite_file.application_id(self.path)
        if found not in (0, APPLICATION_ID):
            whose = _OTHERS.get(found, "of another program")
            raise StartError(f"--mqtt_state: {self.path} is {whose}; name another file")

    def _set_up(self) -> None:
        if sqlite_file.is_foreign(self._db, APPLICATION_ID):
            raise StartError(f"--mqtt_state: {self.path} is of another program; name another file")
        version = sqlite_file.number(self._db, "user_version")
        if version > _VERSION:
            raise StartError(f"--mqtt_state: {self.path} is of a newer kegmaster")
        self._db.execute("pragma journal_mode = wal")
        self._db.execute("pragma synchronous = full")
        if version < _VERSION:
            self._db.executescript(
                f"begin immediate; pragma application_id = {APPLICATION_ID}; {_SCHEMA} commit;"
            )
        if self.note("session") is None:
            self.set_note("session", os.urandom(16).hex())
        # The lock is taken by writing.
        self.set_note("last_start", str(int(time.time())))

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            with sqlite_file.transaction(self._db):
                yield
        except sqlite3.Error as error:
            raise SpoolError(f"{self.path}: {_explained(error, self.path)}") from error


def _explained(error: sqlite3.Error, path: str) -> str:
    if sqlite_file.is_locked(error):
        return "another bridge uses it; give each one a file of its own with --mqtt_state"
    return sqlite_file.meaning(error, path, damaged="damaged, or no file of ours; move it away to begin anew")
