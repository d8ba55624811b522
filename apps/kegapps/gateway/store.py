"""What the gateway keeps on disk: boards and their tokens, an odometer of every meter, and what to tell the core of it.

Knows SQLite and the records. Must not know sockets, JSON, kegnet or clocks.
A board is answered 200 only after `commit`: from then on its pour is ours to tell. Ticks stand on a line of their own
for each meter that only ever grows (`position`); a `Leg` is the piece of it that one telling of a pour has added.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from kegapps.gateway.records import Device, GrantRow, Leg, Meter, PourRow
from kegapps.gateway.store_file import StoreError, StoreFile

__all__ = ["Store", "StoreError"]

MAX_PENDING: Final = 32
"""Boards that wait to be allowed: anybody in the network can make one up."""
MAX_DEVICES: Final = 256
KEPT_BOOTS: Final = 16


class Store(StoreFile):
    """Boards and their grants, meters and their pours. Every method raises StoreError."""

    # Boards

    def device(self, device: str) -> Device | None:
        """The board of this name."""
        rows = list(self._devices("where device = ?", device))
        return rows[0] if rows else None

    def devices(self) -> tuple[Device, ...]:
        """All boards, by name."""
        return tuple(self._devices("order by device"))

    def meet(self, device: str, host: str, now_unix_s: float) -> Device | None:
        """A board that is new: it waits to be allowed. None: too many do, or there are too many boards."""
        self.begin()
        (pending, known) = self._execute(
            "select coalesce(sum(state = 'pending'), 0), count(*) from devices"
        ).fetchone()
        if pending >= MAX_PENDING or known >= MAX_DEVICES:
            return None
        names = {name for (name,) in self._execute("select board_name from devices")}
        self._execute(
            "insert into devices (device, board_name, state, first_unix_s, heard_unix_s, host)"
            " values (?, ?, 'pending', ?, ?, ?)",
            device, _board_name(device, names), now_unix_s, now_unix_s, host,
        )  # fmt: skip
        return self.device(device)

    def set_state(self, device: str, state: str, *, fresh: bool = False, keep_token: bool = False) -> None:
        """What a person decided. With `keep_token` the board's token holds until it fetches a new one."""
        self.begin()
        self._execute(
            "update devices set state = ?, fresh = ?, asks_unix_s = null,"
            " token_hash = case when ? then token_hash else '' end where device = ?",
            state, fresh, keep_token, device,
        )  # fmt: skip

    def give_token(self, device: str, token_hash: str) -> None:
        """The board is being told its token, once."""
        self.begin()
        self._execute(
            "update devices set token_hash = ?, fresh = 0, asks_unix_s = null where device = ?",
            token_hash, device,
        )  # fmt: skip

    def asks(self, device: str, host: str, now_unix_s: float) -> None:
        """A board of this name came without its token."""
        self.begin()
        self._execute(
            "update devices set heard_unix_s = case when state = 'pending' then ? else heard_unix_s end,"
            " asks_unix_s = case when state = 'allowed' then ? else asks_unix_s end, host = ? where device = ?",
            now_unix_s, now_unix_s, host, device,
        )  # fmt: skip

    def heard(self, device: str, host: str, now_unix_s: float, *, malformed: int) -> None:
        """The board came with its token, and with so many events that could not be taken."""
        self.begin()
        self._execute(
            "update devices set heard_unix_s = ?, host = ?, events_malformed = events_malformed + ? where device = ?",
            now_unix_s, host, malformed, device,
        )  # fmt: skip

    def status(self, device: str, *, fw_version: str, uptime_s: float | None, events_dropped: int) -> None:
        """The board told how it is."""
        self.begin()
        self._execute(
            "update devices set fw_version = ?, uptime_s = ?, events_dropped = ? where device = ?",
            fw_version, uptime_s, events_dropped, device,
        )  # fmt: skip

    def forget(self, device: str) -> None:
        """The board is a stranger again; its odometers stay, and what it poured is never counted again."""
        self.begin()
        for table in ("devices", "boots", "grants"):
            self._execute(f"delete from {table} where device = ?", device)

    def last_id(self, device: str, boot_id: str) -> int:
        """The highest event id taken of this boot of the board."""
        row = self._execute(
            "select last_id from boots where device = ? and boot_id = ?", device, boot_id
        ).fetchone()
        return int(row[0]) if row else 0

    def take_ids(self, device: str, boot_id: str, last_id: int, now_unix_s: float) -> None:
        """All event ids of this boot up to `last_id` are taken."""
        self.begin()
        self._execute(
            "insert into boots values (?, ?, ?, ?) on conflict do update set"
            " last_id = max(last_id, excluded.last_id), at_unix_s = excluded.at_unix_s",
            device, boot_id, last_id, now_unix_s,
        )  # fmt: skip
        self._execute(
            "delete from boots where device = ?1 and boot_id not in"
            " (select boot_id from boots where device = ?1 order by at_unix_s desc limit ?2)",
            device, KEPT_BOOTS,
        )  # fmt: skip

    # Meters and pours

    def meters(self) -> dict[str, Meter]:
        """All meters by name."""
        rows = self._execute(
            "select meter, device, number, position, told, shift, ml_per_tick, core_ml_per_tick from meters"
            " order by meter"
        )
        return {
            row[0]: Meter(
                meter=row[0], device=row[1], number=row[2], position=row[3], told=row[4], shift=row[5],
                ml_per_tick=row[6], core_ml_per_tick=row[7],
            )
            for row in rows
        }  # fmt: skip

    def keep_meter(self, meter: Meter) -> None:
        """Its new state."""
        self.begin()
        self._execute(
            "insert or replace into meters values (?, ?, ?, ?, ?, ?, ?, ?)",
            meter.meter, meter.device, meter.number, meter.position, meter.told, meter.shift, meter.ml_per_tick,
            meter.core_ml_per_tick,
        )  # fmt: skip

    def pour(self, pour_id: str) -> PourRow | None:
        """What was taken of this pour, ever."""
        row = self._execute(
            "select pour_id, meter, ticks, done from pours where pour_id = ?", pour_id
        ).fetchone()
        return PourRow(pour_id=row[0], meter=row[1], ticks=row[2], done=bool(row[3])) if row else None

    def keep_pour(self, pour: PourRow) -> None:
        """Its new state."""
        self.begin()
        self._execute(
            "insert or replace into pours values (?, ?, ?, ?)",
            pour.pour_id,
            pour.meter,
            pour.ticks,
            pour.done,
        )

    def add_leg(self, leg: Leg) -> Leg:
        """A new leg; `id` is given to it."""
        self.begin()
        cursor = self._execute(
            "insert into legs (meter, pour_id, begin_ticks, end_ticks, first, last, unix_s, mono_s, boot, duration_s,"
            " auth_device, token) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            leg.meter, leg.pour_id, leg.begin_ticks, leg.end_ticks, leg.first, leg.last, leg.unix_s, leg.mono_s,
            leg.boot, leg.duration_s, leg.auth_device, leg.token,
        )  # fmt: skip
        return _leg((cursor.lastrowid, *_values(leg)))

    def legs(self, meter: str, after_ticks: int, most: int) -> tuple[Leg, ...]:
        """The first `most` legs of this meter that go beyond this position."""
        rows = self._execute(
            "select * from legs where meter = ? and end_ticks > ? order by id limit ?",
            meter,
            after_ticks,
            most,
        )
        return tuple(map(_leg, rows))

    def oldest_position(self, meter: str) -> int | None:
        """Where the oldest leg that is kept of this meter begins."""
        row = self._execute("select min(begin_ticks) from legs where meter = ?", meter).fetchone()
        return None if row[0] is None else int(row[0])

    def prune(self, before_unix_s: float) -> None:
        """Forget legs that the core has counted, and closed grants, from before this time."""
        self.begin()
        self._execute(
            "delete from legs where unix_s < ? and end_ticks <="
            " (select told from meters where meters.meter = legs.meter)",
            before_unix_s,
        )  # fmt: skip
        self._execute("delete from grants where not open and at_unix_s < ?", before_unix_s)

    # Grants

    def add_grant(self, grant: GrantRow) -> None:
        """A board is about to be allowed to pour."""
        self.begin()
        self._execute(
            "insert or replace into grants values (?, ?, ?, ?, ?, ?, ?)",
            grant.grant_id, grant.device, grant.meter, grant.auth_device, grant.token, grant.at_unix_s, grant.open,
        )  # fmt: skip

    def grant(self, device: str, grant_id: str) -> GrantRow | None:
        """The grant of this id that this very board was given."""
        rows = self._execute(
            "select * from grants where grant_id = ? and device = ?", grant_id, device
        ).fetchall()
        return _grant(rows[0]) if rows else None

    def open_grants(self) -> tuple[GrantRow, ...]:
        """Those that were not ended."""
        return tuple(map(_grant, self._execute("select * from grants where open")))

    def close_grant(self, grant_id: str) -> None:
        """It is ended; pours of it may still be told."""
        self.begin()
        self._execute("update grants set open = 0 where grant_id = ?", grant_id)

    def _devices(self, which: str, *values: object) -> Iterator[Device]:
        rows = self._execute(
            "select device, board_name, state, token_hash, fresh, first_unix_s, heard_unix_s, asks_unix_s, host,"
            f" fw_version, uptime_s, events_dropped, events_malformed from devices {which}",
            *values,
        )
        for row in rows:
            yield Device(
                device=row[0], board_name=row[1], state=row[2], token_hash=row[3], fresh=bool(row[4]),
                first_unix_s=row[5], heard_unix_s=row[6], asks_unix_s=row[7], host=row[8], fw_version=row[9],
                uptime_s=row[10], events_dropped=row[11], events_malformed=row[12],
            )  # fmt: skip


def _values(leg: Leg) -> tuple[object, ...]:
    return (
        leg.meter, leg.pour_id, leg.begin_ticks, leg.end_ticks, leg.first, leg.last, leg.unix_s, leg.mono_s, leg.boot,
        leg.duration_s, leg.auth_device, leg.token,
    )  # fmt: skip


def _leg(row: tuple[object, ...]) -> Leg:
    values = dict(zip(Leg.__slots__, row, strict=True))
    values |= {"first": bool(values["first"]), "last": bool(values["last"])}
    return Leg(**values)  # type: ignore[arg-type] # the schema's types


def _grant(row: tuple[object, ...]) -> GrantRow:
    values = dict(zip(GrantRow.__slots__, row, strict=True))
    return GrantRow(**(values | {"open": bool(values["open"])}))  # type: ignore[arg-type] # the schema's types


def _board_name(device: str, taken: set[str]) -> str:
    """A name of this device that is fit for meters of the core, and no other's."""
    name = re.sub(r"[^A-Za-z0-9_-]", "-", device)[:40].lstrip("_") or "board"
    number, wanted = 1, name
    while wanted in taken:
        number += 1
        wanted = f"{name}-{number}"
    return wanted
