"""One HTTP/1.x answer from the bytes of a connection: bounded, in any chunks, tolerant where no harm is in it.

Knows the grammar of RFC 9112 as a client needs it. Must not know sockets, clocks, or what the answer is to.
Ours rather than the standard library's client: that one brings TLS and a mail parser, 6 MB, into every core.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from kegapps.server.answers import printable
from kegapps.server.calls import MAX_ANSWER_BYTES, Answer

MAX_HEAD_BYTES: Final = 65536
# All that may come for one answer, chunk sizes and "100 Continue" as often as a server likes among it.
MAX_TOTAL_BYTES: Final = MAX_ANSWER_BYTES + 4 * MAX_HEAD_BYTES
_MAX_LINE_BYTES: Final = 1024  # of a chunk's size
_HEAD_END: Final = re.compile(rb"\n\r?\n")
_STATUS: Final = re.compile(rb"HTTP/1\.[01] +([1-9]\d\d)(?: [^\n]*)?")
_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\n]*)?")
_DATE: Final = re.compile(r"[A-Z][a-z]{2}, (\d\d) ([A-Z][a-z]{2}) (\d{4}) (\d\d):(\d\d):(\d\d) GMT", re.ASCII)
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_BODILESS: Final = (204, 304)


class AnswerReader:
    """Takes what arrives with `feed` until `over`, or `end` when the connection does; then `answer` tells all."""

    def __init__(self) -> None:
        self.status: int | None = None
        """Of the final answer, once its head came."""
        self.problem = ""
        """Why there will be no whole answer, for people; empty if there is none known."""
        self._whole = False
        self._headers: dict[str, str] = {}
        self._buffer = bytearray()
        self._body = bytearray()
        self._left = 0  # bytes of the body, or of the chunk, still to come
        self._searched = 0  # bytes of the head known not to hold its end
        self._total = 0
        self._step: Callable[[], bool] = self._read_head

    @property
    def over(self) -> bool:
        """The answer is whole, or never will be: nothing more need be read."""
        return self._whole or bool(self.problem)

    def feed(self, data: bytes) -> None:
        """Take what arrived. What follows a whole answer is ignored."""
        if self.over:
            return
        self._total += len(data)
        self._buffer += data
        while not self.over and self._step():
            pass
        if self._total > MAX_TOTAL_BYTES and not self.over:
            self.problem = "the server answers without end"

    def end(self, *, reset: bool = False) -> None:
        """The connection was closed by the server; `reset`: not as it is done at the end of an answer."""
        if self.over:
            return
        if self._step == self._read_rest and not reset:
            self._whole = True
        elif self._total == 0:
            self.problem = "the server closed the connection without an answer"
        else:
            self.problem = "the server closed the connection in the middle of its answer"

    def answer(self, error: str = "") -> Answer:
        """All that came. `error`: why no more was read, if the connection was not over."""
        body, problem = bytes(self._body), self.problem or ("" if self._whole else error)
        if not problem and self._headers.get("content-encoding", "").lower() in ("gzip", "x-gzip"):
            body, problem = _unzipped(body)
        if len(body) > MAX_ANSWER_BYTES:
            body, problem = body[:MAX_ANSWER_BYTES], _TOO_LARGE
        return Answer(
            status=self.status,
            body=body,
            error=problem,
            sent=True,
            location=printable(self._headers.get("location", "")),
            date_unix_s=_date_unix_s(self._headers.get("date", "")),
            retry_after_s=_seconds(self._headers.get("retry-after", "")),
        )

    # Steps: each takes what it can from the buffer and returns False if it needs more.

    def _read_head(self) -> bool:
        begin = bytes(self._buffer[:5])
        if not b"HTTP/".startswith(begin) and begin != b"HTTP/":
            self.problem = "the server answers, but not in HTTP: is it https:// rather than http://?"
            return False
        found = _HEAD_END.search(self._buffer, max(0, self._searched - 3))
        self._searched = len(self._buffer)
        if (found.end() if found else len(self._buffer)) > MAX_HEAD_BYTES:
            self.problem = f"the head of the answer is larger than {MAX_HEAD_BYTES} bytes"
            return False
        if found is None:
            return False
        first, _, rest = bytes(self._buffer[: found.start()]).partition(b"\n")
        del self._buffer[: found.end()]
        self._searched = 0
        line = _STATUS.fullmatch(first.rstrip(b"\r"))
        if line is None:
            self.problem = f"the server answers, but not in HTTP/1.1: {printable(ascii(first[:40])[2:-1])}"
            return False
        status = int(line[1])
        if 100 <= status < 200 and status != 101:
            return True  # "100 Continue" and the like: the answer itself is still to come
        self.status = status
        self._headers = _headers(rest)
        return self._begin_body(status)

    def _begin_body(self, status: int) -> bool:
        codings = self._headers.get("transfer-encoding", "").lower()
        length = self._headers.get("content-length", "").partition(",")[0].strip()
        if status in _BODILESS:
            self._whole = True
        elif codings and codings != "identity":
            if codings == "chunked":
                self._step = self._read_chunk_size
            else:
                self.problem = (
                    f"the answer is in a transfer coding nobody asked for: {printable(codings, 40)}"
                )
        elif length.isascii() and length.isdecimal():
            self._left = int(length[:12])
            self._step = self._read_length
            if self._left > MAX_ANSWER_BYTES:
                self.problem = _TOO_LARGE
        else:
            self._step = self._read_rest
        return True

    def _read_length(self) -> bool:
        self._move()
        self._whole = self._left == 0
        return False

    def _read_rest(self) -> bool:
        self._left = len(self._buffer)
        self._move()
        return False

    def _read_chunk_size(self) -> bool:
        line = self._line()
        if line is None:
            return False
        found = _CHUNK.fullmatch(line)
        if found is None:
            self.problem = "the chunks of the answer are none"
            return False
        self._left = int(found[1], 16)
        self._step = self._read_chunk if self._left else self._read_trailer
        return True

    def _read_chunk(self) -> bool:
        self._move()
        if self._left == 0:
            self._step = self._read_chunk_end
        return self._left == 0

    def _read_chunk_end(self) -> bool:
        line = self._line()
        if line:
            self.problem = "the chunks of the answer are none"
        self._step = self._read_chunk_size if line == b"" else self._step
        return line == b""

    def _read_trailer(self) -> bool:
        line = self._line()
        self._whole = line == b""
        return bool(line)

    def _move(self) -> None:
        """As much of the buffer as belongs to the body, into it."""
        self._body += self._buffer[: self._left]
        taken = min(self._left, len(self._buffer))
        self._left -= taken
        del self._buffer[:taken]
        if len(self._body) > MAX_ANSWER_BYTES:
            self.problem = _TOO_LARGE

    def _line(self) -> bytes | None:
        """The next line without its end; None if it did not come yet."""
        end = self._buffer.find(b"\n", 0, _MAX_LINE_BYTES)
        if end < 0:
            if len(self._buffer) >= _MAX_LINE_BYTES:
                self.problem = "the chunks of the answer are none"
            return None
        line = bytes(self._buffer[:end]).removesuffix(b"\r")
        del self._buffer[: end + 1]
        return line


_TOO_LARGE: Final = f"the answer is larger than {MAX_ANSWER_BYTES} bytes"


def _headers(lines: bytes) -> dict[str, str]:
    """By name in lower case; of a repeated one the first, what is none is left out."""
    found: dict[str, str] = {}
    for line in lines.decode("latin-1").split("\n"):
        name, colon, value = line.partition(":")
        if colon and name and not name[0].isspace():
            found.setdefault(name.strip().lower(), value.strip())
    return found


def _unzipped(body: bytes) -> tuple[bytes, str]:
    import zlib  # packing was not asked for, but some proxies do it all the same

    try:
        return zlib.decompressobj(wbits=31).decompress(body, MAX_ANSWER_BYTES + 1), ""
    except zlib.error:
        return b"", "the answer is said to be packed with gzip, and is not"


def _date_unix_s(text: str) -> float | None:
    found = _DATE.fullmatch(text)
    if found is None or found[2] not in _MONTHS:
        return None
    day, _, year, hour, minute, second = found.groups()
    try:
        # A leap second is the one after.
        time = datetime(int(year), _MONTHS.index(found[2]) + 1, int(day), int(hour), int(minute), tzinfo=UTC)
    except ValueError:
        return None
    return time.timestamp() + int(second)


def _seconds(text: str) -> float | None:
    return float(text) if len(text) < 10 and text.isascii() and text.isdecimal() else None
