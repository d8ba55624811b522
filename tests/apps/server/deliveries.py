"""A drink delivered by the form API as an outbox does it, in a few lines: post, judge, look before posting again."""

from __future__ import annotations

import time

from kegapps.server import form_api
from kegapps.server.look import Attempt, Found, Look, find_drink, look_calls
from kegapps.server.verdicts import Asked, Kind, judge
from tests.apps.server.emulators import Emulator
from tests.apps.server.support import ask, pour

# Of a call that is answered, however busy this machine is: one that was given up while it is handled may be recorded
# after the look, and that double would be no fault of ours.
TIMEOUT_S = 10.0


def looked(emulator: Emulator, attempt: Attempt, timeout_s: float = TIMEOUT_S) -> Look:
    """What the looks say of `attempt`, asked in turn."""
    found = Look(found=Found.UNKNOWN)
    for call in look_calls():
        (answer,) = ask(emulator.url, emulator.key, call, timeout_s=timeout_s)
        found = find_drink(answer, attempt, now_unix_s=time.time())
        if found.found is not Found.UNKNOWN:
            return found
    return found


def deliver(emulator: Emulator, ticks: int, after: str | None, *, timeout_s: float = TIMEOUT_S) -> str:
    """The server's id of a drink of `ticks`; `after` is the newest one before it."""
    drunk = pour(ticks, username="alice", ended_s_ago=5.0)
    attempt: Attempt | None = None
    for _ in range(200):
        if attempt is not None:
            found = looked(emulator, attempt, timeout_s)
            if found.found is Found.FOUND:
                assert found.drink_id
                return found.drink_id
            if found.found is Found.UNKNOWN:
                continue
            attempt = None
        now_unix_s = time.time()
        call = form_api.post_drink(drunk, now_unix_s=now_unix_s)
        (answer,) = ask(emulator.url, emulator.key, call, timeout_s=timeout_s)
        verdict = judge(answer, Asked.DRINK, username="alice")
        if verdict.kind is Kind.DONE:
            return form_api.read_drink(answer.body).id
        if verdict.may_be_stored:
            attempt = Attempt(pour=drunk, sent_unix_s=now_unix_s, after_drink_id=after)
    raise AssertionError("not delivered")
