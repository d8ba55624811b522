"""The form API: 2012, 0.9.18 to 1.3, and today's /api/v1/. Builds its calls and reads its answers.

Knows the endpoints, parameters and shapes of section 3. Must not know sockets, clocks, or what is to be done
about a failure (`verdicts`). What a server says is checked; what it says beyond what is needed here is ignored.
Source: shared/kegbot-server-api.md, sections 1 to 3.
"""

from __future__ import annotations

from dataclasses import dataclass

from kegapps.server.calls import Call, Pour


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTap:
    """A tap as the server has it."""

    id: str
    name: str
    """What people call it."""
    meter_name: str
    """`kegboard.flow0`; `unknown.<id>` if no meter is bound to it."""
    ml_per_tick: float
    """0 if no meter is bound to it: never divide by it."""
    relay_name: str
    """`<board>.<relay>`, or empty."""
    keg_id: str | None
    """None: no keg is on."""

    @property
    def has_meter(self) -> bool:
        """A meter is bound to it."""
        return self.ml_per_tick > 0 and not self.meter_name.startswith("unknown.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerToken:
    """A token as the server has it."""

    device: str
    value: str
    username: str | None
    """None: assigned to nobody."""
    enabled: bool
    expires_unix_s: float | None
    """None: never."""

    def valid(self, now_unix_s: float) -> bool:
        """It may be used at `now_unix_s` by its user. The server's `enabled` does not consider the date."""
        return self.enabled and (self.expires_unix_s is None or now_unix_s < self.expires_unix_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerDrink:
    """A drink as the server has it."""

    id: str
    ticks: int | None
    """None where the server did not say."""
    volume_ml: float | None
    time_unix_s: float | None
    """End of the pour, by the server's clock."""
    keg_id: str | None
    username: str | None
    """None: a guest."""


def get_taps() -> Call:
    """All taps."""
    raise NotImplementedError


def get_status() -> Call:
    """The site at a glance, with its last five drinks; 1.x and today."""
    raise NotImplementedError


def get_events(since: str | None = None) -> Call:
    """The last ten events, newest first; those after event `since`."""
    raise NotImplementedError


def get_token(device: str, value: str) -> Call:
    """Whose token it is. Asked in lower case, as servers keep them."""
    raise NotImplementedError


def post_drink(
    pour: Pour, *, now_unix_s: float, server_ml_per_tick: float | None = None, with_user: bool = True
) -> Call:
    """Record `pour`. To be built anew at each attempt: only `now_unix_s` minus the pour's time counts.

    `server_ml_per_tick`: the server's calibration of the meter now, None if unknown; the volume is sent along if
    it differs from the one at the pour. `with_user=False`: as a guest's.
    """
    raise NotImplementedError


def post_temperature(sensor_name: str, celsius: float) -> Call:
    """Record a temperature, now: it cannot be back-dated."""
    raise NotImplementedError


def read_taps(body: bytes) -> tuple[ServerTap, ...]:
    """The taps in an answer to `get_taps` or `get_status`. Raises AnswerError."""
    raise NotImplementedError


def read_token(body: bytes) -> ServerToken:
    """The token in an answer to `get_token`. Raises AnswerError."""
    raise NotImplementedError


def read_drink(body: bytes) -> ServerDrink:
    """The drink in an answer to `post_drink`. Raises AnswerError."""
    raise NotImplementedError


def read_drinks(body: bytes) -> tuple[ServerDrink, ...]:
    """The drinks in an answer to `get_events` or `get_status`, as they come. Raises AnswerError."""
    raise NotImplementedError
