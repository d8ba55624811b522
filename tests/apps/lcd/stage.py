"""A display of ours, the line it hangs on, and a glass at its other end, all in one loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from kegapps.daemon.loop import Loop
from kegapps.lcd.serial_display import SerialDisplay
from tests.apps.lcd.emulators import Plug

PATIENCE_S = 20.0


class Stage:
    """Nothing is plugged at first, and there is no driver before `drive`."""

    def __init__(self, folder: Path) -> None:
        self.ahead_s = 0.0
        self.loop = Loop(lambda: time.monotonic() + self.ahead_s)
        self.plug = Plug(self.loop, folder / "ttyLCD")
        self.statuses: list[str] = []
        self.display: SerialDisplay | None = None

    def drive(self, kind: Callable[..., SerialDisplay]) -> SerialDisplay:
        """Our driver on this line."""
        display = kind(self.loop, path=str(self.plug.path), on_status=self._on_status)
        self.display = display
        return display

    def until(self, condition: Callable[[], bool]) -> None:
        end_s = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < end_s, self.statuses
            self.loop.run_once(0.02)

    def rest(self, seconds: float) -> None:
        """Let so much time go by."""
        end_s = time.monotonic() + seconds
        while (left_s := end_s - time.monotonic()) > 0:
            self.loop.run_once(min(left_s, 0.02))

    def close(self) -> None:
        if self.display is not None:
            self.display.close()
        self.plug.unplug()
        self.loop.close()

    def _on_status(self) -> None:
        assert self.display is not None
        self.statuses.append(self.display.status)
