"""The six outputs of a board and their watchdog.

Source: protocol page, sections 6 and 7: ids 0..3 are relays, 4..5 the flow LEDs; an enabled output goes off
when nobody has asked for it during more than 10000 ms; only a change is told. Must not know frames or clocks.
"""

from __future__ import annotations

from typing import Final

OUTPUTS: Final = 6
LEDS: Final = (4, 5)
WATCHDOG_S: Final = 10.001


class Outputs:
    """All off at first. The methods that may change something return the numbers of the outputs that did."""

    def __init__(self) -> None:
        self._enabled = [False] * OUTPUTS
        self._fed_s = [0.0] * OUTPUTS

    @property
    def enabled(self) -> tuple[bool, ...]:
        """Relays 0..3, then the LEDs."""
        return tuple(self._enabled)

    @property
    def bites_s(self) -> float | None:
        """When the watchdog next has something to switch off; None if everything is off."""
        fed_s = [fed_s for fed_s, enabled in zip(self._fed_s, self._enabled, strict=True) if enabled]
        return min(fed_s) + WATCHDOG_S if fed_s else None

    def light_leds(self, *, on: bool) -> None:
        """The boot tune's light; the board does not tell of it."""
        for led in LEDS:
            self._enabled[led] = on

    def command(self, output: int, mode: int, now_s: float) -> list[int]:
        """A set_output: mode 1 on, 0 off, others only feed the watchdog; outputs from 6 on do not exist."""
        if output >= OUTPUTS:
            return []
        self._fed_s[output] = now_s
        if mode not in (0, 1) or self._enabled[output] == (mode == 1):
            return []
        self._enabled[output] = mode == 1
        return [output]

    def bite(self, now_s: float) -> list[int]:
        """Switch off what nobody asked for during the last 10 s."""
        bitten = [n for n in range(OUTPUTS) if self._enabled[n] and self._fed_s[n] + WATCHDOG_S <= now_s]
        for output in bitten:
            self._enabled[output] = False
        return bitten
