"""Which way a pour goes to today's server: as an event, which may be repeated, or by the form API, which says more.

Knows what the event endpoint drops in silence. Must not know sockets or the store; time is an argument.
Source: shared/kegbot-server-api.md, section 6, "Limits": with 200 the server drops a pour on a meter that is bound
to no tap, and on a tap without a keg; and without a grant of its own it makes every pour a guest's. So a batch that is
DONE was taken, not necessarily stored: who must know looks for its drinks (`look`), and sends by the form API what is
ABSENT.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from kegapps.server.calls import Pour
from kegapps.server.event_api import device_of
from kegapps.server.form_api import ServerTap

MAX_TAPS_AGE_S: Final = 10.0  # a keg may be taken off at any time; read the taps again right before a batch


class Way(StrEnum):
    """By which of the server's interfaces a pour is sent, or was; the core stores these words."""

    EVENT = "event"
    FORM = "form"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The way, and why it is not EVENT."""

    way: Way
    reason: str = ""
    look_first: bool = False
    """It may be on the server already, by the other way: look before it goes this one."""


def route(
    pour: Pour,
    *,
    kegboard_event: bool,
    paired: bool,
    taps: Iterable[ServerTap],
    taps_age_s: float,
    grant_id: str | None = None,
    posted_by_form: bool = False,
    sent_as_event: bool = False,
) -> Route:
    """The way of `pour`.

    `kegboard_event`: the server has the endpoint (`probe`). `paired`: the device of the pour's meter holds a token.
    `taps`: the server's, read `taps_age_s` seconds ago. `grant_id`: the server's grant under which it was poured.
    `posted_by_form`, `sent_as_event`: it was sent that way before, and whether the server has it is not known.
    """
    reason = _why_by_form(
        pour,
        kegboard_event=kegboard_event,
        paired=paired,
        taps=taps,
        taps_age_s=taps_age_s,
        grant_id=grant_id,
        posted_by_form=posted_by_form,
    )
    if not reason:
        return Route(way=Way.EVENT)
    return Route(way=Way.FORM, reason=reason, look_first=posted_by_form or sent_as_event)


def _why_by_form(
    pour: Pour,
    *,
    kegboard_event: bool,
    paired: bool,
    taps: Iterable[ServerTap],
    taps_age_s: float,
    grant_id: str | None,
    posted_by_form: bool,
) -> str:
    if posted_by_form:
        return "the form API may have it already, which the event would not know"
    if not kegboard_event:
        return "the server has no kegboard-event"
    if device_of(pour.meter_name) is None:
        return f"{pour.meter_name} has no meter number"
    if not paired:
        return "the board is not paired with the server"
    if pour.username and not grant_id:
        return "an event without the server's grant would make it a guest's"
    if not 0 <= taps_age_s <= MAX_TAPS_AGE_S:
        return "the server's taps were not read just now"
    tap = next((tap for tap in taps if tap.meter_name == pour.meter_name), None)
    if tap is None or not tap.has_meter:
        return "no tap of the server has this meter; an event would be dropped"
    if tap.keg_id is None:
        return "no keg is on; an event would be dropped"
    return ""
