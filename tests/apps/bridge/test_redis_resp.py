"""Redis' protocol: what is sent, what comes in any pieces, and what is too much."""

from __future__ import annotations

import pytest

from kegapps.bridge.redis_resp import (
    MAX_ITEMS,
    MAX_LINE_BYTES,
    MAX_TEXT_BYTES,
    Decoder,
    Failure,
    Reply,
    RespError,
    TooLong,
    command,
)
from tests.apps.bridge import redis_fuzz

REPLIES: list[tuple[bytes, Reply]] = [
    (b"+PONG\r\n", "PONG"),
    (b"-NOAUTH Authentication required.\r\n", Failure("NOAUTH Authentication required.")),
    (b":0\r\n", 0),
    (b":-17\r\n", -17),
    (b"$5\r\na\r\nbc\r\n", b"a\r\nbc"),
    (b"$0\r\n\r\n", b""),
    (b"$-1\r\n", None),
    (b"*-1\r\n", None),
    (b"*0\r\n", []),
    (b"*3\r\n$9\r\nsubscribe\r\n$6\r\nkegnet\r\n:1\r\n", [b"subscribe", b"kegnet", 1]),
    (b"*2\r\n*1\r\n+a\r\n*0\r\n", [["a"], []]),
    (b"*2\r\n$70000\r\n" + b"x" * 70_000 + b"\r\n:1\r\n", [TooLong(70_000), 1]),
]
STREAM = b"".join(text for text, _ in REPLIES)
VALUES = [value for _, value in REPLIES]


def test_a_command_is_an_array_of_its_words() -> None:
    assert (
        command("PUBLISH", "kegnet", b"\x00\r\n")
        == b"*3\r\n$7\r\nPUBLISH\r\n$6\r\nkegnet\r\n$3\r\n\x00\r\n\r\n"
    )
    assert command("AUTH", "ü") == b"*2\r\n$4\r\nAUTH\r\n$2\r\n\xc3\xbc\r\n"


@pytest.mark.parametrize(("text", "value"), REPLIES, ids=[text[:20].decode() for text, _ in REPLIES])
def test_each_kind_of_reply_is_read(text: bytes, value: Reply) -> None:
    assert list(Decoder().feed(text)) == [value]


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
def test_how_the_bytes_are_cut_makes_no_difference(step: int) -> None:
    decoder = Decoder()
    assert [
        value for at in range(0, len(STREAM), step) for value in decoder.feed(STREAM[at : at + step])
    ] == VALUES


@pytest.mark.parametrize(
    "text",
    [
        b"HTTP/1.1 400 Bad Request\r\n",
        b"\r\n",
        b"$abc\r\n",
        b"$-2\r\n",
        b":1e5\r\n",
        b"*%d\r\n" % (MAX_ITEMS + 1),
        b"*1\r\n" * 5,
        b"$3\r\nabcd\r\n",
        b"+" + b"x" * MAX_LINE_BYTES,
        b"$99999999999\r\n",
        b"%1\r\n",
    ],
    ids=lambda text: text[:12].decode(),
)
def test_what_is_not_meant_for_us_is_refused(text: bytes) -> None:
    with pytest.raises(RespError):
        list(Decoder().feed(text))


def test_a_huge_string_is_never_held() -> None:
    decoder = Decoder()
    assert list(decoder.feed(b"$500000000\r\n")) == []
    for _ in range(1000):
        assert list(decoder.feed(bytes(65_536))) == []
    assert max(len(value) for value in vars(decoder).values() if isinstance(value, bytearray)) == 0
    assert MAX_TEXT_BYTES < 100_000


def test_ten_thousand_broken_inputs_raise_nothing_else() -> None:
    assert redis_fuzz.run(10_000, seed=1)["replies"] > 1000
