"""Orders to valves over a network: none that is old opens one, and one that is not repeated is closed again.

Knows orders, stamps and time. Must not know connections, clocks or payloads.
No two machines' clocks agree, so age is not read from them. The machine with the board sends a stamp of its own, and
the core's bridge shows the last stamp that it got with each order: an order is no older than the stamp it shows. Stamps
travel only while valves are open: an order with an old stamp is left out, and answered with a new one; the core's
bridge then says the order again, if the core said it just now.
"""

from __future__ import annotations

from typing import Final

from kegapps.kegnet.events import SetRelayOutputEvent

FRESH_S: Final = 3.0
"""An `enabled` that may be older than this opens nothing. A core repeats it every second."""

FED_S: Final = 4.0
"""So long after the last fresh `enabled` a valve is closed, also if nothing comes any more."""

REPEAT_S: Final = 1.5
"""An `enabled` that the core said no longer ago than this is said again with a new stamp."""

MAX_OUTPUTS: Final = 256


class Orders:
    """At the machine with the board: which orders may be passed on."""

    def __init__(self, run: str) -> None:
        """`run` is another one for each start of the program: stamps of an earlier one mean nothing."""
        self._run = run
        self._fed_s: dict[str, float] = {}  # by output: when it was last enabled

    def stamp(self, now_s: float) -> str:
        """What to send now to be shown with later orders."""
        return f"{self._run} {now_s:.3f}"

    def take(self, order: SetRelayOutputEvent, stamp: str, now_s: float) -> bool:
        """True if it may be passed on. Closing a valve is never too late."""
        if order.output_mode == "disabled":
            self._fed_s.pop(order.output_name, None)
            return True
        if not self._is_fresh(stamp, now_s):
            return False
        if order.output_name not in self._fed_s and len(self._fed_s) >= MAX_OUTPUTS:
            return False
        self._fed_s[order.output_name] = now_s
        return True

    def due_s(self) -> float | None:
        """When the next valve has to be closed unless it is fed; None if all are closed."""
        return min(self._fed_s.values()) + FED_S if self._fed_s else None

    def close_unfed(self, now_s: float) -> list[SetRelayOutputEvent]:
        """Orders to close those that were not fed in time."""
        return self._close([name for name, fed_s in self._fed_s.items() if now_s - fed_s >= FED_S])

    def close_all(self) -> list[SetRelayOutputEvent]:
        """Orders to close all that are open: nobody keeps watch over them any more."""
        return self._close(list(self._fed_s))

    def _close(self, names: list[str]) -> list[SetRelayOutputEvent]:
        for name in names:
            del self._fed_s[name]
        return [SetRelayOutputEvent(output_name=name, output_mode="disabled") for name in names]

    def _is_fresh(self, stamp: str, now_s: float) -> bool:
        run, _, stamped = stamp.partition(" ")
        if run != self._run or not stamped.replace(".", "", 1).isdecimal() or not stamped.isascii():
            return False
        return 0.0 <= now_s - float(stamped) + 0.001 <= FRESH_S


class Stamps:
    """At the core, for one machine: the last stamp, and the orders that may be said again."""

    def __init__(self) -> None:
        self.last = ""
        self._said_s: dict[str, float] = {}  # by output: when the core last said `enabled`

    def say(self, order: SetRelayOutputEvent, now_s: float) -> None:
        """The core gave this order."""
        self._said_s.pop(order.output_name, None)
        if order.output_mode == "enabled" and len(self._said_s) < MAX_OUTPUTS:
            self._said_s[order.output_name] = now_s

    def beat(self, stamp: str, *, again: bool, now_s: float) -> list[SetRelayOutputEvent]:
        """A stamp came: show it from now on; if an order was left out, returned is what to say again with it."""
        self.last = stamp
        if not again:
            return []
        late = [name for name, said_s in self._said_s.items() if now_s - said_s <= REPEAT_S]
        self._said_s.clear()
        return [SetRelayOutputEvent(output_name=name, output_mode="enabled") for name in late]

    def forget(self) -> None:
        """The machine, or the core, is away."""
        self.last = ""
        self._said_s.clear()
