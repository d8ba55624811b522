"""LCDproc's client language, byte by byte."""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kegapps.lcd import lcdproc_codec as codec
from kegapps.lcd.charset import fitted
from kegapps.lcd.lcdproc_codec import Answers, Done, NotLcdError, Refused, Welcome

HELLO = b"connect LCDproc 0.5.9 protocol 0.3 lcd wid 20 hgt 4 cellwid 5 cellhgt 8\n"


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        (HELLO, [Welcome(columns=20, rows=4)]),
        (b"success\n", [Done()]),
        (b"success\nsuccess\n", [Done(), Done()]),
        (b"huh? Unknown widget id\n", [Refused(reason="Unknown widget id")]),
        (b"listen kegmaster\nignore kegmaster\nkey Enter\nbye\n\n", []),
        (b"success\nlisten kegmaster\nsuccess\n", [Done(), Done()]),
        (b"success", []),
        (b"\xff\xfe\n", []),
    ],
)  # fmt: skip
def test_answers_are_understood_in_any_pieces(said: bytes, heard: list[object]) -> None:
    assert list(Answers().feed(said)) == heard
    answers = Answers()
    assert [answer for byte in said for answer in answers.feed(bytes((byte,)))] == heard


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"connect LCDproc 0.5.9\n", "wid"),
        (b"connect LCDproc wid twenty hgt 4\n", "wid"),
        (b"connect LCDproc wid 20 hgt\n", "hgt"),
        (b"connect LCDproc wid 0 hgt 4\n", "would be 0"),
        (b"connect LCDproc wid 20 hgt 99999\n", "would be 99999"),
        (b"x" * 5000, "does not say"),
    ],
)
def test_what_is_no_lcdd_is_told_from_one(said: bytes, reason: str) -> None:
    with pytest.raises(NotLcdError, match=reason):
        list(Answers().feed(said))


def test_a_screen_is_set_up_by_commands_of_one_answer_each() -> None:
    assert codec.setup(2) == [
        b"client_set -name kegmaster\n",
        b"screen_add kegmaster\n",
        b"screen_set kegmaster -priority foreground\n",
        b"screen_set kegmaster -heartbeat off\n",
        b"widget_add kegmaster row0 string\n",
        b"widget_add kegmaster row1 string\n",
    ]


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("15.37 oz", b'"15.37 oz  "'),
        ('the "big" one', b'"the \\"big\\" "'),
        ("a\\b {c} '", b'"a\\\\b {c} \' "'),
        ("Größe 4°C", b'"Gr\xf6\xdfe 4\xb0C "'),
        ("Łódź\n日本", b'"L\xf3dz ??   "'),
        ('"' * 20, b'"' + b'\\"' * 10 + b'"'),
    ],
)
def test_no_text_ends_its_quotes_or_its_line(text: str, quoted: bytes) -> None:
    assert codec.write(1, fitted(text, 10, codec.CODES)) == b"widget_set kegmaster row1 1 2 " + quoted + b"\n"


@given(text=st.text(max_size=60), columns=st.integers(1, 40))
def test_whatever_is_shown_comes_out_as_one_argument_of_one_line(text: str, columns: int) -> None:
    codes = fitted(text, columns, codec.CODES)
    line = codec.write(0, codes)
    assert line.count(b"\n") == 1
    quoted = line.removeprefix(b"widget_set kegmaster row0 1 1 ").removesuffix(b"\n")
    assert re.fullmatch(rb'"(?:[^"\\]|\\["\\])*"', quoted)
    assert re.sub(rb"\\(.)", rb"\1", quoted[1:-1]) == codes


@given(st.binary(max_size=300))
def test_whatever_is_said_is_an_answer_or_none(said: bytes) -> None:
    with contextlib.suppress(NotLcdError):
        list(Answers().feed(b"connect wid " + said + b"\nsuccess\n"))


@pytest.mark.parametrize(("on", "word"), [(True, b"on"), (False, b"off")])
def test_the_light_is_the_screens(on: bool, word: bytes) -> None:
    assert codec.light(on) == b"screen_set kegmaster -backlight " + word + b"\n"
