"""Whether a network that says no to a message time and again means that message, or everything.

Knows numbers of messages. Must not know networks or the queue.
After REFUSALS times the message behind is tried. If that is taken, the first gets a last try: the network may just have
been reconciled. If it is refused as well, all wait, in order.
"""

from __future__ import annotations

from typing import Final

REFUSALS: Final = 5


class Refusals:
    """What one destination said no to."""

    def __init__(self) -> None:
        self._message = 0  # the one that it says no to
        self._count = 0
        self._blamed = 0

    def tries_behind(self, first: int) -> bool:
        """Whether, with the message of number `first` before all others, it is time to try the one behind it."""
        return first == self._message and self._is_probing

    def failed(self, message: int, *, refused: bool) -> bool:
        """`message` was not taken, because of an error or, if `refused`, for good; whether to give it up."""
        if message == self._blamed and refused:
            return True
        if self._is_probing and message != self._message:
            self._count = 1  # it says no to the one behind it, too: it is not the message
        else:
            self._count = self._count + 1 if refused and message == self._message else int(refused)
            self._message = message
        return False

    def taken(self, message: int) -> None:
        """`message` was taken."""
        if self._is_probing and message != self._message:
            self._blamed = self._message
        self._count = 0

    @property
    def _is_probing(self) -> bool:
        return self._count >= REFUSALS
