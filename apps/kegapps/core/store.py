"""What the core keeps on disk: read once at start, written in one commit for all that arrived together.

Knows the tables and the core's nouns. Must not know events, sockets or the log.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Mapping

from kegapps.core.database import StoreError, connect, explained
from kegapps.core.flows import resumed_mono_s
from kegapps.core.held_files import HeldFiles, bring_back, save_beside
from kegapps.core.model import Drink, Flow, Memory, Meter, Now, Presence, Setup, Tap, Temperature, TokenAnswer
from kegapps.core.pending import Changes
from kegapps.core.schema import TAP_BEVERAGE
from kegapps.core.server_store import ServerStore
from kegapps.core.store_lock import hold_lock
from kegapps.core.tap_room_store import TapRoomStore
from kegapps.daemon.sqlite_file import transaction

BUSY_TIMEOUT_S = 0.05
"""How long a commit may wait for somebody else's: the core serves nobody meanwhile, and tries again anyway."""


class Store:
    """The core's hold on its store; only one core at a time may have one.

    Every method raises StoreError, its text for a person.
    """

    def __init__(self, path: str, *, boot_id: str, server_url: str = "") -> None:
        """`server_url`: the Kegbot Server that drinks are for (see `outbox.server_key`); empty: for none."""
        self._server_url = server_url
        # So that it has one lock, through whatever links somebody names it.
        self.path = os.path.realpath(path)
        self._boot_id = boot_id
        self._data_version = 0
        self._saved_as = ""
        self._db = connect(self.path, create=True, busy_timeout_s=5.0)
        try:
            self._lock_fd = hold_lock(f"{self.path}.lock")
            self._use(self._db)
            self._files = HeldFiles(self.path)
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        """Let go of it; nothing is written any more."""
        self._db.close()
        os.close(self._lock_fd)

    def server_store(self) -> ServerStore:
        """The part of it that is about the Kegbot Server."""
        return ServerStore(self._database, self.path, self._server_url)

    def tap_room(self) -> TapRoomStore:
        """The part of it that is asked by those who show it."""
        return TapRoomStore(self._database, self.path, self._server_url)

    def check(self) -> None:
        """Raises StoreError if somebody took the files away: what is stored then would be gone with the process."""
        self._database()

    def reopen(self) -> str:
        """Open it again after an error that a fresh look may cure; what had to be mended, "" if nothing.

        If its file was removed, it is written anew from what is open. Another file in its place is never touched.
        """
        mended = ""
        if changed := self._files.changed():
            mended = self._mend(changed)
        with contextlib.suppress(sqlite3.Error):
            # Room for the next commits: on a full disk it may be the -wal that has taken the rest.
            self._db.execute("pragma wal_checkpoint(truncate)").fetchone()
        self._db.close()
        self._db = connect(self.path, create=False, busy_timeout_s=BUSY_TIMEOUT_S)
        self._use(self._db)
        self._files = HeldFiles(self.path)
        self._saved_as = ""
        return mended

    def changed_elsewhere(self) -> bool:
        """True if another program has written since the last call. Costs no disk access."""
        with explained(self.path):
            (version,) = self._database().execute("pragma data_version").fetchone()
        before, self._data_version = self._data_version, version
        return bool(version != before)

    def load_setup(self) -> Setup:
        """What people have decided."""
        with explained(self.path):
            taps = self._db.execute(
                "select t.name, t.ml_per_tick, t.relay_name, description, k.id, "
                f"coalesce({TAP_BEVERAGE}, ''), s.meter_name is not null from taps t "
                "left join kegs k on k.tap_name = t.name and k.ended_unix_s is null "
                "left join server_taps s on s.meter_name = t.name and s.server_url = ? order by t.name",
                (self._server_url,),
            )
            tokens = self._db.execute(
                "select device, token, username, tokens.enabled and users.enabled from tokens "
                "join users using (username)"
            ).fetchall()
            return Setup(
                taps={
                    name: Tap(
                        name=name,
                        ml_per_tick=ml,
                        relay_name=relay,
                        description=description,
                        keg_id=keg_id,
                        beverage=beverage,
                        source="server" if of_server else "local",
                    )
                    for name, ml, relay, description, keg_id, beverage, of_server in taps
                },
                users={(device, token): username for device, token, username, enabled in tokens if enabled},
                refused=frozenset((device, token) for device, token, _, enabled in tokens if not enabled),
            )

    def load_memory(self, now: Now) -> Memory:
        """What an earlier core knew when it ended."""
        with explained(self.path):
            meters = self._db.execute(
                "select name, last_reading, read_unix_s, counted_ticks, small_ticks, dropped_ticks, "
                "dropped_steps, dropped_reason, read_mono_s, boot_id from meters"
            ).fetchall()
            flows = self._db.execute(
                "select uuid, flow_id, tap_name, username, idle_limit_s, start_unix_s, last_unix_s, "
                "last_mono_s, ticks, boot_id from open_flows"
            ).fetchall()
            presences = self._db.execute("select tap_name, device, token, accepted from presences").fetchall()
            sensors = self._db.execute("select name, unix_minute, celsius from sensors").fetchall()
            answers = self._db.execute(
                "select device, token, username, enabled, expires_unix_s, asked_unix_s from token_answers "
                "where server_url = ? order by asked_unix_s",
                (self._server_url,),
            ).fetchall()
            sessions = self._db.execute("select session, had from kegnet_sessions order by rowid").fetchall()
            last_flow_id = self._db.execute(
                "select value from counters where name = 'last_flow_id'"
            ).fetchone()
        return Memory(
            meters=tuple(
                Meter(
                    name=name, last_reading=last, read_unix_s=read, counted_ticks=counted, small_ticks=small,
                    dropped_ticks=dropped, dropped_steps=steps, dropped_reason=reason,
                    read_mono_s=self._resumed_mono_s(read, read_mono, boot_id, now),
                )
                for name, last, read, counted, small, dropped, steps, reason, read_mono, boot_id in meters
            ),
            flows=tuple(self._flow(row, now) for row in flows),
            presences=tuple(
                Presence(tap_name=tap, device=device, token=token, accepted=bool(accepted))
                for tap, device, token, accepted in presences
            ),
            last_flow_id=last_flow_id[0] if last_flow_id else 0,
            temperatures=tuple(
                Temperature(sensor_name=name, unix_minute=minute, celsius=celsius)
                for name, minute, celsius in sensors
            ),
            sessions=dict(sessions),
            token_answers=tuple(
                TokenAnswer(
                    device=device, token=token, username=username, enabled=bool(enabled),
                    expires_unix_s=expires, asked_unix_s=asked,
                )
                for device, token, username, enabled, expires, asked in answers
            ),
        )  # fmt: skip

    def count_drinks(self) -> int:
        """How many drinks were recorded so far (by their numbers: counting a million would take its time)."""
        with explained(self.path):
            (last,) = self._db.execute("select max(id) from drinks").fetchone()
        return last or 0

    def commit(self, changes: Changes) -> Mapping[str, int]:
        """Write all of `changes` or nothing; on return they are on the disk. The drinks' numbers, by uuid."""
        with explained(self.path), transaction(self._database()):
            self._write_state(changes)
            self._write_flows(changes)
            return self._write_drinks([drink for drink in changes.ended.values() if drink is not None])

    def _database(self) -> sqlite3.Connection:
        """What is open, if it is still the store and not only its remains."""
        if changed := self._files.changed():
            what = "its file" if changed == self.path else changed
            raise StoreError(
                f"store {self.path}: {what} was taken away while the core used it; "
                "it is written anew, unless there is another"
            )
        return self._db

    def _mend(self, changed: str) -> str:
        """Have every file in its place again, or raise StoreError; what was done, for a person."""
        folder = os.path.dirname(self.path)
        if not os.path.isdir(folder):  # not made anew: it may be a disk that is to come back
            raise StoreError(
                f"store {self.path}: its folder was taken away while the core used it; have {folder} back"
            )
        fd = hold_lock(f"{self.path}.lock", held_fd=self._lock_fd)
        if fd != self._lock_fd:
            os.close(self._lock_fd)
            self._lock_fd = fd
        if changed != self.path:
            return f"store {self.path}: {changed} was taken away while the core used it, and is made anew"
        if os.path.lexists(self.path):
            self._saved_as = self._saved_as or save_beside(self._db, self.path)
            raise StoreError(
                f"store {self.path}: another file was put in its place while the core used it; all that was in it is "
                f"in {self._saved_as}: stop kegbot_core, have the right one of the two at {self.path}, and start it"
            )
        bring_back(self._db, self.path)
        return f"store {self.path}: its file was taken away while the core used it, and is written anew; all is in it"

    def _use(self, db: sqlite3.Connection) -> None:
        with explained(self.path):
            db.execute(f"pragma busy_timeout = {int(BUSY_TIMEOUT_S * 1000)}")
            (version,) = db.execute("pragma data_version").fetchone()
        self._data_version = int(version)

    def _flow(
        self, row: tuple[str, int, str, str | None, float, float, float, float, int, str], now: Now
    ) -> Flow:
        uuid, flow_id, tap_name, username, limit_s, start_unix_s, last_unix_s, last_mono_s, ticks, boot_id = (
            row
        )
        return Flow(
            uuid=uuid, flow_id=flow_id, tap_name=tap_name, username=username, idle_limit_s=limit_s, ticks=ticks,
            start_unix_s=start_unix_s, last_unix_s=last_unix_s,
            last_mono_s=self._resumed_mono_s(last_unix_s, last_mono_s, boot_id, now),
        )  # fmt: skip

    def _resumed_mono_s(self, unix_s: float, mono_s: float, boot_id: str, now: Now) -> float:
        same_boot = bool(boot_id) and boot_id == self._boot_id
        return resumed_mono_s(last_unix_s=unix_s, last_mono_s=mono_s, same_boot=same_boot, now=now)

    def _write_state(self, changes: Changes) -> None:
        db = self._db
        db.executemany(
            "insert into taps (name, ml_per_tick) values (?, ?) on conflict do nothing",
            [(tap.name, tap.ml_per_tick) for tap in changes.taps.values()],
        )
        db.executemany(
            "insert into meters values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict (name) do update set "
            "last_reading = excluded.last_reading, read_unix_s = excluded.read_unix_s, "
            "counted_ticks = excluded.counted_ticks, small_ticks = excluded.small_ticks, "
            "dropped_ticks = excluded.dropped_ticks, dropped_steps = excluded.dropped_steps, "
            "dropped_reason = excluded.dropped_reason, read_mono_s = excluded.read_mono_s, "
            "boot_id = excluded.boot_id",
            [
                (
                    m.name, m.last_reading, m.read_unix_s, m.counted_ticks, m.small_ticks,
                    m.dropped_ticks, m.dropped_steps, m.dropped_reason, m.read_mono_s, self._boot_id,
                )
                for m in changes.meters.values()
            ],
        )  # fmt: skip
        for tap_name, presence in changes.presences.items():
            if presence is None:
                db.execute("delete from presences where tap_name = ?", (tap_name,))
            else:
                values = (tap_name, presence.device, presence.token, presence.accepted)
                db.execute("insert or replace into presences values (?, ?, ?, ?)", values)
        temperatures = [(t.sensor_name, t.unix_minute, t.celsius) for t in changes.temperatures.values()]
        db.executemany("insert or ignore into temperatures values (?, ?, ?)", temperatures)
        db.executemany("insert or replace into sensors values (?, ?, ?)", temperatures)
        db.executemany(
            "insert or replace into token_answers values (?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    self._server_url, a.device, a.token, a.username, a.enabled, a.expires_unix_s,
                    a.asked_unix_s,
                )
                for a in changes.token_answers.values()
            ],
        )  # fmt: skip
        for session, had in changes.sessions.items():
            if had is None:
                db.execute("delete from kegnet_sessions where session = ?", (session,))
            else:
                sql = "insert into kegnet_sessions values (?, ?) on conflict do update set had = excluded.had"
                db.execute(sql, (session, had))

    def _write_flows(self, changes: Changes) -> None:
        db = self._db
        # Ended ones first: another flow may be open on the same tap since.
        db.executemany("delete from open_flows where uuid = ?", [(uuid,) for uuid in changes.ended])
        db.executemany(
            "insert or replace into open_flows (tap_name, uuid, flow_id, username, idle_limit_s, ticks, "
            "start_unix_s, last_unix_s, last_mono_s, boot_id) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    f.tap_name, f.uuid, f.flow_id, f.username, f.idle_limit_s, f.ticks,
                    f.start_unix_s, f.last_unix_s, f.last_mono_s, self._boot_id,
                )
                for f in changes.flows.values()
            ],
        )  # fmt: skip
        if changes.last_flow_id:
            db.execute(
                "insert into counters values ('last_flow_id', ?) on conflict (name) "
                "do update set value = max(value, excluded.value)",
                (changes.last_flow_id,),
            )

    def _write_drinks(self, drinks: list[Drink]) -> dict[str, int]:
        numbers = {}
        for d in drinks:
            known = self._db.execute("select id from drinks where uuid = ?", (d.uuid,)).fetchone()
            if known:  # by an earlier commit that went through and yet failed: its outcome was not known
                (numbers[d.uuid],) = known
                continue
            added = self._db.execute(
                "insert into drinks (uuid, flow_id, tap_name, username, ticks, ml_per_tick, volume_ml, "
                "start_unix_s, end_unix_s, keg_id, beverage) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    d.uuid, d.flow_id, d.tap_name, d.username, d.ticks, d.ml_per_tick, d.volume_ml,
                    d.start_unix_s, d.end_unix_s, d.keg_id, d.beverage,
                ),
            )  # fmt: skip
            numbers[d.uuid] = added.lastrowid or 0
            # Kept along, so that nobody who wants to know has to add up the drinks.
            self._db.execute(
                "update kegs set served_ml = served_ml + ? where id = ?", (d.volume_ml, d.keg_id)
            )
            if self._server_url:
                # Until the server says it anew, which it does once it has the drink.
                self._db.execute(
                    "update server_taps set keg_left_ml = max(0, keg_left_ml - ?) "
                    "where server_url = ? and meter_name = ?",
                    (d.volume_ml, self._server_url, d.tap_name),
                )
                self._db.execute(
                    "insert into outbox (drink_id, server_url, state, next_unix_s, username, meter_name) "
                    "values (?, ?, 'waiting', ?, ?, ?)",
                    (added.lastrowid, self._server_url, d.end_unix_s, d.username, d.tap_name),
                )
        return numbers
