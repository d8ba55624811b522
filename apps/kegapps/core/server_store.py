"""What the core keeps about one Kegbot Server: the outbox, and the server's taps, token answers and ways.

Knows the tables. Must not know sockets, what an answer means, or when something is sent.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

from kegapps.core.database import explained
from kegapps.core.outbox import HOLD_FOR_LOOK_S, LONGEST_WAIT_S, Counts, Delivered, Entry, State
from kegapps.daemon.sqlite_file import transaction
from kegapps.server.calls import Pour
from kegapps.server.form_api import ServerTap
from kegapps.server.on_tap import OnServerTap
from kegapps.server.route import Way

_ENTRIES: Final = (
    "select o.drink_id, d.uuid, o.meter_name, d.ticks, d.volume_ml, d.ml_per_tick, o.username, d.start_unix_s, "
    "d.end_unix_s, o.state, o.reason, o.attempts, o.next_unix_s, o.without_user, o.errors, o.sent_unix_s, "
    "o.sent_by, o.known_id, o.repeats from outbox o join drinks d on d.id = o.drink_id "
)


class ServerStore:
    """The part of the store that is about the server `server_url` (see `outbox.server_key`).

    Every method raises StoreError.
    """

    def __init__(self, database: Callable[[], sqlite3.Connection], path: str, server_url: str) -> None:
        """`database` gives the open connection; after an error it may be another one."""
        self._database = database
        self._path = path
        self._server_url = server_url

    # The outbox

    def next_entry(self, now_unix_s: float) -> tuple[Entry | None, float | None]:
        """The entry to deal with now or, if there is none, when there will be one (None: never).

        First what was sent with unknown outcome: each drink that is sent meanwhile makes it harder to find. So if such
        a one is due soon, the others wait for it. Otherwise the one that has been due for longest. One
        that is to wait for longer than anything does was written while the clock was wrong, and is due, too.
        """
        insane_unix_s = now_unix_s + LONGEST_WAIT_S
        sent = self._first("o.state <> 'dead' and o.sent_unix_s is not null")
        if sent is not None and (sent.next_unix_s <= now_unix_s or sent.next_unix_s > insane_unix_s):
            return sent, None
        if sent is not None and sent.next_unix_s <= now_unix_s + HOLD_FOR_LOOK_S:
            return None, sent.next_unix_s
        others = "o.state <> 'dead' and o.sent_unix_s is null"
        first = self._first(others)
        if first is None or first.next_unix_s <= now_unix_s or first.next_unix_s > insane_unix_s:
            due = first
        else:
            due = self._first(f"{others} and o.next_unix_s > ?", insane_unix_s)
        if due is not None:
            return due, None
        return None, min((entry.next_unix_s for entry in (sent, first) if entry is not None), default=None)

    def _first(self, condition: str, *values: float) -> Entry | None:
        with self._reading() as db:
            row = db.execute(
                f"{_ENTRIES} where o.server_url = ? and {condition} order by o.next_unix_s, o.drink_id limit 1",
                (self._server_url, *values),
            ).fetchone()
        return None if row is None else _entry(row)

    def counts(self) -> Counts:
        """How much waits for this server."""
        with self._reading() as db:
            by_state = dict(
                db.execute(
                    "select state, count(*) from outbox where server_url = ? group by state",
                    (self._server_url,),
                ).fetchall()
            )
            (oldest,) = db.execute(
                "select end_unix_s from outbox join drinks on id = drink_id "
                "where drink_id = (select min(drink_id) from outbox where server_url = ?)",
                (self._server_url,),
            ).fetchone() or (None,)
        return Counts(
            waiting=by_state.get(State.WAITING, 0) + by_state.get(State.LOOKING, 0),
            held=by_state.get(State.HELD, 0),
            dead=by_state.get(State.DEAD, 0),
            oldest_unix_s=oldest,
        )

    def count_elsewhere(self) -> int:
        """How many drinks wait for other servers."""
        with self._reading() as db:
            (count,) = db.execute(
                "select count(*) from outbox where server_url <> ?", (self._server_url,)
            ).fetchone()
        return int(count)

    def write(
        self, results: Iterable[Entry | Delivered], *, now_unix_s: float, newest_drink_id: str | None = None
    ) -> None:
        """Keep what became of entries, all or nothing; what a person has settled meanwhile stays settled.

        `newest_drink_id`: the server's newest drink that is known.
        """
        with self._writing() as db:
            if newest_drink_id is not None:
                db.execute(
                    "insert or replace into server_state values (?, 'newest_drink_id', ?)",
                    (self._server_url, newest_drink_id),
                )
            for result in results:
                if isinstance(result, Delivered):
                    self._deliver(db, result, now_unix_s)
                else:
                    _update(db, result)

    def delivered_among(self, server_drink_ids: Iterable[str]) -> frozenset[str]:
        """Those of the server's drinks that are known to be ours."""
        with self._reading() as db:
            return frozenset(
                drink_id
                for drink_id in server_drink_ids
                if db.execute(
                    "select 1 from deliveries where server_url = ? and server_drink_id = ?",
                    (self._server_url, drink_id),
                ).fetchone()
            )

    def release_held(self, meter_names: Iterable[str]) -> int:
        """Held entries of these meters are due: what they waited for may have happened. How many there are."""
        released = 0
        with self._writing() as db:
            for name in meter_names:
                released += db.execute(
                    "update outbox set next_unix_s = 0 where server_url = ? and state = 'held' "
                    "and meter_name = ? and next_unix_s > 0",
                    (self._server_url, name),
                ).rowcount
        return released

    def defer_looks(self, after_s: float) -> None:
        """What an earlier core had just sent when it ended is not asked for sooner than `after_s` after that."""
        with self._writing() as db:
            db.execute(
                "update outbox set next_unix_s = sent_unix_s + :after where server_url = :url and sent_by = :form "
                "and state <> 'dead' and next_unix_s < sent_unix_s + :after",
                {"after": after_s, "url": self._server_url, "form": Way.FORM},
            )

    def held_meters(self) -> frozenset[str]:
        """The meters that held entries are of."""
        with self._reading() as db:
            return frozenset(
                name
                for (name,) in db.execute(
                    "select distinct meter_name from outbox where server_url = ? and state = 'held'",
                    (self._server_url,),
                )
            )

    # The server's taps

    def taps(self) -> tuple[ServerTap, ...]:
        """The taps as the server had them last."""
        with self._reading() as db:
            rows = db.execute(
                "select meter_name, name, ml_per_tick, relay_name, keg_id, beverage, keg_volume_ml, keg_left_ml, "
                "sensor_name, temperature_c, temperature_unix_s from server_taps where server_url = ?",
                (self._server_url,),
            ).fetchall()
        return tuple(map(_server_tap, rows))

    def keep_taps(self, taps: Iterable[ServerTap], *, now_unix_s: float) -> None:
        """These are the server's taps now; what they say goes into our own taps as well, and stays there.

        A relay or name that the server does not give, or that a person gave the tap here, is left alone.
        """
        with self._writing() as db:
            before = {tap.meter_name: tap for tap in self.taps()}
            db.execute("delete from server_taps where server_url = ?", (self._server_url,))
            for tap in taps:
                db.execute(
                    "insert into server_taps (server_url, meter_name, name, ml_per_tick, relay_name, keg_id, "
                    "read_unix_s, beverage, keg_volume_ml, keg_left_ml, sensor_name, temperature_c, "
                    "temperature_unix_s) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        self._server_url, tap.meter_name, tap.name, tap.ml_per_tick, tap.relay_name,
                        tap.keg_id or "", now_unix_s, tap.on.beverage, tap.on.keg_volume_ml, tap.on.keg_left_ml,
                        tap.on.sensor_name, tap.on.temperature_c, tap.on.temperature_unix_s,
                    ),
                )  # fmt: skip
                _adopt(db, tap, before.get(tap.meter_name))

    # The server's ways

    def state(self) -> Mapping[str, str]:
        """What was kept with `keep_state`."""
        with self._reading() as db:
            return dict(
                db.execute("select name, value from server_state where server_url = ?", (self._server_url,))
            )

    def keep_state(self, values: Mapping[str, str | None]) -> None:
        """Keep these by name; None: forget it."""
        with self._writing() as db:
            for name, value in values.items():
                if value is None:
                    db.execute(
                        "delete from server_state where server_url = ? and name = ?", (self._server_url, name)
                    )
                else:
                    db.execute(
                        "insert or replace into server_state values (?, ?, ?)",
                        (self._server_url, name, value),
                    )

    def become_current(self) -> None:
        """From now on drinks are for this server (or, if its name is empty, for none)."""
        with self._writing() as db:
            db.execute("insert or replace into server_state values ('', 'current', ?)", (self._server_url,))

    # How

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with explained(self._path):
            yield self._database()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with explained(self._path), transaction(self._database()):
            yield self._database()

    def _deliver(self, db: sqlite3.Connection, delivery: Delivered, now_unix_s: float) -> None:
        db.execute("delete from outbox where drink_id = ?", (delivery.drink_id,))
        db.execute(
            "insert or replace into deliveries values (?, ?, ?, ?, ?)",
            (delivery.drink_id, self._server_url, delivery.server_drink_id, now_unix_s, delivery.remark),
        )


def _update(db: sqlite3.Connection, entry: Entry) -> None:
    db.execute(
        "update outbox set state = ?, reason = ?, attempts = ?, next_unix_s = ?, without_user = ?, errors = ?, "
        "sent_unix_s = ?, sent_by = ?, known_id = ?, repeats = ? where drink_id = ?",
        (
            entry.state, entry.reason, entry.attempts, entry.next_unix_s, entry.without_user, entry.errors,
            entry.sent_unix_s, entry.sent_by or "", entry.known_id, entry.repeats, entry.drink_id,
        ),
    )  # fmt: skip


def _adopt(db: sqlite3.Connection, tap: ServerTap, before: ServerTap | None) -> None:
    row = db.execute("select relay_name, description from taps where name = ?", (tap.meter_name,)).fetchone()
    if row is None:
        db.execute(
            "insert into taps (name, ml_per_tick, relay_name, description) values (?, ?, ?, ?)",
            (tap.meter_name, tap.ml_per_tick, tap.relay_name, tap.name),
        )
        return
    relay_name, description = row
    before = before or replace(tap, relay_name="", name="")
    if tap.relay_name or relay_name == before.relay_name:
        relay_name = tap.relay_name
    if description in ("", before.name):
        description = tap.name
    db.execute(
        "update taps set ml_per_tick = ?, relay_name = ?, description = ? where name = ?",
        (tap.ml_per_tick, relay_name, description, tap.meter_name),
    )


def _server_tap(row: tuple[Any, ...]) -> ServerTap:
    meter, name, ml_per_tick, relay, keg_id, beverage, volume_ml, left_ml, sensor, celsius, unix_s = row
    on = OnServerTap(
        beverage=beverage, keg_volume_ml=volume_ml, keg_left_ml=left_ml, sensor_name=sensor, temperature_c=celsius,
        temperature_unix_s=unix_s,
    )  # fmt: skip
    return ServerTap(
        id="",
        name=name,
        meter_name=meter,
        ml_per_tick=ml_per_tick,
        relay_name=relay,
        keg_id=keg_id or None,
        on=on,
    )


def _entry(row: tuple[Any, ...]) -> Entry:
    (
        drink_id, uuid, meter_name, ticks, volume_ml, ml_per_tick, username, start_unix_s, end_unix_s,
        state, reason, attempts, next_unix_s, without_user, errors, sent_unix_s, sent_by, known_id, repeats,
    ) = row  # fmt: skip
    return Entry(
        drink_id=drink_id,
        pour=Pour(
            uuid=uuid, meter_name=meter_name, ticks=ticks, volume_ml=volume_ml, ml_per_tick=ml_per_tick,
            username=username or None, start_unix_s=start_unix_s, end_unix_s=end_unix_s,
        ),
        state=State(state), reason=reason, attempts=attempts, next_unix_s=next_unix_s,
        without_user=bool(without_user), errors=errors, sent_unix_s=sent_unix_s,
        sent_by=Way(sent_by) if sent_by else None, known_id=known_id, repeats=repeats,
    )  # fmt: skip
