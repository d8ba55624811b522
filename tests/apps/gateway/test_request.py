from __future__ import annotations

import random

import pytest

from kegapps.gateway.request import MAX_BODY_BYTES, Refused, RequestReader

POST = b"POST /api/kegboard-event HTTP/1.1\r\nHost: x\r\n"


def read(data: bytes, size: int = 0) -> RequestReader:
    reader = RequestReader()
    for at in range(0, len(data), size or max(1, len(data))):
        reader.feed(data[at : at + (size or len(data))])
    return reader


BODIES = {
    "a length": (POST + b"Content-Length: 5\r\n\r\nhello", b"hello"),
    "no body": (POST + b"\r\n", b""),
    "a length of nothing": (POST + b"Content-Length: 0\r\n\r\n", b""),
    "chunks": (POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nA: b\r\n\r\n", b"hello"),
    "bare line feeds": (b"POST / HTTP/1.1\nContent-Length: 2\n\nhi", b"hi"),
    "an empty line before": (b"\r\n\r\n" + POST + b"Content-Length: 2\r\n\r\nhi", b"hi"),
    "as much as may be": (POST + b"Content-Length: 16384\r\n\r\n" + b"x" * 16384, b"x" * 16384),
    "as much as may be in chunks": (
        POST + b"Transfer-Encoding: chunked\r\n\r\n4000\r\n" + b"x" * 16384 + b"\r\n0\r\n\r\n", b"x" * 16384,
    ),
}  # fmt: skip

REFUSED = {
    "one byte too much": (POST + b"Content-Length: 16385\r\n\r\n", 413),
    "one byte too much in chunks": (
        POST + b"Transfer-Encoding: chunked\r\n\r\n4000\r\n" + b"x" * 16384 + b"\r\n1\r\n", 413,
    ),
    "tiny chunks without end": (POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"1;" + b"x" * 200 + b"\r\ny\r\n" + (b"1;" + b"x" * 200 + b"\r\ny\r\n") * 400, 413),
    "a length that is none": (POST + b"Content-Length: 5x\r\n\r\n", 400),
    "a negative length": (POST + b"Content-Length: -1\r\n\r\n", 400),
    "two lengths": (POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n", 400),
    "a length and chunks": (POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    "another coding": (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 400),
    "a chunk without a size": (POST + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
    "a chunk that is longer than it says": (POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", 400),
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\n", 400),
    "HTTP of 1991": (b"GET /\r\n", 400),
    "HTTP of another kind": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "a folded header": (POST + b"A: b\r\n c\r\n\r\n", 400),
    "a header without a colon": (POST + b"nonsense\r\n\r\n", 400),
    "a space before the colon": (POST + b"Content-Length : 5\r\n\r\n", 400),
    "a zero byte in a header": (POST + b"A: \0\r\n\r\n", 400),
    "a head without end": (POST + b"A: " + b"x" * 9000, 431),
    "too many headers": (POST + b"A: b\r\n" * 65 + b"\r\n", 431),
}  # fmt: skip


@pytest.mark.parametrize("case", BODIES)
@pytest.mark.parametrize("size", [0, 1, 7])
def test_a_request_is_read_in_any_pieces(case: str, size: int) -> None:
    data, body = BODIES[case]
    reader = read(data, size)
    assert reader.refused is None
    assert reader.request is not None
    assert reader.request.body == body
    assert reader.request.method == "POST"


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("size", [0, 1])
def test_what_is_no_plain_request_is_refused(case: str, size: int) -> None:
    data, status = REFUSED[case]
    reader = read(data, size)
    assert reader.request is None
    assert isinstance(reader.refused, Refused)
    assert reader.refused.status == status


def test_the_next_request_may_have_come_already() -> None:
    reader = read(POST + b"Content-Length: 2\r\n\r\nhi" + POST + b"Content-Length: 3\r\n\r\nyou")
    assert reader.request is not None
    assert reader.request.body == b"hi"
    reader.next()
    assert reader.request.body == b"you"
    reader.next()
    assert reader.request is None
    assert not reader.begun


@pytest.mark.parametrize(
    ("target", "path"),
    [("/a?b=c", "/a"), ("http://host:80/a/b", "/a/b"), ("http://host", "/"), ("*", "*")],
)
def test_the_path_is_what_counts_of_a_target(target: str, path: str) -> None:
    request = read(f"POST {target} HTTP/1.1\r\n\r\n".encode()).request
    assert request is not None
    assert request.path == path


@pytest.mark.parametrize(
    ("version", "connection", "stays"),
    [("1.1", "", True), ("1.1", "close", False), ("1.0", "", False), ("1.0", "Keep-Alive", True), ("1.1", "x, Close", False)],
)  # fmt: skip
def test_a_connection_stays_open_as_both_sides_know(version: str, connection: str, stays: bool) -> None:
    header = f"Connection: {connection}\r\n" if connection else ""
    request = read(f"POST / HTTP/{version}\r\n{header}\r\n".encode()).request
    assert request is not None
    assert request.keep_alive is stays


def test_no_noise_makes_it_keep_more_than_it_may() -> None:
    rng = random.Random(1)
    for _ in range(300):
        reader = RequestReader()
        for _ in range(40):
            reader.feed(rng.randbytes(rng.choice((1, 50, 5000))) + rng.choice((b"\n", b"\r\n\r\n", POST)))
            assert len(reader._buffer) + len(reader._body) <= 8 * MAX_BODY_BYTES
            if reader.request is not None:
                reader.next()
            if reader.refused is not None:
                break
