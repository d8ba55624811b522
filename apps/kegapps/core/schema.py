"""The tables of the store, version by version.

Knows SQL. Must not know how it is run. Needs no more than SQLite 3.24.
"""

from __future__ import annotations

from typing import Final

_SCHEMA_1: Final = """
create table taps (
    name text primary key,
    ml_per_tick real not null check (ml_per_tick > 0 and ml_per_tick < 1000),
    relay_name text not null default '',
    description text not null default ''
);
create table meters (
    name text primary key,
    last_reading integer not null,
    read_unix_s real not null,
    counted_ticks integer not null,
    small_ticks integer not null,
    dropped_ticks integer not null,
    dropped_steps integer not null,
    dropped_reason text not null
);
create table users (
    username text primary key,
    enabled integer not null default 1,
    added_unix_s real not null
);
create table tokens (
    device text not null,
    token text not null,
    username text not null references users (username),
    enabled integer not null default 1,
    added_unix_s real not null,
    primary key (device, token)
);
create index tokens_by_user on tokens (username);
create table kegs (
    id integer primary key,
    tap_name text not null,
    beverage text not null,
    volume_ml real not null check (volume_ml > 0),
    tapped_unix_s real not null,
    ended_unix_s real
);
create unique index kegs_on_tap on kegs (tap_name) where ended_unix_s is null;
create table open_flows (
    tap_name text primary key,
    uuid text not null,
    flow_id integer not null,
    username text,
    idle_limit_s real not null,
    ticks integer not null,
    start_unix_s real not null,
    last_unix_s real not null,
    last_mono_s real not null,
    boot_id text not null
);
create table presences (
    tap_name text primary key,
    device text not null,
    token text not null,
    accepted integer not null
);
create table drinks (
    id integer primary key autoincrement,
    uuid text not null unique,
    flow_id integer not null,
    tap_name text not null,
    username text,
    ticks integer not null,
    ml_per_tick real not null,
    volume_ml real not null,
    start_unix_s real not null,
    end_unix_s real not null,
    keg_id integer
);
create index drinks_by_time on drinks (end_unix_s);
create index drinks_by_user on drinks (username, end_unix_s);
create index drinks_by_tap on drinks (tap_name, end_unix_s);
create index drinks_by_keg on drinks (keg_id, volume_ml);
create table sensors (
    name text primary key,
    unix_minute integer not null,
    celsius real not null
);
create table temperatures (
    sensor_name text not null,
    unix_minute integer not null,
    celsius real not null,
    primary key (sensor_name, unix_minute)
) without rowid;
create index temperatures_by_time on temperatures (unix_minute desc, sensor_name);
create table counters (
    name text primary key,
    value integer not null
);
"""
_SCHEMA_2: Final = """
alter table meters add column read_mono_s real not null default 0;
alter table meters add column boot_id text not null default '';
"""
_SCHEMA_3: Final = """
create table outbox (
    drink_id integer primary key references drinks (id),
    server_url text not null,
    state text not null,
    reason text not null default '',
    attempts integer not null default 0,
    next_unix_s real not null,
    username text,
    meter_name text not null,
    without_user integer not null default 0,
    errors integer not null default 0,
    sent_unix_s real,
    sent_by text not null default '',
    known_id text
);
create index outbox_by_time on outbox (server_url, next_unix_s) where state <> 'dead';
create index outbox_by_state on outbox (server_url, state);
create index outbox_unresolved on outbox (server_url, next_unix_s) where sent_unix_s is not null;
create table deliveries (
    drink_id integer primary key references drinks (id),
    server_url text not null,
    server_drink_id text not null,
    delivered_unix_s real not null,
    remark text not null
);
create index deliveries_by_server on deliveries (server_url, server_drink_id);
create table server_taps (
    server_url text not null,
    meter_name text not null,
    name text not null,
    ml_per_tick real not null,
    relay_name text not null,
    keg_id text not null,
    read_unix_s real not null,
    primary key (server_url, meter_name)
) without rowid;
create table token_answers (
    server_url text not null,
    device text not null,
    token text not null,
    username text,
    enabled integer not null,
    expires_unix_s real,
    asked_unix_s real not null,
    primary key (server_url, device, token)
) without rowid;
create table server_state (
    server_url text not null,
    name text not null,
    value text not null,
    primary key (server_url, name)
) without rowid;
"""
_SCHEMA_4: Final = """
create table kegnet_sessions (
    session text primary key,
    had integer not null
);
"""
_SCHEMA_5: Final = """
alter table outbox add column repeats integer not null default 0;
"""
_SCHEMA_6: Final = """
alter table taps add column sensor_name text not null default '';
alter table kegs add column served_ml real not null default 0;
update kegs set served_ml = coalesce((select sum(volume_ml) from drinks where keg_id = kegs.id), 0);
alter table drinks add column beverage text not null default '';
alter table server_taps add column sensor_name text not null default '';
alter table server_taps add column beverage text not null default '';
alter table server_taps add column keg_volume_ml real;
alter table server_taps add column keg_left_ml real;
alter table server_taps add column temperature_c real;
alter table server_taps add column temperature_unix_s real;
"""
# Of a store that has drinks, its name is the first one's: a backup of before has the name of its origin, too.
_SCHEMA_7: Final = """
create table identity (
    store_id text not null
);
insert into identity values (
    coalesce((select uuid from drinks order by id limit 1), lower(hex(randomblob(16))))
);
"""
# One entry a version, each run inside the transaction that raises user_version to it.
MIGRATIONS: Final[tuple[str, ...]] = (
    _SCHEMA_1,
    _SCHEMA_2,
    _SCHEMA_3,
    _SCHEMA_4,
    _SCHEMA_5,
    _SCHEMA_6,
    _SCHEMA_7,
)

SCHEMA_VERSION: Final = len(MIGRATIONS)

BEVERAGE: Final = "coalesce(nullif(d.beverage, ''), k.beverage)"
"""What the drink `d` of the keg `k` was: as it was called then or, in older ones, as the keg is; else null."""

TAP_BEVERAGE: Final = "coalesce(nullif(s.beverage, ''), k.beverage)"
KEG_VOLUME_ML: Final = "case when s.keg_left_ml is null then k.volume_ml else s.keg_volume_ml end"
KEG_LEFT_ML: Final = "coalesce(s.keg_left_ml, max(0, k.volume_ml - k.served_ml))"
"""What is on a tap: in the Kegbot Server's words if its tap `s` tells, else in ours, those of the keg `k`."""
