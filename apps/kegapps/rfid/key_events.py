"""What a reader types that calls itself a keyboard ("wedge"): the kernel's key events in, typed lines out.

Knows struct input_event and key codes. Must not know devices or clocks: an event bears its own time. No input makes it
raise; what is no line of a tag is skipped and counted. Source: linux/input.h and linux/input-event-codes.h.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

# 24 bytes, 16 where a long has 32 bits: seconds, microseconds, type, code, value.
EVENT: Final = struct.Struct("@llHHi")
EV_SYN, EV_KEY = 0, 1
SYN_DROPPED: Final = 3
PRESSED: Final = 1
MAX_CHARS: Final = 64
PAUSE_S: Final = 1.0  # a reader types a tag in a few hundredths; keys further apart are not of one number

_TYPED: Final = {
    **dict(zip(range(2, 12), "1234567890", strict=True)),
    **dict(zip((71, 72, 73, 75, 76, 77, 79, 80, 81, 82), "7894561230", strict=True)),  # the keypad
    **dict(zip((30, 48, 46, 32, 18, 33), "abcdef", strict=True)),
    51: ",",
}
_ENDS: Final = frozenset((28, 96, 15))  # Enter, the keypad's, Tab
_SILENT: Final = frozenset((29, 42, 54, 56, 58, 69, 97, 100, 125, 126))  # Shift, Caps Lock and their like


class KeyDecoder:
    """Takes bytes as they arrive and gives the lines they complete; how they are cut makes no difference.

    A line is 1 to 64 of the characters `0123456789abcdef,`, ended by Enter or Tab. `rejected` counts lines that held
    another key, were too long, or were broken off; `lost` how often the kernel had to drop events.

    A part of a number is another tag's number. So what may lack its beginning is no line, up to the Enter that ends
    it: what goes on after a pause, and what began to arrive within a pause of `opened_s`, when the device was opened
    (seconds of the clock that the events bear; None: nothing was typed before).
    """

    def __init__(self, opened_s: float | None = None) -> None:
        self._opened_s = opened_s
        self._rest = b""
        self._line = ""
        self._spoilt = False
        self._last_s = 0.0
        self.lines = 0
        self.rejected = 0
        self.lost = 0

    def feed(self, data: bytes) -> Iterator[str]:
        """The lines completed by `data`, all of it taken in at once, even if nobody looks at them."""
        data = self._rest + data
        whole = len(data) - len(data) % EVENT.size
        self._rest = data[whole:]
        found: list[str] = []
        for seconds, microseconds, kind, code, value in EVENT.iter_unpack(data[:whole]):
            if kind == EV_KEY and value == PRESSED:
                line = self._press(code, seconds + microseconds / 1e6)
                if line is not None:
                    found.append(line)
            elif kind == EV_SYN and code == SYN_DROPPED:
                self.lost += 1
                self._spoilt = True
        return iter(found)

    def _press(self, code: int, now_s: float) -> str | None:
        """One key went down; the line that it ended, if that is one."""
        if code in _SILENT:
            return None
        if self._line and abs(now_s - self._last_s) > PAUSE_S:
            self._spoilt = (
                True  # the rest of it after a pause, or another number, of which nobody knows the beginning
            )
        self._last_s = now_s
        if code in _ENDS:
            line = self._line
            is_line = bool(line) and not self._spoilt
            self._opened_s = None
            self._begin(rejected=not is_line and (bool(line) or self._spoilt))
            self.lines += is_line
            return line if is_line else None
        if self._opened_s is not None:
            self._spoilt = self._spoilt or abs(now_s - self._opened_s) < PAUSE_S
            self._opened_s = None
        typed = _TYPED.get(code)
        if typed is None or len(self._line) >= MAX_CHARS:
            self._spoilt = True
        elif not self._spoilt:
            self._line += typed
        return None

    def _begin(self, *, rejected: bool) -> None:
        self.rejected += rejected
        self._line = ""
        self._spoilt = False
