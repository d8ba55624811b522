"""Which way a pour goes to today's server: as an event, which may be repeated, or by the form API, which says more.

Knows what the event endpoint drops in silence. Must not know sockets or the store; time is an argument.
Source: shared/kegbot-server-api.md, section 6, "Limits": with 200 the server drops a pour on a meter that is bound
to no tap, and on a tap without a keg; and without a grant of its own it makes every pour a guest's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from kegapps.server.calls import Pour
from kegapps.server.event_api import device_of
from kegapps.server.form_api import ServerTap

MAX_TAPS_AGE_S: Final = 10.0  # a keg may be taken off at any time; read the taps again right before a batch


class Way(Enum):
    """How to send a pour."""

    EVENT = "event"
    FORM = "form"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The way, and why it is not EVENT."""

    way: Way
    reason: str = ""


def route(
    pour: Pour,
    *,
    kegboard_event: bool,
    paired: bool,
    taps: Iterable[ServerTap],
    taps_age_s: float,
    grant_id: str | None = None,
    posted_by_form: bool = False,
) -> Route:
    """The way of `pour`.

    `kegboard_event`: the server has the endpoint (`probe`). `paired`: the device of the pour's meter holds a token.
    `taps`: the server's, read `taps_age_s` seconds ago. `grant_id`: the server's grant under which it was poured.
    `posted_by_form`: it was posted by the form API with an unknown outcome; only there can it be looked for.
    """
    if not kegboard_event or posted_by_form:
        return Route(
            way=Way.FORM, reason="posted before" if posted_by_form else "the server has no kegboard-event"
        )
    if device_of(pour.meter_name) is None:
        return Route(way=Way.FORM, reason=f"{pour.meter_name} has no meter number")
    if not paired:
        return Route(way=Way.FORM, reason="the board is not paired with the server")
    if pour.username and not grant_id:
        return Route(way=Way.FORM, reason="an event without the server's grant would make it a guest's")
    if not 0 <= taps_age_s <= MAX_TAPS_AGE_S:
        return Route(way=Way.FORM, reason="the server's taps were not read just now")
    tap = next((tap for tap in taps if tap.meter_name == pour.meter_name), None)
    if tap is None or not tap.has_meter:
        return Route(way=Way.FORM, reason="no tap of the server has this meter; an event would be dropped")
    if tap.keg_id is None:
        return Route(way=Way.FORM, reason="no keg is on; an event would be dropped")
    return Route(way=Way.EVENT)
