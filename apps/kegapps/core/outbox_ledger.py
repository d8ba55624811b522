"""The outbox as people see and edit it: what waits for the Kegbot Server and why, and what became of the rest.

Knows the tables, and what may be written into them. Must not know command lines, sockets or how rows are shown.
Nothing is ever removed: what a person settles by hand stays listed with the delivered ones.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from kegapps.core.database import explained
from kegapps.core.ledger_rules import LedgerError, checked_text, checked_username
from kegapps.core.rows import OutboxRow
from kegapps.daemon.sqlite_file import transaction

BY_HAND: Final = "settled by hand: "
_NOT_SENT: Final = "select 1 from outbox where drink_id = ?"
_RETRY: Final = (
    "update outbox set state = 'waiting', reason = '', attempts = 0, errors = 0, without_user = 0, repeats = 0, "
    "next_unix_s = 0, "
    # What was sent to another server says nothing about this one.
    "sent_unix_s = case server_url when :url then sent_unix_s end, "
    "known_id = case server_url when :url then known_id end, server_url = :url "
)


class OutboxLedger:
    """The outbox of an open store. Methods raise StoreError, and edits LedgerError."""

    def __init__(self, db: sqlite3.Connection, path: str) -> None:
        self._db = db
        self._path = path

    def waiting(self, *, limit: int) -> list[OutboxRow]:
        """The oldest `limit` drinks that no server has yet."""
        current = self._current_url()
        rows = self._rows(
            "select o.drink_id, d.uuid, d.end_unix_s, o.meter_name, o.username, d.ticks, d.volume_ml, o.state, "
            "o.attempts, o.next_unix_s, o.reason, o.server_url, o.sent_unix_s from outbox o "
            "join drinks d on d.id = o.drink_id order by o.drink_id limit ?",
            limit,
        )
        return [_waiting_row(row, current) for row in rows]

    def delivered(self, *, limit: int) -> list[OutboxRow]:
        """The latest `limit` drinks that a server has, newest first."""
        rows = self._rows(
            "select s.drink_id, d.uuid, d.end_unix_s, d.tap_name, d.username, d.ticks, d.volume_ml, s.remark, "
            "s.server_url, s.server_drink_id, s.delivered_unix_s from deliveries s "
            "join drinks d on d.id = s.drink_id order by s.drink_id desc limit ?",
            limit,
        )
        return [
            OutboxRow(
                drink_id=row["drink_id"], uuid=row["uuid"], end_unix_s=row["end_unix_s"], tap_name=row["tap_name"],
                username=row["username"], ticks=row["ticks"], volume_ml=row["volume_ml"], state="delivered",
                attempts=0, next_unix_s=None, reason=row["remark"], server_url=row["server_url"],
                server_drink_id=row["server_drink_id"], delivered_unix_s=row["delivered_unix_s"],
            )
            for row in rows
        ]  # fmt: skip

    def retry(self, drink_ids: Iterable[int] | None) -> int:
        """Send these (None: all) as soon as may be, to the server that the core has now; how many there are."""
        url = self._need_url()
        with self._edit():
            if drink_ids is None:
                return self._db.execute(_RETRY, {"url": url}).rowcount
            count = 0
            for drink_id in drink_ids:
                self._need_entry(drink_id)
                count += self._db.execute(
                    f"{_RETRY} where drink_id = :id", {"url": url, "id": drink_id}
                ).rowcount
            return count

    def edit(self, drink_id: int, *, username: str | None = None, meter_name: str | None = None) -> None:
        """Send it as this user's (empty: a guest's) or under this meter's name. The drink itself stays as it is.

        Raises LedgerError while a request with it is under way or of unknown outcome.
        """
        url = self._need_url()
        with self._edit():
            (entry,) = self._need_entry(drink_id)
            if entry["sent_unix_s"] is not None and entry["server_url"] == url:
                # It is looked for as it was sent: changed, it would not be found, and be there twice.
                raise LedgerError(
                    f"drink {drink_id} was sent, and may be on the server as it is: edit it when that is known, or "
                    "look there and settle it: outbox done (if it is not there, outbox add sends it anew)"
                )
            if username is not None:
                value = checked_username(username) if username else None
                self._db.execute("update outbox set username = ? where drink_id = ?", (value, drink_id))
            if meter_name is not None:
                if not self._rows("select 1 from taps where name = ?", meter_name):
                    raise LedgerError(f"no tap {meter_name}; see: taps")
                self._db.execute(
                    "update outbox set meter_name = ? where drink_id = ?", (meter_name, drink_id)
                )
            self._db.execute(f"{_RETRY} where drink_id = :id", {"url": url, "id": drink_id})

    def settle(self, drink_id: int, *, reason: str, now_unix_s: float) -> None:
        """Nothing is to be sent any more; it is listed as delivered, with `reason`."""
        if not checked_text("reason", reason):
            raise LedgerError("say why it need not be sent: --reason=TEXT")
        with self._edit():
            (entry,) = self._need_entry(drink_id)
            self._db.execute("delete from outbox where drink_id = ?", (drink_id,))
            self._db.execute(
                "insert or replace into deliveries values (?, ?, '', ?, ?)",
                (drink_id, entry["server_url"], now_unix_s, BY_HAND + reason),
            )

    def add(self, drink_ids: Sequence[int] = (), *, since_unix_s: float | None = None) -> int:
        """Put drinks into the outbox that are not there and that no server has; how many that are.

        Raises LedgerError if one of `drink_ids` does not exist or is settled already.
        """
        url = self._need_url()
        with self._edit():
            for drink_id in drink_ids:
                self._need_unsent(drink_id)
            if since_unix_s is not None:
                found = self._rows(
                    "select id from drinks d where end_unix_s >= ? and not exists (select 1 from deliveries s "
                    "where s.drink_id = d.id) and not exists (select 1 from outbox o where o.drink_id = d.id)",
                    since_unix_s,
                )
                drink_ids = [*drink_ids, *(row["id"] for row in found)]
            for drink_id in drink_ids:
                self._db.execute("delete from deliveries where drink_id = ?", (drink_id,))
                self._db.execute(
                    "insert into outbox (drink_id, server_url, state, next_unix_s, username, meter_name) "
                    "select id, ?, 'waiting', end_unix_s, username, tap_name from drinks where id = ?",
                    (url, drink_id),
                )
            return len(drink_ids)

    def _need_entry(self, drink_id: int) -> list[sqlite3.Row]:
        rows = self._rows("select server_url, sent_unix_s from outbox where drink_id = ?", drink_id)
        if not rows:
            raise LedgerError(f"drink {drink_id} is not in the outbox; see: outbox --all")
        return rows

    def _need_unsent(self, drink_id: int) -> None:
        if not self._rows("select 1 from drinks where id = ?", drink_id):
            raise LedgerError(f"no drink {drink_id}; see: drinks")
        if self._rows(_NOT_SENT, drink_id):
            raise LedgerError(f"drink {drink_id} is in the outbox already; see: outbox")
        for row in self._rows("select server_url, remark from deliveries where drink_id = ?", drink_id):
            if not row["remark"].startswith(BY_HAND):
                raise LedgerError(f"drink {drink_id} was delivered to {row['server_url']} already")

    def _current_url(self) -> str | None:
        """The server that the core was started with last; empty: with none; None: that is not known yet."""
        rows = self._rows("select value from server_state where server_url = '' and name = 'current'")
        return rows[0]["value"] if rows else None

    def _need_url(self) -> str:
        url = self._current_url()
        if not url:
            raise LedgerError(
                "kegbot_core was started without a Kegbot Server: start it with --api_url first"
            )
        return url

    def _rows(self, sql: str, *values: str | float) -> list[sqlite3.Row]:
        with explained(self._path):
            return self._db.execute(sql, values).fetchall()

    @contextmanager
    def _edit(self) -> Iterator[None]:
        with explained(self._path), transaction(self._db):
            yield


def _waiting_row(row: sqlite3.Row, current: str | None) -> OutboxRow:
    reason, next_unix_s = row["reason"], row["next_unix_s"]
    if row["server_url"] != current:
        now = f"--api_url is now {current}" if current else "kegbot_core runs without --api_url"
        reason, next_unix_s = f"for {row['server_url']}, but {now}; to send it there: outbox retry", None
    elif row["state"] == "dead":
        next_unix_s = None
    looking = row["state"] == "waiting" and row["sent_unix_s"] is not None
    return OutboxRow(
        drink_id=row["drink_id"], uuid=row["uuid"], end_unix_s=row["end_unix_s"], tap_name=row["meter_name"],
        username=row["username"], ticks=row["ticks"], volume_ml=row["volume_ml"],
        state="looking" if looking else row["state"], attempts=row["attempts"], next_unix_s=next_unix_s,
        reason=reason, server_url=row["server_url"],
    )  # fmt: skip
