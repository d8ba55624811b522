"""A board on a bench, for tests: time goes on as told, and what the board says is kept."""

from __future__ import annotations

from kegapps.kbsp.codec import Decoder, encode
from kegapps.kbsp.messages import Message, MeterStatus, OutputStatus, SetOutput
from kegapps.kegboard.board import Board, BoardConfig

ON, OFF = 1, 0
BOOT_S = 2.0


class Bench:
    """One board, powered on at 100.0 s; `heard` holds what it said, with the time."""

    def __init__(self, config: BoardConfig | None = None, *, booted: bool = True) -> None:
        self.board = Board(config or BoardConfig())
        self.now_s = 100.0
        self.heard: list[tuple[float, Message]] = []
        self._decoder = Decoder()
        self.board.reset(self.now_s)
        if booted:
            self.wait(BOOT_S)
            self.heard.clear()

    def wait(self, seconds: float) -> list[Message]:
        """What the board says during the next `seconds`."""
        until_s = self.now_s + seconds
        said = len(self.heard)
        self._listen()
        while (wake_s := self.board.wake_s) is not None and wake_s <= until_s:
            self.now_s = max(self.now_s, wake_s)
            self._listen()
        self.now_s = until_s
        self._listen()
        return [message for _, message in self.heard[said:]]

    def tell(self, data: bytes) -> None:
        self.board.receive(data, self.now_s)

    def pour(self, meter: int, ticks: int) -> int:
        return self.board.tick(meter, ticks, self.now_s)

    def times_s(self, kind: type[Message]) -> list[float]:
        return [round(time_s - 100.0, 3) for time_s, message in self.heard if isinstance(message, kind)]

    def _listen(self) -> None:
        for message in self._decoder.feed(self.board.run(self.now_s)):
            self.heard.append((self.now_s, message))


def set_output(output: int, mode: int) -> bytes:
    return encode(SetOutput(output_id=output, output_mode=mode, mode_bytes=1))


def relay(output: int, *, on: bool) -> OutputStatus:
    return OutputStatus(output_name=f"relay{output}", enabled=on)


def flow(meter: int, ticks: int) -> MeterStatus:
    return MeterStatus(meter_name=f"flow{meter}", reading_ticks=ticks)
