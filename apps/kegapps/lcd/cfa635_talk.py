"""The conversation with a CFA-635: one packet under way, its answer awaited, repeated, or missed.

Knows the packets, the picture and time as an argument. Must not know ports.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from kegapps.lcd import cfa635
from kegapps.lcd.cfa635 import Answer, Decoder, Message, Refusal
from kegapps.lcd.picture import Change, Picture
from kegapps.lcd.refresh import Refresh

ANSWER_S: Final = 0.25  # the vendor's promise
ATTEMPTS: Final = 3


@dataclass(slots=True)
class _UnderWay:
    """A packet that was sent `attempts` times and has `answers` so far; there is to be one answer for each."""

    packet: bytes
    change: Change | None
    deadline_s: float = 0.0
    attempts: int = 0
    answers: int = 0
    refused: bool = False

    @property
    def command(self) -> int:
        return self.packet[0]


class Cfa635Talk:
    """Keeps a display at `picture`."""

    def __init__(self, picture: Picture) -> None:
        self.ready = False
        self.trouble = ""
        self._picture = picture
        self._refresh = Refresh(picture)
        self._to_send: deque[tuple[bytes, Change | None]] = deque()
        self._under_way: _UnderWay | None = None
        self._decoder = Decoder()

    def opened(self) -> None:
        """Begin from nothing: whatever was under way is forgotten."""
        self.ready = False
        self.trouble = ""
        self._decoder = Decoder()
        self._under_way = None
        self._refresh.whole()
        self._to_send = deque(
            (
                (cfa635.packet(cfa635.CLEAR), None),
                (cfa635.packet(cfa635.CURSOR_STYLE, bytes((cfa635.NO_CURSOR,))), None),
            )
        )

    def heard(self, data: bytes) -> None:
        """The display said `data`."""
        for message in self._decoder.feed(data):
            self._take(message)

    def run(self, now_s: float) -> bytes:
        """What is to be sent now; at most one packet."""
        if (under_way := self._under_way) is not None:
            if now_s < under_way.deadline_s:
                return b""
            for message in self._decoder.settle():
                self._take(message)
            if self._under_way is not None:
                if not under_way.answers:
                    return self._again(under_way, now_s)
                self._done(under_way)
        if not self._to_send:
            self._to_send.extend(
                (cfa635.change_packet(change), change) for change in self._refresh.take(now_s)
            )
        if not self._to_send:
            return b""
        self._under_way = _UnderWay(*self._to_send.popleft())
        return self._again(self._under_way, now_s)

    def wake_s(self) -> float | None:
        """When an answer is missed, or a change may be sent."""
        if self.trouble:
            return None
        return self._refresh.wake_s() if self._under_way is None else self._under_way.deadline_s

    def _again(self, under_way: _UnderWay, now_s: float) -> bytes:
        if under_way.attempts == ATTEMPTS:
            self.ready = False
            self.trouble = f"it refuses command {under_way.command}" if under_way.refused else "no answer"
            return b""
        under_way.attempts += 1
        under_way.deadline_s = now_s + ANSWER_S
        return under_way.packet

    def _take(self, message: Message) -> None:
        """Reports are nobody's answer, and keys have no meaning here."""
        under_way = self._under_way
        if under_way is None or not isinstance(message, Answer | Refusal):
            return
        if message.command != under_way.command:
            return
        if isinstance(message, Refusal):
            under_way.refused = True
            return
        under_way.answers += 1
        # Answers bear no number: that to the first attempt, come late, must not pass for that to the next row.
        if under_way.answers == under_way.attempts:
            self._done(under_way)

    def _done(self, under_way: _UnderWay) -> None:
        self._under_way = None
        self.ready = True
        if under_way.change is not None:
            self._picture.sent(under_way.change)
