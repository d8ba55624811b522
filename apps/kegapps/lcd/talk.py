"""What every conversation with a serial display is asked by its driver.

Knows bytes and time as arguments. Must not know ports.
"""

from __future__ import annotations

from typing import Final, Protocol

REFRESH_S: Final = 0.1  # between the beginnings of two refreshes
WHOLE_S: Final = 60.0  # a display that lost power by itself comes back blank, and nobody is told


class Talk(Protocol):
    """One display, spoken to. Times are monotonic seconds.

    ready    it is there and answers, as far as it can answer
    trouble  why there is no point in going on, "" while there is
    """

    ready: bool
    trouble: str

    def opened(self) -> None:
        """The line was opened: begin from nothing."""

    def heard(self, data: bytes) -> None:
        """The display said `data`."""

    def run(self, now_s: float) -> bytes:
        """What is to be sent now."""

    def wake_s(self) -> float | None:
        """When `run` is to be called again if nothing else happens; None: not before something does."""
