"""One HTTP/1.x request from the bytes of a connection: bounded, in any chunks, and refused where it is not plain.

Knows the grammar of RFC 9112 as a server of one small endpoint needs it. Must not know sockets, clocks, or what the
request is for. Ours rather than the standard library's: that one blocks, and brings a mail parser into the program.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

MAX_HEAD_BYTES: Final = 8192
MAX_HEADERS: Final = 64
MAX_BODY_BYTES: Final = 16384
"""Source: shared/kegbot-server-api.md, section 6. Exactly so many are taken, one more is not."""
MAX_TOTAL_BYTES: Final = MAX_HEAD_BYTES + 4 * MAX_BODY_BYTES
"""All that may come for one request: tiny chunks cost many times what they carry."""

_HEAD_END: Final = re.compile(rb"\n\r?\n")
_FIRST: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([\x21-\x7e]{1,2048}) HTTP/1\.([01])")
_HEADER: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*")
_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[\t\x20-\x7e]*)?")
_MAX_CHUNK_LINE: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A whole request. Header names are in lower case; of one that comes twice the values are joined by commas."""

    method: str
    path: str
    """Without the query."""
    headers: Mapping[str, str]
    body: bytes
    keep_alive: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """What came is no request that is served; after the answer the connection is of no more use."""

    status: int
    error: str
    """The word for `{"error": ...}`."""
    detail: str = ""


class RequestReader:
    """Takes what arrives with `feed` until there is a `request` or it was `refused`; `next` goes on to another one."""

    def __init__(self) -> None:
        self.request: Request | None = None
        self.refused: Refused | None = None
        self.wants_continue = False
        """The client waits to be told to send its body (`Expect: 100-continue`); to be cleared by who tells it."""
        self._buffer = bytearray()
        self._begin()

    def _begin(self) -> None:
        self._body = bytearray()
        self._head: tuple[str, str, dict[str, str], bool] = ("", "", {}, False)
        self._left = 0
        self._total = 0
        self.wants_continue = False
        self._step: Callable[[], bool] = self._read_head

    @property
    def begun(self) -> bool:
        """Part of a request has come."""
        return bool(self._buffer) or self._step != self._read_head

    def feed(self, data: bytes) -> None:
        """Take what arrived."""
        self._buffer += data
        self._go_on()

    def next(self) -> None:
        """The request was served: read on, where the next one may have come already."""
        self.request = None
        self._begin()
        self._go_on()

    def _go_on(self) -> None:
        while self.request is None and self.refused is None:
            before = len(self._buffer)
            more = self._step()
            self._total += before - len(self._buffer)
            if self._total + len(self._buffer) > MAX_TOTAL_BYTES and self.request is None:
                self._refuse(413, "too_large")
            if not more:
                return

    def _refuse(self, status: int, error: str, detail: str = "") -> bool:
        if self.refused is None:
            self.refused = Refused(status, error, detail)
        self._buffer.clear()
        return False

    # Steps: each takes what it can from the buffer and returns False if it needs more, or it is over.

    def _read_head(self) -> bool:
        while self._buffer[:2] == b"\r\n":  # some clients end a body so; RFC 9112, 2.2
            del self._buffer[:2]
        found = _HEAD_END.search(self._buffer)
        if (found.end() if found else len(self._buffer)) > MAX_HEAD_BYTES:
            return self._refuse(431, "head_too_large")
        if found is None:
            if (end := self._buffer.find(b"\n")) >= 0 and not _FIRST.fullmatch(
                self._buffer[:end].rstrip(b"\r")
            ):
                return self._refuse(400, "invalid", "not an HTTP/1.1 request")
            return False
        first, *lines = bytes(self._buffer[: found.start()]).split(b"\n")
        del self._buffer[: found.end()]
        line = _FIRST.fullmatch(first.removesuffix(b"\r"))
        if line is None:
            return self._refuse(400, "invalid", "not an HTTP/1.1 request")
        if len(lines) > MAX_HEADERS:
            return self._refuse(431, "head_too_large")
        headers: dict[str, str] = {}
        for text in lines:
            header = _HEADER.fullmatch(text.removesuffix(b"\r"))
            if header is None:
                return self._refuse(400, "invalid", "a header that is none")
            name, value = header[1].decode("ascii").lower(), header[2].decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        path = _path(line[2].decode("ascii"))
        keep_alive = _keeps_alive(headers.get("connection", ""), is_1_1=line[3] == b"1")
        self._head = (line[1].decode("ascii"), path, headers, keep_alive)
        return self._expect_body(headers)

    def _expect_body(self, headers: Mapping[str, str]) -> bool:
        length, coding = headers.get("content-length"), headers.get("transfer-encoding")
        if coding is not None:
            # Both together is how requests are smuggled past what stands in between.
            if length is not None or coding.lower() != "chunked":
                return self._refuse(400, "invalid", "transfer-encoding")
            self._step = self._read_chunk_size
        elif length is None:
            return self._done()
        elif not length.isascii() or not length.isdecimal() or len(length) > 18:
            return self._refuse(400, "invalid", "content-length")
        elif int(length) > MAX_BODY_BYTES:
            return self._refuse(413, "too_large")
        else:
            self._left = int(length)
            self._step = self._read_body
        self.wants_continue = headers.get("expect", "").lower() == "100-continue" and not self._buffer
        return True

    def _read_body(self) -> bool:
        self._take()
        return self._done() if not self._left else False

    def _read_chunk_size(self) -> bool:
        line = self._line()
        if line is None:
            return False
        size = _CHUNK.fullmatch(line)
        if size is None:
            return self._refuse(400, "invalid", "chunk")
        self._left = int(size[1], 16)
        if len(self._body) + self._left > MAX_BODY_BYTES:
            return self._refuse(413, "too_large")
        self._step = self._read_chunk if self._left else self._read_trailer
        return True

    def _read_chunk(self) -> bool:
        self._take()
        if not self._left:
            self._step = self._read_chunk_end
        return not self._left

    def _read_chunk_end(self) -> bool:
        line = self._line()
        if line is None:
            return False
        if line:
            return self._refuse(400, "invalid", "chunk")
        self._step = self._read_chunk_size
        return True

    def _read_trailer(self) -> bool:
        line = self._line()
        if line is None:
            return False
        return True if line else self._done()

    def _take(self) -> None:
        piece = self._buffer[: self._left]
        del self._buffer[: len(piece)]
        self._body += piece
        self._left -= len(piece)

    def _line(self) -> bytes | None:
        end = self._buffer.find(b"\n", 0, _MAX_CHUNK_LINE)
        if end < 0:
            if len(self._buffer) >= _MAX_CHUNK_LINE:
                self._refuse(400, "invalid", "chunk")
            return None
        line = bytes(self._buffer[:end]).removesuffix(b"\r")
        del self._buffer[: end + 1]
        return line

    def _done(self) -> bool:
        method, path, headers, keep_alive = self._head
        self.request = Request(
            method=method, path=path, headers=headers, body=bytes(self._body), keep_alive=keep_alive
        )
        return False


def _path(target: str) -> str:
    """The path in a request's target; also of one that names the host, as proxies are told."""
    if target.lower().startswith(("http://", "https://")):
        target = "/" + target.partition("//")[2].partition("/")[2]
    return target.partition("?")[0]


def _keeps_alive(connection: str, *, is_1_1: bool) -> bool:
    words = {word.strip().lower() for word in connection.split(",")}
    return "close" not in words if is_1_1 else "keep-alive" in words
