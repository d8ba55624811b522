"""What the ledger shows, one record a row of a table.

Knows names and units. Must not know where the rows come from.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TapRow:
    """A tap, its meter's account (0 and None before the first reading) and what is on."""

    name: str
    ml_per_tick: float
    relay_name: str
    description: str
    beverage: str | None
    last_reading: int | None
    read_unix_s: float | None
    counted_ticks: int
    dropped_ticks: int
    dropped_steps: int
    dropped_reason: str
    source: str = "local"
    """Who says so: `local`, or `server` if the Kegbot Server has this tap."""
    sensor_name: str = ""
    """The sensor of its temperature, if somebody said which."""
    keg_volume_ml: float | None = None
    keg_left_ml: float | None = None
    """Of the keg that is on; what drinks left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrinkRow:
    """A drink; `username` None: nobody in particular."""

    id: int
    uuid: str
    tap_name: str
    username: str | None
    ticks: int
    ml_per_tick: float
    volume_ml: float
    start_unix_s: float
    end_unix_s: float
    beverage: str | None
    keg_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRow:
    """A person who may pour, if enabled."""

    username: str
    enabled: bool
    added_unix_s: float
    tokens: int
    last_drink_unix_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRow:
    """A token and whose it is."""

    device: str
    token: str
    username: str
    enabled: bool
    added_unix_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class KegRow:
    """A keg; it is on as long as `ended_unix_s` is None."""

    id: int
    tap_name: str
    beverage: str
    volume_ml: float
    served_ml: float
    drinks: int
    tapped_unix_s: float
    ended_unix_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TemperatureRow:
    """A sensor's temperature in the minute that began at `unix_s`."""

    sensor_name: str
    unix_s: float
    celsius: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxRow:
    """A drink that waits for a Kegbot Server, or (`state` `delivered`) the server has."""

    drink_id: int
    uuid: str
    end_unix_s: float
    """When it was poured."""
    tap_name: str
    """The meter under which it is sent."""
    username: str | None
    """As it is sent."""
    ticks: int
    volume_ml: float
    state: str
    """`waiting`, `held`, `looking`, `dead` or `delivered`."""
    attempts: int
    next_unix_s: float | None
    """When it is tried again; None: not by itself."""
    reason: str
    server_url: str
    server_drink_id: str = ""
    """Its number on the server, if that is known."""
    delivered_unix_s: float | None = None
