"""Displays on a serial line: the device kept open, what the conversation wants sent to it, and how it is.

Knows the loop and the device. Must not know packets or what is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from kegapps.daemon.loop import Loop, Timer
from kegapps.daemon.serial_device import SerialDevice
from kegapps.lcd import cfa635, mtxorb
from kegapps.lcd.cfa635_talk import Cfa635Talk
from kegapps.lcd.mtxorb_talk import MatrixOrbitalTalk
from kegapps.lcd.picture import Picture
from kegapps.lcd.talk import Talk

RETRY_DEAD_S: Final = 5.0


class SerialDisplay:
    """Keeps what `talk` speaks to at `picture`; `kind` is its name for people. A `Display`."""

    def __init__(
        self,
        loop: Loop,
        *,
        path: str,
        baud: int,
        kind: str,
        picture: Picture,
        talk: Talk,
        on_status: Callable[[], None],
    ) -> None:
        self.rows = picture.rows
        self.columns = picture.columns
        self._loop = loop
        self._kind = kind
        self._baud = baud
        self._picture = picture
        self._talk = talk
        self._on_status = on_status
        self._told = ""
        self._silence = ""  # why it was given up last: the status goes on to say so until it answers
        self._timer: Timer | None = None
        self._device = SerialDevice(
            loop, path, baud=baud, on_open=self._opened, on_bytes=self._heard, on_gone=self._gone
        )
        self._timer = loop.call_later(0.0, self._device.open)

    @property
    def ready(self) -> bool:
        """True if the device is open and, where it can, has answered."""
        return self._device.is_open and self._talk.ready

    @property
    def status(self) -> str:
        """How it is, for a person."""
        if self.ready:
            return f"{self._kind} at {self._device.path}"
        if self._silence:
            return f"waiting for {self._kind} at {self._device.path}: {self._silence}"
        if self._device.is_open:
            return f"waiting for {self._kind} at {self._device.path}: no answer yet"
        if not self._device.problem:
            return f"waiting for {self._device.path}"
        return self._device.status

    def show(self, rows: Sequence[str]) -> None:
        """Show these rows."""
        self._picture.show(rows)
        self._advance()

    def backlight(self, on: bool) -> None:
        """Light on or off."""
        self._picture.light(on)
        self._advance()

    def close(self) -> None:
        """Let go of the device; what is shown stays."""
        self._forget_timer()
        self._device.close()

    def _opened(self) -> None:
        self._talk.opened()
        self._advance()

    def _heard(self, data: bytes) -> None:
        self._talk.heard(data)
        self._advance()

    def _gone(self) -> None:
        self._forget_timer()
        if self._device.problem != self._silence:
            self._silence = ""
        self._tell()

    def _advance(self) -> None:
        """Send what is to be sent now, and come back when there will be more."""
        if not self._device.is_open:
            return
        now_s = self._loop.now_s()
        if data := self._talk.run(now_s):
            self._device.write(data)
        self._forget_timer()
        if self._talk.trouble:
            self._silence = f"{self._talk.trouble} at {self._baud} baud"
            self._device.give_up(self._silence, retry_s=RETRY_DEAD_S)
            return
        if self._talk.ready:
            self._silence = ""
        if (wake_s := self._talk.wake_s()) is not None:
            self._timer = self._loop.call_later(max(0.0, wake_s - now_s), self._advance)
        self._tell()

    def _forget_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tell(self) -> None:
        if self.status != self._told:
            self._told = self.status
            self._on_status()


class Cfa635Display(SerialDisplay):
    """Crystalfontz CFA-635."""

    def __init__(
        self, loop: Loop, *, path: str, baud: int = cfa635.DEFAULT_BAUD, on_status: Callable[[], None]
    ) -> None:
        picture = Picture(rows=cfa635.ROWS, columns=cfa635.COLUMNS, codes=cfa635.CODES)
        super().__init__(
            loop, path=path, baud=baud, kind="cfa635", picture=picture, talk=Cfa635Talk(picture), on_status=on_status
        )  # fmt: skip


class MatrixOrbitalDisplay(SerialDisplay):
    """Matrix Orbital LK204 and relatives with 4 rows of 20 characters."""

    def __init__(
        self, loop: Loop, *, path: str, baud: int = mtxorb.DEFAULT_BAUD, on_status: Callable[[], None]
    ) -> None:
        picture = Picture(rows=mtxorb.ROWS, columns=mtxorb.COLUMNS, codes=mtxorb.CODES)
        super().__init__(
            loop, path=path, baud=baud, kind="mtxorb20x4", picture=picture, talk=MatrixOrbitalTalk(picture),
            on_status=on_status,
        )  # fmt: skip
