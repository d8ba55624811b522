"""Commands to a board, no faster than it can take them.

Knows the receive buffer and the deaf moments of the firmware (protocol page, sections 7 and 12.4). Must not know
ports or clocks: time is an argument, monotonic seconds.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from kegapps.kbsp.codec import encode
from kegapps.kbsp.messages import Ping, SetOutput

BUFFER_BYTES: Final = 63
# Longest time that a board does not read without our having asked for it: the tone for a tag (0.18 s) and the
# reset of its reader (0.2 s). What was sent longer ago has left the buffer.
DEAF_S: Final = 0.45
# On exit there is no such time; a board that is not deaf just then reads a command in 7 ms, and for one that is
# there is its watchdog.
HURRIED_S: Final = 0.05
AFTER_PING_S: Final = 0.3
PING: Final = -1


class Pacer:
    """A queue with one place per output and one for a ping; a newer command for an output replaces the older."""

    def __init__(self) -> None:
        self._waiting: dict[int, bytes] = {}
        self._sent: deque[tuple[float, int]] = deque()
        self._quiet_until_s = 0.0
        self._window_s = DEAF_S

    def ping(self) -> None:
        """Ask for a hello."""
        self._waiting[PING] = encode(Ping())

    def set_output(self, output: int, *, enabled: bool) -> None:
        """Output 0..5 on or off."""
        self._waiting[output] = encode(SetOutput(output_id=output, output_mode=int(enabled)))

    def hurry(self) -> None:
        """The program ends: pings are pointless, and short waits have to do."""
        self._waiting.pop(PING, None)
        self._window_s = HURRIED_S

    def forget(self) -> None:
        """Another line, or the same anew: nothing is waiting, and its buffer is empty."""
        self.__init__()  # type: ignore[misc] # a pacer is nothing but its state

    def take(self, now_s: float) -> bytes:
        """What may be sent now."""
        taken = b""
        while self._sent and self._sent[0][0] + DEAF_S < now_s:
            self._sent.popleft()
        while self._waiting and self._room_s() <= now_s:
            key = next(iter(self._waiting))
            command = self._waiting.pop(key)
            taken += command
            self._sent.append((now_s, len(command)))
            if key == PING:
                self._quiet_until_s = now_s + AFTER_PING_S
        return taken

    @property
    def next_s(self) -> float | None:
        """When `take` has something; None if nothing waits."""
        return self._room_s() if self._waiting else None

    def _room_s(self) -> float:
        """When the first waiting command fits into what is left of the board's buffer."""
        needed = len(next(iter(self._waiting.values())))
        since_s = self._quiet_until_s
        for sent_s, size in reversed(self._sent):
            needed += size
            if needed > BUFFER_BYTES:
                since_s = max(since_s, sent_s + self._window_s)
                break
        return since_s
