"""How an emulated site is set up: what a person would do in its dashboard. May be changed while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field

KEY_2012 = "1000" + "0001" + "5" * 32  # `1` `000`, user id in 4 hex digits, 32 hex digits
KEY = "0123456789abcdef" * 2
STAFFLESS_KEY = "f" * 32


@dataclass(kw_only=True)
class Tap:
    id: int
    name: str
    meter_name: str | None  # None: no meter is bound to it
    ticks_per_ml: float = 2.2
    relay_name: str = ""
    keg_id: int | None = 1
    beverage: str = ""  # nothing is told of the keg without
    keg_volume_ml: float = 50_000.0
    sensor_name: str = ""


@dataclass(kw_only=True)
class Token:
    device: str
    value: str
    username: str | None = None
    enabled: bool = True
    expire_unix_s: float | None = None


def default_taps() -> list[Tap]:
    return [
        Tap(id=1, name="Main Tap", meter_name="kegboard.flow0", relay_name="kegboard.relay0", keg_id=1),
        Tap(id=2, name="Side Tap", meter_name="kegboard.flow1", keg_id=2),
    ]


@dataclass(kw_only=True)
class Site:
    taps: list[Tap] = field(default_factory=default_taps)
    meters: set[str] = field(default_factory=set)  # known, but bound to no tap
    users: set[str] = field(default_factory=lambda: {"alice", "bob"})
    tokens: list[Token] = field(default_factory=list)
    keys: set[str] = field(default_factory=lambda: {KEY, KEY_2012})
    private: bool = False  # wants the key for reading too
    set_up: bool = True
    skew_s: float = 0.0  # the server's clock is this much ahead

    def tap_of(self, meter_name: str) -> Tap | None:
        return next((tap for tap in self.taps if tap.meter_name == meter_name), None)
