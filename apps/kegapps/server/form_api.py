"""The form API: 2012, 0.9.18 to 1.3, and today's /api/v1/. Builds its calls and reads its answers.

Knows the endpoints, parameters and shapes of section 3. Must not know sockets, clocks, or what is to be done
about a failure (`verdicts`). What a server says is checked field by field, and one that makes no sense is as if it were
not there; what it says beyond what is needed here is ignored.
Source: shared/kegbot-server-api.md, sections 1 to 3.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

from kegapps.server import answers
from kegapps.server.answers import AnswerError, Data
from kegapps.server.calls import Call, Pour
from kegapps.server.on_tap import OnServerTap, read_on_tap

GUEST: Final = "guest"  # today's username of nobody in particular
UNBOUND: Final = "unknown."  # and the tap's id: in place of a meter's name, if none is bound to it
LAST_EVENTS, LAST_DRINKS = 10, 100  # how much of each list the server gives, newest id first


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTap:
    """A tap as the server has it."""

    id: str
    """Empty where the server did not say."""
    name: str
    """What people call it; fit to show."""
    meter_name: str
    """`kegboard.flow0`; `unknown.<id>` if no meter is bound to it."""
    ml_per_tick: float
    """0 if no meter is bound to it: never divide by it."""
    relay_name: str
    """`<board>.<relay>`, or empty."""
    keg_id: str | None
    """None: no keg is on."""
    on: OnServerTap = field(default_factory=OnServerTap)
    """What is on it, for show."""
    fault: str = ""
    """Why it is not to be used, for people: what the server says of its meter or relay makes no sense."""

    @property
    def has_meter(self) -> bool:
        """A meter is bound to it."""
        return not self.fault and self.ml_per_tick > 0 and not self.meter_name.startswith(UNBOUND)


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
    """A drink as the server has it; None, and no id, where it did not say."""

    id: str
    ticks: int | None
    volume_ml: float | None
    time_unix_s: float | None
    """End of the pour, by the server's clock."""
    keg_id: str | None
    username: str | None
    """None: a guest, or the server did not say."""


def get_taps() -> Call:
    """All taps."""
    return Call(method="GET", path="taps")


def get_status() -> Call:
    """The site at a glance; 1.x and today."""
    return Call(method="GET", path="status")


def get_events(since: str | None = None) -> Call:
    """The last ten events, newest first; if `since` is given, of those after event `since`."""
    return Call(method="GET", path="events", form=(("since", since),) if since else ())


def get_drinks() -> Call:
    """The last hundred drinks, newest first; 2012 and 1.x, gone today (410)."""
    return Call(method="GET", path="drinks")


def get_drinks_of_today() -> Call:
    """The last fifty drinks, newest first, by today's own API beside /api/v1/ (section 5).

    A hundred are allowed, but each carries its keg's statistics, and they could exceed what is taken of an answer.
    """
    form = (("page_size", "50"),)
    return Call(method="GET", path="../drinks", form=form, key_as_password=True)


def get_token(device: str, value: str) -> Call:
    """Whose token it is. Asked in lower case: 2012 keeps them so, and since 1.x the match is exact."""
    return Call(method="GET", path=f"auth-tokens/{quote(device, safe='')}/{quote(value.lower(), safe='')}")


def post_drink(
    pour: Pour, *, now_unix_s: float, server_ml_per_tick: float | None = None, with_user: bool = True
) -> Call:
    """Record `pour`. To be built anew at each attempt: only `now_unix_s` minus the pour's time counts.

    `server_ml_per_tick`: the server's calibration of the meter now, None or 0 if it has none; the volume is sent
    along if the server would compute another one. `with_user=False`: as a guest's.
    """
    # A clock that was set back since must not date the drink into the server's future.
    age_s = max(0, round(now_unix_s - pour.end_unix_s))
    now = int(now_unix_s)
    form = [("pour_time", str(now - age_s)), ("ticks", str(pour.ticks)), ("now", str(now))]
    form.append(("tap_name", pour.meter_name))
    if with_user and pour.username:
        form.insert(0, ("username", pour.username))
    if (duration := round(pour.end_unix_s - pour.start_unix_s)) > 0:
        form.append(("duration", str(duration)))
    if server_ml_per_tick and not math.isclose(
        pour.volume_ml, pour.ticks * server_ml_per_tick, rel_tol=1e-6, abs_tol=1e-3
    ):
        form.append(("volume_ml", repr(float(pour.volume_ml))))
    return Call(method="POST", path=f"taps/{quote(pour.meter_name, safe='')}", form=tuple(form))


def post_temperature(sensor_name: str, celsius: float) -> Call:
    """Record a temperature of this minute: it cannot be back-dated. Twice in a minute overwrites."""
    form = (("temp_c", repr(float(celsius))),)
    return Call(method="POST", path=f"thermo-sensors/{quote(sensor_name, safe='')}", form=form)


def read_taps(body: bytes) -> tuple[ServerTap, ...]:
    """The taps in an answer to `get_taps` or `get_status`. Raises AnswerError."""
    data = answers.parse(body)
    taps = answers.objects_in(data, "objects") if "objects" in data else _in_status(data, "taps")
    return tuple(_tap(tap) for tap in taps)


def read_token(body: bytes) -> ServerToken:
    """The token in an answer to `get_token`. Raises AnswerError."""
    token = answers.object_in(answers.parse(body), "object")
    device, value = answers.text_in(token, "auth_device"), answers.id_in(token, "token_value")
    if not device or not value:
        raise AnswerError("the token in the answer has no auth_device or no token_value")
    enabled = token.get("enabled", True)
    if type(enabled) is not bool:
        raise AnswerError("enabled in the answer is neither true nor false")
    expires_unix_s = answers.time_in(token, "expire_time")
    if expires_unix_s is None and token.get("expire_time"):
        raise AnswerError("expire_time in the answer names no time zone")
    return ServerToken(
        device=device,
        value=value,
        username=answers.text_in(token, "username") or None,
        enabled=enabled,
        expires_unix_s=expires_unix_s,
    )


def read_drink(body: bytes) -> ServerDrink:
    """The drink in an answer to `post_drink`. That it has an id is all there is to be sure of. Raises AnswerError."""
    drink = _drink(answers.object_in(answers.parse(body), "object"))
    if not drink.id:
        raise AnswerError("the drink in the answer has no id")
    return drink


def read_drinks(body: bytes) -> tuple[tuple[ServerDrink, ...], bool]:
    """The drinks in an answer to `get_events`, `get_drinks` or `get_drinks_of_today`, the last recorded first.

    And whether there may be older ones. Raises AnswerError.
    """
    data = answers.parse(body)
    if "results" in data:
        return tuple(_drink_of_today(drink) for drink in answers.objects_in(data, "results")), bool(
            data.get("next")
        )
    entries = answers.objects_in(data, "objects")
    if any("kind" in entry or "drink" in entry for entry in entries):
        drinks = [_drink(drink) for entry in entries if (drink := _poured(entry)) is not None]
        return tuple(drinks), len(entries) >= LAST_EVENTS
    return tuple(_drink(entry) for entry in entries), len(entries) >= LAST_DRINKS


def read_status_drinks(body: bytes) -> tuple[ServerDrink, ...]:
    """Five drinks in an answer to `get_status`: those poured last, whenever they were recorded; none if it has none."""
    try:
        return tuple(_drink(entry) for entry in _in_status(answers.parse(body), "drinks"))
    except AnswerError:
        return ()


def newest_id(drinks: Iterable[ServerDrink]) -> str | None:
    """The id that was given last: the highest if they are numbers, else the first; None if there are no drinks."""
    ids = [drink.id for drink in drinks if drink.id]
    numbers = [int(one) for one in ids if one.isascii() and one.isdecimal()]
    return str(max(numbers)) if numbers else ids[0] if ids else None


def is_older(drink_id: str, than_id: str | None) -> bool:
    """It was given before `than_id`, as far as numbers tell; False for other ids, and for None."""
    if than_id is None or not (drink_id.isdecimal() and than_id.isdecimal()):
        return False
    return int(drink_id) < int(than_id)


def read_version(body: bytes) -> str:
    """The server's version in an answer to `get_status`; empty if it does not say. Raises AnswerError."""
    status = answers.object_in(answers.parse(body), "object")
    return answers.label_in(answers.nested_in(status, "site_info"), "server_version")


def _in_status(data: Data, field: str) -> list[Data]:
    return answers.objects_in(answers.object_in(data, "object"), field)


def _tap(tap: Data) -> ServerTap:
    tap_id = answers.if_sane(answers.id_in, tap, "id") or ""
    meter_name, ml_per_tick, relay_name, fault = "", 0.0, "", "" if tap else "it is no object"
    keg_id = answers.if_sane(answers.id_in, tap, "current_keg_id")
    try:
        meter_name = answers.text_in(tap, "meter_name")
        if not meter_name and tap.get("ml_per_tick"):
            fault = "the server says no meter_name"
        elif not meter_name.startswith(UNBOUND):
            ml_per_tick = answers.number_in(tap, "ml_per_tick") or 0.0
            relay_name = answers.text_in(tap, "relay_name")
    except AnswerError as error:
        fault = str(error)
    return ServerTap(
        id=tap_id,
        name=answers.label_in(tap, "name"),
        meter_name=meter_name or f"{UNBOUND}{tap_id}",
        ml_per_tick=max(0.0, ml_per_tick),
        relay_name=relay_name,
        keg_id=keg_id if meter_name else None,  # else it is not known whose keg it is
        on=read_on_tap(tap),
        fault=fault,
    )


def _drink(drink: Data) -> ServerDrink:
    username = answers.if_sane(answers.text_in, drink, "user_id")
    return ServerDrink(
        id=answers.if_sane(answers.id_in, drink, "id") or "",
        ticks=answers.if_sane(answers.whole_in, drink, "ticks"),
        volume_ml=answers.if_sane(answers.number_in, drink, "volume_ml"),
        # `pour_time` in the oldest answers.
        time_unix_s=answers.if_sane(answers.time_in, drink, "time" if "time" in drink else "pour_time"),
        keg_id=answers.if_sane(answers.id_in, drink, "keg_id"),
        username=None if username in ("", GUEST) else username,
    )


def _drink_of_today(drink: Data) -> ServerDrink:
    user, keg = answers.nested_in(drink, "user"), answers.nested_in(drink, "keg")
    return _drink(drink | {"user_id": user.get("username"), "keg_id": keg.get("id")})


def _poured(event: Data) -> Data | None:
    # Every event of a session names a drink; only those of this kind tell of a new one. In doubt it may be one.
    if answers.if_sane(answers.text_in, event, "kind") not in ("drink_poured", "", None):
        return None
    drink = event.get("drink")
    return drink if type(drink) is dict else {"id": event.get("drink_id")}
