"""What comes back from the channel: our own messages, once each, and those of a second bridge that says the same.

Knows texts. Must not know what they mean; time is an argument, monotonic seconds.
"""

from __future__ import annotations

from collections import deque
from typing import Final

MAX_KEPT: Final = 256  # messages of ours that come back; as many as may be under way, and more
TWIN_S: Final = 600.0
"""For so long a second bridge is believed to be there after it was last heard."""


class Echo:
    """Remembers the last that we said."""

    def __init__(self) -> None:
        self._expected: deque[bytes] = deque(maxlen=MAX_KEPT)
        self._said: deque[bytes] = deque(maxlen=MAX_KEPT)
        self._twin_until_s = float("-inf")

    def say(self, text: bytes) -> None:
        """It is being published."""
        self._expected.append(text)
        self._said.append(text)

    def expect_nothing(self) -> None:
        """The subscription is lost, and what was under way with it."""
        self._expected.clear()

    def is_own(self, text: bytes) -> bool:
        """Whether it is one of ours that was not heard yet."""
        if text not in self._expected:
            return False
        self._expected.remove(text)
        return True

    def finds_twin(self, text: bytes, now_s: float) -> bool:
        """Whether `text`, which somebody else published, tells of a second bridge that was not known of."""
        if text not in self._said:
            return False
        is_news = not self.has_twin(now_s)
        self._twin_until_s = now_s + TWIN_S
        return is_news

    def has_twin(self, now_s: float) -> bool:
        """Whether a second bridge is there, as far as is known."""
        return now_s < self._twin_until_s
