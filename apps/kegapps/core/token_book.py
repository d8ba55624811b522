"""What the Kegbot Server said of tokens: whom to let in at once, and when to ask it (again).

Knows answers and time. Must not know taps, flows, the store, or how the server is asked.
A flood of tokens must not become a flood of questions: few are open at a time, few are asked in a while, and a token
that is nobody's is not asked for again at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from kegapps.core.effects import Effect, Keep
from kegapps.core.model import Now, TokenAnswer
from kegapps.kegnet.ratelimit import RateLimit

FRESH_S: Final = 60.0
"""A token seen again within this time is let in without asking."""
NOBODYS_S: Final = 30.0
"""A token that is nobody's is not asked for again within this time: somebody may just be giving it to a user."""
MAX_OPEN: Final = 8
"""Questions that may wait for their answer at once; the server is asked one at a time."""
MAX_QUESTIONS: Final = (20, 10.0)
"""Questions in so many seconds; a bar with a dozen readers asks fewer."""
MAX_KNOWN: Final = 10_000
MAX_NOBODYS: Final = 1_000

Key = tuple[str, str]
"""Device and token."""


class TokenBook:
    """All answers that are still worth something."""

    def __init__(self, answers: Iterable[TokenAnswer], *, keep_s: float) -> None:
        """`answers` of earlier runs, oldest first; each lets its user in for `keep_s` seconds without being asked."""
        self._keep_s = keep_s
        self._known: dict[Key, TokenAnswer] = {}
        for answer in answers:
            if answer.username is not None:
                self._known[answer.device, answer.token] = answer
        self._asked_mono_s: dict[Key, float] = {}
        self._nobodys_mono_s: dict[Key, float] = {}
        self._open: set[Key] = set()
        self._limit = RateLimit(*MAX_QUESTIONS)

    def username(self, key: Key, now: Now) -> str | None:
        """Who may pour by this token, as far as is known; None: nobody."""
        answer = self._known.get(key)
        if answer is None or not answer.enabled or now.unix_s - answer.asked_unix_s > self._keep_s:
            return None
        if answer.expires_unix_s is not None and now.unix_s >= answer.expires_unix_s:
            return None
        return answer.username

    def is_asked(self, key: Key) -> bool:
        """The answer of a question about it is waited for."""
        return key in self._open

    def wants_to_ask(self, key: Key, now: Now) -> bool:
        """True if the server is to be asked about this token now; then its answer is waited for."""
        if key in self._open or len(self._open) >= MAX_OPEN:
            return False
        if now.mono_s - self._asked_mono_s.get(key, float("-inf")) < FRESH_S:
            return False
        if now.mono_s - self._nobodys_mono_s.get(key, float("-inf")) < NOBODYS_S:
            return False
        if self._limit.admit(now.mono_s) is None:
            return False
        self._open.add(key)
        return True

    def no_answer(self, key: Key) -> None:
        """The server could not be asked, or said nothing: what was known stays."""
        self._open.discard(key)

    def learn(self, answer: TokenAnswer, now: Now) -> Iterator[Effect]:
        """The server has answered."""
        key = answer.device, answer.token
        self._open.discard(key)
        was_known = key in self._known
        self._known.pop(key, None)
        self._asked_mono_s.pop(key, None)
        self._nobodys_mono_s.pop(key, None)
        if answer.username is None or not answer.enabled:
            self._nobodys_mono_s[key] = now.mono_s
            _shorten(self._nobodys_mono_s, MAX_NOBODYS)
        else:
            self._known[key] = answer
            self._asked_mono_s[key] = now.mono_s
            _shorten(self._known, MAX_KNOWN)
            _shorten(self._asked_mono_s, MAX_KNOWN)
        # Tokens that nobody has, of which there is no end, are not worth a place on the disk.
        if was_known or answer.username is not None:
            yield Keep(record=answer)


def _shorten(answers: dict[Key, TokenAnswer] | dict[Key, float], longest: int) -> None:
    if len(answers) > longest:
        del answers[next(iter(answers))]
