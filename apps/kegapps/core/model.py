"""The core's nouns: what is kept of taps, meters, flows, drinks, tokens and temperatures.

Knows values and their units. Must not know how they are stored, sent or decided upon.
Wall times are Unix seconds (`..._unix_s`, UTC); monotonic times (`..._mono_s`) mean something in one boot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


def board_of(name: str) -> str:
    """The board of a meter, relay or sensor, such as `kegboard.flow0`; "" if the name tells of none."""
    return name.rpartition(".")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """One instant, by both clocks: timers use `mono_s`, what is stored and sent uses `unix_s`."""

    mono_s: float
    unix_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tap:
    """A tap is named by its meter, `<board>.<port>`; people edit the rest."""

    name: str
    ml_per_tick: float
    relay_name: str = ""
    """`<board>.<relay>`, such as `kegboard.relay0`; empty if the tap has no valve."""
    description: str = ""
    keg_id: int | None = None
    beverage: str = ""
    """What is in that keg, or in the one that the Kegbot Server has on this tap."""
    source: str = "local"
    """Who says so: `local`, or `server` if the Kegbot Server has this tap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """The odometer of one tap, and an account of every tick it showed.

    counted_ticks = ticks of drinks + ticks of open flows + small_ticks.
    """

    name: str
    last_reading: int
    """Ticks, as the board counts."""
    read_unix_s: float
    """Time of the last reading that differed from the one before."""
    read_mono_s: float
    counted_ticks: int = 0
    small_ticks: int = 0
    """Ticks of flows too small to be a drink."""
    dropped_ticks: int = 0
    """Ticks that were not believed, in `dropped_steps` readings, the last for `dropped_reason`."""
    dropped_steps: int = 0
    dropped_reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """A pour under way on one tap."""

    uuid: str
    """Becomes the drink's: however often it is retried, there is one drink of it."""
    flow_id: int
    tap_name: str
    username: str | None
    """None: nobody in particular."""
    idle_limit_s: float
    start_unix_s: float
    last_unix_s: float
    """Time of the last counted ticks; before any, of the start."""
    last_mono_s: float
    ticks: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Drink:
    """A flow that is over and was large enough."""

    uuid: str
    flow_id: int
    tap_name: str
    username: str | None
    ticks: int
    ml_per_tick: float
    volume_ml: float
    start_unix_s: float
    end_unix_s: float
    """Time of the last ticks."""
    keg_id: int | None = None
    beverage: str = ""
    """What it was called when it was poured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """The token that is on a tap's reader now."""

    tap_name: str
    device: str
    token: str
    accepted: bool
    """It belongs to a user who may pour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Temperature:
    """One sensor's temperature in one clock minute (Unix seconds // 60)."""

    sensor_name: str
    unix_minute: int
    celsius: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorReading:
    """What a sensor showed last, and how long ago that was."""

    sensor_name: str
    celsius: float
    unix_s: float
    age_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OnTap:
    """What is on a tap now, by the store; None is unknown, and texts are empty then."""

    description: str = ""
    beverage: str = ""
    keg_volume_ml: float | None = None
    keg_left_ml: float | None = None
    """What its drinks left; a flow under way is not among them yet."""
    sensor_name: str = ""
    """Of its temperature, if a person or the Kegbot Server says which."""
    temperature_c: float | None = None
    temperature_unix_s: float | None = None
    """How warm it was by the Kegbot Server, and when."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenAnswer:
    """What the Kegbot Server said of a token."""

    device: str
    token: str
    username: str | None
    """None: it is nobody's."""
    enabled: bool = True
    expires_unix_s: float | None = None
    """From then on it is not accepted; None: no such time."""
    asked_unix_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What people decide: taps by name, and who may pour, by (device, token)."""

    taps: Mapping[str, Tap] = field(default_factory=dict)
    users: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """Username of each token that is enabled and belongs to an enabled user."""
    refused: frozenset[tuple[str, str]] = frozenset()
    """Tokens that people here have disabled, or whose user: whatever a server says of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What the core knew when it ended, however it ended."""

    meters: tuple[Meter, ...] = ()
    flows: tuple[Flow, ...] = ()
    presences: tuple[Presence, ...] = ()
    last_flow_id: int = 0
    temperatures: tuple[Temperature, ...] = ()
    """The last stored of each sensor."""
    token_answers: tuple[TokenAnswer, ...] = ()
    sessions: Mapping[str, int] = field(default_factory=dict)
    """Below which number what came of an app's messages is stored, by its session, oldest first."""
    """What the Kegbot Server said of tokens, oldest first."""
