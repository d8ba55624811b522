"""The conversation with a Matrix Orbital display, which never answers.

Knows the commands, the picture and time as an argument. Must not know ports.
"""

from __future__ import annotations

from typing import Final

from kegapps.lcd import mtxorb
from kegapps.lcd.picture import Picture
from kegapps.lcd.refresh import Refresh

# A command that another program left unfinished takes up to nine bytes of ours for its own: these may go.
_SACRIFICE: Final = mtxorb.NO_BLINKING * 5
_OPENING: Final = _SACRIFICE + b"".join(
    (mtxorb.NO_SCROLL, mtxorb.NO_WRAP, mtxorb.NO_UNDERLINE, mtxorb.NO_BLINKING, mtxorb.CLEAR)
)


class MatrixOrbitalTalk:
    """Keeps a display at `picture`."""

    def __init__(self, picture: Picture) -> None:
        self.ready = False
        self.trouble = ""
        self._picture = picture
        self._refresh = Refresh(picture)
        self._opening = b""

    def opened(self) -> None:
        """Begin from nothing."""
        self.ready = True
        self._refresh.whole()
        self._opening = _OPENING

    def heard(self, data: bytes) -> None:
        """Keys are sent unasked, and have no meaning here."""

    def run(self, now_s: float) -> bytes:
        """All that is to be sent now."""
        data, self._opening = self._opening, b""
        for change in self._refresh.take(now_s):
            data += mtxorb.change_bytes(change)
            self._picture.sent(change)
        return data

    def wake_s(self) -> float | None:
        """When a change may be sent."""
        return self._refresh.wake_s()
