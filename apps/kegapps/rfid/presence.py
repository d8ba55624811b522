"""Which tag lies on a reader, so that one swipe is one `added` and one `removed`.

Knows tokens and times: seconds on a monotonic clock, given as arguments. Must not know readers, sockets or clocks.

Most readers only say what they see: once (a wedge, an ID-12) or again and again (an RDM6300). Such a tag has gone when
it was not seen for the hold-off. A reader that tells of going, too (a Phidget), loses a tag at the edge of its field
and finds it again; there the hold-off begins when the tag was lost. One tag at a time lies on a reader, as in the
core: another one sends the first away. Two together, which many readers see in turns, are each a swipe once: the second
lies there, and the first, which is still seen, comes again only when the second has gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kegapps.kegnet.events import TokenStatus

MAX_TOGETHER: Final = 16  # tags that are known to have been there just now


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A tag came (`added`) or went (`removed`)."""

    token: str
    status: TokenStatus


class Presence:
    """One reader. Every method returns the changes it brings, in order; of each token they take turns."""

    def __init__(self, hold_off_s: float) -> None:
        self._hold_off_s = hold_off_s
        self._token: str | None = None
        self._until_s: float | None = None
        self._seen_s: dict[str, float] = {}  # when each was seen last, the latest at the end

    @property
    def token(self) -> str | None:
        """What lies on the reader; None: nothing."""
        return self._token

    @property
    def next_s(self) -> float | None:
        """When to `wake`; None: never."""
        return self._until_s

    def seen(self, token: str, now_s: float, *, stays: bool = False) -> list[Change]:
        """The reader sees a tag. If it `stays`, the reader will say when it has gone, by `lost`."""
        has_come_before = not stays and self._lies_beside(token, now_s)
        self._note(token, now_s)
        if has_come_before:
            return []
        changes = self._remove() if self._token != token else []
        if self._token is None:
            changes.append(Change(token=token, status="added"))
        self._token = token
        self._until_s = None if stays else now_s + self._hold_off_s
        return changes

    def lost(self, token: str, now_s: float) -> list[Change]:
        """The reader does not see this tag any more. It has gone if it is not seen again within the hold-off."""
        if token == self._token and self._until_s is None:
            self._until_s = now_s + self._hold_off_s
        return self.wake(now_s)

    def wake(self, now_s: float) -> list[Change]:
        """It is `next_s`, or later."""
        return self._remove() if self._is_over(now_s) else []

    def take_off(self, token: str | None = None) -> list[Change]:
        """What lies there, or that only if it is `token`, has gone: the reader was unplugged, the program ends."""
        if token is None:
            self._seen_s.clear()
        else:
            self._seen_s.pop(token, None)
        return self._remove() if token in (None, self._token) else []

    def _remove(self) -> list[Change]:
        if self._token is None:
            return []
        gone, self._token, self._until_s = self._token, None, None
        return [Change(token=gone, status="removed")]

    def _is_over(self, now_s: float) -> bool:
        return self._until_s is not None and self._until_s <= now_s

    def _lies_beside(self, token: str, now_s: float) -> bool:
        """Another one lies there, and this one was there, too, a moment ago."""
        if self._token in (None, token) or self._is_over(now_s):
            return False
        return now_s - self._seen_s.get(token, float("-inf")) < self._hold_off_s

    def _note(self, token: str, now_s: float) -> None:
        self._seen_s.pop(token, None)
        self._seen_s[token] = now_s
        if len(self._seen_s) > MAX_TOGETHER:
            del self._seen_s[next(iter(self._seen_s))]
