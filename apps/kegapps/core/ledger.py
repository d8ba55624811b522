"""The store as people see and edit it: taps, drinks, users, tokens, kegs, temperatures.

Knows the tables, and what may be written into them. Must not know command lines or how rows are shown.
It works while the core runs: readers and the core do not wait for each other, an edit takes milliseconds, and the
core takes it up when the next event reaches it. Every query goes by an index.
"""

from __future__ import annotations

import math
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from kegapps.core.archive import Archive
from kegapps.core.database import StoreError, connect, default_path, explained
from kegapps.core.ledger_rules import (
    TAP_NAME,
    LedgerError,
    checked_label,
    checked_rate,
    checked_text,
    checked_username,
)
from kegapps.core.outbox_ledger import OutboxLedger
from kegapps.core.rows import DrinkRow, KegRow, TapRow, TemperatureRow, TokenRow, UserRow
from kegapps.core.schema import BEVERAGE, KEG_LEFT_ML, KEG_VOLUME_ML, TAP_BEVERAGE
from kegapps.core.tokens import token_key
from kegapps.daemon.sqlite_file import transaction

__all__ = ["Ledger", "LedgerError", "StoreError", "default_path"]

BUSY_TIMEOUT_S: Final = 5.0
_CURRENT: Final = "(select value from server_state where server_url = '' and name = 'current')"


class Ledger:
    """The store at `path`, which must exist. Methods raise StoreError, and edits LedgerError."""

    def __init__(self, path: str) -> None:
        # As the core does: SQLite's files are beside the file, not beside a link.
        self.path = os.path.realpath(path)
        self._db = connect(self.path, create=False, busy_timeout_s=BUSY_TIMEOUT_S)
        self._db.row_factory = sqlite3.Row
        self.outbox = OutboxLedger(self._db, self.path)
        self.archive = Archive(self._db, self.path)

    def close(self) -> None:
        """Let go of it."""
        self._db.close()

    # Taps

    def taps(self) -> list[TapRow]:
        """All taps, by name."""
        rows = self._rows(
            "select t.name, t.ml_per_tick, t.relay_name, t.description, "
            "coalesce(nullif(s.sensor_name, ''), t.sensor_name) sensor_name, "
            f"{TAP_BEVERAGE} beverage, {KEG_VOLUME_ML} keg_volume_ml, {KEG_LEFT_ML} keg_left_ml, m.last_reading, "
            "m.read_unix_s, coalesce(m.counted_ticks, 0) counted_ticks, "
            "coalesce(m.dropped_ticks, 0) dropped_ticks, coalesce(m.dropped_steps, 0) dropped_steps, "
            "coalesce(m.dropped_reason, '') dropped_reason, "
            "case when s.meter_name is null then 'local' else 'server' end source "
            "from taps t left join meters m using (name) "
            "left join kegs k on k.tap_name = t.name and k.ended_unix_s is null "
            f"left join server_taps s on s.meter_name = t.name and s.server_url = {_CURRENT} order by t.name"
        )
        return [TapRow(**row) for row in rows]

    def add_tap(self, name: str, ml_per_tick: float) -> None:
        """A tap whose meter was not heard yet."""
        if not TAP_NAME.fullmatch(name):
            raise LedgerError(f"{name!r} is no name of a meter, such as kegboard.flow0")
        with self._edit():
            if self._exists("select 1 from taps where name = ?", name):
                raise LedgerError(f"there is a tap {name} already; change it with: taps set {name}")
            self._db.execute(
                "insert into taps (name, ml_per_tick) values (?, ?)", (name, checked_rate(ml_per_tick))
            )

    def set_tap(
        self,
        name: str,
        *,
        ml_per_tick: float | None = None,
        relay_name: str | None = None,
        description: str | None = None,
        sensor_name: str | None = None,
    ) -> None:
        """Change what is given; None leaves it as it is, an empty name of a relay or sensor means: none."""
        if relay_name and not re.fullmatch(r"[A-Za-z0-9_.:-]{0,63}[0-9]", relay_name):
            raise LedgerError(
                f"{relay_name!r} is no name of a relay: it ends in a digit, such as kegboard.relay0"
            )
        if sensor_name and not TAP_NAME.fullmatch(sensor_name):
            raise LedgerError(
                f"{sensor_name!r} is no name of a sensor, such as kegboard.thermo-cd08001234561028"
            )
        with self._edit():
            self._need_tap(name)
            self._need_ours(name, ml_per_tick, relay_name, sensor_name)
            if ml_per_tick is not None:
                self._db.execute(
                    "update taps set ml_per_tick = ? where name = ?", (checked_rate(ml_per_tick), name)
                )
            if relay_name is not None:
                self._db.execute("update taps set relay_name = ? where name = ?", (relay_name, name))
            if description is not None:
                text = checked_label("description", description)
                self._db.execute("update taps set description = ? where name = ?", (text, name))
            if sensor_name is not None:
                self._db.execute("update taps set sensor_name = ? where name = ?", (sensor_name, name))

    def remove_tap(self, name: str, *, now_unix_s: float) -> None:
        """Forget a tap; its drinks stay. If its meter is heard again, it becomes a new tap."""
        with self._edit():
            self._need_tap(name)
            if self._exists("select 1 from open_flows where tap_name = ?", name):
                raise LedgerError(f"somebody is pouring on {name}: wait until that is over")
            self._end_keg(name, now_unix_s)
            self._db.execute("delete from taps where name = ?", (name,))
            self._db.execute("delete from meters where name = ?", (name,))

    # Drinks

    def drinks(
        self,
        *,
        limit: int,
        username: str | None = None,
        tap_name: str | None = None,
        since_unix_s: float | None = None,
    ) -> list[DrinkRow]:
        """The last `limit` drinks, newest first; an empty `username` asks for those of nobody in particular."""
        conditions, values = ["1"], list[str | float]()
        if username is not None:
            conditions.append("d.username = ?" if username else "d.username is null")
            values += [username] if username else []
        if tap_name is not None:
            conditions.append("d.tap_name = ?")
            values.append(tap_name)
        if since_unix_s is not None:
            conditions.append("d.end_unix_s >= ?")
            values.append(since_unix_s)
        rows = self._rows(
            "select d.id, d.uuid, d.tap_name, d.username, d.ticks, d.ml_per_tick, d.volume_ml, d.start_unix_s, "
            f"d.end_unix_s, {BEVERAGE} beverage, d.keg_id from drinks d left join kegs k on k.id = d.keg_id where "
            f"{' and '.join(conditions)} order by d.end_unix_s desc, d.id desc limit ?",
            *values,
            limit,
        )
        return [DrinkRow(**row) for row in rows]

    # Users and tokens

    def users(self) -> list[UserRow]:
        """All users, by name."""
        rows = self._rows(
            "select username, enabled, added_unix_s, "
            "(select count(*) from tokens where tokens.username = users.username) tokens, "
            "(select max(end_unix_s) from drinks where drinks.username = users.username) last_drink_unix_s "
            "from users order by username"
        )
        return [UserRow(**{**row, "enabled": bool(row["enabled"])}) for row in rows]

    def add_user(self, username: str, now_unix_s: float) -> None:
        """Somebody new."""
        checked_username(username)
        with self._edit():
            if self._exists("select 1 from users where username = ?", username):
                raise LedgerError(f"there is a user {username} already")
            self._db.execute("insert into users values (?, 1, ?)", (username, now_unix_s))

    def enable_user(self, username: str, *, enabled: bool) -> None:
        """Let somebody pour by token, or not any more."""
        with self._edit():
            self._need_user(username)
            self._db.execute("update users set enabled = ? where username = ?", (enabled, username))

    def tokens(self) -> list[TokenRow]:
        """All tokens, by device and value."""
        rows = self._rows(
            "select device, token, username, enabled, added_unix_s from tokens order by device, token"
        )
        return [TokenRow(**{**row, "enabled": bool(row["enabled"])}) for row in rows]

    def add_token(self, device: str, token: str, username: str, now_unix_s: float) -> None:
        """Give a token to a user."""
        device, token = token_key(checked_text("device", device), checked_text("token", token))
        if not device or not token:
            raise LedgerError("expected device and token, such as core.rfid 0415ab96c3")
        with self._edit():
            self._need_user(username)
            for row in self._rows(
                "select username from tokens where device = ? and token = ?", device, token
            ):
                raise LedgerError(
                    f"{device} token {token} is {row['username']}'s; take it away first: tokens remove"
                )
            self._db.execute(
                "insert into tokens values (?, ?, ?, 1, ?)", (device, token, username, now_unix_s)
            )

    def enable_token(self, device: str, token: str, *, enabled: bool) -> None:
        """Accept a token, or not any more."""
        self._change_token(
            "update tokens set enabled = ? where device = ? and token = ?", device, token, enabled
        )

    def remove_token(self, device: str, token: str) -> None:
        """Take a token away from its user."""
        self._change_token("delete from tokens where device = ? and token = ?", device, token)

    # Kegs

    def kegs(self, *, limit: int) -> list[KegRow]:
        """The last `limit` kegs, newest first, with what was poured from each."""
        rows = self._rows(
            "select id, tap_name, beverage, volume_ml, tapped_unix_s, ended_unix_s, "
            "coalesce((select sum(d.volume_ml) from drinks d where d.keg_id = kegs.id), 0.0) served_ml, "
            "(select count(*) from drinks d where d.keg_id = kegs.id) drinks from kegs order by id desc limit ?",
            limit,
        )
        return [KegRow(**row) for row in rows]

    def tap_keg(self, tap_name: str, *, beverage: str, volume_ml: float, now_unix_s: float) -> None:
        """Put a keg of `volume_ml` on a tap that has none."""
        if not math.isfinite(volume_ml) or not 0 < volume_ml <= 1e6:
            raise LedgerError(f"{volume_ml:g} mL is no keg: expected up to 1000000, such as 50000")
        if not checked_label("beverage", beverage):
            raise LedgerError("say what is in the keg: --beverage=NAME")
        with self._edit():
            self._need_tap(tap_name)
            for row in self._rows(
                "select beverage from kegs where tap_name = ? and ended_unix_s is null", tap_name
            ):
                raise LedgerError(f"{row['beverage']} is still on {tap_name}; first: kegs end {tap_name}")
            self._db.execute(
                "insert into kegs (tap_name, beverage, volume_ml, tapped_unix_s) values (?, ?, ?, ?)",
                (tap_name, beverage, volume_ml, now_unix_s),
            )

    def end_keg(self, tap_name: str, *, now_unix_s: float) -> None:
        """The keg on this tap is empty, or was taken off."""
        with self._edit():
            self._need_tap(tap_name)
            if not self._end_keg(tap_name, now_unix_s):
                raise LedgerError(f"no keg is on {tap_name}")

    # Temperatures

    def temperatures(
        self, *, limit: int, sensor_name: str | None = None, since_unix_s: float | None = None
    ) -> list[TemperatureRow]:
        """The last `limit` temperatures, newest first."""
        conditions, values = ["1"], list[str | float]()
        if sensor_name is not None:
            conditions.append("sensor_name = ?")
            values.append(sensor_name)
        if since_unix_s is not None:
            conditions.append("unix_minute >= ?")
            values.append(math.ceil(since_unix_s / 60))
        rows = self._rows(
            "select sensor_name, unix_minute * 60.0 unix_s, celsius from temperatures where "
            f"{' and '.join(conditions)} order by unix_minute desc, sensor_name limit ?",
            *values,
            limit,
        )
        return [TemperatureRow(**row) for row in rows]

    # How

    def _rows(self, sql: str, *values: str | float) -> list[dict[str, Any]]:
        with explained(self.path):
            return [dict(row) for row in self._db.execute(sql, values)]

    def _exists(self, sql: str, *values: str) -> bool:
        return bool(self._rows(sql, *values))

    @contextmanager
    def _edit(self) -> Iterator[None]:
        with explained(self.path), transaction(self._db):
            yield

    def _change_token(self, sql: str, device: str, token: str, *first: bool) -> None:
        device, token = token_key(device, token)
        with self._edit():
            if not self._db.execute(sql, (*first, device, token)).rowcount:
                raise LedgerError(f"no {device} token {token}; see: tokens")

    def _end_keg(self, tap_name: str, now_unix_s: float) -> int:
        sql = "update kegs set ended_unix_s = ? where tap_name = ? and ended_unix_s is null"
        return self._db.execute(sql, (now_unix_s, tap_name)).rowcount

    def _need_ours(
        self, name: str, ml_per_tick: float | None, relay_name: str | None, sensor_name: str | None
    ) -> None:
        """What the Kegbot Server says of a tap would be written over an edit, or counts instead of it."""
        sql = (
            "select relay_name, sensor_name, server_url from server_taps "
            f"where meter_name = ? and server_url = {_CURRENT}"
        )
        for row in self._rows(sql, name):
            told = {
                "calibration": ml_per_tick is not None,
                "relay": relay_name is not None and row["relay_name"],
                "sensor": sensor_name is not None and row["sensor_name"],
            }
            for what in filter(told.get, told):
                raise LedgerError(
                    f"{name} is a tap of {row['server_url']}, whose {what} counts: change it there; "
                    "it is taken up within a minute"
                )

    def _need_tap(self, name: str) -> None:
        if not self._exists("select 1 from taps where name = ?", name):
            known = ", ".join(row.name for row in self.taps()) or "none yet"
            raise LedgerError(f"no tap {name}; there are: {known}; make it with: taps add {name}")

    def _need_user(self, username: str) -> None:
        if not self._exists("select 1 from users where username = ?", username):
            raise LedgerError(f"no user {username}; first: users add {username}")
