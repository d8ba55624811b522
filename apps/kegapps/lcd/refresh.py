"""When a display is to be sent what has changed: not too often, and everything now and then.

Knows the picture and time as an argument. Must not know how the changes are said to a display.
"""

from __future__ import annotations

from kegapps.lcd.picture import Change, Picture
from kegapps.lcd.talk import REFRESH_S, WHOLE_S


class Refresh:
    """Hands out the changes of `picture`, at most ten times a second.

    With the first change after each minute everything is sent: what the display has lost meanwhile is mended without
    anything being sent for that alone.
    """

    def __init__(self, picture: Picture) -> None:
        self._picture = picture
        self._next_s = self._whole_s = float("-inf")

    def whole(self) -> None:
        """Everything is to be sent, now."""
        self._picture.forget()
        self._next_s = self._whole_s = float("-inf")

    def take(self, now_s: float) -> list[Change]:
        """What is to be sent now."""
        if now_s < self._next_s or not self._picture.changes():
            return []
        self._next_s = now_s + REFRESH_S
        if now_s >= self._whole_s:
            self._picture.forget()
            self._whole_s = now_s + WHOLE_S
        return self._picture.changes()

    def wake_s(self) -> float | None:
        """When there is something to take; None: not before the picture changes."""
        return self._next_s if self._picture.changes() else None
