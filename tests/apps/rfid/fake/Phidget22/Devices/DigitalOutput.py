# ruff: noqa: N999
from __future__ import annotations

from .. import bus


class DigitalOutput(bus.Channel):
    def setState(self, on: bool) -> None:  # noqa: N802
        self.need()
        bus.did(f"output {self._channel} of {self._wanted_serial} {on}")
