"""Which tag lies on a reader, so that one swipe is one `added` and one `removed`.

Knows tokens and times: seconds on a monotonic clock, given as arguments. Must not know readers, sockets or clocks.

Most readers only say what they see: once (a wedge, an ID-12) or again and again (an RDM6300). Such a tag has gone when
it was not seen for the hold-off. A reader that tells of going, too (a Phidget), loses a tag at the edge of its field
and finds it again; there the hold-off begins when the tag was lost. One tag at a time lies on a reader, as in the
core: another one sends the first away.
"""

from __future__ import annotations

from dataclasses import dataclass

from kegapps.kegnet.events import TokenStatus


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
        changes = self.take_off() if self._token not in (None, token) else []
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
        return self.take_off() if self._until_s is not None and self._until_s <= now_s else []

    def take_off(self, token: str | None = None) -> list[Change]:
        """What lies there, or that only if it is `token`, has gone: the reader was unplugged, the program ends."""
        if self._token is None or token not in (None, self._token):
            return []
        gone, self._token, self._until_s = self._token, None, None
        return [Change(token=gone, status="removed")]
