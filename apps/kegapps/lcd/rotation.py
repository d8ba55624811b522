"""Which screen is shown when, and whether it is lit.

Knows pages, seconds and what counts as activity. Must not know what is on a page, kegnet or displays; the time is told,
always monotonic. The splash has SPLASH_S, all others have the time that people chose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kegapps.lcd.screens import Rows

SPLASH_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A screen that takes its turn; the `key` tells it from others while what is on it changes."""

    key: str
    rows: Rows
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Whose turn it is, and until when: None if nothing will change by itself."""

    page: Page
    until_s: float | None


class Rotation:
    """Goes round the pages, beginning with the first."""

    def __init__(self, now_s: float) -> None:
        self._key = ""
        self._index = 0
        self._since_s = now_s

    def jump(self, key: str, now_s: float) -> None:
        """Begin a turn of the page `key` now; if there is none, of the one after the present one."""
        self._key = key
        self._since_s = now_s

    def turn(self, pages: Sequence[Page], now_s: float) -> Turn:
        """Whose turn it is of `pages`, of which there is at least one."""
        index = next((index for index, page in enumerate(pages) if page.key == self._key), None)
        if index is None:
            # It is gone, or it is the beginning: the one that has its place now has a turn of its own.
            index = self._index if self._index < len(pages) else 0
            self._since_s = now_s
        while len(pages) > 1 and now_s >= self._since_s + pages[index].seconds:
            late_s = now_s - self._since_s - pages[index].seconds
            # After a long sleep of the machine the round is not made up for.
            self._since_s = now_s if late_s > 1.0 else self._since_s + pages[index].seconds
            index = (index + 1) % len(pages)
        self._index, self._key = index, pages[index].key
        until_s = self._since_s + pages[index].seconds if len(pages) > 1 else None
        return Turn(page=pages[index], until_s=until_s)


class Backlight:
    """On from the start and from each activity, off after `timeout_s` without one; 0 is never off."""

    def __init__(self, timeout_s: float, now_s: float) -> None:
        self._timeout_s = timeout_s
        self._since_s = now_s

    def activity(self, now_s: float) -> None:
        """Something happened that people want to see."""
        self._since_s = now_s

    def on(self, now_s: float) -> bool:
        """Whether it is on."""
        return not self._timeout_s or now_s < self._since_s + self._timeout_s

    def off_at_s(self, now_s: float) -> float | None:
        """When it goes off if nothing happens; None if it is off, or never will be."""
        return self._since_s + self._timeout_s if self._timeout_s and self.on(now_s) else None
