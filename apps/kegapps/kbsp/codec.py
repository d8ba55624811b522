"""Frames of the Kegboard Serial Protocol: bytes in, messages out, and back.

Knows prefix, length, checksum and trailer, and how to find the next frame after damage (sections 2, 3 and 8
of the protocol page). Must not know ports or clocks. No input makes it raise; damage is skipped and counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from kegapps.kbsp import payloads
from kegapps.kbsp.checksums import crc16
from kegapps.kbsp.messages import Message

BAUD: Final = 115_200  # of the line, fixed in the firmware (protocol page, section 1)
PREFIX: Final = b"KBSP v1:"
TRAILER: Final = b"\r\n"
MAX_PAYLOAD_BYTES: Final = payloads.MAX_PAYLOAD_BYTES
HEADER_BYTES: Final = len(PREFIX) + 4
FOOTER_BYTES: Final = 4
MIN_FRAME_BYTES: Final = HEADER_BYTES + FOOTER_BYTES
MAX_FRAME_BYTES: Final = MIN_FRAME_BYTES + MAX_PAYLOAD_BYTES


def frame(message_id: int, payload: bytes) -> bytes:
    """One frame around any payload. Raises ValueError over 16 bits of id or 112 bytes of payload."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise ValueError(f"{len(payload)} bytes of payload, {MAX_PAYLOAD_BYTES} fit into a frame")
    if not 0 <= message_id <= 0xFFFF:
        raise ValueError(f"message id {message_id} does not fit into 16 bits")
    body = PREFIX + message_id.to_bytes(2, "little") + len(payload).to_bytes(2, "little") + payload
    return body + crc16(body).to_bytes(2, "little") + TRAILER


def encode(message: Message) -> bytes:
    """The frame of one message, 16 to 128 bytes. Raises ValueError if a field does not fit the wire."""
    return frame(*payloads.encode(message))


class Decoder:
    """Takes bytes as they arrive and gives the messages they complete; how they are cut makes no difference.

    A frame counts when its length, CRC and trailer are right; otherwise the search for the next prefix begins
    right behind its own prefix, inside what was rejected. It holds at most one unfinished frame (127 bytes).

    Counters, all from 0: `garbage_bytes` in no good frame; frames with `crc_errors`, `bad_lengths` (over 112)
    or `bad_trailers`; and good frames that were dropped: `unknown_messages` (no such id) and `malformed`.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.garbage_bytes = 0
        self.crc_errors = 0
        self.bad_lengths = 0
        self.bad_trailers = 0
        self.unknown_messages = 0
        self.malformed = 0

    @property
    def pending_bytes(self) -> int:
        """Bytes held back as the possible beginning of a frame."""
        return len(self._buffer)

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages completed by `data`, all of it taken in at once, even if nobody looks at them."""
        self._buffer += data
        found: list[Message] = []
        while (taken := self._take_frame()) is not None:
            if (message := self._open(*taken)) is not None:
                found.append(message)
        return iter(found)

    def settle(self) -> Iterator[Message]:
        """The line has gone quiet: give up an unfinished frame for good ones that arrived whole inside it.

        A frame cut short makes its successors look like its payload; without this the last reading of a pour
        could wait for the next heartbeat. An unfinished frame with nothing whole in it is kept as it is.
        """
        for start in self._later_prefixes():
            rest = bytes(self._buffer[start:])
            probe = Decoder()
            if any(True for _ in probe.feed(rest)):
                self._discard(start)
                return self.feed(b"")
        return iter(())

    def _take_frame(self) -> tuple[int, bytes] | None:
        """(message id, payload) of the next good frame; None when more bytes are needed."""
        buffer = self._buffer
        while True:
            start = buffer.find(PREFIX)
            if start < 0:
                self._discard(len(buffer) - _prefix_begun(buffer))
                return None
            self._discard(start)
            if len(buffer) < HEADER_BYTES:
                return None
            payload_bytes = int.from_bytes(buffer[10:12], "little")
            if payload_bytes > MAX_PAYLOAD_BYTES:
                self.bad_lengths += 1
                self._discard(len(PREFIX))
                continue
            end = MIN_FRAME_BYTES + payload_bytes
            if len(buffer) < end:
                return None
            if crc16(buffer[: end - 2]) != 0:
                self.crc_errors += 1
                self._discard(len(PREFIX))
                continue
            if buffer[end - 2 : end] != TRAILER:
                self.bad_trailers += 1
                self._discard(len(PREFIX))
                continue
            message_id = int.from_bytes(buffer[8:10], "little")
            payload = bytes(buffer[HEADER_BYTES : end - FOOTER_BYTES])
            del buffer[:end]
            return message_id, payload

    def _open(self, message_id: int, payload: bytes) -> Message | None:
        try:
            message = payloads.decode(message_id, payload)
        except payloads.MalformedPayloadError:
            self.malformed += 1
            return None
        if message is None:
            self.unknown_messages += 1
        return message

    def _later_prefixes(self) -> Iterator[int]:
        start = self._buffer.find(PREFIX, 1)
        while start >= 0:
            yield start
            start = self._buffer.find(PREFIX, start + 1)

    def _discard(self, count: int) -> None:
        self.garbage_bytes += count
        del self._buffer[:count]


def _prefix_begun(buffer: bytearray) -> int:
    """How many bytes at the end may be the beginning of a prefix, 0..7."""
    return next(
        (n for n in range(min(len(PREFIX) - 1, len(buffer)), 0, -1) if buffer.endswith(PREFIX[:n])), 0
    )
