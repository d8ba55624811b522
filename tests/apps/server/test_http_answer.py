"""The reader of HTTP answers beside the standard library's, which has seen more servers than we have."""

from __future__ import annotations

import http.client
import io
import json
import random

import pytest

from kegapps.server.http_answer import MAX_HEAD_BYTES, AnswerReader
from tests.apps.server.fuzz import BODIES, framed, read


class Recorded:
    """What http.client takes for a socket."""

    def __init__(self, text: bytes) -> None:
        self._text = text

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._text)


def by_the_standard_library(text: bytes) -> tuple[int, bytes]:
    response = http.client.HTTPResponse(Recorded(text))  # type: ignore[arg-type]
    response.begin()
    return response.status, response.read()


def test_whole_answers_of_every_framing_are_read_as_the_standard_library_reads_them() -> None:
    rng = random.Random(3)
    for _ in range(1000):
        text = framed(rng, json.dumps(rng.choice(BODIES)).encode() * rng.choice((0, 1, 40)))
        if b"Content-Encoding: gzip" in text:
            continue  # that is left to the caller there
        if text.startswith(b"HTTP/1.1 204"):
            continue  # has no body, which the other one forgets if it comes in chunks
        answer = read(text, rng)
        assert (answer.status, answer.body) == by_the_standard_library(text)
        assert answer.error == ""


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("text", "body"),
    [
        (OK + b"content-length:5\r\n\r\nhello", b"hello"),
        (OK + b"CONTENT-LENGTH:  5 \r\n\r\nhello", b"hello"),
        (OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
        (OK + b"Content-Length: 5, 5\r\n\r\nhello", b"hello"),
        (OK + b"Content-Length: 0\r\n\r\n", b""),
        (OK + b"Transfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
        (OK + b"Transfer-Encoding: Chunked\r\nContent-Length: 99\r\n\r\n5\r\nhello\r\n0\r\n\r\n", b"hello"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n00000\r\nX: trailer\r\n\r\n", b"hello"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n", b"hello"),
        (OK + b"no colon here\r\n: no name\r\n folded\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", b""),
        (b"HTTP/1.1 304 Not Modified\r\n\r\nhello", b""),
        (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK + b"Content-Length: 5\r\n\r\nhello", b"hello"),
        (OK + b"\r\n", b""),
    ],
)
def test_an_answer_is_whole_as_soon_as_its_last_byte_came(text: bytes, body: bytes) -> None:
    reader = AnswerReader()
    for at in range(len(text)):
        reader.feed(text[at : at + 1])
        if reader.over:
            break
    reader.end()
    answer = reader.answer()
    assert (answer.body, answer.error) == (body, "")


@pytest.mark.parametrize("text", [b"", b"H", b"HTTP/1.1 200 OK\r\n", OK + b"Content-Length: 9\r\n\r\nhello",
                                  OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"])  # fmt: skip
def test_an_answer_that_ends_too_early_is_not_whole(text: bytes) -> None:
    assert read(text).error


def test_a_reset_ends_no_answer_even_one_that_goes_on_until_the_end() -> None:
    reader = AnswerReader()
    reader.feed(OK + b'\r\n{"object"')
    assert not reader.over
    reader.end(reset=True)
    assert "in the middle" in reader.answer().error


def test_what_comes_is_judged_by_its_first_bytes_and_not_waited_for() -> None:
    for first in (
        b"S",
        b"HTTQ",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 099 x\r\n\r\n",
        b"HTTP/1.1 2000\r\n\r\n",
        b"\r\n",
    ):
        reader = AnswerReader()
        reader.feed(first)
        assert reader.over, first
        assert "not in HTTP" in reader.problem


def test_a_head_without_end_is_given_up() -> None:
    reader = AnswerReader()
    fed = 0
    while not reader.over:
        reader.feed(b"X: y\r\n" if fed else OK)
        fed += 6
        assert fed < 2 * MAX_HEAD_BYTES
    assert "head of the answer" in reader.problem
