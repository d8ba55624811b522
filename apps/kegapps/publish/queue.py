"""What is to be announced, on the disk until it is: one row a message and destination, and how far the drinks are read.

Knows SQLite and files. Must not know networks, templates or kegnet.
Its owner is one publisher; `held` keeps a second one away. The helpers that send (see `helper`) write in it, too: each
says that it begins, and what came of it, so that of a publisher that is killed no word is lost.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import urllib.parse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from kegapps.publish.pacing import Level

APPLICATION_ID: Final = 0x4B65_6770  # "Kegp": tells our files from other SQLite databases
VERSION: Final = 1
KEEP_DONE: Final = 1000
"""So many messages of each destination that need nothing any more stay to be looked at."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """The last drink of the core's store that was read: its number, its uuid and when it ended; 0, "" and 0.0: none."""

    drink_id: int
    uuid: str
    end_unix_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMessage:
    """A message for each destination, not yet in the queue."""

    drink_key: str
    username: str | None
    text: str
    poured_unix_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A row: `state` is `waiting`, `sending`, `sent`, `given_up` or `withdrawn`; `reason` why, if that needs saying."""

    id: int
    destination: str
    label: str
    username: str | None
    text: str
    poured_unix_s: float
    state: str
    attempts: int
    reason: str
    changed_unix_s: float


_COLUMNS: Final = ", ".join(Message.__dataclass_fields__)


class Queue:
    """The queue at `path`, made if it is not there and `create`. Every method raises QueueError."""

    def __init__(self, path: str, *, create: bool = False, busy_timeout_s: float = 1.0) -> None:
        self.path = path
        with self._explained():
            _prepare(path, create=create)
            uri = f"file:{urllib.parse.quote(path)}?mode=rw"
            self._db = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=busy_timeout_s)
            try:
                self._set_up(create=create)
            except BaseException:
                self._db.close()
                raise

    def close(self) -> None:
        """Nothing can be asked afterwards."""
        self._db.close()

    # From the core

    def cursor(self) -> Cursor | None:
        """How far the core's drinks were read; None: never."""
        with self._explained():
            row = self._db.execute("select drink_id, uuid, end_unix_s from read_to").fetchone()
        return Cursor(drink_id=row[0], uuid=row[1], end_unix_s=row[2]) if row else None

    def add(
        self,
        messages: Iterable[NewMessage],
        destinations: Iterable[tuple[str, str]],
        *,
        cursor: Cursor | None,
        unix_s: float,
    ) -> int:
        """Put `messages` behind what waits for each of `destinations`, (key, label); in the same commit, keep `cursor`.

        Returned is how many are new: what a destination was given before is not given to it again.
        """
        with self._transaction():
            count = 0
            for message in messages:
                added = 0
                for key, label in destinations:
                    row = (
                        key,
                        label,
                        message.drink_key,
                        message.username,
                        message.text,
                        message.poured_unix_s,
                        unix_s,
                    )
                    added += self._db.execute(
                        "insert or ignore into message"
                        " (destination, label, drink_key, username, text, poured_unix_s, changed_unix_s)"
                        " values (?, ?, ?, ?, ?, ?, ?)",
                        row,
                    ).rowcount
                count += added > 0
            if cursor is not None:
                self._db.execute(
                    "insert or replace into read_to values (1, ?, ?, ?)",
                    (cursor.drink_id, cursor.uuid, cursor.end_unix_s),
                )
        return count

    # To the networks

    def head(self, destination: str, *, behind: int = 0) -> Message | None:
        """What is to be sent there next, or would be if that was settled up to the message number `behind`."""
        first = "where destination = ? and state = 'waiting' and id > ? order by id limit 1"
        return next(self._messages(first, destination, behind), None)

    def waiting(self, destination: str) -> int:
        """How many wait for it, the one that is being sent included."""
        with self._explained():
            (count,) = self._db.execute(
                "select count(*) from message where destination = ? and state in ('waiting', 'sending')",
                (destination,),
            ).fetchone()
        return int(count)

    def begin(self, message_id: int, level: Level, *, unix_s: float) -> Message | None:
        """It is being sent from now on; None if it need not be. `level` is what the bucket has then."""
        with self._transaction():
            found = next(self._messages("where id = ? and state = 'waiting'", message_id), None)
            if found is not None:
                self._db.execute(
                    "update message set state = 'sending', attempts = attempts + 1, changed_unix_s = ? where id = ?",
                    (unix_s, message_id),
                )
                self._db.execute(
                    "insert or replace into bucket values (?, ?, ?)",
                    (found.destination, level.tokens, level.unix_s),
                )
        return found

    def finish(self, message_id: int, state: str, reason: str = "", *, unix_s: float) -> None:
        """What came of it: `sent`, `waiting` (again), `given_up` or `withdrawn`."""
        with self._transaction():
            self._db.execute(
                "update message set state = ?, reason = ?, changed_unix_s = ? where id = ?",
                (state, reason, unix_s, message_id),
            )
            self._forget_done(message_id)

    def settle_doubts(self, destination: str | None, *, again: bool, unix_s: float) -> int:
        """Decide on what was being sent by a helper that is gone, to be called when it surely is; how many it were.

        Nobody knows if the network has them. `destination` None: any.
        """
        state, reason = (
            ("waiting", "perhaps sent already") if again else ("given_up", "perhaps sent, perhaps not")
        )
        with self._transaction():
            return self._db.execute(
                "update message set state = ?, reason = ?, changed_unix_s = ?"
                " where state = 'sending' and destination = coalesce(?, destination)",
                (state, reason, unix_s, destination),
            ).rowcount

    def give_up_older(self, destination: str, than_unix_s: float, reason: str, *, unix_s: float) -> int:
        """Give up what waits there and was poured before `than_unix_s`; how many it were."""
        with self._transaction():
            return self._db.execute(
                "update message set state = 'given_up', reason = ?, changed_unix_s = ?"
                " where destination = ? and state = 'waiting' and poured_unix_s < ?",
                (reason, unix_s, destination, than_unix_s),
            ).rowcount

    def give_up_oldest(self, destination: str, keep: int, reason: str, *, unix_s: float) -> int:
        """Give up all that waits there but the newest `keep`; how many it were."""
        with self._transaction():
            return self._db.execute(
                "update message set state = 'given_up', reason = :reason, changed_unix_s = :unix_s"
                " where destination = :destination and state = 'waiting' and id <= ("
                " select id from message where destination = :destination and state = 'waiting'"
                " order by id desc limit 1 offset :keep)",
                {"destination": destination, "keep": keep, "reason": reason, "unix_s": unix_s},
            ).rowcount

    def level(self, destination: str) -> Level | None:
        """What the destination's bucket held when it was last taken from; None: never."""
        with self._explained():
            row = self._db.execute(
                "select tokens, unix_s from bucket where destination = ?", (destination,)
            ).fetchone()
        return Level(tokens=row[0], unix_s=row[1]) if row else None

    # For people

    def listed(self, *, done: bool) -> list[Message]:
        """What waits or was given up, oldest first; with `done` also the rest."""
        states = "" if done else "where state not in ('sent', 'withdrawn')"
        return list(self._messages(f"{states} order by id"))

    def elsewhere(self, destinations: Iterable[str]) -> list[tuple[str, int]]:
        """(label, count) of what waits for destinations that are not among `destinations`."""
        keys = list(destinations)
        with self._explained():
            return self._db.execute(
                "select label, count(*) from message where state in ('waiting', 'sending')"
                f" and destination not in ({', '.join('?' * len(keys))}) group by destination order by label",
                keys,
            ).fetchall()

    def retry(self, numbers: Iterable[int] | None, *, unix_s: float) -> list[int]:
        """Let messages that were given up wait again; None: all of them. Returned are those that were not given up."""
        return self._move("state = 'given_up'", "waiting", "", numbers, unix_s)

    def dismiss(self, numbers: Iterable[int] | None, *, unix_s: float) -> list[int]:
        """Never send them: they wait or were given up; None: all that were given up. Returned are the others."""
        states = "state = 'given_up'" if numbers is None else "state in ('waiting', 'given_up')"
        return self._move(states, "withdrawn", "dismissed", numbers, unix_s)

    def _move(
        self, states: str, state: str, reason: str, numbers: Iterable[int] | None, unix_s: float
    ) -> list[int]:
        change = f"update message set state = ?, reason = ?, changed_unix_s = ? where {states}"
        with self._transaction():
            if numbers is None:
                self._db.execute(change, (state, reason, unix_s))
                return []
            return [
                number
                for number in numbers
                if not self._db.execute(f"{change} and id = ?", (state, reason, unix_s, number)).rowcount
            ]

    # Inside

    def _messages(self, condition: str, *values: object) -> Iterator[Message]:
        with self._explained():
            rows = self._db.execute(f"select {_COLUMNS} from message {condition}", values).fetchall()
        return (Message(**dict(zip(Message.__dataclass_fields__, row, strict=True))) for row in rows)

    def _forget_done(self, message_id: int) -> None:
        self._db.execute(
            "delete from message where state in ('sent', 'withdrawn')"
            " and destination = (select destination from message where id = :one)"
            " and id <= (select id from message where state in ('sent', 'withdrawn')"
            " and destination = (select destination from message where id = :one) order by id desc"
            " limit 1 offset :keep)",
            {"one": message_id, "keep": KEEP_DONE},
        )

    def _set_up(self, *, create: bool) -> None:
        application_id, version = self._pragma("application_id"), self._pragma("user_version")
        tables = self._db.execute("select 1 from sqlite_master limit 1").fetchone()
        if application_id != APPLICATION_ID and (application_id or tables):
            raise QueueError(
                f"queue {self.path}: a database of another program; name another file with --queue"
            )
        if version > VERSION:
            raise QueueError(
                f"queue {self.path}: written by a newer kegmaster; update, or name another with --queue"
            )
        if not create and version < VERSION:
            raise QueueError(f"queue {self.path}: not set up yet; start the publisher once")
        self._db.execute("pragma journal_mode = wal").fetchone()
        self._db.execute("pragma synchronous = full")
        self._bound_wal()
        if version < VERSION:
            with self._transaction():
                for statement in _SCHEMA.split(";"):
                    self._db.execute(statement)
                self._db.execute(f"pragma user_version = {VERSION}")
                self._db.execute(f"pragma application_id = {APPLICATION_ID}")

    def _bound_wal(self) -> None:
        """Keep the -wal small where there is little room: what it takes is missing for what is to be kept."""
        room = os.statvfs(self.path)
        page_size = self._pragma("page_size")
        pages = max(16, min(room.f_bavail * room.f_frsize // 4 // page_size, 1000))
        self._db.execute(f"pragma wal_autocheckpoint = {pages}")
        self._db.execute(f"pragma journal_size_limit = {pages * page_size}")

    def _pragma(self, name: str) -> int:
        return int(self._db.execute(f"pragma {name}").fetchone()[0])

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._explained():
            self._db.execute("begin immediate")
            try:
                yield
                self._db.execute("commit")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    if self._db.in_transaction:
                        self._db.execute("rollback")
                raise

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise QueueError(f"queue {self.path}: {_meaning(error, self.path)}") from error
        except OSError as error:
            where = error.filename or self.path
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
