"""What to ask the Kegbot Server next, one call at a time, and when to leave it alone.

Knows the kinds of calls, their order, and time. Must not know the store, sockets, or what becomes of a drink
(`delivery`). People who wait with a token in their hand come first, then what the server has to say, then what it is
to be told.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import replace
from typing import Final

from kegapps.core import delivery
from kegapps.core.effects import Say
from kegapps.core.event_route import EventRoute
from kegapps.core.jobs import Job, Outcome, Purpose, Trouble, look_for, token_answer
from kegapps.core.model import Now
from kegapps.core.outbox import Entry
from kegapps.server import form_api, verdicts
from kegapps.server.answers import AnswerError
from kegapps.server.calls import Answer
from kegapps.server.form_api import ServerTap, is_older
from kegapps.server.probe import Finding, Probe
from kegapps.server.probe import State as ProbeState
from kegapps.server.route import Way
from kegapps.server.url import ApiUrl
from kegapps.server.verdicts import Asked, Kind, Verdict

TAPS_EVERY_S: Final = 60.0
HURRY_S: Final = 5.0
"""A new drink, or a person's edit, is worth another try with a server in trouble, but not more often than this."""
TEMPERATURE_S: Final = 60.0
"""A temperature cannot be back-dated: one that could not be sent within its minute is not sent at all."""
MAX_TEMPERATURES: Final = 64


class Dispatch:
    """The state of one Kegbot Server as the core sees it."""

    def __init__(
        self,
        url: ApiUrl,
        *,
        has_key: bool,
        events: EventRoute | None = None,
        newest_drink_id: str | None = None,
        taps: tuple[ServerTap, ...] = (),
    ) -> None:
        """`events`: None if `kegboard-event` is not to be used.

        `newest_drink_id` and `taps` are what was known of the server when the core ended.
        """
        self.newest_drink_id = newest_drink_id
        self.taps = taps
        self.finding: Finding | None = None
        self._url = url
        self._has_key = has_key
        self._events = events
        self._probe: Probe | None = None
        self.trouble: Trouble | None = None
        self.last_ok_unix_s: float | None = None
        self._failures = 0
        self._taps_due_mono_s = 0.0
        self._taps_read_mono_s = float("-inf")
        self._tokens: deque[tuple[str, str]] = deque()
        self._temperatures: dict[str, tuple[float, float]] = {}
        self._look: Job | None = None

    @property
    def is_usable(self) -> bool:
        """It answered as it should when it was last asked."""
        return self.finding is not None and self.trouble is None

    # What is to be asked

    def ask_token(self, device: str, token: str) -> bool:
        """Ask whose token this is; False: the server cannot be asked now."""
        if not self.is_usable:
            return False
        self._tokens.append((device, token))
        return True

    def tell_temperature(self, sensor_name: str, celsius: float, at_unix_s: float, now: Now) -> None:
        """Tell it with its time or, where that is not possible, if it is of this minute; of each sensor the latest."""
        if self._events is not None and self._events.keep_temperature(sensor_name, celsius, at_unix_s):
            return
        is_now = abs(now.unix_s - at_unix_s) < TEMPERATURE_S
        has_room = sensor_name in self._temperatures or len(self._temperatures) < MAX_TEMPERATURES
        if self.is_usable and is_now and has_room:
            self._temperatures[sensor_name] = celsius, now.mono_s

    def hurry(self, now: Now) -> None:
        """Something is new: try again what could not be reached, as soon as the last try is HURRY_S ago."""
        trouble = self.trouble
        if trouble is not None:
            soon_mono_s = max(now.mono_s, trouble.tried_mono_s + HURRY_S)
            self.trouble = replace(trouble, next_mono_s=min(trouble.next_mono_s, soon_mono_s))

    def wants_entry(self, now: Now) -> bool:
        """`next_job` would send a drink, if one is due."""
        return self.is_usable and self._look is None and self._job_before_drinks(now) is None

    def next_job(self, now: Now, entry: Entry | None = None) -> Job | None:
        """What to ask now; None: nothing. `entry` is the drink that is due."""
        if not self.is_usable:
            if self.trouble is not None and now.mono_s < self.trouble.next_mono_s:
                return None
            if self._probe is None or self._probe.call is None:
                self._probe = Probe(self._url, has_key=self._has_key)
            assert self._probe.call is not None
            return Job(purpose=Purpose.PROBE, call=self._probe.call)
        job = self._job_before_drinks(now)
        if job is not None:
            return job
        if self._look is not None:
            return self._look
        if entry is None:
            return self._readings_job(now)
        if self._events is not None and self._events.takes(entry, self.taps, now):
            return self._event_job(self._events, entry, now)
        if delivery.must_look(entry):
            return look_for(entry, 0)
        marked = delivery.about_to_send(entry, Way.FORM, now_unix_s=now.unix_s, known_id=self.newest_drink_id)
        call = delivery.post(marked, now_unix_s=now.unix_s, taps=self.taps)
        return Job(purpose=Purpose.DRINK, call=call, entry=marked)

    def next_mono_s(self) -> float:
        """When `next_job` has something to do even without a drink."""
        if self.trouble is not None:
            return self.trouble.next_mono_s
        poll_mono_s = self._events.next_poll_mono_s() if self._events is not None else None
        return self._taps_due_mono_s if poll_mono_s is None else min(poll_mono_s, self._taps_due_mono_s)

    # What the answers mean

    def finish(
        self, job: Job, answer: Answer, now: Now, *, jitter: float, taken: frozenset[str] = frozenset()
    ) -> Outcome:
        """Take the answer to `job`. `jitter` is a random number from 0 to 1, `taken` as for `delivery.looked`."""
        match job.purpose:
            case Purpose.PROBE:
                return self._probed(answer, now, jitter)
            case Purpose.DRINK:
                outcome, verdict = self._posted(job, answer, now, jitter)
            case Purpose.LOOK:
                verdict = verdicts.judge(answer, Asked.READING)
                outcome = self._looked(job, answer, now, jitter, taken, verdict)
            case Purpose.EVENT | Purpose.PAIR | Purpose.READINGS:
                outcome, verdict = self._received(job, answer, now, jitter)
            case Purpose.TEMPERATURE:
                outcome, verdict = Outcome(), verdicts.judge(answer, Asked.TEMPERATURE)
            case _:
                verdict = verdicts.judge(answer, Asked.READING)
                outcome = self._read(job, answer, now, verdict)
        says = outcome.result.says if outcome.result else ()
        if self._is_over(job, answer, verdict):
            kind = Kind.STOP if verdict.kind is Kind.STOP else Kind.RETRY
            says += self._give_up(kind, verdict.reason, now, jitter, verdict.retry_after_s)
        else:
            self._go_on(job, answer, now)
        return replace(outcome, says=says + outcome.says)

    def _probed(self, answer: Answer, now: Now, jitter: float) -> Outcome:
        assert self._probe is not None
        self._probe.take(answer)
        finding = self._probe.finding
        if finding is None:
            return Outcome()
        self._probe = None
        if finding.state is not ProbeState.WELL:
            kind = Kind.RETRY if finding.state is ProbeState.AWAY else Kind.STOP
            return Outcome(says=self._give_up(kind, finding.reason, now, jitter, answer.retry_after_s))
        trouble, self.trouble = self.trouble, None
        before, self.finding = self.finding, finding
        self.last_ok_unix_s = now.unix_s
        self.taps = finding.taps
        self._taps_read_mono_s = now.mono_s
        self._taps_due_mono_s = now.mono_s + TAPS_EVERY_S
        if self._events is not None:
            self._events.begin(is_there=finding.kegboard_event)
        says = self._learn_newest(finding.newest_drink_id)
        if trouble is not None:
            away_s = max(0.0, now.unix_s - trouble.since_unix_s)
            back = Say(level=logging.INFO, text=f"The Kegbot Server is back, after {_spoken(away_s)}")
            says = (back, *says)
        if before is None:
            says += (Say(level=logging.INFO, text=f"{finding.reason}; taps: {len(finding.taps)}"),)
        return Outcome(taps=finding.taps, says=says)

    def _posted(self, job: Job, answer: Answer, now: Now, jitter: float) -> tuple[Outcome, Verdict]:
        assert job.entry is not None
        result, verdict = delivery.posted(job.entry, answer, now_unix_s=now.unix_s, jitter=jitter)
        return Outcome(result=result, says=self._learn_newest(result.newest_drink_id)), verdict

    def _received(self, job: Job, answer: Answer, now: Now, jitter: float) -> tuple[Outcome, Verdict]:
        assert self._events is not None
        received = self._events.received(job.key[0], answer, now, jitter=jitter)
        verdict = received.reception.verdict
        result = None
        if job.purpose is Purpose.READINGS and verdict.kind is not Kind.RETRY:
            # Also what it refuses: a temperature is not worth asking about for ever.
            self._events.told_temperatures()
        if job.entry is not None and verdict.kind is Kind.DONE:
            self._look = look_for(job.entry, 0, again=True)
        elif job.entry is not None:
            result = delivery.told(
                job.entry, answer, verdict, repeated=job.again, failures=self._events.failures,
                now_unix_s=now.unix_s, jitter=jitter,
            )  # fmt: skip
        return Outcome(result=result, board_tokens=received.tokens, says=received.says), verdict

    def _looked(
        self, job: Job, answer: Answer, now: Now, jitter: float, taken: frozenset[str], verdict: Verdict
    ) -> Outcome:
        assert job.entry is not None
        self._look = None
        if self._is_over(job, answer, verdict):
            return Outcome()  # asked again when it is over
        result = delivery.looked(
            job.entry, answer, number=job.look, taken=taken, taps=self.taps, now_unix_s=now.unix_s, jitter=jitter,
            acknowledged=job.again, later=job.later,
        )  # fmt: skip
        if result is None:
            later = job.later or delivery.may_tell_later(answer)
            self._look = look_for(job.entry, job.look + 1, again=job.again, later=later)
            return Outcome()
        if self._events is not None:
            self._events.can_look = result.could_tell
        return Outcome(result=result, says=self._learn_newest(result.newest_drink_id))

    def _read(self, job: Job, answer: Answer, now: Now, verdict: Verdict) -> Outcome:
        try:
            if job.purpose is Purpose.TOKEN:
                return Outcome(token=token_answer(job, answer, verdict, now))
            if verdict.kind is not Kind.DONE:
                return Outcome()
            self.taps = form_api.read_taps(answer.body)
            return Outcome(taps=self.taps)
        except AnswerError as error:
            return Outcome(says=(Say(level=logging.WARNING, text=f"Kegbot Server: {error}"),))

    def _job_before_drinks(self, now: Now) -> Job | None:
        if self._tokens:
            return Job(purpose=Purpose.TOKEN, call=form_api.get_token(*self._tokens[0]), key=self._tokens[0])
        if now.mono_s >= self._taps_due_mono_s:
            return Job(purpose=Purpose.TAPS, call=form_api.get_taps())
        if self._events is not None and (pairing := self._events.pairing(self.taps, now)) is not None:
            return Job(purpose=Purpose.PAIR, call=pairing[1], key=(pairing[0], ""))
        for sensor_name, (celsius, mono_s) in list(self._temperatures.items()):
            if now.mono_s - mono_s < TEMPERATURE_S:
                call = form_api.post_temperature(sensor_name, celsius)
                return Job(purpose=Purpose.TEMPERATURE, call=call, key=(sensor_name, ""))
            del self._temperatures[sensor_name]
        return None

    def _readings_job(self, now: Now) -> Job | None:
        told = self._events.temperatures(now) if self._events is not None else None
        return None if told is None else Job(purpose=Purpose.READINGS, call=told[1], key=(told[0], ""))

    def _event_job(self, events: EventRoute, entry: Entry, now: Now) -> Job:
        if events.needs_taps(now.mono_s - self._taps_read_mono_s):
            return Job(purpose=Purpose.TAPS, call=form_api.get_taps())
        marked = delivery.about_to_send(
            entry, Way.EVENT, now_unix_s=now.unix_s, known_id=self.newest_drink_id
        )
        board, call = events.post(marked, now)
        again = delivery.must_look(entry)
        return Job(purpose=Purpose.EVENT, call=call, entry=marked, again=again, key=(board, ""))

    def _go_on(self, job: Job, answer: Answer, now: Now) -> None:
        if not answer.error:
            self.last_ok_unix_s = now.unix_s
        match job.purpose:
            case Purpose.TAPS:
                self._failures = 0
                self._taps_read_mono_s = now.mono_s
                self._taps_due_mono_s = now.mono_s + TAPS_EVERY_S
            case Purpose.TOKEN:
                self._tokens.remove(job.key)
            case Purpose.TEMPERATURE:
                self._temperatures.pop(job.key[0], None)
            case Purpose.DRINK:
                self._failures = 0

    def _give_up(
        self, kind: Kind, reason: str, now: Now, jitter: float, retry_after_s: float | None
    ) -> tuple[Say, ...]:
        """Leave it alone for a while, then probe it."""
        self._failures += 1
        wait_s = verdicts.delay_s(kind, self._failures, jitter, retry_after_s) or 0.0
        before = self.trouble
        self.trouble = Trouble(
            reason=reason,
            since_unix_s=before.since_unix_s if before else now.unix_s,
            tried_mono_s=now.mono_s,
            next_mono_s=now.mono_s + wait_s,
        )
        self._probe = None
        self._tokens.clear()
        self._temperatures.clear()
        self._look = None
        if before is not None and before.reason == reason:
            return ()
        return (Say(level=logging.WARNING, text=f"Kegbot Server, drinks wait in the outbox: {reason}"),)

    def _is_over(self, job: Job, answer: Answer, verdict: Verdict) -> bool:
        """True if the server can be asked nothing more for now."""
        if job.purpose is Purpose.TAPS:
            return verdict.kind is not Kind.DONE
        if job.purpose is not Purpose.DRINK and answer.status in (404, 405, 410):
            return False  # a server that does not have this is not the wrong one for that
        if job.purpose in (Purpose.EVENT, Purpose.PAIR, Purpose.READINGS, Purpose.LOOK):
            # What is asked beside the form API may be broken or refused while that is well: then drinks go on by that.
            return answer.status is None and not answer.sent
        return delivery.is_servers_fault(answer, verdict)

    def _learn_newest(self, drink_id: str | None) -> tuple[Say, ...]:
        """It counts also if it is older than the one known: then the server gives its numbers anew."""
        if drink_id is None:
            return ()
        known, self.newest_drink_id = self.newest_drink_id, drink_id
        if known is None or not is_older(drink_id, known):
            return ()
        text = f"Kegbot Server: its newest drink is {drink_id}, and {known} was known: drinks were cancelled there, or "
        return (Say(level=logging.INFO, text=f"{text}a backup was restored"),)


def _spoken(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
