"""What travels on kegnet: each event as a frozen record, its field names those of the wire.

Knows names, types and units. Must not know bytes, sockets or clocks.
Source: the recorded kegnet sessions of 2012 (docs/kegnet.rst). `age_s` is ours: 2012 peers ignore it. So are all
kinds of `Ping` but the empty one: a 2012 peer closes the connection for an event that it does not know, but ignores
a Ping and all that is in it, so what only our programs understand travels as that.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

ALL_TAPS: Final = "__all_taps__"  # TokenAuthEvent.tap_name: every tap the core knows
GUEST: Final = (
    "guest"  # DrinkCreatedEvent.username of an anonymous drink, unless a core is told to say otherwise
)
MAX_READING: Final = 2**32 - 1  # a board's odometer has 32 bits and wraps to 0 after this
MAX_DRINKS: Final = 100  # in one answer: with the longest names it is as long as an app takes

FlowRequestKind = Literal["start_flow", "stop_flow", "report_status"]
TokenStatus = Literal["added", "removed"]
FlowState = Literal["initial", "active", "idle", "completed", "close_wait"]
OutputMode = Literal["enabled", "disabled"]
BoardState = Literal["online", "silent", "absent", "too_old", "refused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterUpdate:
    """A meter's odometer showed `reading` ticks (0..MAX_READING), `age_s` seconds ago.

    `gap_s`: for so many seconds since the meter's reading before, the board could not be heard, though it may have
    counted. `board_uptime_s`: the board was running for no longer than this by then, 0 if that is not known. Both are
    ours; absent on the wire if 0, and 2012 peers ignore them.
    """

    tap_name: str
    reading: int
    age_s: float = 0.0
    gap_s: float = 0.0
    board_uptime_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowRequest:
    """Somebody asked, `age_s` seconds ago, to start or stop a flow (`report_status` asks for nothing)."""

    tap_name: str
    request: FlowRequestKind
    age_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenAuthEvent:
    """A token was put on or taken from a reader `age_s` seconds ago; `tap_name` may be ALL_TAPS.

    `auth_device_name` is `core.onewire`, `core.rfid` or any other; `token_value` lower-case hex, most
    significant byte first.
    """

    tap_name: str
    auth_device_name: str
    token_value: str
    status: TokenStatus
    age_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ThermoEvent:
    """A sensor showed `sensor_value` degrees C, `age_s` seconds ago; the core judges if that can be."""

    sensor_name: str
    sensor_value: float
    age_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowUpdate:
    """How a flow stands: `ticks` and `volume_ml` so far, None as `username` when anonymous, times in UTC."""

    flow_id: int
    tap_name: str
    state: FlowState
    username: str | None
    start_time: datetime
    last_activity_time: datetime
    ticks: int
    volume_ml: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DrinkCreatedEvent:
    """A flow became the drink `drink_id`, times in UTC; `username` is the guest if the pour was anonymous."""

    flow_id: int
    drink_id: int
    tap_name: str
    start_time: datetime
    end_time: datetime
    username: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetRelayOutputEvent:
    """Open (`enabled`) or close (`disabled`) the relay `output_name`, such as `kegboard.relay0`."""

    output_name: str
    output_mode: OutputMode


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping:
    """Nothing happened; everybody accepts it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """An app shows its `token` to a core that wants one: its first message. On the wire a Ping."""

    token: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardStatus:
    """A board daemon tells how its board is, and `detail`, for a person, why. On the wire a Ping.

    `state` is `board_state` there. Unknown are: `firmware_version` and `uptime_s` (of the board) if None,
    `serial_number` and `device` (a path) if empty. For `listened_s` seconds the daemon has heard all that the board
    said, and the board has not booted; unknown if None.
    """

    board_name: str
    state: BoardState
    detail: str = ""
    firmware_version: int | None = None
    serial_number: str = ""
    device: str = ""
    uptime_s: float | None = None
    listened_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusRequest:
    """An app asks the core for a CoreStatus. On the wire a Ping."""

    want: Literal["status"] = "status"


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreStatus:
    """The core's answer to the one app that asked. On the wire a Ping.

    `report` is `status` there: what JSON can carry, at most 8 deep and some 500,000 bytes long.
    """

    report: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class DrinksRequest:
    """An app asks the core for stored drinks, oldest first. On the wire a Ping, with `after` as `drinks_after`.

    Asked for are the first `limit` (1..MAX_DRINKS) above the drink_id `after`; if that is -1, the newest `limit`.
    """

    after: int
    limit: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class DrinkFacts:
    """A drink as it is stored, times in Unix seconds; `username` is None if it is nobody's.

    `beverage` is what was in the keg, empty if that is not known.
    """

    drink_id: int
    uuid: str
    flow_id: int
    tap_name: str
    username: str | None
    ticks: int
    volume_ml: float
    start_unix_s: float
    end_unix_s: float
    beverage: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drinks:
    """The core's answer to the one app that asked for drinks. On the wire a Ping.

    `last_id` is the highest drink_id that is stored, 0 if there is none: who has not got that far asks on. `store_id`
    names the store, and any copy of it; empty if the core does not tell.
    """

    drinks: tuple[DrinkFacts, ...]
    last_id: int
    store_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The core's last words to an app that it does not serve: why. On the wire a Ping, with `reason` as `refused`."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """An app tells its `session`, and that the message after this one is number `next` of it. On the wire a Ping."""

    session: str
    next: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """The core tells one app that it stored what came of all messages of its session below `took`. A Ping, too."""

    took: int


AppEvent = MeterUpdate | FlowRequest | TokenAuthEvent | ThermoEvent
CoreEvent = FlowUpdate | DrinkCreatedEvent | SetRelayOutputEvent
PingEvent = (
    Ping
    | Credentials
    | BoardStatus
    | StatusRequest
    | CoreStatus
    | DrinksRequest
    | Drinks
    | Refusal
    | Session
    | Taken
)
Event = AppEvent | CoreEvent | PingEvent

# Who may send what. A core refuses CORE_EVENTS from its apps, an app refuses APP_EVENTS from its core.
APP_EVENTS: Final = (MeterUpdate, FlowRequest, TokenAuthEvent, ThermoEvent)
CORE_EVENTS: Final = (FlowUpdate, DrinkCreatedEvent, SetRelayOutputEvent)
APP_PINGS: Final = (
    BoardStatus,
    StatusRequest,
    DrinksRequest,
)  # and Credentials and Session, which no core gets to see
CORE_PINGS: Final = (CoreStatus, Drinks, Refusal, Taken)
