"""Whether a drink whose answer was lost is on the server already: asked before it is posted again.

Knows how a drink looks after the server took it. Must not know sockets, clocks or the store.
Source: shared/kegbot-server-api.md, sections 3 and 7 (the form API takes the same drink twice as two drinks).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from kegapps.server import form_api
from kegapps.server.answers import AnswerError
from kegapps.server.calls import Answer, Call, Pour
from kegapps.server.form_api import ServerDrink, ServerTap, is_older

# Whole seconds in `now`, `pour_time`, the server's `Date` and 2012's drinks, each cut off.
_ROUNDING_S: Final = 4.0
_CLOCK_S: Final = 600.0  # how far the two clocks may be apart if the server does not tell its own


class Found(Enum):
    """What a look gave."""

    FOUND = "found"
    """The drink is there: done."""
    ABSENT = "absent"
    """The server tells of every drink since the attempt, and this one is not among them: post it again."""
    UNKNOWN = "unknown"
    """The answer does not reach back far enough or makes no sense: ask the next, or later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A drink that was posted without an answer that tells its fate: to be stored before the Call is performed."""

    pour: Pour
    sent_unix_s: float
    """`now_unix_s` of the first of the attempts whose fate is unknown."""
    after_drink_id: str | None = None
    """The newest drink known on the server before that, by the answers to earlier posts and looks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The result of a look."""

    found: Found
    drink_id: str | None = None
    """The server's id of the drink, if FOUND."""
    newest_drink_id: str | None = None
    """The newest drink the server told of, whosever it is: `after_drink_id` of the next attempt."""
    numbering_fell_back: bool = False
    """That is older than `after_drink_id`: a backup was restored, or the newest drinks were cancelled."""
    reason: str = ""
    """Why UNKNOWN, for people, one line."""


def look_calls() -> tuple[Call, ...]:
    """What to ask in turn until one answer gives FOUND or ABSENT.

    Every server has the first, all but today's (410) the second, and today's alone the third, which a private site
    refuses (401, 403) to a key that is no user's. The drinks in `status` prove nothing: they are those poured last,
    and one that was delivered late is not among them.
    """
    return form_api.get_events(), form_api.get_drinks(), form_api.get_drinks_of_today()


def find_drink(
    answer: Answer,
    attempt: Attempt,
    *,
    now_unix_s: float,
    taken: Collection[str] = (),
    taps: Sequence[ServerTap] = (),
) -> Look:
    """Whether `attempt` was recorded, by `answer` to one of `look_calls`, which came at `now_unix_s`.

    `taken`: ids of drinks on the server that are known to be others' (the outbox's done ones, as far as they are
    newer than `after_drink_id`). `taps`: the last reading of the server's taps, to tell the kegs of other meters.
    """
    if answer.status != 200 or answer.error:
        return Look(found=Found.UNKNOWN, reason=answer.error or f"the server answered {answer.status}")
    try:
        drinks, cut = form_api.read_drinks(answer.body)
    except AnswerError as error:
        return Look(found=Found.UNKNOWN, reason=str(error))
    newest = form_api.newest_id(drinks)
    fell_back = newest is not None and is_older(newest, attempt.after_drink_id)
    # Numbers that are given anew say neither what is newer nor whose a drink is.
    after_id = None if fell_back else attempt.after_drink_id
    newer = list(_newer(drinks, after_id))
    skew_s = None if answer.date_unix_s is None else answer.date_unix_s - now_unix_s
    in_doubt = False
    # The oldest of those that fit: what was posted later by others stays theirs.
    for drink in reversed(newer):
        if drink.id and drink.id in taken and not fell_back:
            continue
        match _compare(drink, attempt, now_unix_s, skew_s, taps, is_newer=after_id is not None):
            case Found.FOUND:
                return Look(
                    found=Found.FOUND,
                    drink_id=drink.id,
                    newest_drink_id=newest,
                    numbering_fell_back=fell_back,
                )
            case Found.UNKNOWN:
                in_doubt = True
    reason = ""
    if in_doubt:
        reason = "the server has a drink that may be this one, but does not say enough of it"
    elif cut and fell_back:
        reason = (
            f"the server's newest drink is {newest}, older than {attempt.after_drink_id}, which was known: "
            "was a backup restored?"
        )
    elif cut and len(newer) == len(drinks):
        reason = "the server tells only of its latest drinks, all of them newer than the attempt"
    return Look(
        found=Found.UNKNOWN if reason else Found.ABSENT,
        newest_drink_id=newest,
        numbering_fell_back=fell_back,
        reason=reason,
    )


def _newer(drinks: Iterable[ServerDrink], after_id: str | None) -> Iterable[ServerDrink]:
    """Those recorded after `after_id`, the last first. Ids that are numbers rise; others are only compared."""
    for drink in drinks:
        if after_id is not None:
            if drink.id == after_id:
                return
            if is_older(drink.id, after_id):
                continue
        yield drink


def _compare(
    drink: ServerDrink,
    attempt: Attempt,
    now_unix_s: float,
    skew_s: float | None,
    taps: Sequence[ServerTap],
    *,
    is_newer: bool,
) -> Found:
    """Whether `drink` is the one attempted; UNKNOWN: nothing that is told of it says that it is not.

    `is_newer`: by its number it was recorded since.
    """
    pour = attempt.pour
    is_sure = bool(drink.id)
    if drink.ticks is not None:
        if drink.ticks != pour.ticks:
            return Found.ABSENT
    elif drink.volume_ml is not None:
        rates = [pour.volume_ml / pour.ticks] if pour.ticks else [0.0]
        rates += [tap.ml_per_tick for tap in taps if tap.meter_name == pour.meter_name]
        if not any(
            math.isclose(drink.volume_ml, pour.ticks * rate, rel_tol=1e-4, abs_tol=0.1) for rate in rates
        ):
            return Found.ABSENT
    else:
        is_sure = False
    # A user the server does not know is a guest to that of 2012; so is one left out after repeated refusals.
    if drink.username is not None and drink.username.casefold() != (pour.username or "").casefold():
        return Found.ABSENT
    kegs_of_others = {tap.keg_id for tap in taps if tap.meter_name != pour.meter_name}
    kegs_of_ours = {tap.keg_id for tap in taps if tap.meter_name == pour.meter_name}
    if drink.keg_id is not None and drink.keg_id in kegs_of_others - kegs_of_ours:
        return Found.ABSENT
    if drink.time_unix_s is None or now_unix_s < attempt.sent_unix_s - _ROUNDING_S:
        # No time to compare with, or our clock was set back since: then that it is newer has to do.
        return Found.FOUND if is_sure and is_newer else Found.UNKNOWN
    # The server dates a drink from the moment it handles the call, which it may have done any time until now.
    clock_s = _CLOCK_S if skew_s is None else _ROUNDING_S
    late_s = drink.time_unix_s - (_dated_unix_s(attempt) + (skew_s or 0.0))
    if not -clock_s <= late_s <= now_unix_s - attempt.sent_unix_s + clock_s:
        return Found.ABSENT
    return Found.FOUND if is_sure else Found.UNKNOWN


def _dated_unix_s(attempt: Attempt) -> float:
    """The time the drink was posted with, by our clock: a pour is never in the future."""
    return min(attempt.pour.end_unix_s, attempt.sent_unix_s)
