"""The gateway's nouns: boards, odometers, pours, what there is to tell of them, and grants.

Knows values and their units. Must not know how they are stored, told or decided upon.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A board as it is known. `state`: `pending`, `allowed` or `denied`."""

    device: str
    board_name: str
    """What its meters, sensors and relays are called in the core: `<board_name>.flow0`."""
    state: str
    token_hash: str
    """Of the token that it has; empty before it was given one."""
    fresh: bool
    """It was allowed and did not fetch its token yet."""
    first_unix_s: float
    heard_unix_s: float
    asks_unix_s: float | None
    """When it last asked for a token although it was given one; None: it does not."""
    host: str
    fw_version: str
    uptime_s: float | None
    events_dropped: int
    events_malformed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """One meter's odometer."""

    meter: str
    device: str
    number: int
    position: int
    """All ticks ever taken from its board."""
    told: int
    """Of these the core is known to have counted so many."""
    shift: int | None
    """The core's reading is the position plus this, modulo 2^32; None before the two met."""
    ml_per_tick: float | None
    """The board's own calibration, as it says."""
    core_ml_per_tick: float | None
    """The core's, by which it makes volumes of ticks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PourRow:
    """What was taken of a pour so far."""

    pour_id: str
    meter: str
    ticks: int
    done: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """A piece of a meter's odometer, from `begin_ticks` to `end_ticks`, that a telling of a pour has added.

    It was poured in the `duration_s` seconds before `unix_s` or, while the machine runs under this `boot`, `mono_s`.
    """

    id: int
    meter: str
    pour_id: str
    begin_ticks: int
    end_ticks: int
    first: bool
    """The pour begins with it."""
    last: bool
    """The pour is over with it."""
    unix_s: float
    mono_s: float
    boot: str
    duration_s: float
    auth_device: str
    token: str
    """Whose pour it is; empty: nobody's in particular."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantRow:
    """A board was allowed to pour on a meter for a token."""

    grant_id: str
    device: str
    meter: str
    auth_device: str
    token: str
    at_unix_s: float
    open: bool
