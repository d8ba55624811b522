"""One destination's messages on their way: in order, one at a time, not too often, and again until they are there.

Knows the queue, the pace and helpers. Must not know kegnet, templates or flags.
"""

from __future__ import annotations

import logging
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from kegapps.daemon.boot import boot_id
from kegapps.daemon.loop import Loop, Timer
from kegapps.publish.destinations import Destination
from kegapps.publish.messages import Message
from kegapps.publish.pacing import Moment, Rate, Window, backoff_s
from kegapps.publish.places import Places
from kegapps.publish.queue import Queue
from kegapps.publish.queue_file import QueueError
from kegapps.publish.refusals import Refusals
from kegapps.publish.sender import Answer, Sender

log = logging.getLogger("publish")

MAX_HELPERS: Final = 4
"""So many send at once, at 40 MB each; a destination that hangs gives its place up when its time is over."""

_KEEP_HELPER_S: Final = 3.0  # a new one costs less than its memory for longer
_QUEUE_AGAIN_S: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to deliver.

    `max_attempts`, `max_age_s` and `max_waiting` bound what is tried, 0: for ever. `again_in_doubt`: what was perhaps
    sent is sent again. `wanted_by` is the program that delivers, such as publisher.py.
    """

    rate: Rate
    timeout_s: float
    retry_first_s: float
    retry_max_s: float
    max_attempts: int
    max_age_s: float
    max_waiting: int
    again_in_doubt: bool
    wanted_by: str


class Delivery:
    """Sends what the queue holds for `destination`. Begins with `begin`; `look` when there may be news for it."""

    def __init__(
        self,
        loop: Loop,
        queue: Queue,
        destination: Destination,
        settings: Settings,
        places: Places,
        *,
        keeps: tuple[int, ...],
        is_unnamed: Callable[[str | None], bool],
        on_change: Callable[[], None],
    ) -> None:
        self.destination = destination
        self.problem = ""
        """Why its messages wait, if not for the rate alone."""
        self._loop = loop
        self._queue = queue
        self._settings = settings
        self._places = places
        self._keeps = keeps
        self._is_unnamed = is_unnamed
        self._on_change = on_change
        self._window: Window | None = None  # until nobody else sends any more
        self._began = False
        self._sending: Message | None = None
        self._helper: Sender | None = None
        self._unrecorded: list[tuple[int, str, str]] = []  # what a message has become, and why
        self._refusals = Refusals()
        self._failures = 0
        self._not_before_s = 0.0
        self._timer: Timer | None = None
        self._fatal = ""  # what its helper said last before it ended
        self._is_ready = False  # the helper, to be given a message

    def begin(self) -> None:
        """Nobody else sends any more."""
        self._began = True
        self.look()

    def try_now(self) -> None:
        """Somebody mended something: do not wait for the end of a pause."""
        self._not_before_s = 0.0
        self.look()

    def look(self) -> None:
        """Send the next message, if there is one and it is time."""
        if not self._began or self._sending is not None:
            return
        if self._timer is not None:
            self._timer.cancel()
        try:
            window = self._window = self._window or self._read_window()
            self._record()
            message = self._next()
        except QueueError as error:
            self._say(str(error))
            self._timer = self._loop.call_later(_QUEUE_AGAIN_S, self.look)
            return
        if message is None:
            self._dismiss_helper()
            self._failures = 0
            self._say("")
            return
        now_s = self._loop.now_s()
        wait_s = max(self._not_before_s - now_s, window.wait_s(now_s))
        if wait_s > 0:
            if wait_s > _KEEP_HELPER_S:
                self._dismiss_helper()
            self._timer = self._loop.call_later(wait_s, self.look)
        elif self._helper is not None:
            if self._is_ready:
                self._send(self._helper, message, window)
        elif self._places.take(self.look):
            self._start_helper()

    def close(self) -> None:
        """What is being sent will be, and is written down by its helper."""
        if self._timer is not None:
            self._timer.cancel()
        if self._helper is not None:
            self._helper.abandon()

    def _next(self) -> Message | None:
        """What is to be sent next; what is not to be any more is put aside. Raises QueueError."""
        key, unix_s = self.destination.key, time.time()
        if self._settings.max_age_s:
            than = unix_s - self._settings.max_age_s
            self._say_given_up(self._queue.give_up_older(key, than, "too old", unix_s=unix_s), "--max_age_h")
        if self._settings.max_waiting:
            keep = self._settings.max_waiting
            self._say_given_up(
                self._queue.give_up_oldest(key, keep, "too many", unix_s=unix_s), "--max_waiting"
            )
        message = self._first(0)
        if message is not None and self._refusals.tries_behind(message.id):
            return self._first(message.id) or message
        return message

    def _first(self, behind: int) -> Message | None:
        """The first message behind the one of that number that may be sent. Raises QueueError."""
        while (message := self._queue.head(self.destination.key, behind=behind)) is not None:
            if not self._is_unnamed(message.username):
                break
            self._queue.finish(message.id, "withdrawn", "the user wants no mention", unix_s=time.time())
        return message

    def _say_given_up(self, count: int, flag: str) -> None:
        if count:
            log.warning(
                "%s: messages given up by %s: %d; %s queue lists them",
                self.destination.label,
                flag,
                count,
                self._settings.wanted_by,
            )

    def _record(self) -> None:
        """Write down what could not be yet. Raises QueueError."""
        while self._unrecorded:
            number, state, reason = self._unrecorded[0]
            self._queue.finish(number, state, reason, unix_s=time.time())
            del self._unrecorded[0]

    def _start_helper(self) -> None:
        order: dict[str, object] = {
            "queue": self._queue.path,
            "url": self.destination.url,
            "timeout_s": self._settings.timeout_s,
            "wanted_by": self._settings.wanted_by,
        }
        self._is_ready, self._fatal = False, ""
        try:
            self._helper = Sender(
                self._loop, order, on_answer=self._on_answer, on_end=self._on_end, keeps=self._keeps
            )
        except OSError as error:
            self._fail(f"cannot start a helper: {error.strerror}")
            self._places.give_back()
            self.look()

    def _read_window(self) -> Window:
        """Raises QueueError."""
        now = Moment(boot_id=boot_id(), mono_s=self._loop.now_s(), unix_s=time.time())
        return Window(self._settings.rate, self._queue.attempts(self.destination.key), now=now)

    def _send(self, helper: Sender, message: Message, window: Window) -> None:
        # Only now that the helper is up: that takes its time, and the rate is that of what arrives.
        self._sending = message
        window.begin(self._loop.now_s())
        helper.send({"id": message.id}, within_s=self._settings.timeout_s)

    def _on_answer(self, answer: Answer) -> None:
        if fatal := answer.get("fatal"):
            self._fatal = str(fatal)
            return
        if "ready" in answer:
            # Unless nothing was left for it to do while it came up.
            self._is_ready = self._helper is not None and not self._helper.is_leaving
            self.look()
            return
        message = self._sent()
        if message is None or answer.get("id") != message.id:
            return
        result, reason = str(answer.get("result")), str(answer.get("reason"))
        if result in ("sent", "failed") and not answer.get("recorded"):
            self._unrecorded.append((message.id, "sent" if result == "sent" else "waiting", reason))
        if result == "sent":
            self._refusals.taken(message.id)
            if self._failures:
                log.info("%s: reached again", self.destination.label)
            self._failures = 0
            self._say("")
            log.info("%s: sent %d: %s", self.destination.label, message.id, " ".join(message.text.split()))
        elif result != "gone":
            self._fail(reason)
            if result == "failed":
                if self._refusals.failed(message.id, refused=bool(answer.get("refused"))):
                    self._give_up(
                        message, f"refused {message.attempts + 1} times, and what was behind it was taken"
                    )
                else:
                    self._give_up_after(message, reason)
        if self._places.wanted:
            self._dismiss_helper()
        self.look()

    def _on_end(self, status: int) -> None:
        self._helper, self._is_ready = None, False
        message = self._sent()
        if message is not None:
            self._doubt(message, status)
        elif self._fatal or status:
            self._fail(self._fatal or f"the helper that loads Apprise ended with status {status}")
        self._places.give_back()
        self.look()

    def _sent(self) -> Message | None:
        """What was being sent, well or not, and is no more."""
        message, self._sending = self._sending, None
        if message is not None and self._window is not None:
            self._window.end(self._loop.now_s())
        return message

    def _doubt(self, message: Message, status: int) -> None:
        """Its helper ended before it said what came of `message`."""
        if status == -signal.SIGALRM:
            reason = f"no answer within {self._settings.timeout_s:g} s"
        else:
            reason = f"its helper ended with status {status}"
        again = self._settings.again_in_doubt
        begun = 1
        try:
            begun = self._queue.settle_doubts(self.destination.key, again=again, unix_s=time.time())
        except QueueError as error:
            log.warning("%s", error)
            self._unrecorded.append((message.id, "waiting" if again else "given_up", "perhaps sent"))
        self._fail(reason)
        if begun:  # not, if it wrote down what came of it, or never began
            self._give_up_after(message, reason)

    def _fail(self, reason: str) -> None:
        self._failures += 1
        settings = self._settings
        pause_s = backoff_s(
            self._failures,
            first_s=settings.retry_first_s,
            most_s=settings.retry_max_s,
            spread=random.random(),
        )
        self._not_before_s = self._loop.now_s() + pause_s
        self._say(reason)

    def _give_up_after(self, message: Message, reason: str) -> None:
        attempts = message.attempts + 1
        if self._settings.max_attempts and attempts >= self._settings.max_attempts:
            self._give_up(message, f"{reason} (attempt {attempts}, --max_attempts)")

    def _give_up(self, message: Message, reason: str) -> None:
        self._unrecorded.append((message.id, "given_up", reason))
        log.warning("%s: message %d is given up: %s", self.destination.label, message.id, reason)

    def _dismiss_helper(self) -> None:
        if self._helper is not None:
            self._is_ready = False
            self._helper.finish()

    def _say(self, problem: str) -> None:
        if problem != self.problem:
            self.problem = problem
            if problem:
                log.warning("%s: %s; trying on", self.destination.label, problem)
            self._on_change()
