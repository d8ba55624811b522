r"""Redis' wire (RESP2): commands to bytes, bytes to replies, any chunking.

Knows types, lengths and bounds. Must not know sockets or what commands mean.
(Not by the redis package: importing it takes 14 MB, more than the rest of the bridge.)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

MAX_TEXT_BYTES: Final = 65_536  # of a bulk string that is kept; kegnet's messages have some hundred
MAX_LINE_BYTES: Final = 4096
MAX_ITEMS: Final = 8  # a published message has three
MAX_DEPTH: Final = 2
_LENGTH: Final = re.compile(rb"-1|\d{1,10}")
_INTEGER: Final = re.compile(rb"-?\d{1,19}")


class RespError(Exception):
    """What came is not RESP2, or nothing that is meant for us; the text says why."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The server refused a command; `text` begins with the kind of error, such as NOAUTH."""

    text: str


@dataclass(frozen=True, slots=True)
class TooLong:
    """In the place of a bulk string of more than MAX_TEXT_BYTES: it was skipped."""

    length: int


Reply = str | int | bytes | None | Failure | TooLong | list["Reply"]


def command(*words: bytes | str) -> bytes:
    """One command as sent."""
    texts = [word.encode() if isinstance(word, str) else word for word in words]
    return b"".join((b"*%d\r\n" % len(texts), *(b"$%d\r\n%b\r\n" % (len(text), text) for text in texts)))


class Decoder:
    """One connection's incoming bytes. Keeps at most one reply: 64 strings, as long as one may be."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._arrays: list[tuple[int, list[Reply]]] = []  # begun: how many items they have, and which so far
        self._bulk: int | None = None  # so many bytes are to come as one string
        self._skip = self._skipped = 0  # of a string too long: how many bytes are to come, and how long it is

    def feed(self, data: bytes) -> Iterator[Reply]:
        """The replies that `data` completes. Raises RespError; then the connection is of no use any more."""
        self._buffer += data
        while self._buffer:
            value = self._next()
            if value is _MORE:
                return
            if isinstance(value, _Begun):
                if value.items:
                    self._arrays.append((value.items, []))
                    if len(self._arrays) > MAX_DEPTH:
                        raise RespError("arrays within arrays within arrays")
                    continue
                value = []
            assert not isinstance(value, _More)
            done, reply = self._put(value)
            if done:
                yield reply

    def _put(self, value: Reply) -> tuple[bool, Reply]:
        """Whether `value` completes a reply, and which."""
        while self._arrays:
            items, so_far = self._arrays[-1]
            so_far.append(value)
            if len(so_far) < items:
                return False, None
            self._arrays.pop()
            value = so_far
        return True, value

    def _next(self) -> Reply | _Begun | _More:
        if self._skip:
            skipped = min(self._skip, len(self._buffer))
            del self._buffer[:skipped]
            self._skip -= skipped
            return _MORE if self._skip else TooLong(self._skipped)
        if self._bulk is not None:
            return self._take_bulk(self._bulk)
        end = self._buffer.find(b"\r\n", 0, MAX_LINE_BYTES)
        if end < 0:
            if len(self._buffer) >= MAX_LINE_BYTES:
                raise RespError("a line without end")
            return _MORE
        kind, rest = self._buffer[:1], bytes(self._buffer[1:end])
        del self._buffer[: end + 2]
        return self._value(bytes(kind), rest)

    def _take_bulk(self, length: int) -> Reply | _More:
        if len(self._buffer) < length + 2:
            return _MORE
        text = bytes(self._buffer[:length])
        if self._buffer[length : length + 2] != b"\r\n":
            raise RespError("a string is longer than was said")
        del self._buffer[: length + 2]
        self._bulk = None
        return text

    def _value(self, kind: bytes, rest: bytes) -> Reply | _Begun | _More:
        if kind == b"+":
            return rest.decode("utf-8", "replace")
        if kind == b"-":
            return Failure(rest.decode("utf-8", "replace"))
        if kind == b":" and _INTEGER.fullmatch(rest):
            return int(rest)
        if kind in (b"$", b"*") and _LENGTH.fullmatch(rest):
            length = int(rest)
            if length < 0:
                return None
            if kind == b"*":
                if length > MAX_ITEMS:
                    raise RespError(f"an array of {length}")
                return _Begun(length)
            if length > MAX_TEXT_BYTES:
                self._skip, self._skipped = length + 2, length
            else:
                self._bulk = length
            return self._next() if self._buffer else _MORE
        raise RespError(f"a line that begins with {(kind + rest)[:20].decode('latin-1')!a}")


@dataclass(frozen=True, slots=True)
class _Begun:
    """An array of so many items begins."""

    items: int


class _More:
    """More bytes are needed."""


_MORE: Final = _More()
