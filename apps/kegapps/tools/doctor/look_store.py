"""The core's store as it lies on the disk, looked at without a trace.

Knows files, SQLite and its traps. Must not change anything: a look leaves no file behind, no lock and no log, whoever
looks, and asks nothing of a core that is working.

SQLite reads a WAL store through two files beside it. Where these are missing it would make them, as the user who
looks, and a core of another user could not open its own store any more. So a store that nobody uses is read as what
it is then, a file that does not change (`immutable`); one that a core uses, through the files that are there, which it
may not write; and one that a core left behind in the middle of its work, as a copy.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import stat
import tempfile
import time
import urllib.parse
from collections.abc import Iterator
from typing import Any, Final

from kegapps.core.database import BESIDE, explain
from kegapps.core.schema import SCHEMA_VERSION
from kegapps.daemon.secret_file import user_name
from kegapps.tools.doctor import checked, rights
from kegapps.tools.doctor.facts import StoreFacts
from kegapps.tools.doctor.look_processes import holder

CHECK_S: Final = 3.0
MAX_COPY_BYTES: Final = 64 << 20
_STEPS: Final = 20_000  # between two looks at the clock


def look_at(path: str, user: rights.User, core_pid: int = 0, used: str = "") -> StoreFacts:
    """Everything about the store at `path`. In a child only: it may become `user`.

    The core `core_pid` uses the store at `used`, or says nothing of it.
    """
    path = os.path.realpath(path)  # beside which SQLite and the core have their files
    if used and os.path.realpath(used) != path:
        held: dict[str, Any] = {"used_instead": used}
    else:
        held = _held_instead(path, core_pid) if core_pid else {}
    folder = os.path.dirname(path) or "."
    try:
        status = os.stat(path)
    except PermissionError as error:
        return StoreFacts(path=path, exists=True, user=user.name, unread=f"{error.strerror}: {folder}")
    except OSError:
        return StoreFacts(path=path, user=user.name, **held, **_room(folder), **_may_make(folder, user))
    facts: dict[str, Any] = {
        "exists": True, "is_file": stat.S_ISREG(status.st_mode), "owner": user_name(status.st_uid),
        "mode": stat.S_IMODE(status.st_mode), "size_bytes": status.st_size + _size(f"{path}-wal"), "user": user.name,
        "names": status.st_nlink, "known_schema_version": SCHEMA_VERSION, "holder_pid": _holder(path),
        **held, **_room(folder),
    }  # fmt: skip
    if facts["is_file"]:
        facts |= _content(path)
    facts |= _may_use(path, folder, user)
    return StoreFacts(path=path, **facts)


def _room(folder: str) -> dict[str, Any]:
    while not os.path.isdir(folder) and folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
    try:
        room = os.statvfs(folder)
    except OSError:
        return {}
    return {
        "free_bytes": room.f_bavail * room.f_frsize,
        "free_inodes": room.f_favail if room.f_files else None,
        "read_only_disk": bool(room.f_flag & os.ST_RDONLY),
    }


def _may_make(folder: str, user: rights.User) -> dict[str, Any]:
    while not os.path.isdir(folder) and folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
    return {"may_write": rights.may(user, folder, os.W_OK | os.X_OK)}


def _may_use(path: str, folder: str, user: rights.User) -> dict[str, Any]:
    strange = []
    may_read = rights.may(user, path, os.R_OK)
    may_write = rights.may(user, path, os.W_OK) and rights.may(user, folder, os.W_OK | os.X_OK)
    for suffix in BESIDE:
        name = f"{path}{suffix}"
        if os.path.lexists(name) and rights.may(user, name, os.R_OK | os.W_OK) is False:
            strange.append(name)
    return {"may_read": may_read, "may_write": may_write, "strange_files": tuple(strange)}


def _holder(path: str) -> int | None:
    """The core that has locked the store. The lock is not tried: a core that starts just then would be refused."""
    try:
        inode = str(os.stat(f"{path}.lock").st_ino)
        with open("/proc/locks", encoding="ascii") as table:
            rows = [line.split() for line in table]
    except OSError:
        return None
    locked = {
        int(row[4])
        for row in rows
        if len(row) > 5 and row[1] == "FLOCK" and row[5].rpartition(":")[2] == inode and int(row[4]) > 0
    }
    # Devices are not compared, for layered file systems report others than they lock; the name is.
    return next((pid for pid in sorted(locked) if holder(pid).name == "kegbot_core"), None)


def _held_instead(path: str, core_pid: int) -> dict[str, Any]:
    """The database that the core has open, if it is another than that at `path`; nothing if that is not ours to see."""
    folder, found = f"/proc/{core_pid}/fd", ""
    if holder(core_pid).name != "kegbot_core":
        return {}  # the core is on another machine, or has ended
    try:
        for name in os.listdir(folder):
            with contextlib.suppress(OSError):
                status = os.stat(f"{folder}/{name}")
                if os.path.exists(path) and os.path.samestat(status, os.stat(path)):
                    return {}
                if stat.S_ISREG(status.st_mode) and _is_database(f"{folder}/{name}"):
                    found = os.readlink(f"{folder}/{name}")
    except OSError:
        return {}
    return {"held_path": found, "held_by": core_pid} if found else {}


def _is_database(path: str) -> bool:
    with open(path, "rb") as file:
        return file.read(16) == b"SQLite format 3\0"


def _content(path: str) -> dict[str, Any]:
    """What is in it, or why that was not looked at."""
    if not os.access(path, os.R_OK, effective_ids=True):
        return {"unread": "only its owner may read it"}
    before = _stamp(path)
    try:
        with _opened(path) as db:
            found = _read(db, path)
    except _NotNowError as error:
        return {"unread": str(error)}
    except sqlite3.Error as error:
        return _failed(error, path)
    except OSError as error:
        return {"unread": f"{error.filename or path}: {error.strerror}"}
    if found.get("check") not in ("ok", None) and _holder(path) is None and _stamp(path) != before:
        return {"unread": "it was changed during the look"}
    return found


class _NotNowError(Exception):
    """It cannot be read without a trace just now; the text says why."""


@contextlib.contextmanager
def _opened(path: str) -> Iterator[sqlite3.Connection]:
    name = urllib.parse.quote(path)
    if _holder(path) is not None:
        if not os.path.exists(f"{path}-shm"):
            raise _NotNowError("the core is just opening or closing it")
        with contextlib.closing(_connect(f"file:{name}?mode=ro&readonly_shm=1")) as db:
            yield db
    elif _size(f"{path}-wal") == 0:
        with contextlib.closing(_connect(f"file:{name}?mode=ro&immutable=1")) as db:
            yield db
    else:
        with _copied(path) as copy, contextlib.closing(_connect(f"file:{urllib.parse.quote(copy)}")) as db:
            yield db


@contextlib.contextmanager
def _copied(path: str) -> Iterator[str]:
    total = _size(path) + _size(f"{path}-wal")
    if total > MAX_COPY_BYTES:
        raise _NotNowError("its core ended in the middle of work, and it is too large to look at a copy")
    with tempfile.TemporaryDirectory(prefix="kegbot_doctor.") as folder:
        copy = os.path.join(folder, "store")
        for suffix in ("", "-wal"):
            shutil.copyfile(f"{path}{suffix}", f"{copy}{suffix}")
        yield copy


def _connect(uri: str) -> sqlite3.Connection:
    db = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=1.0)
    end_s = time.monotonic() + CHECK_S
    db.set_progress_handler(lambda: time.monotonic() > end_s, _STEPS)
    return db


def _read(db: sqlite3.Connection, path: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "application_id": db.execute("pragma application_id").fetchone()[0],
        "schema_version": db.execute("pragma user_version").fetchone()[0],
    }
    try:
        found["check"] = str(db.execute("pragma quick_check(1)").fetchone()[0])
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_INTERRUPT:
            return found | _failed(error, path)
        found["check_complete"] = False
        db.set_progress_handler(None, 0)
    # Another program's database, or damaged, or of a version to come.
    with contextlib.suppress(sqlite3.Error):
        found["taps"] = tuple(checked.rows(_rows(db, _TAPS)))
        found["outbox"] = _outbox(db)
    return found


_TAPS: Final = (
    "select t.name, t.ml_per_tick, m.last_reading, m.read_unix_s, coalesce(m.counted_ticks, 0) counted_ticks "
    "from taps t left join meters m using (name) order by t.name limit 1000"
)

_OUTBOX: Final = "select drink_id, state, reason from outbox {which} order by drink_id limit 1"


def _outbox(db: sqlite3.Connection) -> dict[str, Any]:
    """How many drinks are in which state, and of the oldest and of the oldest dead one, why."""
    counts = dict(db.execute("select state, count(*) from outbox group by state").fetchall())
    found: dict[str, Any] = {"counts": counts}
    for name, which in (("oldest", ""), ("dead", "where state = 'dead'")):
        rows = _rows(db, _OUTBOX.format(which=which))
        found[name] = rows[0] if rows else None
    if oldest := found["oldest"]:
        row = db.execute("select end_unix_s from drinks where id = ?", (oldest["drink_id"],)).fetchone()
        oldest["end_unix_s"] = row[0] if row else None
    return found


def _rows(db: sqlite3.Connection, sql: str) -> list[dict[str, Any]]:
    cursor = db.execute(sql)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def _failed(error: sqlite3.Error, path: str) -> dict[str, Any]:
    code = (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return {"check": str(error)}
    return {"unread": str(explain(error, path))}


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _stamp(path: str) -> tuple[tuple[int, int], ...]:
    stamps = []
    for suffix in ("", "-wal"):
        with contextlib.suppress(OSError):
            status = os.stat(f"{path}{suffix}")
            stamps.append((status.st_size, status.st_mtime_ns))
    return tuple(stamps)
