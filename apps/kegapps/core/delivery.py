"""What becomes of a drink in the outbox: how it is sent, and what each answer makes of it.

Knows entries, verdicts and time. Must not know the store, sockets, or when the server can be reached (`dispatch`).
Source: shared/kegbot-server-api.md, sections 4 and 7. The form API takes the same drink twice as two drinks: that a
request is about to leave is written down before it does, and as long as its outcome is not known the server is asked
whether it has the drink before that is sent again.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

from kegapps.core.effects import Say
from kegapps.core.outbox import LONGEST_WAIT_S, Delivered, Entry, State
from kegapps.server import form_api, verdicts
from kegapps.server.answers import AnswerError
from kegapps.server.calls import Answer, Call
from kegapps.server.event_api import retry_delay_s
from kegapps.server.form_api import ServerTap
from kegapps.server.look import Attempt, Found, find_drink, look_calls
from kegapps.server.route import Way
from kegapps.server.verdicts import Asked, Kind, Verdict

LOOK_AFTER_S: Final = 5.0
"""A server that was cut off in the middle may still be about to record the drink: it is not asked sooner."""
LOOK_AFTER_SENDING_S: Final = 15.0
"""Nor, if nothing at all was answered, sooner than this after the request left; the other drinks wait as long."""
MAX_FAILURES: Final = 2
"""Of kegboard-event in a row: then a drink that it may have is looked for rather than told once more."""
MAX_REPEATS: Final = 1
"""A drink that the server may have and cannot be asked for is not sent again more often, unless a person says so."""
_NO_LOOK: Final = frozenset({401, 403, 404, 405, 410})  # what the server lacks, or this key may not ask


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What an answer makes of an entry."""

    record: Entry | Delivered
    says: tuple[Say, ...] = ()
    newest_drink_id: str | None = None
    """The newest drink that the server told of; None: it told of none."""
    could_tell: bool = True
    """False: a look could not tell whether the server has it."""


def must_look(entry: Entry) -> bool:
    """The server has to be asked whether it has this drink before that is sent."""
    return entry.sent_unix_s is not None


def about_to_send(entry: Entry, by: Way, *, now_unix_s: float, known_id: str | None) -> Entry:
    """The entry as it has to be on disk before the request leaves. Of several, the first tells when to look from."""
    if must_look(entry):
        return replace(entry, sent_by=by)
    return replace(entry, sent_unix_s=now_unix_s, sent_by=by, known_id=known_id)


def post(entry: Entry, *, now_unix_s: float, taps: Sequence[ServerTap]) -> Call:
    """The request that records it."""
    server_ml_per_tick = next(
        (tap.ml_per_tick for tap in taps if tap.meter_name == entry.pour.meter_name and tap.has_meter), None
    )
    return form_api.post_drink(
        entry.pour,
        now_unix_s=now_unix_s,
        server_ml_per_tick=server_ml_per_tick,
        with_user=not entry.without_user,
    )


def posted(entry: Entry, answer: Answer, *, now_unix_s: float, jitter: float) -> tuple[Result, Verdict]:
    """What the answer to `post` makes of it. `jitter` is a random number from 0 to 1."""
    username = None if entry.without_user else entry.pour.username
    verdict = verdicts.judge(answer, Asked.DRINK, username=username, server_errors=entry.errors)
    if verdict.kind is Kind.DONE:
        drink_id = form_api.read_drink(answer.body).id
        return _delivered(entry, drink_id, "", newest_drink_id=drink_id), verdict
    if not verdict.may_be_stored:
        entry = replace(entry, sent_unix_s=None, sent_by=None, known_id=None)
    if verdict.kind is Kind.STOP and not verdicts.server_message(answer.body)[0]:
        # Not in the API's own words: everybody's trouble, or this drink's alone. Then the others go first.
        wait_s = verdicts.delay_s(Kind.RETRY, entry.attempts + 1, jitter) or 0.0
        waiting = replace(entry, state=State.WAITING, reason=verdict.reason, attempts=entry.attempts + 1)
        return Result(record=replace(waiting, next_unix_s=now_unix_s + wait_s)), verdict
    if verdict.kind is Kind.STOP or (answer.status is None and not answer.sent):
        return Result(record=replace(entry, state=State.WAITING)), verdict  # no fault of this drink
    after = _failed(entry, answer, verdict, now_unix_s, jitter)
    return Result(record=after, says=_said(entry, after, verdict)), verdict


def told(
    entry: Entry,
    answer: Answer,
    verdict: Verdict,
    *,
    repeated: bool,
    failures: int,
    now_unix_s: float,
    jitter: float,
) -> Result:
    """What a failure of `kegboard-event` makes of it; `repeated`: it had been told before, with unknown outcome.

    `failures`: of the endpoint, in a row, with this one. After MAX_FAILURES the drink is looked for instead.
    """
    is_refused = answer.status is not None and (400 <= answer.status < 500 or answer.status == 503)
    if answer.sent and not is_refused:
        wait_s = retry_delay_s(failures, jitter) if failures < MAX_FAILURES else LOOK_AFTER_S
        after = replace(
            entry, reason=verdict.reason, attempts=entry.attempts + 1, next_unix_s=now_unix_s + wait_s
        )
        return Result(record=after, says=_said(entry, after, verdict))
    # Not stored by this request: it goes the other way, or the same one when the server is back.
    return Result(record=entry if repeated else replace(entry, sent_unix_s=None, sent_by=None, known_id=None))


def look_at(number: int) -> Call | None:
    """The request that asks whether the server has it: the first, the second ..; None: there is no other."""
    calls = look_calls()
    return calls[number] if number < len(calls) else None


def may_tell_later(answer: Answer) -> bool:
    """A look that could not tell may another time; False: not this one, for this drink."""
    if answer.error or answer.status != 200:
        return answer.status not in _NO_LOOK
    try:
        form_api.read_drinks(answer.body)
    except AnswerError:
        return True
    return False


def ids_told(answer: Answer) -> tuple[str, ...]:
    """The drinks that the answer to a look is about."""
    try:
        return tuple(drink.id for drink in form_api.read_drinks(answer.body)[0])
    except AnswerError:
        return ()


def looked(
    entry: Entry,
    answer: Answer,
    *,
    number: int,
    taken: Collection[str],
    taps: Sequence[ServerTap],
    now_unix_s: float,
    jitter: float,
    acknowledged: bool = False,
    later: bool = False,
) -> Result | None:
    """What the answer to look `number` makes of it; None: ask the next.

    `taken`: those of `ids_told` that are known to be other drinks of ours. `acknowledged`: `kegboard-event` has taken
    it, which the server also says of what it drops. `later`: an earlier look may tell another time.
    """
    attempt = Attempt(
        pour=entry.pour, sent_unix_s=entry.sent_unix_s or now_unix_s, after_drink_id=entry.known_id
    )
    look = find_drink(answer, attempt, now_unix_s=now_unix_s, taken=taken, taps=taps)
    if look.found is Found.FOUND:
        remark = "by kegboard-event" if acknowledged else "it was there already: the answer had been lost"
        return _delivered(entry, look.drink_id or "", remark, newest_drink_id=look.newest_drink_id)
    wait_s = verdicts.delay_s(Kind.RETRY, entry.attempts, jitter) or 0.0 if entry.attempts else 0.0
    unsent = replace(
        entry,
        state=State.WAITING,
        sent_unix_s=None,
        sent_by=None,
        known_id=None,
        next_unix_s=now_unix_s + min(wait_s, LONGEST_WAIT_S),
    )
    if look.found is Found.ABSENT and acknowledged:
        text = f"Drink {entry.drink_id} was taken by kegboard-event and dropped; it is sent by the older API"
        dropped = replace(unsent, sent_by=Way.FORM, next_unix_s=now_unix_s)
        return Result(record=dropped, says=(Say(level=logging.WARNING, text=text),))
    if look.found is Found.ABSENT:
        # The server may still be at it. Said once of a drink that the server fails at again and again.
        text = f"Drink {entry.drink_id} was sent, and is not on the Kegbot Server: it is sent again"
        says = (Say(level=logging.INFO, text=text),) if entry.errors <= 1 else ()
        return Result(record=unsent, says=says, newest_drink_id=look.newest_drink_id)
    if look_at(number + 1) is not None:
        return None
    if not (later or may_tell_later(answer)):
        return _untold(entry, unsent, look.reason, acknowledged, now_unix_s, jitter)
    wait_s = verdicts.delay_s(Kind.LOOK, entry.attempts + 1, jitter, answer.retry_after_s) or LOOK_AFTER_S
    return Result(
        record=replace(
            entry,
            state=State.LOOKING,
            reason=f"the server may have it, and cannot be asked: {look.reason}",
            attempts=entry.attempts + 1,
            next_unix_s=now_unix_s + min(wait_s, LONGEST_WAIT_S),
        ),
        could_tell=False,
    )


def is_servers_fault(answer: Answer, verdict: Verdict) -> bool:
    """Whatever was asked, no other question would have been answered either."""
    return bool(answer.error) or answer.status in (429, 502, 503, 504) or verdict.kind is Kind.STOP


def _untold(
    entry: Entry, unsent: Entry, reason: str, acknowledged: bool, now_unix_s: float, jitter: float
) -> Result:
    """No look can tell whether the server has it."""
    drink = f"Drink {entry.drink_id}"
    if entry.sent_by is not Way.EVENT and entry.repeats < MAX_REPEATS:
        # A drink twice is listed for all to see; one that is lost is not.
        text = f"{drink} is sent again, though the server may have it: {reason}"
        again = replace(unsent, sent_by=Way.FORM, repeats=entry.repeats + 1)
        return Result(record=again, says=(Say(level=logging.WARNING, text=text),), could_tell=False)
    settle = "look there; if it has it: outbox done"
    if entry.sent_by is not Way.EVENT:
        reason = f"the server may have it, even twice, and cannot be asked ({reason}): {settle}, if not: outbox retry"
        after = replace(entry, state=State.DEAD, reason=reason, attempts=entry.attempts + 1)
        text = f"{drink} is not sent again: {reason}"
    else:
        took = "took" if acknowledged else "may have taken"
        reason = f"the server {took} it by kegboard-event, but cannot be asked whether it kept it ({reason}): {settle}"
        wait_s = verdicts.delay_s(Kind.HOLD, entry.attempts + 1, jitter) or 0.0
        after = replace(
            entry,
            state=State.HELD,
            reason=reason,
            attempts=entry.attempts + 1,
            next_unix_s=now_unix_s + wait_s,
        )
        text = f"{drink} is held: {reason}"
    said = (entry.state, entry.reason) == (after.state, after.reason)
    return Result(
        record=after, says=() if said else (Say(level=logging.WARNING, text=text),), could_tell=False
    )


def _failed(entry: Entry, answer: Answer, verdict: Verdict, now_unix_s: float, jitter: float) -> Entry:
    wait_s = verdicts.delay_s(verdict.kind, entry.attempts + 1, jitter, verdict.retry_after_s) or 0.0
    state = {Kind.HOLD: State.HELD, Kind.DEAD: State.DEAD}.get(verdict.kind, State.WAITING)
    if verdict.may_be_stored:
        # It is looked for soon, and if it is not there sent again when that is due.
        has_ended = answer.status is not None and answer.status not in (502, 504)
        state, wait_s = State.LOOKING, 0.0 if has_ended else LOOK_AFTER_S
        if answer.status is None and entry.sent_unix_s is not None:
            wait_s = max(
                wait_s, min(LOOK_AFTER_SENDING_S, entry.sent_unix_s + LOOK_AFTER_SENDING_S - now_unix_s)
            )
    errors = entry.errors + 1 if answer.status == 500 else 0
    without_user = entry.without_user or verdict.kind is Kind.WITHOUT_USER
    if entry.without_user and answer.status == 500:
        without_user, errors = False, 0  # then the user is not the cause
    return replace(
        entry,
        state=state,
        reason=verdict.reason,
        attempts=entry.attempts + 1,
        next_unix_s=now_unix_s + min(wait_s, LONGEST_WAIT_S),
        without_user=without_user,
        errors=errors,
    )


def _said(before: Entry, after: Entry, verdict: Verdict) -> tuple[Say, ...]:
    """Once of each trouble."""
    drink = f"Drink {after.drink_id}"
    if after.without_user and not before.without_user:
        text = f"{drink} is sent without its user {after.pour.username}: {verdict.reason}"
        return (Say(level=logging.WARNING, text=text),)
    if (before.state, before.reason) == (after.state, after.reason):
        return ()
    if after.state is State.DEAD:
        text = f"{drink} cannot be delivered: {verdict.reason}; see: kegbot_admin.py outbox"
        return (Say(level=logging.ERROR, text=text),)
    what = "is held" if after.state is State.HELD else "waits"
    return (Say(level=logging.WARNING, text=f"{drink} {what}: {verdict.reason}"),)


def _delivered(entry: Entry, drink_id: str, remark: str, *, newest_drink_id: str | None) -> Result:
    if entry.without_user:
        remark = "; ".join(
            filter(None, (remark, f"without its user {entry.pour.username}, whom the server refuses"))
        )
    number = f" as {drink_id}" if drink_id else ""
    told = f" ({remark})" if remark else ""
    text = f"Drink {entry.drink_id} is on the Kegbot Server{number}{told}"
    return Result(
        record=Delivered(drink_id=entry.drink_id, server_drink_id=drink_id, remark=remark),
        says=(Say(level=logging.INFO, text=text),),
        newest_drink_id=newest_drink_id,
    )
