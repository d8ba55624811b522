"""What carries out the dispatch: one call at a time to the Kegbot Server, and on disk what it means.

Knows the loop, the courier, the store and both clocks. Must not decide what is asked or what an answer means.
"""

from __future__ import annotations

import contextlib
import logging
import random
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from kegapps.core import delivery
from kegapps.core.database import StoreError
from kegapps.core.dispatch import Dispatch
from kegapps.core.effects import Say
from kegapps.core.event_route import EventRoute
from kegapps.core.jobs import Job, Outcome, Purpose
from kegapps.core.model import Now, Temperature, TokenAnswer
from kegapps.core.outbox import Counts
from kegapps.core.server_flags import ServerSettings
from kegapps.core.server_store import ServerStore
from kegapps.core.server_taps import believed, ready_meters
from kegapps.daemon import version
from kegapps.daemon.loop import Loop, Timer
from kegapps.kegnet.ratelimit import RateLimit
from kegapps.server.calls import Answer
from kegapps.server.courier import Courier
from kegapps.server.form_api import ServerTap

log = logging.getLogger("server")

BOARD_TOKEN: Final = "event_token "
"""Under this and a board's name its token for `kegboard-event` is kept."""
STORE_RETRY_S: Final = 1.0
COUNT_EVERY_S: Final = 5.0
"""How often the drinks that wait are counted for the status line while the server is away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """Who is told what the server says."""

    on_token: Callable[[str, str, TokenAnswer | None], None]
    """Device, token, and whose it is; None: the server did not say."""
    on_taps: Callable[[], None]
    """The server's taps are in the store, and not as they were."""


class ServerLink:
    """The core's connection to its Kegbot Server. Raises StoreError if the store cannot be read at the start."""

    def __init__(
        self,
        loop: Loop,
        store: ServerStore,
        settings: ServerSettings,
        *,
        usual_ml_per_tick: float,
        on_status: Callable[[str], None],
    ) -> None:
        """`on_status` is told in one line how the server is."""
        self._loop = loop
        self._store = store
        self._url = str(settings.url)
        self._usual_ml_per_tick = usual_ml_per_tick
        self._on_status = on_status
        self._listener: Listener | None = None
        self._courier = Courier(loop, settings.url, settings.api_key)
        store.defer_looks(delivery.LOOK_AFTER_SENDING_S)
        self._kept_taps = store.taps()
        self._refused: tuple[Say, ...] = ()
        known = store.state()
        self._dispatch = Dispatch(
            settings.url,
            has_key=settings.api_key is not None,
            events=self._events(settings, known) if settings.events else None,
            newest_drink_id=known.get("newest_drink_id"),
            taps=self._kept_taps,
        )
        self._job: Job | None = None
        self._unwritten: list[delivery.Result] = []
        self._unkept: dict[str, str | None] = {}
        self._asked: set[tuple[str, str]] = set()
        self._alarm: Timer | None = None
        self._counts = Counts()
        self._counted_mono_s = float("-inf")
        self._status = ""
        self._was_usable = False
        self._said_cache = False
        self._talk = {
            True: RateLimit(100, 10.0),
            False: RateLimit(100, 10.0),
        }  # for warnings, and for the rest

    def begin(self, listener: Listener) -> None:
        """Talk to the server from now on."""
        self._listener = listener
        self._show()
        self._advance()

    def close(self) -> None:
        """Say nothing more. A drink whose answer is awaited is on disk as sent, and looked for by the next core."""
        self._listener = None
        self._courier.close()
        if self._alarm is not None:
            self._alarm.cancel()

    # What the core has to say

    def ask_token(self, device: str, token: str) -> None:
        """Ask whose token it is; the listener is told, sooner or later."""
        self._asked.add((device, token))
        if self._dispatch.ask_token(device, token):
            self._advance()
        else:
            if not self._said_cache:
                self._said_cache = True
                log.warning(
                    "tokens are judged by what the Kegbot Server said of them earlier: it cannot be asked"
                )
            self._loop.call_later(0.0, self._answer_unasked)

    def tell_temperature(self, temperature: Temperature) -> None:
        """Tell the server, if that is possible."""
        now = self._now()
        at_unix_s = min(now.unix_s, temperature.unix_minute * 60.0 + 59.0)
        self._dispatch.tell_temperature(temperature.sensor_name, temperature.celsius, at_unix_s, now)
        self._advance()

    def drinks_stored(self) -> None:
        """There are new drinks in the outbox."""
        self._dispatch.hurry(self._now())
        self._advance()
        self._show()

    def outbox_edited(self) -> None:
        """Somebody else wrote into the store, perhaps because the server is well again."""
        self._dispatch.hurry(self._now())
        self._advance()

    def report(self) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """How the server and the outbox are, for programs."""
        trouble, finding = self._dispatch.trouble, self._dispatch.finding
        state = "trouble" if trouble else "ok" if self._dispatch.is_usable else "unasked"
        server = {
            "url": self._url,
            "api": finding.server_version or "2012" if finding else "",
            "state": state,
            "reason": trouble.reason if trouble else "",
            "since_unix_s": trouble.since_unix_s if trouble else None,
            "last_ok_unix_s": self._dispatch.last_ok_unix_s,
        }
        self._count(0.0)
        counts = self._counts
        outbox = {
            "waiting": counts.waiting,
            "held": counts.held,
            "dead": counts.dead,
            "oldest_unix_s": counts.oldest_unix_s,
        }
        return server, outbox

    # One call after another

    def _advance(self) -> None:
        """Write down what is known, then ask what is to be asked."""
        if self._job is not None or self._listener is None:
            return
        now = self._now()
        try:
            self._write(now)
            entry, due_unix_s = None, None
            if self._dispatch.wants_entry(now):
                entry, due_unix_s = self._store.next_entry(now.unix_s)
            job = self._dispatch.next_job(now, entry)
            if job is not None and job.sends_drink and job.entry is not None:
                # On disk before it leaves: whatever happens to us now, the next core looks before it repeats it.
                self._store.write([job.entry], now_unix_s=now.unix_s)
            due_s = self._dispatch.next_mono_s()
            if due_unix_s is not None:
                due_s = min(due_s, now.mono_s + max(0.0, due_unix_s - now.unix_s))
        except StoreError as error:
            if not error.locked:
                self._say(Say(level=logging.WARNING, text=f"nothing is sent to the Kegbot Server: {error}"))
            job, due_s = None, now.mono_s + STORE_RETRY_S
        if job is not None:
            self._job = job
            self._courier.perform(job.call, lambda answer: self._answered(job, answer))
        else:
            self._wake_at(due_s)

    def _answered(self, job: Job, answer: Answer) -> None:
        self._job = None
        now = self._now()
        taken: frozenset[str] = frozenset()
        if job.purpose is Purpose.LOOK:
            try:
                taken = self._store.delivered_among(delivery.ids_told(answer))
            except StoreError:
                # Without them another drink might be taken for this one: it is looked for again.
                answer = Answer(error="the store cannot be read", sent=True)
        outcome = self._dispatch.finish(job, answer, now, jitter=random.random(), taken=taken)
        if outcome.result is not None:
            self._unwritten.append(outcome.result)
        self._unkept |= {f"{BOARD_TOKEN}{board}": token for board, token in outcome.board_tokens.items()}
        with contextlib.suppress(StoreError):  # tried again, and said, before anything else is asked
            self._write(now)
        for say in outcome.says:
            self._say(say)
        if outcome.taps is not None:
            self._take_taps(outcome.taps, now)
        self._tell_tokens(job, outcome)
        self._show()
        self._advance()

    def _write(self, now: Now) -> None:
        if self._unwritten:
            newest = self._dispatch.newest_drink_id
            self._store.write(
                [result.record for result in self._unwritten], now_unix_s=now.unix_s, newest_drink_id=newest
            )
            self._unwritten = []
        if self._unkept:  # a board's token is given once
            self._store.keep_state(self._unkept)
            self._unkept = {}

    def _events(self, settings: ServerSettings, known: Mapping[str, str]) -> EventRoute:
        return EventRoute(
            settings.url,
            boot_id=uuid.uuid4().hex,
            now=self._now(),
            tokens={
                name.removeprefix(BOARD_TOKEN): token
                for name, token in known.items()
                if name.startswith(BOARD_TOKEN)
            },
            version=version.number(),
        )

    def _wake_at(self, mono_s: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self._loop.call_later(max(0.0, mono_s - self._loop.now_s()), self._advance)

    # What the server has said

    def _take_taps(self, taps: tuple[ServerTap, ...], now: Now) -> None:
        good, refused = believed(taps, usual_ml_per_tick=self._usual_ml_per_tick)
        if refused != self._refused:
            self._refused = refused
            for say in refused:
                self._say(say)
        ready = ready_meters(good, self._kept_taps if self._was_usable else ())
        try:
            if good != self._kept_taps:
                self._store.keep_taps(good, now_unix_s=now.unix_s)
                self._kept_taps = good
                if self._listener is not None:
                    self._listener.on_taps()
            if ready & self._store.held_meters():
                self._store.release_held(ready)
            self._was_usable = True
        except StoreError as error:
            log.warning("the server's taps could not be kept: %s", error)

    def _tell_tokens(self, job: Job, outcome: Outcome) -> None:
        if job.purpose is Purpose.TOKEN:
            self._tell_token(job.key, outcome.token)
        if not self._dispatch.is_usable:
            self._answer_unasked()
        else:
            self._said_cache = False

    def _answer_unasked(self) -> None:
        if not self._dispatch.is_usable:
            for key in list(self._asked):
                self._tell_token(key, None)

    def _tell_token(self, key: tuple[str, str], answer: TokenAnswer | None) -> None:
        if key in self._asked:
            self._asked.discard(key)
            if self._listener is not None:
                self._listener.on_token(*key, answer)

    # What people see

    def _show(self) -> None:
        """The status line; in the log only when the server's state has changed."""
        trouble = self._dispatch.trouble
        self._count(COUNT_EVERY_S)
        if trouble is not None:
            since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(trouble.since_unix_s))
            text = f"drinks that wait: {self._counts.total}; Kegbot Server not usable since {since}: {trouble.reason}"
        else:
            text = "Kegbot Server in use" if self._dispatch.is_usable else "Kegbot Server not asked yet"
            stuck = {"held": self._counts.held, "dead": self._counts.dead}
            words = [f"{count} {state}" for state, count in stuck.items() if count]
            if words:
                text += f"; drinks: {', '.join(words)}, see kegbot_admin.py outbox"
        if text != self._status:
            self._status = text
            self._on_status(text)

    def _count(self, every_s: float) -> None:
        now_s = self._loop.now_s()
        if now_s - self._counted_mono_s >= every_s:
            try:
                self._counts = self._store.counts()
                self._counted_mono_s = now_s
            except StoreError:
                return

    def _say(self, say: Say) -> None:
        unsaid = self._talk[say.level >= logging.WARNING].admit(self._loop.now_s())
        if unsaid is not None:
            more = f" ({unsaid} lines before it were left out)" if unsaid else ""
            log.log(say.level, "%s%s", say.text, more)

    def _now(self) -> Now:
        return Now(mono_s=self._loop.now_s(), unix_s=time.time())
