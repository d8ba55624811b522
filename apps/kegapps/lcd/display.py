"""What the programs ask of a character display, whatever it is.

Knows rows, columns and text. Must not know devices, bytes, kegnet or clocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Display(Protocol):
    """A display that may be absent, late, unplugged or silent: a state, never an exception.

    A driver keeps the picture last asked for and draws it whenever the device (re)appears. It takes a loop, sends
    from there only, never blocks, and calls the `on_status` it was made with whenever `status` changes.
    """

    @property
    def rows(self) -> int:
        """How many rows it has; may change when another display appears."""

    @property
    def columns(self) -> int:
        """How many characters fit into a row."""

    @property
    def ready(self) -> bool:
        """True if the device is there and answers, as far as it can answer."""

    @property
    def status(self) -> str:
        """How it is, for a person: `cfa635 at /dev/ttyUSB0`, or `waiting for /dev/ttyUSB0: no such device`."""

    def show(self, rows: Sequence[str]) -> None:
        """Show these rows of any Unicode text, cut to what fits, missing ones blank; raises nothing."""

    def backlight(self, on: bool) -> None:
        """Light on or off; on a display that has none nothing happens."""

    def close(self) -> None:
        """Let go of the device, within 0.5 s; what is shown stays or is cleared, as is usual for it."""
