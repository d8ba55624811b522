"""How a board reads commands: the firmware's parser with its quirks, byte by byte.

Knows frames as the firmware sees them (protocol page, section 8). Must not know what commands do, or clocks.
It is deliberately not `kegapps.kbsp.codec`: that one is strict, a board is not.
"""

from __future__ import annotations

from typing import Final

from kegapps.kbsp.codec import HEADER_BYTES, MAX_PAYLOAD_BYTES, PREFIX, TRAILER

CRC_BYTES: Final = 2


class CommandReceiver:
    """Assembles frames from single bytes.

    - A wrong byte restarts the hunt for the prefix; a `K` counts as the new first byte.
    - Only the low 8 bits of the length are looked at; above 112 the frame is thrown away there and then.
    - The CRC is never checked. A bad trailer drops the frame, and the hunt restarts behind it.
    """

    def __init__(self) -> None:
        self._frame = bytearray()
        self._payload_bytes = 0

    def push(self, byte: int) -> tuple[int, bytes] | None:
        """(message id, payload) if `byte` completes a frame."""
        frame = self._frame
        frame.append(byte)
        size = len(frame)
        if size <= len(PREFIX):
            if byte != PREFIX[size - 1]:
                frame[:] = PREFIX[:1] if byte == PREFIX[0] else b""
            return None
        if size < HEADER_BYTES:
            return None
        if size == HEADER_BYTES:
            self._payload_bytes = frame[10]
            if self._payload_bytes > MAX_PAYLOAD_BYTES:
                frame.clear()
            return None
        end = HEADER_BYTES + self._payload_bytes
        if size < end + CRC_BYTES + len(TRAILER):
            return None
        complete = bytes(frame)
        frame.clear()
        if not complete.endswith(TRAILER):
            return None
        return int.from_bytes(complete[8:10], "little"), complete[HEADER_BYTES:end]


def first_values(payload: bytes) -> dict[int, bytes]:
    """The values of a payload by tag; of equal tags the first. What a wrong length hides is left out."""
    values: dict[int, bytes] = {}
    at = 0
    while at + 2 <= len(payload):
        tag, length = payload[at], payload[at + 1]
        value = payload[at + 2 : at + 2 + length]
        if len(value) < length:
            break
        values.setdefault(tag, value)
        at += 2 + length
    return values
