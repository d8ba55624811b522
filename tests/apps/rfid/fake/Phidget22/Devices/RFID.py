# ruff: noqa: N999
from __future__ import annotations

from collections.abc import Callable

from .. import bus


class RFID(bus.Channel):
    def setOnTagHandler(self, handler: Callable[..., None]) -> None:  # noqa: N802
        self._handlers["tag"] = handler

    def setOnTagLostHandler(self, handler: Callable[..., None]) -> None:  # noqa: N802
        self._handlers["lost"] = handler

    def setAntennaEnabled(self, on: bool) -> None:  # noqa: N802
        self.need()
        bus.did(f"antenna {on}")
